"""Setting sign-off policies: a new edition of a whole definition, refused where it could not work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import errors
from crm_core.access.models import Role, RoleScope
from crm_core.access.queries import EVERYTHING
from crm_core.approvals.conditions import ApprovalCondition
from crm_core.approvals.events import ApprovalPolicySet
from crm_core.approvals.known import known_of
from crm_core.approvals.models import ApprovalPolicy, ApprovalTarget
from crm_core.approvals.policy import SIGN, Known, Problem, begins, ends, problems
from crm_core.approvals.queries import enabled_of, last_edition, last_editions
from crm_core.approvals.stages import MESSAGES as BAD_SHAPES
from crm_core.approvals.stages import ApprovalStage, PolicyDefinition
from crm_core.approvals.words import ApprovalSame, ApprovalSelf
from crm_core.commands import Command, Perform, omitted, user_errors
from crm_core.errors import Message, Refused, UserError
from crm_core.work import Work

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
_CODES: Final = (
    "POLICY_DATES", "POLICY_DUPLICATE", "POLICY_ENDLESS", "POLICY_NEVER", "POLICY_NO_OWNER", "POLICY_NO_RECORD",
    "POLICY_NOT_A_USER", "POLICY_OPERATOR", "POLICY_ORDER", "POLICY_QUORUM", "POLICY_ROLE_CANNOT_SIGN",
    "POLICY_SEQUENCE", "POLICY_SHADOWED", "POLICY_UNKNOWN_COMMAND", "POLICY_UNKNOWN_DOCUMENT",
    "POLICY_UNKNOWN_FIELD", "POLICY_UNKNOWN_RESOLVER", "POLICY_UNKNOWN_ROLE", "POLICY_UNKNOWN_USER",
    "POLICY_UNREACHABLE", "POLICY_VALUE",
)  # fmt: skip
PROBLEMS: Final = {code: Message(code, "{where}: {en}", "{where}：{zh}") for code in _CODES}
INCOMPLETE = Message(
    "POLICY_INCOMPLETE",
    "A new policy needs stages (or forbids), and commands or a document.",
    "新的审批规则必须填写审批环节（或禁止），以及命令或单据类型。",
)
OF_ALL_LINES = Message(
    "POLICY_OF_ALL_LINES",
    "{kind} changes what all lines share; only who may set policies in all lines has it signed.",
    "{kind} 影响所有业务线，只有可在所有业务线设置审批规则的人才能要求其审批。",
)
MESSAGES = (*PROBLEMS.values(), INCOMPLETE, OF_ALL_LINES, *BAD_SHAPES)
_INSTEAD: Final = (
    ("commands", "document"),
    ("document", "commands"),
    ("forbid", "stages"),
    ("stages", "forbid"),
)
"""What is given takes the place of what was."""
_KEPT: Final = tuple(PolicyDefinition.model_fields)


class SetApprovalPolicy(Command):
    """Make a sign-off policy of the line, or a new edition of it; what is left out stays as it was (设置审批规则).

    Requests already waiting keep the edition they began with.
    """

    kind: ClassVar[str] = "approval_policy.set"
    scope: ClassVar[str] = "approval.policy"
    returns: ClassVar[str | list[str]] = "ApprovalPolicy"
    name: Name = Field(description="Its name, unique in the line (名称).")
    title: str = omitted(max_length=200, description="Title for people (标题).")
    commands: list[str] = omitted(max_length=100, description="Kinds of the commands it holds (命令).")
    document: str = omitted(
        max_length=80, description="Or: the type of the record that is signed (单据类型)."
    )
    condition: ApprovalCondition = omitted(description="Only what meets it; empty: all (触发条件).")
    self_approval: ApprovalSelf = omitted(description="Whether who asks may sign (自批规则).")
    same_signer: ApprovalSame = omitted(description="Whether who signed already signs again (重复审批人).")
    withdraw_days: int | None = omitted(
        ge=0, le=3_650, description="Days after approval in which it may be taken back (可撤回天数)."
    )
    lock: bool = omitted(description="Of a document: whether it is locked while it waits (审批中锁定).")
    stages: list[ApprovalStage] = omitted(max_length=20, description="Who signs, in order (审批环节).")
    forbid: bool = omitted(description="Nobody signs: what meets the condition is refused (禁止).")
    valid_days: int | None = omitted(
        ge=1,
        le=366,
        description="Who got it signed may do the same again on so many days, the day of approval included (有效天数).",
    )
    valid_for: list[str] = omitted(
        max_length=20,
        description="With validDays: the command's fields that must be as they were signed (适用范围).",
    )
    priority: int = omitted(
        ge=0, le=10_000, description="Of several that apply the lowest number counts (优先级)."
    )
    enabled: bool = omitted(description="Whether it is in force (启用).")
    valid_from: datetime | None = omitted(description="From when on; default: at once (生效时间).")
    valid_to: datetime | None = omitted(description="Until when; a day: to its end (失效时间).")


async def set_policy(work: Work, command: SetApprovalPolicy) -> ApprovalPolicy:
    """The new edition; refuses unknown commands, fields, values, roles, and people who could not sign."""
    known = await last_edition(work.session, work.acting_line, command.name)
    definition = _definition(command, known)
    _refuse_beyond_line(work, definition)
    _refuse(problems(definition, await known_to(work, definition)))
    policy = edition_of(definition, work, known)
    work.add(policy)
    await work.flush()
    for target in targets_of(policy):
        work.session.add(target)
    work.record(
        ApprovalPolicySet.of(policy, name=policy.name, edition=policy.edition, enabled=policy.enabled)
    )
    return policy


def _refuse_beyond_line(work: Work, definition: PolicyDefinition) -> None:
    """Who sets policies in his line alone does not have the whole deployment's changes signed."""
    if not work.actor.reaches_everything(SetApprovalPolicy.scope):
        specs = [(n, kind, work.registry.commands.get(kind)) for n, kind in enumerate(definition.commands)]
        errors.raise_if(
            OF_ALL_LINES(f"commands.{n}", kind=kind)
            for n, kind, spec in specs
            if spec and not spec.command.on_line
        )


def _definition(command: SetApprovalPolicy, known: ApprovalPolicy | None) -> PolicyDefinition:
    given = {k: v for k, v in command.body().items() if k in _KEPT}
    kept = definition_of(known).model_dump(mode="json", by_alias=False) if known is not None else {}
    if known is None and not given.keys() & {"stages", "forbid"}:
        raise Refused(INCOMPLETE("stages"))
    kept.pop("valid_from", None)  # of the edition before
    for one, other in _INSTEAD:
        if given.get(one):
            kept.pop(other, None)
    try:
        return PolicyDefinition.model_validate({**kept, **given})
    except ValidationError as error:
        raise Refused(*user_errors(error)) from None


def _refuse(found: Iterable[Problem]) -> None:
    bad: list[UserError] = [
        PROBLEMS[one.code](one.path, where=one.path, en=one.text_en, zh=one.text_zh)
        for one in found
        if one.severity == "error"
    ]
    if bad:
        raise Refused(*bad)


async def known_to(work: Work, definition: PolicyDefinition) -> Known:
    """What a policy of the acting line can rely on now, its roles, users and other policies included."""
    line = work.acting_line
    others = [definition_of(p) for p in await last_editions(work.session, line) if p.name != definition.name]
    return known_of(
        work.registry,
        line,
        roles=await roles_of(work.session),
        users=frozenset(await enabled_of(work.session, _users_in(definition))),
        policies=others,
        now=work.now,
        zone=work.services.calendar(line).zone,
    )


async def roles_of(session: AsyncSession) -> dict[str, frozenset[str]]:
    """Scopes of each role; one that may do everything may sign."""
    statement = select(Role.name, RoleScope.scope).outerjoin(RoleScope, RoleScope.role_id == Role.id)
    found: dict[str, set[str]] = {}
    for name, scope in (await session.execute(statement)).all():
        found.setdefault(name, set()).update({SIGN} if scope == EVERYTHING else {scope} if scope else set())
    return {name: frozenset(scopes) for name, scopes in found.items()}


def _users_in(definition: PolicyDefinition) -> list[UUID]:
    slots = [slot for stage in definition.stages for slot in (*stage.slots, *stage.copies)]
    return [slot.user_id for slot in slots if slot.user_id is not None]


# -- rows and definitions


def definition_of(policy: ApprovalPolicy) -> PolicyDefinition:
    """A stored edition as the definition it was made of."""
    values: dict[str, Any] = {name: getattr(policy, name) for name in _KEPT}
    return PolicyDefinition.model_validate(values)


def edition_of(definition: PolicyDefinition, work: Work, known: ApprovalPolicy | None) -> ApprovalPolicy:
    """The row of a new edition of a policy of the acting line."""
    line = work.acting_line
    zone = work.services.calendar(line).zone
    stored = definition.model_dump(mode="json", by_alias=False)
    dates = {"valid_from": begins(definition, zone) or work.now, "valid_to": ends(definition, zone)}
    return ApprovalPolicy(**{**stored, **dates, "line": line, "edition": known.edition + 1 if known else 1})


def targets_of(policy: ApprovalPolicy) -> Sequence[ApprovalTarget]:
    """By what the edition is found; one that is not in force is found by what its earlier ones were about, if any."""
    if not policy.enabled:
        return []
    about = [*policy.commands, *([policy.document] if policy.document else [])]
    return [ApprovalTarget(policy_id=policy.id, target=one, line=policy.line) for one in dict.fromkeys(about)]


COMMANDS: dict[type[Command], Perform] = {SetApprovalPolicy: set_policy}

"""Says beforehand whether a command or a record would wait for signatures, by which policy, and whose (审批预览).

Everything is asked as it would be in earnest, in a transaction that is undone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import ValidationError

from crm_core import errors
from crm_core.access.models import User
from crm_core.actors import Actor
from crm_core.approvals.asking import Matter, facts_of, seat
from crm_core.approvals.conditions import ApprovalCondition, ApprovalTest, Facts, matches, verdict
from crm_core.approvals.held import UNKNOWN_COMMAND
from crm_core.approvals.known import OWN_VERBS
from crm_core.approvals.models import ApprovalPolicy
from crm_core.approvals.queries import holders, policies_about
from crm_core.approvals.requests import NO_POLICY, handed_in
from crm_core.approvals.stages import STAGES, ApprovalStage
from crm_core.approvals.standing import standing
from crm_core.approvals.starting import begun, matter_for, policy_for, sought
from crm_core.approvals.words import ApprovalEmpty, ApprovalSame, ApprovalSelf, ApprovalState, Asked, Seat
from crm_core.commands import Command, Options, not_storable, user_errors
from crm_core.db.base import Base
from crm_core.errors import Refused, UserError
from crm_core.work import Services, Work, prepared, rehearse


class ApprovalWhy(StrEnum):
    """Why something would wait for signatures, or not (原因)."""

    HELD = "HELD"
    NO_POLICY = "NO_POLICY"
    NOTHING_TO_SIGN = "NOTHING_TO_SIGN"
    STILL_VALID = "STILL_VALID"
    NEVER_HELD = "NEVER_HELD"
    REFUSED = "REFUSED"


class ApprovalSkipped(StrEnum):
    """Why a stage is left out (跳过原因): its CONDITION does not hold, or there is NOBODY to ask."""

    CONDITION = "CONDITION"
    NOBODY = "NOBODY"


class ApprovalPassed(StrEnum):
    """Why a signature is not waited for: who asks may pass himself (REQUESTER), or he SIGNED an earlier stage."""

    REQUESTER = "REQUESTER"
    SIGNED = "SIGNED"


@dataclass(frozen=True, slots=True)
class Tested:
    """One comparison of a condition; `holds` None: it does not fit any more, and counts as if it held."""

    group: str
    test: ApprovalTest
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Considered:
    """A policy about the target that is in force, and whether it applies."""

    policy: ApprovalPolicy
    applies: bool
    tests: tuple[Tested, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody who would be asked: a user, maybe for an absent one, or the holders (`people`) of a role.

    `instead`: nobody could be found as the policy wants, so the MANAGER or an ADMINISTRATOR is asked.
    """

    slot: str
    people: tuple[UUID, ...]
    role: str | None = None
    instead_of: UUID | None = None
    instead: ApprovalEmpty | None = None
    passes: ApprovalPassed | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage as it would be; `told` are all who would get a notice, copies included."""

    stage: ApprovalStage
    tests: tuple[Tested, ...] = ()
    skipped: ApprovalSkipped | None = None
    places: tuple[Place, ...] = ()
    copies: tuple[UUID, ...] = ()
    told: tuple[UUID, ...] = ()
    errors: tuple[UserError, ...] = ()


@dataclass(frozen=True, slots=True)
class Explained:
    """The whole answer; `errors` are why it would be refused, whether held or not."""

    why: ApprovalWhy
    line: str | None = None
    policy: ApprovalPolicy | None = None
    considered: tuple[Considered, ...] = ()
    stages: tuple[Planned, ...] = ()
    valid: UUID | None = None
    errors: tuple[UserError, ...] = ()
    names: Mapping[UUID, str] = field(default_factory=dict)


async def explain_command(
    services: Services, actor: Actor, kind: str, body: Mapping[str, Any], line: str | None
) -> Explained:
    """What would become of a command of this kind; nothing is written."""
    spec = services.registry.commands.get(kind)
    if spec is None:
        return Explained(ApprovalWhy.REFUSED, errors=(UNKNOWN_COMMAND("command", kind=kind),))
    odd = tuple(not_storable(body, ""))
    try:
        command = None if odd else spec.command.model_validate(dict(body))
    except ValidationError as error:
        odd, command = user_errors(error), None
    if command is None:
        return Explained(ApprovalWhy.REFUSED, errors=odd)

    async def ask(work: Work) -> Explained:
        return await _of_command(work, command)

    return await _undone(services, actor, line, ask)


async def explain_record(services: Services, actor: Actor, record: str, line: str | None) -> Explained:
    """What would become of a record that is handed in; nothing is written."""

    async def ask(work: Work) -> Explained:
        return await _of_record(work, record, line)

    return await _undone(services, actor, line, ask)


Ask: TypeAlias = Callable[[Work], Awaitable[Explained]]


async def _undone(services: Services, actor: Actor, line: str | None, ask: Ask) -> Explained:
    async with services.database.undone() as session:
        work = Work(services, session, actor, Options(line=line))
        try:
            found = await ask(work)
        except Refused as refused:
            found = Explained(ApprovalWhy.REFUSED, work.line, errors=refused.errors)
        found = replace(found, names=await _names(work, found))
        work.changes.close()
    return found


async def _names(work: Work, found: Explained) -> dict[UUID, str]:
    table = User.__table__
    wanted = {u for s in found.stages for u in (*s.told, *s.copies)}
    wanted |= {u for s in found.stages for p in s.places for u in (*p.people, p.instead_of) if u is not None}
    if not wanted:
        return {}
    statement = (
        table.select().with_only_columns(table.c.id, table.c.name).where(table.c.id.in_(sorted(wanted)))
    )
    return {row.id: row.name for row in await work.session.execute(statement)}


# -- a command, a record


async def _of_command(work: Work, command: Command) -> Explained:
    refusals = await prepared(work, command)
    found = command.subject is None or work.subject is not None
    if not found or (work.line is None and command.on_line):
        return Explained(ApprovalWhy.REFUSED, work.line, errors=refusals)
    if command.kind.startswith(OWN_VERBS) or work.actor.user_id is None:
        refusals = refusals or await _rehearsed(work, command)
        return Explained(ApprovalWhy.NEVER_HELD, work.line, errors=refusals)
    if work.line is not None and not work.actor.may(command.scope, work.line):
        return Explained(ApprovalWhy.REFUSED, work.line, errors=refusals)
    explained = await _by_policy(work, command.kind, command, work.subject)
    if explained.policy is not None and (valid := await standing(work, explained.policy, command)):
        explained = replace(explained, why=ApprovalWhy.STILL_VALID, valid=valid, stages=())
    more = () if refusals else await _rehearsed(work, command)
    return replace(explained, errors=(*refusals, *explained.errors, *more))


async def _rehearsed(work: Work, command: Command) -> tuple[UserError, ...]:
    """Why performing would refuse the command."""
    try:
        await rehearse(work, command, work.registry.commands[command.kind])
    except Refused as refused:
        return refused.errors
    return ()


async def _of_record(work: Work, shown: str, line: str | None) -> Explained:
    lines = [one for one in work.actor.lines if line in (None, one)]
    if len(lines) != 1:
        refused = (
            errors.UNKNOWN_LINE("line", line=line)
            if line
            else errors.LINE_REQUIRED("line", lines=", ".join(lines))
        )
        return Explained(ApprovalWhy.REFUSED, errors=(refused,))
    work.line = lines[0]
    document, record = await handed_in(work, shown)
    explained = await _by_policy(work, document.type, None, record)
    if explained.why is not ApprovalWhy.NO_POLICY:
        return explained
    return replace(explained, errors=(NO_POLICY("record", line=work.line, type=document.type),))


async def _by_policy(work: Work, target: str, command: Command | None, record: Base | None) -> Explained:
    requester = work.actor.user_id
    assert requester is not None
    where, targets = sought(work.line, target, command)
    about = await policies_about(work.session, where, targets, work.now)
    facts = {
        one: await facts_of(work, one, requester, command, record)
        for one in dict.fromkeys(policy.line for policy in about)
    }
    explained = Explained(
        ApprovalWhy.NO_POLICY, work.line, considered=tuple(_considered(p, facts[p.line]) for p in about)
    )
    try:
        policy = await policy_for(work, work.line, target, command, record)
    except Refused as refused:
        return replace(explained, why=ApprovalWhy.REFUSED, errors=refused.errors)
    if policy is None:
        return explained
    matter = matter_for(policy, requester, command, record)
    stages = await _planned(work, policy, matter, facts[policy.line])
    explained = replace(explained, line=policy.line, policy=policy, stages=tuple(stages))
    try:
        state = await begun(work, policy, matter)
    except Refused as refused:
        return replace(explained, why=ApprovalWhy.REFUSED, errors=refused.errors)
    waits = state.status is ApprovalState.PENDING
    return replace(explained, why=ApprovalWhy.HELD if waits else ApprovalWhy.NOTHING_TO_SIGN)


def _considered(policy: ApprovalPolicy, facts: Facts) -> Considered:
    condition = ApprovalCondition.model_validate(policy.condition)
    return Considered(policy, matches(condition, facts), _tested(condition, facts))


def _tested(condition: ApprovalCondition | None, facts: Facts) -> tuple[Tested, ...]:
    if condition is None:
        return ()
    groups = {"all": condition.all, "any": condition.any, "none": condition.none}
    return tuple(Tested(name, one, verdict(one, facts)) for name, tests in groups.items() for one in tests)


# -- stages


async def _planned(work: Work, policy: ApprovalPolicy, matter: Matter, facts: Facts) -> list[Planned]:
    """Every stage of the policy, in order, as it would be if nothing changed until then."""
    found: list[Planned] = []
    before: set[UUID] = set()
    for stage in STAGES.validate_python(policy.stages):
        planned = await _stage(work, policy, matter, stage, facts, before)
        before |= {p.people[0] for p in planned.places if p.role is None}
        found.append(planned)
    return found


async def _stage(
    work: Work,
    policy: ApprovalPolicy,
    matter: Matter,
    stage: ApprovalStage,
    facts: Facts,
    before: set[UUID],
) -> Planned:
    tests = _tested(stage.when, facts)
    wanted = await seat(work, matter, stage.model_copy(update={"empty": ApprovalEmpty.SKIP}))
    if wanted.skipped:
        return Planned(stage, tests, ApprovalSkipped.CONDITION)
    try:
        seated = await seat(work, matter, stage, strict=True)
    except Refused as refused:
        return Planned(stage, tests, copies=wanted.copies, told=wanted.copies, errors=refused.errors)
    places = [p async for p in _places(work, policy, matter, stage, wanted, seated, before)]
    skipped = None if places else ApprovalSkipped.NOBODY
    return Planned(stage, tests, skipped, tuple(places), seated.copies, _told(places, seated.copies))


async def _places(
    work: Work,
    policy: ApprovalPolicy,
    matter: Matter,
    stage: ApprovalStage,
    wanted: Seat,
    seated: Seat,
    before: set[UUID],
) -> Any:
    for slot, asked, first in zip(stage.slots, seated.slots, wanted.slots, strict=True):
        instead = None if first or not asked else stage.empty
        for one in asked:
            people = await _people(work, matter, one)
            passes = _passes(policy, matter, one, before)
            yield Place(slot.name, people, one.role, one.instead_of, instead, passes)


async def _people(work: Work, matter: Matter, one: Asked) -> tuple[UUID, ...]:
    """The user, or all holders of the role but who must not sign his own."""
    if one.user is not None:
        return (one.user,)
    found = await holders(work.session, str(one.role), matter.line)
    own = matter.self_approval is ApprovalSelf.FORBID
    return tuple(u for u in found if not (own and u == matter.requester))


def _passes(policy: ApprovalPolicy, matter: Matter, one: Asked, before: set[UUID]) -> ApprovalPassed | None:
    if policy.self_approval == ApprovalSelf.AUTO and one.user == matter.requester:
        return ApprovalPassed.REQUESTER
    if policy.same_signer == ApprovalSame.AUTO and one.user in before:
        return ApprovalPassed.SIGNED
    return None


def _told(places: Iterable[Place], copies: Sequence[UUID]) -> tuple[UUID, ...]:
    waiting = [p for p in places if p.passes is None]
    asked = [u for p in waiting for u in (*p.people, p.instead_of) if u is not None]
    return tuple(dict.fromkeys((*asked, *copies)))

"""Sign-off policies: their typed form, when they apply, and what is wrong with one before it is in force. No database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from crm_core.access.queries import EVERYTHING
from crm_core.approvals.conditions import (
    ACTOR,
    ApprovalCondition,
    ApprovalTest,
    InCommand,
    Source,
    Unfit,
    allows_none,
    annotation,
    fit,
    marks,
    place_of,
    plain,
    unknown_field,
    wanted,
)
from crm_core.approvals.domains import Claim, Domain, is_empty, narrowed, whole
from crm_core.approvals.stages import (
    ApprovalSlot,
    ApprovalStage,
    ApprovalWithin,
    PolicyDefinition,
)
from crm_core.approvals.words import ApprovalEmpty, ApprovalRule
from crm_core.commands import Command, Ref

SIGN: Final = "approval.sign"
ADMINISTRATOR: Final = "administrator"
"""The role that is asked where nobody else can be."""
MOST_CLAIMS: Final = 20_000
_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """What a deployment has, for one of its lines; None: not known, so that nothing is said about it.

    `commands` by kind, those of the line's plugins only. `records`: columns of the types that commands are about and
    of documents, with their Python types (money: Decimal, in yuan). `documents`: types that can be signed. `owned`:
    types with an owner. `roles`: scopes of each role. `users`: ids of enabled users. `resolvers`: names offered by
    plugins. `policies`: the other policies of the line. `now`: when one without `valid_from` comes into force.
    """

    commands: Mapping[str, type[Command]]
    records: Mapping[str, Mapping[str, Any]]
    documents: frozenset[str] = frozenset()
    owned: frozenset[str] = frozenset()
    roles: Mapping[str, frozenset[str]] | None = None
    users: frozenset[UUID] | None = None
    resolvers: frozenset[str] | None = None
    policies: Sequence[PolicyDefinition] = ()
    now: datetime | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a policy: where (`stages.0.slots.1.userId`, as a client writes it), what, how bad."""

    path: str
    code: str
    text_en: str
    text_zh: str
    severity: Literal["error", "warning"] = "error"


def problems(definition: PolicyDefinition, known: Known) -> Iterator[Problem]:
    """Everything that is wrong with a policy in a line; what cannot be proven is not said."""
    targets = [*_targets(definition, known)]
    yield from _target_troubles(definition, known)
    yield from _date_troubles(definition, known.zone)
    for number, name in enumerate(definition.valid_for):
        yield from _validity_troubles(f"validFor.{number}", name, targets)
    for path, test in _tests(definition):
        yield from _test_troubles(path, test, targets)
    for number, stage in enumerate(definition.stages):
        yield from _stage_troubles(f"stages.{number}", stage, targets, known)
    yield from _same_names(definition)
    yield from _never(definition, targets)
    yield from _shadowed(definition, known)


# -- what it is about


@dataclass(frozen=True, slots=True)
class _Target:
    """A command or document that a policy is about: where its fields are, and whether its record has an owner."""

    name: str
    command: type[Command] | None
    record: Mapping[str, Any] | None
    owned: bool

    def source(self, path: str) -> Source:
        """Where a field of this target is found; raises `Unfit`."""
        where, name = place_of(path)
        if where == "command" and self.command is not None and name in self.command.model_fields:
            return InCommand(self.command, name)
        if where == "record" and self.record is not None and name in self.record:
            return self.record[name]
        if where == "actor" and name in ACTOR:
            return ACTOR[name]
        if where == "record" and self.record is None:
            raise Unfit(
                "POLICY_NO_RECORD", f"{self.name} is about no record yet", f"{self.name} 尚无对应的记录"
            )
        raise unknown_field(path)


def _targets(definition: PolicyDefinition, known: Known) -> Iterator[_Target]:
    for kind in definition.commands:
        command = known.commands.get(kind)
        if command is not None:
            record = (command.subject_type or command.result_type()) if command.subject else None
            columns = None if record is None else known.records.get(record, {})
            yield _Target(kind, command, columns, record in known.owned)
    if definition.document in known.documents:
        name = definition.document or ""
        yield _Target(name, None, known.records.get(name, {}), name in known.owned)


def _target_troubles(definition: PolicyDefinition, known: Known) -> Iterator[Problem]:
    for number, kind in enumerate(definition.commands):
        if kind not in known.commands:
            yield Problem(
                f"commands.{number}", "POLICY_UNKNOWN_COMMAND",
                f"there is no command {kind} in the line", f"没有可用于该业务线的命令 {kind}",
            )  # fmt: skip
        if kind in definition.commands[:number]:
            yield Problem(
                f"commands.{number}", "POLICY_DUPLICATE", f"{kind} stands here twice", f"{kind} 重复"
            )
    if definition.document is not None and definition.document not in known.documents:
        yield Problem(
            "document", "POLICY_UNKNOWN_DOCUMENT",
            f"there is no document {definition.document} in the line", f"该业务线没有单据类型 {definition.document}",
        )  # fmt: skip


def _validity_troubles(path: str, field: str, targets: Sequence[_Target]) -> Iterator[Problem]:
    """An approval stays valid for what stands in its command, readable."""
    for target in targets:
        where, name = place_of(field)
        if where != "command" or target.command is None or name not in target.command.model_fields:
            unfit = unknown_field(field)
            yield Problem(path, unfit.code, unfit.english, unfit.chinese)
            return
        if name in target.command.sensitive:
            yield Problem(
                path, "POLICY_VALUE", f"{field} is kept sealed and cannot be compared", f"{field} 为密存字段，不能比较",
            )  # fmt: skip
            return


# -- conditions


def _tests(definition: PolicyDefinition) -> Iterator[tuple[str, ApprovalTest]]:
    conditions = [("condition", definition.condition)]
    conditions += [
        (f"stages.{i}.when", stage.when) for i, stage in enumerate(definition.stages) if stage.when
    ]
    for path, condition in conditions:
        for group in ("all", "any", "none"):
            for number, test in enumerate(getattr(condition, group)):
                yield f"{path}.{group}.{number}", test


def _test_troubles(path: str, test: ApprovalTest, targets: Sequence[_Target]) -> Iterator[Problem]:
    for target in targets:
        try:
            fit(test, target.source)
        except Unfit as unfit:
            about = len(targets) > 1 and unfit.code != "POLICY_NO_RECORD"
            english, chinese = (f"{target.name}: ", f"{target.name}：") if about else ("", "")
            yield Problem(
                f"{path}.{unfit.place}", unfit.code, english + unfit.english, chinese + unfit.chinese
            )
            return


_Claims: TypeAlias = "dict[tuple[str, str], Domain]"


def _never(definition: PolicyDefinition, targets: Sequence[_Target]) -> Iterator[Problem]:
    """Conditions proven to contradict themselves or one another, whatever the command; silent where that takes long."""
    if not targets or _effort(definition) * len(targets) > MOST_CLAIMS:
        return
    if not any(_satisfiable([definition.condition], target) for target in targets):
        yield Problem(
            "condition", "POLICY_NEVER", "the condition contradicts itself; the policy never applies",
            "触发条件自相矛盾，该规则永不生效",
        )  # fmt: skip
        return
    for number, stage in enumerate(definition.stages):
        both = [definition.condition, stage.when] if stage.when else []
        if both and not any(_satisfiable(both, target) for target in targets):
            yield Problem(
                f"stages.{number}.when", "POLICY_UNREACHABLE",
                "the stage is never reached: its condition contradicts itself or that of the policy",
                "该环节永远不会到达：其条件自相矛盾或与规则的触发条件矛盾",
            )  # fmt: skip


def _effort(definition: PolicyDefinition) -> int:
    """How many claims are looked at, at most, for one command."""
    own, found = definition.condition, 0
    for stage in definition.stages:
        when = stage.when or ApprovalCondition()
        found += len(own.all) + len(own.none) + len(when.all) + len(when.none)
        found += 2 * max(1, len(own.any)) * max(1, len(when.any))
    return found


def _satisfiable(conditions: Sequence[ApprovalCondition], target: _Target) -> bool:
    """False only where it is proven that no command fulfils all conditions together."""
    domains: _Claims = {}
    for condition in conditions:
        for test in condition.all:
            domains = _claimed(domains, test, target, positive=True)
        for test in condition.none:
            domains = _claimed(domains, test, target, positive=False)
    if any(is_empty(domain) for domain in domains.values()):
        return False
    choices = [condition.any for condition in conditions if condition.any]
    return any(_agree(domains, chosen, target) for chosen in product(*choices))


def _agree(domains: _Claims, chosen: Iterable[ApprovalTest], target: _Target) -> bool:
    for test in chosen:
        domains = _claimed(domains, test, target, positive=True)
    return not any(is_empty(domain) for domain in domains.values())


def _claimed(domains: _Claims, test: ApprovalTest, target: _Target, *, positive: bool) -> _Claims:
    """The domains with one more claim; a test that does not fit claims nothing, nor one of two fields."""
    if test.than is not None:
        return domains
    try:
        source = target.source(test.field)
        claim: Claim = (test.op, wanted(test, source), positive)
    except Unfit:
        return domains
    place = place_of(test.field)
    domain = domains.get(place) or whole(plain(annotation(source)), null=_may_be_null(source))
    return {**domains, place: narrowed(domain, claim)}


def _may_be_null(source: Source) -> bool:
    if not isinstance(source, InCommand):
        return True
    info = source.command.model_fields[source.name]
    return allows_none(info.annotation) or (not info.is_required() and info.get_default() is None)


# -- stages and signers


def _stage_troubles(
    path: str, stage: ApprovalStage, targets: Sequence[_Target], known: Known
) -> Iterator[Problem]:
    for number, slot in enumerate(stage.slots):
        yield from _slot_troubles(f"{path}.slots.{number}", slot, targets, known)
        yield from _endless(f"{path}.slots.{number}", slot, stage)
    for number, slot in enumerate(stage.copies):
        yield from _signer_troubles(f"{path}.copies.{number}", slot, targets, known, scope=None)
    if stage.deadline is not None and stage.deadline.role is not None:
        yield from _role_troubles(f"{path}.deadline.role", stage.deadline.role, known, SIGN)
    if stage.quorum is not None and stage.quorum > len(stage.slots):
        yield Problem(
            f"{path}.quorum", "POLICY_QUORUM",
            f"{stage.quorum} of {len(stage.slots)} can never sign", f"共 {len(stage.slots)} 席，不可能有 {stage.quorum} 人签署",
        )  # fmt: skip
    if stage.rule is ApprovalRule.SEQUENTIAL and len(stage.slots) == 1:
        yield _single(f"{path}.rule")


def _slot_troubles(
    path: str, slot: ApprovalSlot, targets: Sequence[_Target], known: Known
) -> Iterator[Problem]:
    yield from _signer_troubles(path, slot, targets, known, scope=SIGN)
    several = slot.role is not None or slot.resolver is not None
    if slot.quorum is not None and slot.quorum > 1 and not several:
        yield Problem(
            f"{path}.quorum", "POLICY_QUORUM", f"one person is asked; {slot.quorum} can never sign",
            f"该席位只有一人，不可能有 {slot.quorum} 人签署",
        )  # fmt: skip
    if slot.rule is ApprovalRule.SEQUENTIAL and not several:
        yield _single(f"{path}.rule")


def _single(path: str) -> Problem:
    return Problem(
        path, "POLICY_SEQUENCE", "one signer needs no order", "只有一位审批人，无需依次签署", "warning"
    )


def _signer_troubles(
    path: str, slot: ApprovalSlot, targets: Sequence[_Target], known: Known, *, scope: str | None
) -> Iterator[Problem]:
    if slot.role is not None:
        yield from _role_troubles(f"{path}.role", slot.role, known, scope)
    if slot.user_id is not None and known.users is not None and slot.user_id not in known.users:
        yield Problem(
            f"{path}.userId", "POLICY_UNKNOWN_USER",
            "there is no such user, or he is disabled", "没有该员工，或其账号已停用",
        )  # fmt: skip
    if slot.resolver is not None and known.resolvers is not None and slot.resolver not in known.resolvers:
        yield Problem(
            f"{path}.resolver", "POLICY_UNKNOWN_RESOLVER",
            f"no plugin offers the resolver {slot.resolver}", f"没有插件提供解析 {slot.resolver}",
        )  # fmt: skip
    if slot.owner:
        yield from _owner_troubles(f"{path}.owner", targets)
    if slot.field is not None:
        yield from _field_troubles(f"{path}.field", slot.field, targets)


def _role_troubles(path: str, role: str, known: Known, scope: str | None) -> Iterator[Problem]:
    if known.roles is None:
        return
    if role not in known.roles:
        yield Problem(path, "POLICY_UNKNOWN_ROLE", f"there is no role {role}", f"没有角色 {role}")
    elif scope is not None and not known.roles[role] & {scope, EVERYTHING}:
        yield Problem(
            path, "POLICY_ROLE_CANNOT_SIGN",
            f"the role {role} lacks the permission {scope}; its holders could not sign",
            f"角色 {role} 没有权限 {scope}，其成员无法签署",
        )  # fmt: skip


def _owner_troubles(path: str, targets: Sequence[_Target]) -> Iterator[Problem]:
    for target in targets:
        if target.record is None or not target.owned:
            yield Problem(
                path, "POLICY_NO_OWNER", f"{target.name} is about no record that has an owner",
                f"{target.name} 没有带归属人的记录",
            )  # fmt: skip
            return


def _field_troubles(path: str, field: str, targets: Sequence[_Target]) -> Iterator[Problem]:
    for target in targets:
        try:
            kind = annotation(target.source(field))
        except Unfit as unfit:
            yield Problem(path, unfit.code, unfit.english, unfit.chinese)
            return
        refs = [mark for mark in marks(kind) if isinstance(mark, Ref)]
        if plain(kind) is not UUID or (refs and refs[0].type != "User"):
            yield Problem(path, "POLICY_NOT_A_USER", f"{field} holds no user", f"{field} 不是员工")
            return


def _endless(path: str, slot: ApprovalSlot, stage: ApprovalStage) -> Iterator[Problem]:
    """Who is asked instead of somebody must be somebody else."""
    later = stage.deadline
    asked = slot.role if slot.within is ApprovalWithin.LINE else None
    if later is not None and later.role is not None and later.role == asked:
        yield Problem(
            f"{path.partition('.slots')[0]}.deadline.role", "POLICY_ENDLESS",
            f"overdue, the role {later.role} is asked, which is asked already", f"超时后仍转给已被询问的角色 {later.role}",
        )  # fmt: skip
    again = (stage.empty is ApprovalEmpty.MANAGER and slot.manager == 1) or (
        stage.empty is ApprovalEmpty.ADMINISTRATOR
        and slot.role == ADMINISTRATOR
        and slot.within is ApprovalWithin.LINE
    )
    if again:
        yield Problem(
            f"{path.partition('.slots')[0]}.empty", "POLICY_ENDLESS",
            "where nobody is found, the same people are asked again", "无审批人时仍询问相同的人",
        )  # fmt: skip


def _same_names(definition: PolicyDefinition) -> Iterator[Problem]:
    count = Counter(stage.name for stage in definition.stages if stage.name)
    for number, stage in enumerate(definition.stages):
        if count[stage.name] > 1 and stage.name in [s.name for s in definition.stages[:number]]:
            yield Problem(
                f"stages.{number}.name", "POLICY_DUPLICATE",
                f"two stages are called {stage.name}", f"有两个环节都叫“{stage.name}”",
            )  # fmt: skip


# -- time of effect, and other policies


def begins(definition: PolicyDefinition, zone: ZoneInfo) -> datetime | None:
    """The moment (UTC) from which it is in force; None: at once. A day begins at its midnight in the zone."""
    return None if definition.valid_from is None else _moment(definition.valid_from, zone)


def ends(definition: PolicyDefinition, zone: ZoneInfo) -> datetime | None:
    """The moment (UTC) from which it is no more in force; None: never. A day counts to its end in the zone."""
    if definition.valid_to is None or isinstance(definition.valid_to, datetime):
        return definition.valid_to
    if definition.valid_to == date.max:
        return None
    return _moment(definition.valid_to + timedelta(days=1), zone)


def _moment(given: datetime | date, zone: ZoneInfo) -> datetime:
    if isinstance(given, datetime):
        return given
    if given <= date.min + timedelta(days=1):
        return _FIRST
    return datetime.combine(given, time.min, zone).astimezone(UTC)


def _date_troubles(definition: PolicyDefinition, zone: ZoneInfo) -> Iterator[Problem]:
    first, last = begins(definition, zone), ends(definition, zone)
    if first is not None and last is not None and last <= first:
        yield Problem(
            "validTo", "POLICY_DATES", "it ends before it begins to be in force", "失效时间早于生效时间"
        )


def _shadowed(definition: PolicyDefinition, known: Known) -> Iterator[Problem]:
    """Whether others without a condition, chosen first for all its time, take everything it is about."""
    if not definition.enabled:
        return
    wanting = {definition.document} if definition.document is not None else set(definition.commands)
    names: list[str] = []
    for other in sorted(known.policies, key=lambda one: (one.priority, one.name)):
        taken = {other.document} if other.document is not None else set(other.commands)
        if _always_first(other, definition, known) and wanting & taken:
            wanting, names = wanting - taken, [*names, other.name]
    if not wanting and names:
        listed = ", ".join(names)
        yield Problem(
            "priority", "POLICY_SHADOWED", f"never chosen: {listed} always comes first", f"永远不会被选用：“{listed}”总是优先",
        )  # fmt: skip


def _always_first(other: PolicyDefinition, definition: PolicyDefinition, known: Known) -> bool:
    unconditional = not (other.condition.all or other.condition.any or other.condition.none)
    earlier = (other.priority, other.name) < (definition.priority, definition.name)
    at_once, zone = known.now or _FIRST, known.zone
    whole_time = (begins(other, zone) or at_once) <= (begins(definition, zone) or at_once) and (
        ends(other, zone) or _LAST
    ) >= (ends(definition, zone) or _LAST)
    return other.enabled and unconditional and earlier and whole_time

"""Finds out whom a stage asks: roles, superiors, owners, fields, resolvers of plugins; deputies; who stands in for nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from crm_core import ids
from crm_core.access.absences import away
from crm_core.access.deputies import Away, deputy
from crm_core.access.superiors import superiors
from crm_core.approvals.conditions import Facts, matches, place_of
from crm_core.approvals.known import record_facts
from crm_core.approvals.policy import ADMINISTRATOR
from crm_core.approvals.queries import enabled_of, holders, near_holders, roles_held, teams_in
from crm_core.approvals.stages import ApprovalSlot, ApprovalStage, ApprovalWithin
from crm_core.approvals.words import ApprovalEmpty, ApprovalRule, ApprovalSelf, Asked, Seat
from crm_core.commands import Command
from crm_core.db.base import Base
from crm_core.errors import Message, Refused
from crm_core.work import Work

NO_SIGNER = Message(
    "APPROVAL_NO_SIGNER",
    "The policy {policy} of line {line} asks for a signature nobody but you could give. Ask an administrator to name a signer.",
    "业务线 {line} 的审批规则“{policy}”没有可签署的人，请联系管理员指定审批人。",
)


@dataclass(slots=True)
class People:
    """What was looked up about people while one request was asked; nothing is looked up twice."""

    facts: Facts | None = None
    away: Sequence[Away] | None = None
    enabled: dict[UUID, bool] = field(default_factory=dict)
    holders: dict[str, list[UUID]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be signed: a command about a record, or the record itself; `kind` is the command's or the type."""

    line: str
    requester: UUID
    kind: str
    policy: str
    command: Command | None = None
    record: Base | None = None
    self_approval: ApprovalSelf = ApprovalSelf.FORBID
    people: People = field(default_factory=People, compare=False, repr=False)


async def facts_of(work: Work, line: str, who: UUID, command: Command | None, record: Base | None) -> Facts:
    """What conditions are asked about: the command, the columns of its record, roles and teams of who asks."""
    roles = sorted(await roles_held(work.session, who, line))
    teams = await teams_in(work.session, who, line)
    columns = record_facts(work.registry.type_of(type(record)), record) if record is not None else None
    return Facts(command, columns, {"roles": roles, "teams": teams, "user_id": who})


async def seat(work: Work, matter: Matter, stage: ApprovalStage, *, strict: bool = False) -> Seat:
    """Whom the stage asks now, with the ids of their tasks; skipped where its condition does not hold.

    Where nobody can sign, others are asked as the stage says; at last the administrators. `strict` refuses instead
    where the stage says so: nothing is to begin that nobody could sign.
    """
    if not await applies(work, matter, stage):
        return Seat(skipped=True)
    await foresee(work, matter, [stage])
    slots = [await _slot(work, matter, stage, slot, strict=strict) for slot in stage.slots]
    copies = [user for slot in stage.copies for user in await _users(work, matter, slot)]
    return Seat(tuple(slots), tuple(dict.fromkeys(copies)))


async def _slot(
    work: Work, matter: Matter, stage: ApprovalStage, slot: ApprovalSlot, *, strict: bool
) -> tuple[Asked, ...]:
    able = await _able(work, matter, await _users(work, matter, slot))
    if able and slot.role and slot.rule is ApprovalRule.ANY and slot.within is ApprovalWithin.LINE:
        return (Asked(ids.uuid7(), role=slot.role),)
    return tuple(able) or await _instead(work, matter, stage, strict=strict)


async def applies(work: Work, matter: Matter, stage: ApprovalStage) -> bool:
    """Whether the stage is asked at all."""
    return stage.when is None or matches(stage.when, await _facts(work, matter))


async def _facts(work: Work, matter: Matter) -> Facts:
    people = matter.people
    if people.facts is None:
        people.facts = await facts_of(work, matter.line, matter.requester, matter.command, matter.record)
    return people.facts


async def foresee(work: Work, matter: Matter, stages: Iterable[ApprovalStage]) -> None:
    """Look up together what is wanted about the people whom these stages name."""
    named = [slot.user_id for stage in stages for slot in stage.slots]
    await _know(work, matter, [user for user in named if user is not None])


async def _able(work: Work, matter: Matter, users: Iterable[UUID]) -> list[Asked]:
    """Who of these can sign: enabled, not who asks if he must not, absent ones represented by their deputies."""
    found: dict[UUID, Asked] = {}
    wanted = [u for u in dict.fromkeys(users) if not _is_own(matter, u)]
    standing_in = await _know(work, matter, wanted)
    enabled = matter.people.enabled
    for user in wanted:
        one = standing_in.get(user)
        if one is not None and enabled[one]:
            found.setdefault(one, Asked(ids.uuid7(), user=one, instead_of=user))
        elif enabled[user]:
            found.setdefault(user, Asked(ids.uuid7(), user=user))
    return list(found.values())


async def _know(work: Work, matter: Matter, users: Sequence[UUID]) -> dict[UUID, UUID]:
    """The deputies of those of these users who are away today; who of all of them is enabled is known then."""
    if not users:
        return {}
    people, day = matter.people, work.now.astimezone(work.services.calendar(matter.line).zone).date()
    if people.away is None:
        people.away = await away(work.session, matter.line, day)
    forbidden = {matter.requester} if matter.self_approval is ApprovalSelf.FORBID else set()
    found = {u: deputy(u, matter.kind, matter.line, day, people.away, forbidden=forbidden) for u in users}
    standing_in = {user: one for user, one in found.items() if one is not None}
    unknown = {u for u in (*users, *standing_in.values()) if u not in people.enabled}
    if unknown:
        enabled = await enabled_of(work.session, unknown)
        people.enabled |= {user: user in enabled for user in unknown}
    return standing_in


async def _holders(work: Work, matter: Matter, role: str) -> list[UUID]:
    people = matter.people
    if role not in people.holders:
        people.holders[role] = await holders(work.session, role, matter.line)
        people.enabled |= dict.fromkeys(people.holders[role], True)
    return people.holders[role]


def _is_own(matter: Matter, user: UUID) -> bool:
    return user == matter.requester and matter.self_approval is ApprovalSelf.FORBID


async def _instead(work: Work, matter: Matter, stage: ApprovalStage, *, strict: bool) -> tuple[Asked, ...]:
    """Who is asked where the slot has nobody (审批人为空)."""
    if stage.empty is ApprovalEmpty.SKIP:
        return ()
    if stage.empty is ApprovalEmpty.REFUSE and strict:
        raise Refused(NO_SIGNER(policy=matter.policy, line=matter.line))
    if stage.empty is ApprovalEmpty.MANAGER:
        above = await superiors(work.session, matter.requester, matter.line, 1)
        if able := await _able(work, matter, above):
            return tuple(able)
    others = [u for u in await _holders(work, matter, ADMINISTRATOR) if not _is_own(matter, u)]
    if not others:
        raise Refused(NO_SIGNER(policy=matter.policy, line=matter.line))
    return (Asked(ids.uuid7(), role=ADMINISTRATOR),)


async def _users(work: Work, matter: Matter, slot: ApprovalSlot) -> Sequence[UUID]:  # noqa: PLR0911  # one per way
    """The people a slot names, whether they can sign or not."""
    if slot.user_id is not None:
        return [slot.user_id]
    if slot.role is not None:
        if slot.within is ApprovalWithin.TEAM:
            return await near_holders(work.session, slot.role, matter.line, matter.requester)
        return await _holders(work, matter, slot.role)
    if slot.manager is not None:
        return await superiors(work.session, matter.requester, matter.line, slot.manager)
    if slot.owner:
        return await _owner(work, matter)
    if slot.field is not None:
        return _in_field(matter, slot.field)
    resolve = work.registry.resolvers.get(str(slot.resolver))
    return list(await resolve(work, matter)) if resolve is not None else []


async def _owner(work: Work, matter: Matter) -> list[UUID]:
    if matter.record is None:
        return []
    find = work.registry.owners.get(work.registry.type_of(type(matter.record)).name)
    owner = await find(work, matter.record, matter.line) if find else getattr(matter.record, "owner_id", None)
    return [owner] if owner is not None else []


def _in_field(matter: Matter, path: str) -> list[UUID]:
    where, name = place_of(path)
    value = getattr(matter.command if where == "command" else matter.record, name, None)
    return [value] if isinstance(value, UUID) else []

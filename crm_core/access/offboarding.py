"""Somebody leaves (离职交接): what is his goes to his successors, and his account ends, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import select, true

from crm_core import errors, ids
from crm_core.access import absences
from crm_core.access.commands import UserId, revoke
from crm_core.access.events import AbsenceSet, UserChanged, UserOffboarded
from crm_core.access.models import ApiToken, BusinessLine, RoleGrant, Team, TeamMember, User
from crm_core.commands import Command, Part, Perform
from crm_core.errors import Message, Refused, UserError
from crm_core.registry import Handover
from crm_core.work import Work

SUCCESSOR_IS_LEAVER = Message(
    "SUCCESSOR_IS_LEAVER", "Nobody succeeds himself; name somebody else.", "交接人不能是离职人员本人。"
)
SUCCESSOR_DISABLED = Message(
    "SUCCESSOR_DISABLED",
    "{name} is disabled and cannot succeed anybody.",
    "{name} 的账号已停用，不能作为交接人。",
)
SUCCESSOR_NOT_IN_LINE = Message(
    "SUCCESSOR_NOT_IN_LINE",
    "{name} has no role in line {line} and cannot take over there.",
    "{name} 在业务线 {line} 没有角色，不能在该业务线接手。",
)
SUCCESSOR_MISSING = Message(
    "SUCCESSOR_MISSING",
    "Name a successor for line {line}, in which the leaver has a role.",
    "离职人员在业务线 {line} 有角色，请为该业务线指定交接人。",
)
LINE_TWICE = Message("LINE_TWICE", "Line {line} is named twice.", "业务线 {line} 重复。")
MESSAGES = (
    SUCCESSOR_IS_LEAVER, SUCCESSOR_DISABLED, SUCCESSOR_NOT_IN_LINE, SUCCESSOR_MISSING, LINE_TWICE,
)  # fmt: skip


class LineSuccessor(Part):
    """Who takes over in one business line."""

    line: str = Field(description="The business line (业务线).")
    user_id: UserId = Field(description="Who takes over there (交接人).")


class OffboardUser(Command):
    """Hand over everything of somebody who leaves, end his deputies and leaderships, and disable him (离职交接).

    His customers, cards, planned interactions, open tasks and whatever plugins add go to the successor of their line,
    all or nothing; what belongs to no line goes to `successorId`, else to the first of `successors`.
    """

    kind = "user.offboard"
    scope = "access.admin"
    returns = "User"
    on_line: ClassVar[bool] = False
    subject = "id"
    id: UserId = Field(description="Who leaves (离职人员).")
    successor_id: UserId | None = Field(
        None, description="Who takes over in every line not named in `successors` (交接人)."
    )
    successors: list[LineSuccessor] = Field(
        default_factory=list, max_length=100, description="Who takes over in single lines (分业务线交接人)."
    )
    disable: bool = Field(
        True,
        description="Whether his account is disabled and his tokens end; false: he stays in another post.",
    )


async def offboard_user(work: Work, command: OffboardUser) -> User:
    """The user who left; `user.offboarded` tells how many of each were handed over. Refuses unfit successors."""
    user: User = work.subject
    successors = await _successors(work, command, user)
    counts: Counter[str] = Counter()
    for line, successor in successors.items():
        with work.within(line):
            moved = await _handed_over(work, user.id, successor.id, line)
        if moved.total() and line is not None and line not in await _lines_of(work, successor):
            raise Refused(SUCCESSOR_NOT_IN_LINE("successorId", name=successor.name, line=line))
        counts.update(moved)
    await _end_absences(work, user, successors, gone=command.disable)
    await _end_leaderships(work, user)
    if command.disable:
        await _end_account(work, user)
    shown = {line or "": ids.show("usr", one.id) for line, one in successors.items()}
    work.record(UserOffboarded.of(user, successors=shown, handed_over=dict(counts)))
    return user


# -- who takes over


async def _successors(work: Work, command: OffboardUser, user: User) -> dict[str | None, User]:
    """Line → who takes over there, and None → who takes what belongs to no line; refuses with all that is wrong."""
    if command.successor_id is None and not command.successors:
        raise Refused(errors.REQUIRED("successorId"))
    paths = {f"successors.{n}.userId": one.user_id for n, one in enumerate(command.successors)}
    if command.successor_id is not None:
        paths["successorId"] = command.successor_id
    people = {path: await work.get(User, one, path) for path, one in paths.items()}
    found = [*_unfit(user, people), *_wrong_lines(work, command)]
    errors.raise_if(found)
    named = {one.line: people[f"successors.{n}.userId"] for n, one in enumerate(command.successors)}
    errors.raise_if(await _strangers(work, command, named))
    default = people.get("successorId")
    errors.raise_if(_missing(work, await _lines_of(work, user), named, default))
    chosen: dict[str | None, User] = {}
    for line in sorted(work.registry.lines):
        if (one := named.get(line, default)) is not None:
            chosen[line] = one
    return {**chosen, None: default or people["successors.0.userId"]}


def _unfit(user: User, people: Mapping[str, User]) -> Iterable[UserError]:
    for path, one in people.items():
        if one.id == user.id:
            yield SUCCESSOR_IS_LEAVER(path)
        elif one.disabled_at is not None:
            yield SUCCESSOR_DISABLED(path, name=one.name)


def _wrong_lines(work: Work, command: OffboardUser) -> Iterable[UserError]:
    seen: set[str] = set()
    for position, one in enumerate(command.successors):
        if one.line not in work.registry.lines:
            yield errors.UNKNOWN_LINE(f"successors.{position}.line", line=one.line)
        elif one.line in seen:
            yield LINE_TWICE(f"successors.{position}.line", line=one.line)
        seen.add(one.line)


async def _strangers(work: Work, command: OffboardUser, named: Mapping[str, User]) -> list[UserError]:
    return [
        SUCCESSOR_NOT_IN_LINE(f"successors.{position}.userId", name=named[one.line].name, line=one.line)
        for position, one in enumerate(command.successors)
        if one.line not in await _lines_of(work, named[one.line])
    ]


def _missing(
    work: Work, lines: Iterable[str], named: Mapping[str, User], default: User | None
) -> Iterable[UserError]:
    """Lines nobody takes over, and lines of which not everything could be handed over."""
    for line in sorted(lines):
        if default is None and line not in named:
            yield SUCCESSOR_MISSING("successors", line=line)
        if (broken := work.registry.quarantined_in(line)) is not None:
            yield errors.PLUGIN_QUARANTINED("id", plugin=broken.name, line=line, reason=broken.reason)


async def _lines_of(work: Work, user: User) -> frozenset[str]:
    """The lines in which the user has a role."""
    found = (await work.session.scalars(select(RoleGrant.line).where(RoleGrant.user_id == user.id))).all()
    return frozenset(work.registry.lines if None in found else (line for line in found if line is not None))


# -- what is handed over, and what ends


async def _handed_over(work: Work, leaver: UUID, successor: UUID, line: str | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for owner, handover in work.registry.handovers:
        if line is None or line in work.registry.lines_of(owner):
            counts[handover.name] += await handover.run(work, leaver, successor, line)
    return counts


async def hand_over_stewardship(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """The archives of the line, if he is its steward (档案专人管理, CS-010)."""
    kept = select(BusinessLine).where(BusinessLine.code == line, BusinessLine.steward_id == leaver)
    row = (await work.session.scalars(kept)).first()
    if row is None:
        return 0
    row.steward_id = successor
    work.touch(row)
    return 1


async def _end_absences(work: Work, user: User, successors: Mapping[str | None, User], *, gone: bool) -> None:
    """His own end; where he stood in for others his successor does, unless that is the absent one himself."""
    today = work.now.astimezone(work.access.zone).date()
    for absence in await absences.ongoing(work.session, user.id, today):
        successor = successors.get(absence.line, successors[None])
        if absence.user_id == user.id or (gone and absence.user_id == successor.id):
            absences.end(work, absence)
        elif gone:
            absence.deputy_id = successor.id
            work.record(AbsenceSet.of(absence))


async def _end_leaderships(work: Work, user: User) -> None:
    led = select(TeamMember).where(TeamMember.user_id == user.id, TeamMember.leads == true())
    for member in (await work.session.scalars(led)).all():
        member.leads = False
        work.touch(await work.session.get_one(Team, member.team_id))


async def _end_account(work: Work, user: User) -> None:
    user.disabled_at = user.disabled_at or work.now
    work.record(UserChanged.of(user))
    tokens = select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None))
    for token in (await work.session.scalars(tokens.order_by(ApiToken.id))).all():
        revoke(work, token)


COMMANDS: Mapping[type[Command], Perform] = {OffboardUser: offboard_user}
HANDOVERS = (Handover("stewardships", hand_over_stewardship),)

__all__ = ["COMMANDS", "HANDOVERS", "MESSAGES", "OffboardUser"]

"""Being away for some days with a deputy (外出委托): commands, and the absences of a day for `deputies.deputy`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import errors, ids
from crm_core.access.commands import UserId
from crm_core.access.deputies import Away
from crm_core.access.events import AbsenceEnded, AbsenceSet
from crm_core.access.models import Absence, User
from crm_core.commands import Command, Perform, Ref
from crm_core.errors import Message, Refused, UserError
from crm_core.work import Work

AbsenceId = Annotated[UUID, Ref("Absence", "abs")]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
SCOPE = "absence.set"

OWN_DEPUTY = Message("OWN_DEPUTY", "Nobody stands in for himself.", "不能委托给本人。")
DEPUTY_DISABLED = Message(
    "DEPUTY_DISABLED", "{name} is disabled and cannot stand in.", "{name} 的账号已停用，不能作为受托人。"
)
ENDS_BEFORE_IT_BEGINS = Message(
    "ENDS_BEFORE_IT_BEGINS",
    "The last day {to} is before the first, {start}.",
    "结束日期 {to} 早于开始日期 {start}。",
)
ABSENT_ALREADY = Message(
    "ABSENT_ALREADY",
    "There is a deputy for these days and kinds already ({absence}, {start} to {to}); end it first.",
    "该期间和范围已有委托（{absence}，{start} 至 {to}），请先结束该委托。",
)
UNKNOWN_KIND = Message("UNKNOWN_KIND", "There is no kind of command {kind}.", "没有命令类型 {kind}。")
MESSAGES = (OWN_DEPUTY, DEPUTY_DISABLED, ENDS_BEFORE_IT_BEGINS, ABSENT_ALREADY, UNKNOWN_KIND)


class _OfAbsence(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = SCOPE
    returns: ClassVar[str | list[str]] = "Absence"
    on_line: ClassVar[bool] = False


class SetAbsence(_OfAbsence):
    """Be away for some days and name who stands in; for others only as an administrator (外出委托)."""

    kind = "absence.set"
    user_id: UserId | None = Field(None, description="Who is away; default: you (外出人).")
    deputy_id: UserId = Field(description="Who stands in for him (受托人).")
    from_day: date = Field(description="First day away, in the line's time zone (开始日期).")
    to_day: date = Field(description="Last day away; it counts (结束日期).")
    kinds: list[str] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Only for these kinds of command, e.g. customer.assign; null: for all (委托范围).",
    )
    line: str | None = Field(None, description="Only in this business line; null: in all (业务线).")
    note: Note = Field("", description="What the deputy must know (说明).")


async def set_absence(work: Work, command: SetAbsence) -> Absence:
    """The absence; refuses a deputy who cannot stand in, and days and kinds that have a deputy already."""
    user_id = command.user_id or work.actor.user_id
    if user_id is None:
        raise Refused(errors.REQUIRED("userId"))
    _refuse_for_others(work, user_id)
    user = await work.get(User, user_id, "userId", lock=True)
    deputy = await work.get(User, command.deputy_id, "deputyId")
    errors.raise_if(_problems(work, command, user, deputy))
    errors.raise_if(await _overlapping(work, command, user))
    given = command.model_dump(by_alias=False, exclude={"user_id", "kinds"})
    kinds = None if command.kinds is None else sorted(set(command.kinds))
    absence = work.add(Absence(user_id=user.id, kinds=kinds, **given))
    work.record(AbsenceSet.of(absence))
    return absence


def _refuse_for_others(work: Work, user_id: UUID) -> None:
    if user_id != work.actor.user_id and not work.access.everything("access.admin"):
        raise Refused(errors.FORBIDDEN(scope="access.admin", line=", ".join(work.actor.lines) or "-"))


def _problems(work: Work, command: SetAbsence, user: User, deputy: User) -> Iterable[UserError]:
    if deputy.id == user.id:
        yield OWN_DEPUTY("deputyId")
    if deputy.disabled_at is not None:
        yield DEPUTY_DISABLED("deputyId", name=deputy.name)
    if command.to_day < command.from_day:
        yield ENDS_BEFORE_IT_BEGINS(
            "toDay", to=command.to_day.isoformat(), start=command.from_day.isoformat()
        )
    if command.line is not None and command.line not in work.registry.lines:
        yield errors.UNKNOWN_LINE("line", line=command.line)
    for position, kind in enumerate(command.kinds or ()):
        if kind not in work.registry.commands:
            yield UNKNOWN_KIND(f"kinds.{position}", kind=kind)


async def _overlapping(work: Work, command: SetAbsence, user: User) -> list[UserError]:
    """Absences of the same days that share a kind and a line with the one wished for."""
    statement = select(Absence).where(
        Absence.user_id == user.id,
        Absence.ended_at.is_(None),
        Absence.to_day >= command.from_day,
        Absence.from_day <= command.to_day,
    )
    return [
        ABSENT_ALREADY(
            "fromDay",
            absence=ids.show("abs", known.id),
            start=known.from_day.isoformat(),
            to=known.to_day.isoformat(),
        )
        for known in (await work.session.scalars(statement.order_by(Absence.id))).all()
        if (None in (known.line, command.line) or known.line == command.line)
        and (known.kinds is None or command.kinds is None or set(known.kinds) & set(command.kinds))
    ]


class EndAbsence(_OfAbsence):
    """Take an absence back, or end it early: from now on nobody stands in (结束外出委托)."""

    kind = "absence.end"
    subject = "id"
    id: AbsenceId = Field(description="The absence.")


async def end_absence(work: Work, _command: EndAbsence) -> Absence:
    """The ended absence; ending twice changes nothing. His deputy cannot end it."""
    absence: Absence = work.subject
    _refuse_for_others(work, absence.user_id)
    if absence.ended_at is None:
        end(work, absence)
    return absence


def end(work: Work, absence: Absence) -> None:
    """End an absence now, and announce it."""
    absence.ended_at = work.now
    work.record(AbsenceEnded.of(absence))


async def ongoing(session: AsyncSession, user_id: UUID, today: date) -> Sequence[Absence]:
    """Absences of a user, and those he stands in for, that were not ended and last until today or longer."""
    concerned = or_(Absence.user_id == user_id, Absence.deputy_id == user_id)
    statement = select(Absence).where(concerned, Absence.ended_at.is_(None), Absence.to_day >= today)
    return (await session.scalars(statement.order_by(Absence.id))).all()


async def away(session: AsyncSession, line: str, day: date) -> list[Away]:
    """Who is away in a line on a day of its calendar; absences whose deputy is disabled are left out."""
    table, deputy = Absence.__table__, User.__table__
    statement = (
        select(table)
        .join(deputy, and_(deputy.c.id == table.c.deputy_id, deputy.c.disabled_at.is_(None)))
        .where(table.c.ended_at.is_(None), table.c.from_day <= day, table.c.to_day >= day)
        .where(or_(table.c.line.is_(None), table.c.line == line))
        .order_by(table.c.id)
    )
    return [
        Away(
            row.user_id,
            row.deputy_id,
            row.from_day,
            row.to_day,
            None if row.kinds is None else frozenset(row.kinds),
            row.line,
        )
        for row in await session.execute(statement)
    ]


COMMANDS: Mapping[type[Command], Perform] = {SetAbsence: set_absence, EndAbsence: end_absence}

__all__ = ["COMMANDS", "MESSAGES", "SCOPE", "away", "end", "ongoing"]

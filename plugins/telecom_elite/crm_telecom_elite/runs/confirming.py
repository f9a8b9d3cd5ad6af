"""Members confirm their pay or object to it; the clock confirms what nobody objected to in time (成员确认)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core.actors import system
from crm_core.commands import Command, Options, Perform, Ref
from crm_core.errors import Message, Refused
from crm_core.moves import moved
from crm_core.notices.notifying import notify
from crm_core.registry import Chore, NoticeKind
from crm_core.work import Services, Work, perform
from crm_telecom_elite.runs import queries
from crm_telecom_elite.runs.commands import CloseEliteRunConfirmation, confirm_until
from crm_telecom_elite.runs.events import (
    EliteRunConfirmed,
    EliteStatementAnswered,
    EliteStatementConfirmed,
    EliteStatementObjected,
)
from crm_telecom_elite.runs.models import RUN_LIFE, EliteRun, EliteRunState, EliteStatement
from crm_telecom_elite.scopes import PAY_READ, RUN_WRITE

NOT_YOURS = Message(
    "TELECOM_ELITE_STATEMENT_NOT_YOURS",
    "Only who is paid confirms his pay or objects to it.",
    "薪酬单只能由本人确认或提出异议。",
)
NOT_TO_CONFIRM = Message(
    "TELECOM_ELITE_NOT_TO_CONFIRM",
    "The pay run is not waiting for its members: it is {state}.",
    "该薪酬核算当前状态为 {state}，不在成员确认阶段。",
)
CONFIRMED_ALREADY = Message(
    "TELECOM_ELITE_CONFIRMED_ALREADY", "The statement is confirmed.", "薪酬单已确认。"
)
NO_OBJECTION = Message(
    "TELECOM_ELITE_NO_OBJECTION", "Nobody objected to this statement.", "该薪酬单没有异议。"
)
MESSAGES = (NOT_YOURS, NOT_TO_CONFIRM, CONFIRMED_ALREADY, NO_OBJECTION)
OBJECTED: Final = NoticeKind(
    "telecom_elite.pay_objected",
    "{month} 薪酬单收到异议",
    "Somebody objects to his pay of {month}",
    "请在薪酬核算中查看并答复。",
    "Look at it in the pay run and answer it, or reopen the run.",
)
ANSWERED: Final = NoticeKind(
    "telecom_elite.pay_answered",
    "{month} 薪酬单异议已答复",
    "Your objection to your pay of {month} is answered",
    "请查看答复并确认。",
    "Read the answer and confirm your pay.",
)
NOTICES: Final = (OBJECTED, ANSWERED)
StatementId = Annotated[UUID, Ref("EliteStatement", "est")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class ConfirmEliteStatement(Command):
    """Confirm one's own pay of a month (确认薪酬单)."""

    kind = "elite_statement.confirm"
    scope = PAY_READ
    returns = "EliteStatement"
    subject = "id"
    id: StatementId = Field(description="The statement.")


async def confirm(work: Work, _command: ConfirmEliteStatement) -> EliteStatement:
    """The confirmed statement; the last one confirms the run."""
    statement: EliteStatement = work.subject
    run = await _run(work, statement)
    _refuse_unless_own(work, statement)
    statement.confirmed_at, statement.confirmed_by_id = work.now, work.actor.user_id
    work.record(EliteStatementConfirmed.of(statement))
    if await work.session.scalar(queries.others_unconfirmed(run.id, statement.id)) is None:
        run.state = moved(RUN_LIFE, run.state, "confirm")
        work.record(EliteRunConfirmed.of(run, by_time=0))
    return statement


class ObjectEliteStatement(Command):
    """Object to one's own pay of a month (提出异议): it is answered, or the run is put back, before the run goes on."""

    kind = "elite_statement.object"
    scope = PAY_READ
    returns = "EliteStatement"
    subject = "id"
    id: StatementId = Field(description="The statement.")
    words: Words = Field(description="What is wrong (异议内容).")


async def object_to(work: Work, command: ObjectEliteStatement) -> EliteStatement:
    """The statement with the objection; who computed the run is told."""
    statement: EliteStatement = work.subject
    run = await _run(work, statement)
    _refuse_unless_own(work, statement)
    statement.objection, statement.answer = command.words, ""
    work.record(EliteStatementObjected.of(statement))
    if run.computed_by_id is not None:
        await notify(
            work, [run.computed_by_id], OBJECTED.kind, {"month": run.month}, subject=("EliteRun", run.id)
        )
    return statement


class AnswerEliteStatement(Command):
    """Answer a member's objection (答复异议): the statement stands as it is, and can be confirmed."""

    kind = "elite_statement.answer"
    scope = RUN_WRITE
    returns = "EliteStatement"
    subject = "id"
    id: StatementId = Field(description="The statement.")
    words: Words = Field(description="Why it is right (答复).")


async def answer(work: Work, command: AnswerEliteStatement) -> EliteStatement:
    """The statement with the answer; its member is told."""
    statement: EliteStatement = work.subject
    run = await _run(work, statement)
    if not statement.objection:
        raise Refused(NO_OBJECTION("id"))
    statement.answer = command.words
    work.record(EliteStatementAnswered.of(statement))
    if statement.owner_id is not None:
        about = ("EliteRun", run.id)
        await notify(work, [statement.owner_id], ANSWERED.kind, {"month": run.month}, subject=about)
    return statement


async def _run(work: Work, statement: EliteStatement) -> EliteRun:
    """The statement's run, which waits for its members; nobody else moves it meanwhile."""
    found = select(EliteRun).where(EliteRun.id == statement.run_id).with_for_update()
    run: EliteRun = (await work.session.execute(found)).scalars().one()
    if run.state != EliteRunState.REVIEWED:
        raise Refused(NOT_TO_CONFIRM("id", state=run.state))
    return run


def _refuse_unless_own(work: Work, statement: EliteStatement) -> None:
    if statement.owner_id is None or statement.owner_id != work.actor.user_id:
        raise Refused(NOT_YOURS("id"))
    if statement.confirmed_at is not None:
        raise Refused(CONFIRMED_ALREADY("id"))


COMMANDS: dict[type[Command], Perform] = {
    ConfirmEliteStatement: confirm,
    ObjectEliteStatement: object_to,
    AnswerEliteStatement: answer,
}


# -- by the clock


async def confirm_due(services: Services) -> None:
    """Confirm the runs whose time is over; one with an open objection waits on."""
    t = EliteRun.__table__
    waiting = select(t.c.id, t.c.line, t.c.reviewed_at).where(t.c.state == EliteRunState.REVIEWED.value)
    for row in await services.database.fetch(waiting):
        if row.line not in services.registry.lines_of("telecom_elite"):
            continue
        settings = services.registry.settings["telecom_elite"]
        until = confirm_until(services, settings, row.line, row.reviewed_at)  # type: ignore[arg-type]  # its own model
        if services.day(row.line, services.clock()) > until:
            actor = system((row.line,), name="telecom_elite")
            options = Options(line=row.line, channel="chore")
            await perform(services, actor, "elite_run.confirm", CloseEliteRunConfirmation(id=row.id), options)


CHORES: Final[Sequence[Chore]] = (Chore("telecom_elite.confirm", timedelta(minutes=10), confirm_due),)

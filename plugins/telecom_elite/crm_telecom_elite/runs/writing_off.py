"""Ends a negative rest that nothing is left to be set off against: a former member's (负数余额核销, MO-C13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import Field
from sqlalchemy import select

from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused
from crm_core.registry import PolicyTemplate
from crm_core.work import Work
from crm_telecom_elite import months
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.runs import queries
from crm_telecom_elite.runs.commands import Why
from crm_telecom_elite.runs.confirming import StatementId
from crm_telecom_elite.runs.events import EliteRestWrittenOff
from crm_telecom_elite.runs.models import EliteRun, EliteRunState, EliteStatement, EliteWriteOff
from crm_telecom_elite.scopes import WRITE_OFF

RULE: Final = "MO-C13"
NO_REST = Message(
    "TELECOM_ELITE_NO_REST",
    "The statement leaves no negative rest.",
    "该薪酬单没有结转的负数余额。",
    rule=RULE,
)
RUN_NOT_CLOSED = Message(
    "TELECOM_ELITE_RUN_NOT_CLOSED",
    "The pay run of {month} is not closed, its rest may still change.",
    "{month} 薪酬核算尚未关闭，余额仍可能变动。",
    rule=RULE,
)
GONE_ON = Message(
    "TELECOM_ELITE_REST_GONE_ON",
    "The rest went on to the pay run of {month}; write off what that one leaves.",
    "余额已结转至 {month} 薪酬核算，请核销该月结转的余额。",
    rule=RULE,
)
STILL_PAID = Message(
    "TELECOM_ELITE_STILL_PAID",
    "{name} is paid by the run of {month} too: his rest is set off against that.",
    "{name} 在 {month} 仍有薪酬，余额应从中抵扣。",
    rule=RULE,
)
WRITTEN_OFF = Message(
    "TELECOM_ELITE_WRITTEN_OFF", "The rest is written off already.", "该余额已核销。", rule=RULE
)
MESSAGES = (NO_REST, RUN_NOT_CLOSED, GONE_ON, STILL_PAID, WRITTEN_OFF)


class WriteOffEliteRest(Command):
    """Write the negative rest of a former member off, so that no further pay run carries it (核销负数余额).

    The next run shows both, the rest and that it is written off; what that run comes to owe him all the same, for a
    closed month, is set off first. Refused while he is paid by that run: then his rest is set off against his pay.
    """

    kind = "elite_pay.write_off"
    scope = WRITE_OFF
    returns = "EliteWriteOff"
    subject = "id"
    subject_type = "EliteStatement"
    id: StatementId = Field(description="The statement that left the rest (薪酬单).")
    reason: Why = Field(description="Why it is not claimed (核销原因).")


async def write_off(work: Work, command: WriteOffEliteRest) -> EliteWriteOff:
    """The decision; it is never changed (MO-C13)."""
    statement: EliteStatement = work.subject
    await _refuse_unless_last(work, statement)
    row = work.add(
        EliteWriteOff(
            line=statement.line,
            statement_id=statement.id,
            member_id=statement.member_id,
            owner_id=statement.owner_id,
            asked_by_id=work.actor.user_id,
            amount=-statement.carried_over,
            reason=command.reason,
        )
    )
    work.record(EliteRestWrittenOff.of(row))
    return row


async def _refuse_unless_last(work: Work, statement: EliteStatement) -> None:
    """Refuse a rest that is none, may change, went on, is set off, or is written off; the statement stays locked."""
    if not statement.carried_over:
        raise Refused(NO_REST("id"))
    run = await work.session.get(EliteRun, statement.run_id)
    assert run is not None, "a foreign key holds it"
    if run.state != EliteRunState.CLOSED:
        raise Refused(RUN_NOT_CLOSED("id", month=run.month))
    month = months.later(run.month, 1)
    following = await work.session.scalar(queries.run_of(statement.line, month).with_for_update(read=True))
    if following is not None and following.state in queries.SHOWN:
        raise Refused(GONE_ON("id", month=month))
    await _refuse_paid(work, statement, month)
    locked = select(EliteStatement.id).where(EliteStatement.id == statement.id).with_for_update()
    await work.session.execute(locked)
    if await work.session.scalar(queries.written_off(statement.id)) is not None:
        raise Refused(WRITTEN_OFF("id"))


async def _refuse_paid(work: Work, statement: EliteStatement, month: str) -> None:
    """Who is a member on a day of the month is paid by its run."""
    member = await work.session.get(EliteMember, statement.member_id)
    assert member is not None, "a foreign key holds it"
    if member.ended_on is None or member.ended_on >= months.first_day(month):
        raise Refused(STILL_PAID("id", name=member.name, month=month))


POLICIES: Final[Sequence[PolicyTemplate]] = (
    PolicyTemplate(
        "elite write-off", WriteOffEliteRest.kind, "elite_leader", "公司领导审批核销", enabled=True
    ),
)
COMMANDS: dict[type[Command], Perform] = {WriteOffEliteRest: write_off}

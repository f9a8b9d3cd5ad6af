"""Commands on pay runs, from opening to closing; a closed run is changed by none of them (月度薪酬核算)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import delete, func, insert, select, update

from crm_core import ids
from crm_core.commands import Command, Money, Perform, Ref
from crm_core.errors import Message, Refused
from crm_core.jobs.enqueuing import enqueue
from crm_core.money import fen
from crm_core.moves import moved
from crm_core.notices.notifying import notify
from crm_core.registry import NoticeKind
from crm_core.work import Services, Work
from crm_telecom_elite import months
from crm_telecom_elite.months import Month
from crm_telecom_elite.receipts.closing import close_month, open_month
from crm_telecom_elite.runs import queries
from crm_telecom_elite.runs.dividing import money
from crm_telecom_elite.runs.events import (
    EliteRunApproved,
    EliteRunClosed,
    EliteRunComputed,
    EliteRunComputing,
    EliteRunConfirmed,
    EliteRunOpened,
    EliteRunReopened,
    EliteRunReviewed,
)
from crm_telecom_elite.runs.freezing import freeze
from crm_telecom_elite.runs.inputs import ENGINE, Problem, digest_of, inputs_digest
from crm_telecom_elite.runs.models import (
    RUN_LIFE,
    ElitePayLine,
    ElitePool,
    EliteRun,
    EliteRunInput,
    EliteRunState,
    EliteStatement,
)
from crm_telecom_elite.scopes import RUN_APPROVE, RUN_WRITE
from crm_telecom_elite.settings import TelecomEliteSettings

RUN_AHEAD = Message("TELECOM_ELITE_RUN_AHEAD", "{month} has not begun.", "{month} 尚未开始，不能开启核算。")
RUN_EXISTS = Message(
    "TELECOM_ELITE_RUN_EXISTS", "There is a pay run of {month} already.", "{month} 薪酬核算已存在。"
)
RUN_ORDER = Message(
    "TELECOM_ELITE_RUN_ORDER",
    "The pay run of {month} comes first, and must be closed.",
    "须先完成并关闭 {month} 的薪酬核算。",
)
RUN_PROBLEMS = Message(
    "TELECOM_ELITE_RUN_PROBLEMS",
    "{many} problem(s) stand in the way, the first: {first}",
    "有 {many} 个问题未解决，首个问题：{first_zh}",
)
RUN_NOT_OVER = Message("TELECOM_ELITE_RUN_NOT_OVER", "{month} is not over.", "{month} 尚未结束，不能复核。")
RUN_STALE = Message(
    "TELECOM_ELITE_RUN_STALE",
    "What the run was computed from has changed since ({teams}); compute it again.",
    "计算后输入已变更（{teams}），请重新计算。",
)
RUN_BY_TWO = Message(
    "TELECOM_ELITE_RUN_BY_TWO",
    "Who computed a pay run does not approve it.",
    "薪酬核算人不得审批同一核算。",
)
RUN_INCOMPLETE = Message(
    "TELECOM_ELITE_RUN_INCOMPLETE",
    "The job has computed {done} of {teams} teams.",
    "任务已计算 {teams} 个团队中的 {done} 个。",
)
TIME_LEFT = Message(
    "TELECOM_ELITE_TIME_LEFT",
    "Members have time to confirm until the end of {day}.",
    "成员确认期限至 {day} 结束。",
)
ONLY_ITS_JOB = Message(
    "TELECOM_ELITE_ONLY_ITS_JOB",
    "Only the job that computes a pay run says that it is computed.",
    "只有核算任务本身可以声明计算完成。",
)
OBJECTIONS_OPEN = Message(
    "TELECOM_ELITE_OBJECTIONS_OPEN",
    "{many} objection(s) of members are not answered.",
    "有 {many} 项成员异议尚未答复。",
)
MESSAGES = (
    RUN_AHEAD, RUN_EXISTS, RUN_ORDER, RUN_PROBLEMS, RUN_NOT_OVER, RUN_STALE, RUN_BY_TWO, RUN_INCOMPLETE, TIME_LEFT,
    ONLY_ITS_JOB, OBJECTIONS_OPEN,
)  # fmt: skip
COMPUTE_JOB: Final = "telecom_elite.compute"
STATEMENTS_JOB: Final = "telecom_elite.statements"
TO_CONFIRM: Final = NoticeKind(
    "telecom_elite.pay_to_confirm",
    "{month} 薪酬单待确认",
    "Your pay of {month} is to be confirmed",
    "请在 {day} 前核对并确认；如有异议请提出。",
    "Look at it and confirm it by {day}, or say what is wrong.",
)
RunId = Annotated[UUID, Ref("EliteRun", "erun")]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
_S = EliteRunState


class OfRun(BaseModel):
    """The run a job is about."""

    run: UUID


class _OfRun(Command):
    kind = ""
    scope = RUN_WRITE
    returns = "EliteRun"
    subject = "id"
    id: RunId = Field(description="The pay run.")


class OpenEliteRun(Command):
    """Open the pay run of a month; that of the month before must be closed (开启月度核算)."""

    kind = "elite_run.open"
    scope = RUN_WRITE
    returns = "EliteRun"
    month: Month = Field(description="The month, e.g. 2025-11 (月份).")


async def open_run(work: Work, command: OpenEliteRun) -> EliteRun:
    """The open run; refuses a month to come, a second run, and one out of turn.

    Before the first run nothing is paid: fees of earlier days that come from now on belong to its month.
    """
    if command.month > months.month_of(work.day()):
        raise Refused(RUN_AHEAD("month", month=command.month))
    last = await work.session.scalar(queries.last_run(work.acting_line))
    if last is not None:
        _refuse_out_of_turn(last, command.month)
    else:
        await close_month(work, months.later(command.month, -1))
    run = work.add(EliteRun(line=work.acting_line, month=command.month, state=RUN_LIFE.initial, problems=[]))
    work.record(EliteRunOpened.of(run))
    return run


def _refuse_out_of_turn(last: EliteRun, month: Month) -> None:
    if last.month >= month:
        raise Refused(RUN_EXISTS("month", month=last.month))
    if last.state != _S.CLOSED:
        raise Refused(RUN_ORDER("month", month=last.month))
    following = months.later(last.month, 1)
    if following != month:
        raise Refused(RUN_ORDER("month", month=following))


class ComputeEliteRun(_OfRun):
    """Have a job compute a run, or compute it again (计算). What was computed before is replaced."""

    kind = "elite_run.compute"


async def compute_run(work: Work, _command: ComputeEliteRun) -> EliteRun:
    """The run while its job computes it."""
    run: EliteRun = work.subject
    if run.state == _S.REVIEWED:
        await open_month(work, run.month)
    run.state = moved(RUN_LIFE, run.state, "compute")
    await _forget(work, run.id)
    run.computed_by_id, run.computed_at, run.reviewed_at = work.actor.user_id, None, None
    run.total, run.members, run.digest, run.problems = 0, 0, "", []
    run.engine = ENGINE
    run.job_id = await enqueue(work, COMPUTE_JOB, OfRun(run=run.id))
    work.record(EliteRunComputing.of(run))
    return run


async def _forget(work: Work, run_id: UUID) -> None:
    for model in (EliteStatement, ElitePayLine, ElitePool, EliteRunInput):
        await work.session.execute(delete(model).where(model.run_id == run_id))


class FinishEliteRun(_OfRun):
    """Say that all teams of a run are computed (计算完成). Its job says so, when they are; nobody can for it."""

    kind = "elite_run.finish"
    teams: int = Field(ge=0, description="How many teams it has (团队数).")
    unassigned: Money = Field(description="Fees of users whom no team had, yuan (无归属话费).")


async def finish(work: Work, command: FinishEliteRun) -> EliteRun:
    """The computed run with its statements, problems and digest; refused to everybody but the clockwork."""
    if not work.actor.is_system:
        raise Refused(ONLY_ITS_JOB("id"))
    run: EliteRun = work.subject
    state = moved(RUN_LIFE, run.state, "finish")
    t = EliteRunInput.__table__
    done = (
        await work.session.execute(
            select(t.c.elite_team_id, t.c.lines_digest, t.c.problems)
            .where(t.c.run_id == run.id)
            .order_by(t.c.elite_team_id)
        )
    ).all()
    if len(done) < command.teams:
        raise Refused(RUN_INCOMPLETE("id", done=len(done), teams=command.teams))
    run.state, run.computed_at = state, work.now
    run.digest = digest_of([[row.elite_team_id.hex, row.lines_digest] for row in done])
    run.problems = [*(one for row in done for one in row.problems), *_unassigned(fen(command.unassigned))]
    run.total, run.members = await _statements(work, run)
    work.record(EliteRunComputed.of(run))
    return run


def _unassigned(amount: int) -> Sequence[dict[str, Any]]:
    if not amount:
        return ()
    problem = Problem(
        code="FEES_OF_NOBODY",
        team="",
        message=f"{money(amount)} yuan were received from users whom no team had on that day; they are in no pool.",
        message_zh=f"有 {money(amount)} 元实收话费的用户当日无团队归属，未计入任何团队。",
        rule="MO-043",
        blocks=False,
    )
    return (problem.as_json(),)


async def _statements(work: Work, run: EliteRun) -> tuple[int, int]:
    """Write the statements of everybody who has lines; what is payable in all, and how many they are."""
    t = ElitePayLine.__table__
    sums = (
        select(t.c.member_id, t.c.owner_id, func.sum(t.c.amount).label("total"))
        .where(t.c.run_id == run.id)
        .group_by(t.c.member_id, t.c.owner_id)
        .order_by(t.c.member_id)
    )
    found: dict[UUID, tuple[UUID | None, int]] = {}
    for member, owner, total in (
        await work.session.execute(sums)
    ).all():  # two where his account changed meanwhile
        found[member] = (owner, found.get(member, (None, 0))[1] + int(total))
    rows = [
        {
            "id": ids.uuid7(), "created_at": work.now, "updated_at": work.now, "version": 1, "line": run.line,
            "run_id": run.id, "member_id": member, "owner_id": owner, "total": total,
            "payable": max(total, 0), "carried_over": min(total, 0), "objection": "", "answer": "",
        }
        for member, (owner, total) in found.items()
    ]  # fmt: skip
    if rows:
        await work.session.execute(insert(EliteStatement.__table__), rows)
    return sum(max(total, 0) for _owner, total in found.values()), len(rows)


class ReopenEliteRun(_OfRun):
    """Put a run back to mend what went in, until it is approved (退回)."""

    kind = "elite_run.reopen"
    why: Why = Field(description="What is to be mended (退回原因).")


async def reopen(work: Work, command: ReopenEliteRun) -> EliteRun:
    """The open run; receipts are counted in its month again."""
    run: EliteRun = work.subject
    settled = run.state in queries.SHOWN
    run.state = moved(RUN_LIFE, run.state, "reopen")
    if settled:
        await open_month(work, run.month)
    run.reviewed_at = None
    work.record(EliteRunReopened.of(run, why=command.why))
    return run


class ReviewEliteRun(_OfRun):
    """Find the lines of a run right (复核): its members see them now and confirm them.

    From here on later receipts belong to the next month. Refused while the month is not over, while a problem stands,
    and when anything the run was computed from has changed since.
    """

    kind = "elite_run.review"


async def review(work: Work, _command: ReviewEliteRun) -> EliteRun:
    """The reviewed run, its members told."""
    run: EliteRun = work.subject
    state = moved(RUN_LIFE, run.state, "review")
    if months.day_after(run.month) > work.day():
        raise Refused(RUN_NOT_OVER("id", month=run.month))
    blocking = [one for one in run.problems if one["blocks"]]
    if blocking:
        raise Refused(
            RUN_PROBLEMS(
                "id",
                rule=str(blocking[0]["rule"]),
                many=len(blocking),
                first=str(blocking[0]["message"]),
                first_zh=str(blocking[0]["messageZh"]),
            )
        )
    await close_month(work, run.month)
    await _refuse_stale(work, run)
    run.state, run.reviewed_at = state, work.now
    await _tell_members(work, run)
    if not run.members:
        run.state = moved(RUN_LIFE, run.state, "confirm")
    work.record(EliteRunReviewed.of(run))
    return run


async def _refuse_stale(work: Work, run: EliteRun) -> None:
    """Read everything again: it must be what was frozen."""
    now = {
        one.team_id: (inputs_digest(one), one.team_name)
        for one in (await freeze(work.session, run.line, run.month)).teams
    }
    t = EliteRunInput.__table__
    rows = await work.session.execute(select(t.c.elite_team_id, t.c.digest).where(t.c.run_id == run.id))
    then = {team.hex: digest for team, digest in rows.all()}
    changed = [name for key, (digest, name) in sorted(now.items()) if then.get(key) != digest]
    if changed or now.keys() != then.keys():
        raise Refused(RUN_STALE("id", teams=", ".join(changed) or "-"))


async def _tell_members(work: Work, run: EliteRun) -> None:
    t = EliteStatement.__table__
    found = select(t.c.owner_id).where(t.c.run_id == run.id, t.c.owner_id.is_not(None))
    users = list((await work.session.execute(found)).scalars())
    facts = {"month": run.month, "day": _last_day(work, run).isoformat()}
    await notify(work, users, TO_CONFIRM.kind, facts, subject=("EliteRun", run.id))


class CloseEliteRunConfirmation(_OfRun):
    """Count as confirmed what nobody objected to, once the time for it is over (确认期满). The clock gives this command."""

    kind = "elite_run.confirm"


async def confirm_by_time(work: Work, _command: CloseEliteRunConfirmation) -> EliteRun:
    """The confirmed run; refused while there is time, or an objection that nobody answered."""
    run: EliteRun = work.subject
    state = moved(RUN_LIFE, run.state, "confirm")
    day = _last_day(work, run)
    if work.day() <= day:
        raise Refused(TIME_LEFT("id", day=day.isoformat()))
    _all, waiting, objections = (await work.session.execute(queries.statement_totals(run.id))).one()
    if objections:
        raise Refused(OBJECTIONS_OPEN("id", many=objections))
    t = EliteStatement.__table__
    await work.session.execute(
        update(t)
        .where(t.c.run_id == run.id, t.c.confirmed_at.is_(None))
        .values(confirmed_at=work.now, updated_at=work.now, version=t.c.version + 1)
    )
    run.state = state
    work.record(EliteRunConfirmed.of(run, by_time=waiting))
    return run


def _last_day(work: Work, run: EliteRun) -> date:
    """The last day members have to confirm: so many working days after the review."""
    return confirm_until(
        work.services, work.settings_of("telecom_elite"), run.line, run.reviewed_at or work.now
    )


def confirm_until(
    services: Services, settings: TelecomEliteSettings, line: str, reviewed_at: datetime
) -> date:
    """The last day members have to confirm a run that was reviewed at this moment (UTC)."""
    day = services.day(line, reviewed_at)
    return services.calendar(line).add_working_days(day, settings.confirm_days).date


class ApproveEliteRun(_OfRun):
    """Approve a run for payment (批准发放); where `run_by_two` is set, not by who computed it."""

    kind = "elite_run.approve"
    scope = RUN_APPROVE


async def approve(work: Work, _command: ApproveEliteRun) -> EliteRun:
    """The approved run."""
    run: EliteRun = work.subject
    state = moved(RUN_LIFE, run.state, "approve")
    settings: TelecomEliteSettings = work.settings_of("telecom_elite")
    if settings.run_by_two and run.computed_by_id == work.actor.user_id:
        raise Refused(RUN_BY_TWO("id"))
    run.state, run.approved_by_id, run.approved_at = state, work.actor.user_id, work.now
    run.approved_by_name = work.actor.name
    work.record(EliteRunApproved.of(run))
    return run


class CloseEliteRun(_OfRun):
    """Close an approved run: it never changes again, and its statements are made as files (关闭)."""

    kind = "elite_run.close"


async def close(work: Work, _command: CloseEliteRun) -> EliteRun:
    """The closed run; a job makes the files."""
    run: EliteRun = work.subject
    run.state, run.closed_at = moved(RUN_LIFE, run.state, "close"), work.now
    run.job_id = await enqueue(work, STATEMENTS_JOB, OfRun(run=run.id))
    work.record(EliteRunClosed.of(run))
    return run


COMMANDS: dict[type[Command], Perform] = {
    OpenEliteRun: open_run,
    ComputeEliteRun: compute_run,
    FinishEliteRun: finish,
    ReopenEliteRun: reopen,
    ReviewEliteRun: review,
    CloseEliteRunConfirmation: confirm_by_time,
    ApproveEliteRun: approve,
    CloseEliteRun: close,
}

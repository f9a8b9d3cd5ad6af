"""Pay runs: who sees which rows of them, and what freezing reads of a line, each in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from crm_core.graphql.access import Access, whole_lines
from crm_telecom_elite.appraisals.models import EliteAppraisal
from crm_telecom_elite.ladder.models import ElitePost, EliteStep
from crm_telecom_elite.members.models import EliteMember, ElitePosting, EliteTerm
from crm_telecom_elite.runs.models import (
    EliteBonusFactor,
    EliteDistribution,
    EliteDistributionState,
    EliteLineKind,
    ElitePayLine,
    ElitePool,
    EliteRun,
    EliteRunInput,
    EliteRunState,
    EliteShare,
    EliteStatement,
    EliteWriteOff,
)
from crm_telecom_elite.scopes import DISTRIBUTE, PAY_READ, POOL_READ
from crm_telecom_elite.teams.models import EliteTeam

SHOWN: Final = (
    EliteRunState.REVIEWED,
    EliteRunState.CONFIRMED,
    EliteRunState.APPROVED,
    EliteRunState.CLOSED,
)
"""States in which members see what a run says of them; from here on nothing that went in changes."""

BY_THE_DAY: Final = (
    EliteLineKind.SALARY,
    EliteLineKind.BONUS,
    EliteLineKind.MANAGER_ALLOWANCE,
    EliteLineKind.CAR_ALLOWANCE,
)
"""Lines that later knowledge of postings, standards and rates may correct."""


# -- row rules


def runs_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Month and state of a run, for whoever sees commission in its line at all."""
    found: ColumnElement[bool] = t.c.line.in_(access.lines(scope))
    return found


def only_whole(t: Any, access: Access, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column of a run that tells of everybody's pay: null to who does not see all pay of the line."""
    return case((whole_lines(t, access, PAY_READ), column))


def pay_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Pay: one's own once the run is reviewed; everybody's where the scope reaches the line. Never a team mate's."""
    own = access.per_line(scope, t.c.line, owner=t.c.owner_id) & _is_me(t, access)
    return or_(whole_lines(t, access, scope), own & _is_shown(t))


def _is_me(t: Any, access: Access) -> ColumnElement[bool]:
    """The row's member still has the caller's account: one that was his by mistake shows nothing any more."""
    member = EliteMember.__table__.alias("member_of_row")
    found: ColumnElement[bool] = t.c.member_id.in_(
        select(member.c.id).where(member.c.owner_id == access.me())
    )
    return found


def pools_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Commission of teams: one's own team's once the run is reviewed, all where the scope reaches the line."""
    own = access.per_line(scope, t.c.line, team=t.c.team_id)
    return or_(whole_lines(t, access, scope), own & _is_shown(t))


def _is_shown(t: Any) -> ColumnElement[bool]:
    run = EliteRun.__table__.alias("run_of_row")
    shown = run.c.state.in_([state.value for state in SHOWN])
    return select(1).where(run.c.id == t.c.run_id, shown).correlate(t).exists()


def inputs_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """What a run was computed from holds everybody's pay: for who sees all pay of its line."""
    run = EliteRun.__table__.alias("run_of_inputs")
    found: ColumnElement[bool] = t.c.run_id.in_(select(run.c.id).where(whole_lines(run, access, scope)))
    return found


def own_or_whole(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """What is about a member's pay beside the runs: one's own; all where the scope reaches the line."""
    own = access.per_line(scope, t.c.line, owner=t.c.owner_id) & _is_me(t, access)
    return or_(whole_lines(t, access, scope), own)


def files_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Files of closed runs: those of one's own statements; all where the scope reaches the line."""
    of = EliteStatement.__table__.alias("statement_of_file")
    mine = select(of.c.id).where(of.c.owner_id == access.me(), _is_me(of, access))
    own = access.per_line(scope, t.c.line, owner=t.c.owner_id) & t.c.statement_id.in_(mine)
    return or_(whole_lines(t, access, scope), own)


def distributions_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Distributions of teams the scope reaches; of a member only the heading, his own share is a row of its own."""
    return access.per_line(scope, t.c.line, owner=t.c.owner_id, team=t.c.team_id)


def remark_seen(t: Any, access: Access) -> ColumnElement[Any]:
    """Why a team's commission is divided so: it tells of members' results, so for who divides it or sees all pay."""
    led = access.per_line(DISTRIBUTE, t.c.line, owner=t.c.owner_id, team=t.c.team_id)
    return case((or_(led, whole_lines(t, access, PAY_READ)), t.c.remark))


def shares_visible(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """One's own share; a team's for who divides its commission; all for who sees all pay or all distributions."""
    of = EliteDistribution.__table__.alias("distribution_of_share")
    led = access.per_line(DISTRIBUTE, of.c.line, owner=of.c.owner_id, team=of.c.team_id)
    divided = t.c.distribution_id.in_(select(of.c.id).where(led))
    own = access.per_line(POOL_READ, t.c.line, owner=t.c.owner_id)
    return or_(
        own & (t.c.owner_id == access.me()) & _is_me(t, access), divided, whole_lines(t, access, PAY_READ)
    )


def teams_reached(access: Access, team_id: UUID, scope: str) -> Select[Any]:
    """The team, where the scope reaches its rows."""
    t = EliteTeam.__table__
    return select(EliteTeam).where(t.c.id == team_id, access.per_line(scope, t.c.line, team=t.c.team_id))


# -- runs


def run_of(line: str, month: str) -> Select[Any]:
    """The run of a month."""
    return select(EliteRun).where(EliteRun.line == line, EliteRun.month == month)


def last_run(line: str) -> Select[Any]:
    """The latest run of a line."""
    return select(EliteRun).where(EliteRun.line == line).order_by(EliteRun.month.desc()).limit(1)


def statement_totals(run_id: UUID) -> Select[int, int, int]:
    """Statements of a run: how many, how many are not confirmed, how many of these have an open objection."""
    t = EliteStatement.__table__
    waiting = t.c.confirmed_at.is_(None)
    return select(
        func.count(),
        func.count(case((waiting, 1))),
        func.count(case((waiting & objected(t), 1))),
    ).where(t.c.run_id == run_id)


def others_unconfirmed(run_id: UUID, statement_id: UUID) -> Select[Any]:
    """Another statement of a run that is not confirmed."""
    t = EliteStatement.__table__
    waiting = (t.c.run_id == run_id) & t.c.confirmed_at.is_(None) & (t.c.id != statement_id)
    return select(t.c.id).where(waiting).limit(1)


def objected(t: Any) -> ColumnElement[bool]:
    """Whether a statement has an objection that nobody answered."""
    found: ColumnElement[bool] = (t.c.objection != "") & (t.c.answer == "")
    return found


# -- what freezing reads


def teams_in(line: str) -> Select[Any]:
    """Teams of a line: id, the line's team, name, kind, closed on."""
    t = EliteTeam.__table__
    return (
        select(t.c.id, t.c.team_id, t.c.name, t.c.kind, t.c.closed_on)
        .where(t.c.line == line)
        .order_by(t.c.id)
    )


def postings_in(line: str, start: date, end: date) -> Select[Any]:
    """Postings within membership on days from `start` up to, not including, `end`, by member, the earliest first."""
    posting, member = ElitePosting.__table__, EliteMember.__table__
    post, step = ElitePost.__table__, EliteStep.__table__
    joined = (
        posting.join(member, member.c.id == posting.c.member_id)
        .join(post, post.c.id == posting.c.post_id)
        .join(step, step.c.id == posting.c.step_id)
    )
    columns = (
        posting.c.member_id, posting.c.elite_team_id, posting.c.step_id, posting.c.valid_from, posting.c.valid_to,
        post.c.title, post.c.role, step.c.grade, step.c.letter, member.c.entered_on, member.c.ended_on,
    )  # fmt: skip
    return (
        select(*columns)
        .select_from(joined)
        .where(member.c.line == line, posting.c.valid_from < end)
        .where(or_(posting.c.valid_to.is_(None), posting.c.valid_to > start))
        .where(or_(member.c.ended_on.is_(None), member.c.ended_on >= start))
        .order_by(posting.c.member_id, posting.c.valid_from)
    )


def terms_in(line: str, before: date) -> Select[Any]:
    """All pay packages of a line's members that began before a day, the earliest first."""
    term, member = EliteTerm.__table__, EliteMember.__table__
    return (
        select(term.c.member_id, term.c.package, term.c.valid_from, term.c.valid_to, member.c.ended_on)
        .select_from(term.join(member, member.c.id == term.c.member_id))
        .where(member.c.line == line, term.c.valid_from < before)
        .order_by(term.c.member_id, term.c.valid_from)
    )


def members_in(line: str) -> Select[Any]:
    """Members of a line as they stand on a statement, with their original pay."""
    t = EliteMember.__table__
    return select(
        t.c.id,
        t.c.name,
        t.c.staff_number,
        t.c.owner_id,
        t.c.elite_team_id,
        t.c.original_salary,
        t.c.original_bonus,
    ).where(t.c.line == line)


def distributions_in(line: str, months: Sequence[str]) -> Select[Any]:
    """Shares of the signed distributions of these months: team, month, member, weight, factor."""
    of, share = EliteDistribution.__table__, EliteShare.__table__
    return (
        select(of.c.elite_team_id, of.c.month, share.c.member_id, share.c.weight, share.c.factor)
        .select_from(share.join(of, of.c.id == share.c.distribution_id))
        .where(of.c.line == line, of.c.month.in_(months), of.c.state == EliteDistributionState.APPROVED.value)
        .order_by(of.c.elite_team_id, of.c.month, share.c.member_id)
    )


def results_until(line: str, month: str, quarter: str) -> Select[Any]:
    """Each member's last confirmed result of a month and of a quarter, not later than these: member, period, result."""
    t = EliteAppraisal.__table__
    quarterly = t.c.period.like("%Q%")
    latest = (
        select(t.c.member_id, func.max(t.c.period).label("period"))
        .where(t.c.line == line, t.c.state == "CONFIRMED", t.c.member_id.is_not(None))
        .where(or_(quarterly & (t.c.period <= quarter), ~quarterly & (t.c.period <= month)))
        .group_by(t.c.member_id, quarterly)
        .subquery("latest")
    )
    return (
        select(t.c.member_id, t.c.period, t.c.result)
        .join(latest, (latest.c.member_id == t.c.member_id) & (latest.c.period == t.c.period))
        .where(t.c.state == "CONFIRMED")
        .order_by(t.c.member_id, t.c.id)
    )


def bonus_factors_in(line: str, month: str) -> Select[Any]:
    """Factors given for a month: team, member (None: the department's), factor."""
    t = EliteBonusFactor.__table__
    return select(t.c.elite_team_id, t.c.member_id, t.c.factor).where(t.c.line == line, t.c.month == month)


def rests_of(run_id: UUID) -> Select[Any]:
    """Negative rests that a run left: member, fen, how much of it was written off."""
    t, off = EliteStatement.__table__, EliteWriteOff.__table__
    return (
        select(t.c.member_id, t.c.carried_over, func.coalesce(off.c.amount, 0).label("written_off"))
        .select_from(t.outerjoin(off, off.c.statement_id == t.c.id))
        .where(t.c.run_id == run_id, t.c.carried_over != 0)
    )


def written_off(statement_id: UUID) -> Select[Any]:
    """That the rest of a statement was written off."""
    t = EliteWriteOff.__table__
    return select(t.c.id).where(t.c.statement_id == statement_id)


def left_over(run_id: UUID) -> Select[Any]:
    """Commission that a run left over, because nobody was on commission: team, fen."""
    t = ElitePool.__table__
    return select(t.c.elite_team_id, t.c.left_over).where(t.c.run_id == run_id, t.c.left_over != 0)


def closed_between(line: str, first: str, last: str) -> Select[Any]:
    """The closed runs of these months, the earliest first: id, month."""
    t = EliteRun.__table__
    return (
        select(t.c.id, t.c.month)
        .where(t.c.line == line, t.c.month.between(first, last), t.c.state == EliteRunState.CLOSED.value)
        .order_by(t.c.month)
    )


def inputs_of(run_id: UUID) -> Select[Any]:
    """What a run was computed from: team, inputs."""
    t = EliteRunInput.__table__
    return select(t.c.elite_team_id, t.c.inputs).where(t.c.run_id == run_id).order_by(t.c.elite_team_id)


def divided_in(line: str, months: Sequence[str], teams: Sequence[UUID]) -> Select[Any]:
    """What closed runs of these months were computed from, of these teams: month, team, inputs."""
    t, run = EliteRunInput.__table__, EliteRun.__table__
    return (
        select(run.c.month, t.c.elite_team_id, t.c.inputs)
        .join(run, run.c.id == t.c.run_id)
        .where(run.c.line == line, run.c.month.in_(months), run.c.state == EliteRunState.CLOSED.value)
        .where(t.c.elite_team_id.in_(teams))
        .order_by(run.c.month, t.c.elite_team_id)
    )


def paid_by_the_day(line: str, run_id: UUID, month: str) -> Select[Any]:
    """What closed runs paid for a month, commission apart: team, member, rule, fen."""
    t, run = ElitePayLine.__table__, EliteRun.__table__
    then = (t.c.run_id == run_id) & t.c.kind.in_([kind.value for kind in BY_THE_DAY])
    since = _corrects(t, month)
    return (
        select(t.c.elite_team_id, t.c.member_id, t.c.rule, func.sum(t.c.amount).label("amount"))
        .join(run, run.c.id == t.c.run_id)
        .where(
            run.c.line == line,
            run.c.month >= month,
            run.c.state == EliteRunState.CLOSED.value,
            or_(then, since),
        )
        .group_by(t.c.elite_team_id, t.c.member_id, t.c.rule)
        .order_by(t.c.elite_team_id, t.c.member_id, t.c.rule)
    )


def teams_corrected(line: str, month: str) -> Select[Any]:
    """Teams for which a closed run corrected what an earlier one had paid for a month."""
    t, run = ElitePayLine.__table__, EliteRun.__table__
    later = (run.c.line == line) & (run.c.month > month) & (run.c.state == EliteRunState.CLOSED.value)
    return (
        select(t.c.elite_team_id)
        .join(run, run.c.id == t.c.run_id)
        .where(later, _corrects(t, month))
        .distinct()
    )


def _corrects(t: Any, month: str) -> ColumnElement[bool]:
    """Lines that correct pay by the day of a month."""
    adjusts: ColumnElement[bool] = (t.c.about == month) & (t.c.kind == EliteLineKind.ADJUSTMENT.value)
    return and_(adjusts, t.c.rule != "MO-044")

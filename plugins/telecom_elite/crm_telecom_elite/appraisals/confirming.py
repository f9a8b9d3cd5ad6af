"""Confirms appraisals, which makes them count, and corrects confirmed ones; what follows from them is handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import errors, ids
from crm_core.commands import Command, Perform, Ref
from crm_core.errors import Message, Refused
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.appraisals import rating, reach
from crm_telecom_elite.appraisals.commands import Points, Remark, Subject, put, rate, refuse_open
from crm_telecom_elite.appraisals.distribution import fits, places
from crm_telecom_elite.appraisals.events import EliteAppraisalConfirmed, EliteAppraisalCorrected
from crm_telecom_elite.appraisals.models import (
    APPRAISAL_LIFE,
    EliteAppraisal,
    EliteAppraisalState,
    ElitePeriod,
    EliteResult,
)
from crm_telecom_elite.appraisals.periods import is_quarter, last
from crm_telecom_elite.appraisals.queries import Seat, confirmed_team, quota, rated, sitting
from crm_telecom_elite.appraisals.rating import Figures, Rated
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.members.queries import visible
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import rates_of
from crm_telecom_elite.scopes import APPRAISAL_WRITE
from crm_telecom_elite.teams.models import EliteTeam

DISTRIBUTION = Message(
    "TELECOM_ELITE_DISTRIBUTION",
    "The team's result {result} lets at most {most_a} of its {members} members have an A, and at least {least_c} must have a C.",
    "团队考核结果为 {result}：{members} 名成员中 A 最多 {most_a} 名，C 至少 {least_c} 名。",
    rule="MO-061",
)
CHANGED_TEAM = Message(
    "TELECOM_ELITE_MEMBERS_RATED",
    "Members are confirmed on the ground of the team's result; correct their appraisals first, or keep its result {result}.",
    "成员考核已依据团队结果 {result} 确认，请先更正成员考核或保持团队结果不变。",
    rule="MO-061",
)
MESSAGES = (DISTRIBUTION, CHANGED_TEAM)

AppraisalId = Annotated[UUID, Ref("EliteAppraisal", "ela")]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Follow = Callable[[Work, Sequence[EliteAppraisal]], Awaitable[None]]
"""Hears of appraisals that were confirmed or corrected, in that transaction: promotions and demotions follow from them."""


class ConfirmEliteAppraisals(Command):
    """Confirm appraisals as the department (确认考核). From then on they count for pay, promotion and demotion."""

    kind = "elite_appraisal.confirm"
    scope = APPRAISAL_WRITE
    returns: ClassVar[str | list[str]] = ["EliteAppraisal"]
    ids: list[AppraisalId] = Field(min_length=1, max_length=200, description="The drafts (考核).")


def confirming(follow: Follow) -> Perform:
    """How appraisals are confirmed, with what follows from it."""

    async def confirm(work: Work, command: ConfirmEliteAppraisals) -> list[EliteAppraisal]:
        """The confirmed appraisals in the order given; the results of an HQ team fit its distribution (MO-061)."""
        reach.refuse_unless_centre(work)
        rows = await _found(work, command.ids)
        for position, row in enumerate(rows):
            reach.refuse_own(work, row.owner_id, f"ids.{position}")
            row.state = moved(APPRAISAL_LIFE, row.state, "confirm", path=f"ids.{position}")
            row.confirmed_at = work.now
            work.record(EliteAppraisalConfirmed.of(row))
        await work.session.flush()
        await _refuse_undistributed(work, rows)
        await follow(work, rows)
        return rows

    return confirm


async def _found(work: Work, wanted: Sequence[UUID]) -> list[EliteAppraisal]:
    """These appraisals as far as the caller's appraising reaches, locked; refuses with every id that is not there."""
    t = EliteAppraisal.__table__
    reached = visible(t, work.access, APPRAISAL_WRITE) & (t.c.line == work.acting_line)
    statement = select(EliteAppraisal).where(t.c.id.in_(wanted), reached).order_by(t.c.id).with_for_update()
    known = {row.id: row for row in await work.session.scalars(statement)}
    errors.raise_if(
        errors.NOT_FOUND(f"ids.{position}", type="EliteAppraisal", id=ids.show("ela", key))
        for position, key in enumerate(wanted)
        if key not in known
    )
    return [known[key] for key in dict.fromkeys(wanted)]


async def _refuse_undistributed(work: Work, rows: Sequence[EliteAppraisal]) -> None:
    """Refuse where the confirmed results of an HQ team's members no longer fit its distribution (MO-061)."""
    quarters = {
        (row.elite_team_id, row.period): None for row in rows if row.member_id and is_quarter(row.period)
    }
    for team_id, quarter in quarters:
        team = await confirmed_team(work.session, team_id, quarter)
        if team is None:
            continue
        held = await quota(work.session, work.acting_line, team.result, last(quarter))
        members = len((await work.session.scalars(sitting(team_id, last(quarter)))).all())
        stands = [
            EliteResult(row.result)
            for row in await work.session.scalars(rated(team_id, quarter))
            if row.member_id and row.state == EliteAppraisalState.CONFIRMED
        ]
        if not fits(held, stands, members):
            room = places(held, members)
            raise Refused(
                DISTRIBUTION(
                    "ids",
                    result=team.result,
                    members=members,
                    most_a=room.most_a,
                    least_c=room.least_c,
                )
            )


class CorrectEliteAppraisal(Command):
    """Correct a confirmed appraisal, with a reason (更正考核). What is left out stays; counted users are counted anew.

    Not once a change of step was made of it: that is withdrawn before. Closed pay runs keep what they were computed from.
    """

    kind = "elite_appraisal.correct"
    scope = APPRAISAL_WRITE
    returns = "EliteAppraisal"
    subject = "id"
    id: AppraisalId = Field(description="The appraisal (考核).")
    reason: Why = Field(description="What was wrong (更正理由).")
    market_period: ElitePeriod | None = Field(None, description="Of a team: its period (市场培育期/收获期).")
    m: Points | None = Field(None, description="Marketing, 0 to 100 (营).")
    s: Points | None = Field(None, description="Selling, 0 to 100 (销).")
    d: Points | None = Field(None, description="Third component, 0 to 100 (D 项).")
    result: EliteResult | None = Field(None, description="Result of an HQ member (考核结果).")
    users: int | None = Field(
        None, ge=0, le=1_000_000, description="Users developed, where not as counted (发展用户数)."
    )
    users_reason: Remark | None = Field(None, description="Why not as counted (理由).")
    attitude: Points | None = Field(None, description="Work attitude, 0 to 100 (工作态度).")


def correcting(follow: Follow) -> Perform:
    """How a confirmed appraisal is corrected, with what follows from it."""

    async def correct(work: Work, command: CorrectEliteAppraisal) -> EliteAppraisal:
        """The corrected appraisal; it stays confirmed, and what it was before stays in the audit trail."""
        row: EliteAppraisal = work.subject
        reach.refuse_unless_centre(work)
        reach.refuse_own(work, row.owner_id, "id")
        row.state = moved(APPRAISAL_LIFE, row.state, "correct")
        figures = Figures.of(command).over(Figures.stored(row.inputs))
        found = await _again(work, row, figures, command.reason)
        if row.member_id is None and found.result is not EliteResult(row.result):
            await _refuse_built_on(work, row)
        put(row, found, command.reason)
        work.record(EliteAppraisalCorrected.of(row, why=command.reason))
        await work.session.flush()
        await _refuse_undistributed(work, [row])
        await follow(work, [row])
        return row

    return correct


async def _again(work: Work, row: EliteAppraisal, figures: Figures, reason: str) -> Rated:
    """What the appraisal comes to with these figures."""
    refuse_open(work, row.period, "id")
    if row.member_id is None:
        return rating.of_team(await rates_of(work.session, row.line), last(row.period), figures)
    member = await work.session.get(EliteMember, row.member_id)
    team = await work.session.get(EliteTeam, row.elite_team_id)
    assert member is not None  # the row refers to both
    assert team is not None
    seat = Seat(team.id, EliteTeamKind(team.kind), team.team_id)
    return await rate(work, Subject(seat, member, row.period), figures, reason)


async def _refuse_built_on(work: Work, team: EliteAppraisal) -> None:
    """Refuse another result of a team whose members' results are confirmed already (MO-061)."""
    rows = await work.session.scalars(rated(team.elite_team_id, team.period))
    if any(row.member_id and row.state == EliteAppraisalState.CONFIRMED for row in rows):
        raise Refused(CHANGED_TEAM("id", result=team.result))

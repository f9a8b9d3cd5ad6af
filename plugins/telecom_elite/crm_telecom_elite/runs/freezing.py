"""Reads everything a run is computed from, for all teams of a line in a fixed number of statements (冻结输入)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from crm_core.db.unit import Unit
from crm_telecom_elite import months
from crm_telecom_elite.appraisals import periods
from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.ladder.queries import standards_of
from crm_telecom_elite.members.models import ElitePackage
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates, rates_of
from crm_telecom_elite.receipts.earning import Earned, earned
from crm_telecom_elite.runs import queries
from crm_telecom_elite.runs.arithmetic import set_off
from crm_telecom_elite.runs.commission import somebody_takes
from crm_telecom_elite.runs.correcting import differences, pay_part
from crm_telecom_elite.runs.inputs import (
    CarsSpan,
    DeveloperTerm,
    DistributionInputs,
    EarnedSum,
    MemberInputs,
    PaidBefore,
    Past,
    PostingSpan,
    RateSpan,
    StandardFrom,
    TeamInputs,
    TermSpan,
    Weight,
)
from crm_telecom_elite.runs.models import EliteRunState
from crm_telecom_elite.teams.queries import cars_of

FIGURES = (
    "package_1_factor",
    "package_2_factor",
    "transfer_factor",
    "department_factor",
    "personal_factor",
    "manager_allowance",
    "manager_allowance_leader",
    "car_allowance_team",
    "car_allowance_person",
)
"""Figures that pay by the day depends on; those of the commission stand with the fees."""
NO_APPRAISAL = "no appraisal (无考核)"
Row = Any
"""A row of a statement of `queries`."""
Kept = Mapping[tuple[UUID, str], DistributionInputs | None]
"""Distributions of closed months as they were frozen, by team and month; None: nobody could take by it then."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The inputs of all teams that have any, and fees (fen) of users whom no team had."""

    teams: Sequence[TeamInputs]
    unassigned: int


async def freeze(session: Unit, line: str, month: str) -> Frozen:
    """What the run of this month is computed from, as it stands now."""
    rates = await rates_of(session, line)
    sums = await earned(session, line, month, rates)
    past = await _past(session, line, month, rates)
    rows, kept = await _read(session, line, month, sums), await _kept(session, line, month, sums)
    found = _Reading(line, month, rates, sums, rows, past, kept).frozen()
    return Frozen(set_off(found.teams), found.unassigned)


async def _kept(session: Unit, line: str, month: str, sums: Sequence[Earned]) -> Kept:
    """How teams divided the closed months that something was received for: later appraisals change nothing of that."""
    late = [one for one in sums if one.elite_team_id is not None and months.month_of(one.since) != month]
    if not late:
        return {}
    about = sorted({months.month_of(one.since) for one in late})
    teams = sorted({one.elite_team_id for one in late if one.elite_team_id is not None})
    found: dict[tuple[UUID, str], DistributionInputs | None] = {}
    for row in (await session.execute(queries.divided_in(line, about, teams))).all():
        own = next((one for one in row.inputs["distributions"] if one["month"] == row.month), None)
        if own is not None:
            taken = somebody_takes(TeamInputs.model_validate(row.inputs))
            found[row.elite_team_id, row.month] = DistributionInputs.model_validate(own) if taken else None
    return found


async def _past(session: Unit, line: str, month: str, rates: Rates) -> Mapping[UUID, Sequence[Past]]:
    """By team the closed months, as far back as a run looks, whose pay by the day is due otherwise now."""
    first = months.first_day(month)
    back = {kind: rates.whole("correction_months", kind, first) for kind in EliteTeamKind}
    runs = queries.closed_between(line, months.later(month, -max(back.values())), months.later(month, -1))
    found: dict[UUID, list[Past]] = {}
    for run in (await session.execute(runs)).all():
        far = months.months_between(run.month, month)
        rows = await _read(session, line, run.month, ())
        for past in await _differing(session, run, _Reading(line, run.month, rates, (), rows, {}, {})):
            if back[past.inputs.team_kind] >= far:
                found.setdefault(UUID(past.inputs.team_id), []).append(past)
    return found


async def _differing(session: Unit, run: Row, reading: _Reading) -> Sequence[Past]:
    """The teams of a closed run whose pay by the day is due otherwise now."""
    then = {
        row.elite_team_id.hex: row.inputs for row in (await session.execute(queries.inputs_of(run.id))).all()
    }
    corrected = queries.teams_corrected(reading.line, run.month)
    again = {key.hex for key in (await session.execute(corrected)).scalars()}
    now = {one.team_id: pay_part(one) for one in reading.frozen(then.keys() | again).teams}
    changed = now.keys() & again
    for key, inputs in now.items():
        if key not in then or inputs != pay_part(TeamInputs.model_validate(then[key])):
            changed.add(key)
    if not changed:
        return ()
    paid = _by(
        (await session.execute(queries.paid_by_the_day(reading.line, run.id, run.month))).all(),
        "elite_team_id",
    )
    found = [Past(inputs=now[key], paid=tuple(_paid(paid.get(UUID(key), ())))) for key in sorted(changed)]
    return [past for past in found if differences(past)]


def _paid(rows: Iterable[Row]) -> Iterator[PaidBefore]:
    for row in rows:
        yield PaidBefore(member_id=row.member_id.hex, rule=row.rule, amount=int(row.amount))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of the line, as the statements gave them."""

    teams: Sequence[Row]
    cars: Sequence[Row]
    postings: Sequence[Row]
    terms: Sequence[Row]
    members: Sequence[Row]
    standards: Sequence[Row]
    shares: Sequence[Row]
    results: Sequence[Row]
    factors: Sequence[Row]
    rests: Sequence[Row]
    left: Sequence[Row]
    rests_from: str | None


async def _read(session: Unit, line: str, month: str, sums: Sequence[Earned]) -> _Rows:
    async def rows(statement: Any) -> Sequence[Row]:
        return (await session.execute(statement)).all()

    first, after = months.first_day(month), months.day_after(month)
    teams = await rows(queries.teams_in(line))
    postings = await rows(queries.postings_in(line, first, after))
    about = sorted({month, *(months.month_of(one.since) for one in sums)})
    before = await session.scalar(queries.run_of(line, months.later(month, -1)))
    closed = before if before is not None and before.state == EliteRunState.CLOSED else None
    steps = sorted({row.step_id for row in postings})
    return _Rows(
        teams=teams,
        cars=await rows(cars_of([row.id for row in teams])),
        postings=postings,
        terms=await rows(queries.terms_in(line, after)),
        members=await rows(queries.members_in(line)),
        standards=await rows(standards_of(steps)) if steps else (),
        shares=await rows(queries.distributions_in(line, about)),
        results=await rows(queries.results_until(line, month, _quarter_until(month))),
        factors=await rows(queries.bonus_factors_in(line, month)),
        rests=await rows(queries.rests_of(closed.id)) if closed is not None else (),
        left=await rows(queries.left_over(closed.id)) if closed is not None else (),
        rests_from=closed.month if closed is not None else None,
    )


def _quarter_until(month: str) -> str:
    """The last quarter that is over at the end of a month."""
    quarter = months.quarter_of(month)
    return quarter if months.months_of(quarter)[2] == month else months.quarter_before(quarter)


class _Reading:
    """Puts the rows of a line together, team by team."""

    def __init__(
        self,
        line: str,
        month: str,
        rates: Rates,
        sums: Sequence[Earned],
        rows: _Rows,
        past: Mapping[UUID, Sequence[Past]],
        kept: Kept,
    ) -> None:
        self.line, self.month, self.rates, self.sums, self.rows = line, month, rates, sums, rows
        self.past, self.kept = past, kept
        self.first, self.after = months.first_day(month), months.day_after(month)
        self.members = {row.id: row for row in rows.members}
        self.terms = _by(rows.terms, "member_id")
        self.postings = _by(rows.postings, "member_id")
        self.shares = _by(rows.shares, "elite_team_id")
        self.earned = _by((one for one in sums if one.elite_team_id is not None), "elite_team_id")
        self.results = _last_results(rows.results)
        self.rests = {row.member_id: (row.carried_over, row.written_off) for row in rows.rests}
        self.left = {row.elite_team_id: row.left_over for row in rows.left}
        self.seats = self._seats()
        self.by_team: dict[UUID, list[UUID]] = {}
        for member_id, teams in sorted(self.seats.items()):
            for team_id in teams:
                self.by_team.setdefault(team_id, []).append(member_id)

    def frozen(self, known: Collection[str] = ()) -> Frozen:
        """All teams that pay somebody, received something, are there, or are known (by id) to have been."""
        unassigned = sum(one.amount for one in self.sums if one.elite_team_id is None)
        counted = [row for row in self.rows.teams if row.id.hex in known or self._counts(row)]
        return Frozen([self._team(row) for row in counted], unassigned)

    def _counts(self, team: Row) -> bool:
        there = team.closed_on is None or team.closed_on > self.first
        return there or team.id in self.by_team or team.id in self.earned or team.id in self.left

    # -- who belongs to which team of this run

    def _seats(self) -> Mapping[UUID, Sequence[UUID]]:
        """Each member's teams: those he sat in, in order; then those that owe him a correction or a rest."""
        found: dict[UUID, list[UUID]] = {}
        for member_id, team_id in (*self._sitting(), *self._sharing(), *self._corrected()):
            teams = found.setdefault(member_id, [])
            if team_id not in teams:
                teams.append(team_id)
        for member_id in self.rests.keys() - found.keys():
            found[member_id] = [self.members[member_id].elite_team_id]
        return found

    def _sitting(self) -> Iterator[tuple[UUID, UUID]]:
        for member_id, rows in self.postings.items():
            for row in rows:
                if self._posting(row) is not None:
                    yield member_id, row.elite_team_id

    def _sharing(self) -> Iterator[tuple[UUID, UUID]]:
        for team_id in sorted(self.shares.keys() & (self.earned.keys() | self.left.keys())):
            for share in self.shares[team_id]:
                yield share.member_id, team_id
        for (team_id, _month), one in sorted(self.kept.items(), key=lambda item: item[0]):
            for weight in one.weights if one is not None else ():
                yield UUID(weight.member_id), team_id

    def _corrected(self) -> Iterator[tuple[UUID, UUID]]:
        for team_id, pasts in sorted(self.past.items()):
            for key, _rule in (one for past in pasts for one in differences(past)):
                yield UUID(key), team_id

    def _team(self, row: Row) -> TeamInputs:
        kind = EliteTeamKind(row.kind)
        members = tuple(self._member(key, row.id) for key in self.by_team.get(row.id, ()))
        return TeamInputs(
            line=self.line,
            month=self.month,
            team_id=row.id.hex,
            team_name=row.name,
            team_kind=kind,
            department_factor=self._factor(row.id, None),
            rates=tuple(self._rate_spans(kind)),
            cars=tuple(self._cars(row.id)),
            standards=tuple(self._standards({one.step_id for m in members for one in m.postings})),
            members=members,
            earned=tuple(self._earned(row.id, kind)),
            distributions=tuple(self._distributions(row.id, kind)),
            past=tuple(self.past.get(row.id, ())),
            brought_in=(left := self.left.get(row.id, 0)),
            brought_from=self.rows.rests_from if left else None,
        )

    def _member(self, key: UUID, team_id: UUID) -> MemberInputs:
        row, seats = self.members[key], self.seats[key]
        spans = [self._posting(one) for one in self.postings.get(key, ()) if one.elite_team_id == team_id]
        terms = tuple(self._terms(key))
        original = any(term.package is ElitePackage.TRANSFER for term in terms)
        rest, written_off = self.rests.get(key, (0, 0)) if team_id == self._pays_rest(key) else (0, 0)
        return MemberInputs(
            id=key.hex,
            name=row.name,
            staff_number=row.staff_number,
            owner_id=row.owner_id.hex if row.owner_id else None,
            seat=seats.index(team_id),
            postings=tuple(one for one in spans if one is not None),
            terms=terms,
            original_salary=row.original_salary if original else None,
            original_bonus=row.original_bonus if original else None,
            personal_factor=self._factor(team_id, key),
            carried_over=rest,
            carried_from=self.rows.rests_from if rest else None,
            written_off=written_off,
        )

    def _pays_rest(self, key: UUID) -> UUID:
        """The team whose part of the run has a member's rest: the last he sat in."""
        sat = [row.elite_team_id for row in self.postings.get(key, ()) if self._posting(row) is not None]
        return sat[-1] if sat else self.seats[key][0]

    def _factor(self, team_id: UUID, member_id: UUID | None) -> Decimal | None:
        return next(
            (r.factor for r in self.rows.factors if r.elite_team_id == team_id and r.member_id == member_id),
            None,
        )

    # -- dated values, cut to the month

    def _posting(self, row: Row) -> PostingSpan | None:
        span = self._cut(
            max(row.valid_from, row.entered_on or row.valid_from), _sooner(row.valid_to, row.ended_on)
        )
        if span is None:
            return None
        return PostingSpan(
            start=span[0],
            end=span[1],
            post=row.title,
            role=ElitePostRole(row.role),
            step_id=row.step_id.hex,
            step=f"{row.grade}{row.letter}",
        )

    def _terms(self, key: UUID) -> Iterator[TermSpan]:
        for row in self.terms.get(key, ()):
            span = self._cut(row.valid_from, row.valid_to)
            if span is not None:
                yield TermSpan(start=span[0], end=span[1], package=ElitePackage(row.package))

    def _cut(self, start: date, end: date | None) -> tuple[date, date] | None:
        first, last = max(start, self.first), min(end or self.after, self.after)
        return (first, last) if first < last else None

    def _rate_spans(self, kind: EliteTeamKind) -> Iterator[RateSpan]:
        for name in FIGURES:
            try:
                segments = self.rates.segments(name, kind, self.first, self.after)
            except KeyError:  # not a figure of this kind of team
                continue
            for one in segments:
                yield RateSpan(name=name, start=one.start, end=one.end, value=one.value)

    def _cars(self, team_id: UUID) -> Iterator[CarsSpan]:
        rows = [row for row in self.rows.cars if row.elite_team_id == team_id]
        ends = [*(row.valid_from for row in rows[1:]), None]
        for row, end in zip(rows, ends, strict=False):
            span = self._cut(row.valid_from, end)
            if span is not None:
                yield CarsSpan(start=span[0], end=span[1], guaranteed=row.guaranteed)

    def _standards(self, step_ids: set[str]) -> Iterator[StandardFrom]:
        """Of each rung the standard that holds on the first day, and those that begin within the month."""
        for step_id, rows in sorted(_by(self.rows.standards, "step_id").items()):
            if step_id.hex not in step_ids:
                continue
            known = [row for row in rows if row.valid_from < self.after]
            begun = [row for row in known if row.valid_from <= self.first]
            for row in [*begun[-1:], *(row for row in known if row.valid_from > self.first)]:
                yield StandardFrom(
                    step_id=step_id.hex, valid_from=row.valid_from, salary=row.salary, bonus=row.bonus
                )

    # -- commission

    def _earned(self, team_id: UUID, kind: EliteTeamKind) -> Iterator[EarnedSum]:
        for one in self.earned.get(team_id, ()):
            month = months.month_of(one.since)
            yield EarnedSum(
                month=month,
                start=one.since,
                rate=self.rates.at("commission_rate", kind, one.since),
                coefficient=self.rates.at("commission_coefficient", kind, one.since),
                member_id=one.member_id.hex if one.member_id else None,
                developer=self._developer(one.member_id, month),
                standing=one.standing,
                amount=one.amount,
                users=one.users,
            )

    def _developer(self, key: UUID | None, month: str) -> DeveloperTerm:
        """The package a developer was on in a month, the last one of it; or that he was not a member, or no more."""
        if key is None:
            return DeveloperTerm.NOBODY
        first, after = months.first_day(month), months.day_after(month)
        held = [
            (row, _sooner(row.valid_to, row.ended_on))
            for row in self.terms.get(key, ())
            if row.valid_from < after
        ]
        within = [row for row, end in held if end is None or end > first]
        if within:
            return DeveloperTerm(within[-1].package)
        return DeveloperTerm.FORMER if held else DeveloperTerm.NOT_YET

    def _distributions(self, team_id: UUID, kind: EliteTeamKind) -> Iterator[DistributionInputs]:
        """The distribution of the month, and of earlier months something was received for."""
        about = {months.month_of(one.since) for one in self.earned.get(team_id, ())}
        shares = _by(self.shares.get(team_id, ()), "month")
        for month in sorted(about | {self.month}):
            kept = self.kept.get((team_id, month))
            if kept is not None:
                yield kept
            elif month in shares and (team_id, month) not in self.kept:
                weights = tuple(self._weight(share, kind) for share in shares[month])
                yield DistributionInputs(month=month, weights=weights)

    def _weight(self, share: Row, kind: EliteTeamKind) -> Weight:
        factor, source = share.factor, "given (指定)"
        if factor is None:
            period, result = self.results.get(share.member_id, (None, None))
            factor, source = Decimal(1), NO_APPRAISAL
            if result is not None:
                last = self.after - timedelta(days=1)
                factor = self.rates.at(f"factor_{result.lower()}", kind, last)
                source = f"{result} {period}"
        return Weight(member_id=share.member_id.hex, weight=share.weight, factor=factor, source=source)


def _last_results(rows: Iterable[Row]) -> Mapping[UUID, tuple[str, str]]:
    """Each member's last period and result; a quarter counts by its last day."""
    found: dict[UUID, tuple[str, str]] = {}
    for row in rows:
        known = found.get(row.member_id)
        if known is None or periods.last(row.period) >= periods.last(known[0]):
            found[row.member_id] = (row.period, row.result)
    return found


def _sooner(end: date | None, last: date | None) -> date | None:
    """The first day that is no more: that given, or the one after the last."""
    after = last + timedelta(days=1) if last is not None else None
    known = [day for day in (end, after) if day is not None]
    return min(known) if known else None


def _by(rows: Iterable[Any], name: str) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(getattr(row, name), []).append(row)
    return found

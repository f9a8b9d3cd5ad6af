"""Proposes promotions, demotions and terminations out of confirmed results; a person applies for them, others sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from crm_core import ids
from crm_core.work import Work
from crm_telecom_elite.appraisals.models import EliteAppraisal, EliteResult
from crm_telecom_elite.appraisals.periods import is_quarter, last
from crm_telecom_elite.appraisals.scoring import Step
from crm_telecom_elite.ladder.climbing import Ladder, Rung
from crm_telecom_elite.ladder.queries import ladder_of
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates, rates_of
from crm_telecom_elite.regrading.counting import Counts, Result, Turn, turns
from crm_telecom_elite.regrading.events import EliteRegradeProposed
from crm_telecom_elite.regrading.models import OPEN, REGRADE_LIFE, EliteRegrade, EliteRegradeKind
from crm_telecom_elite.regrading.queries import employed, last_rungs, results_of, standing

_UP, _DOWN, _END = EliteRegradeKind.STEP_UP, EliteRegradeKind.STEP_DOWN, EliteRegradeKind.TERMINATION
_RULES: Mapping[tuple[EliteTeamKind, EliteResult], str] = {
    (EliteTeamKind.HQ, EliteResult.A): "MO-055",
    (EliteTeamKind.HQ, EliteResult.C): "MO-056",
    (EliteTeamKind.REGIONAL, EliteResult.A): "MO-076",
    (EliteTeamKind.REGIONAL, EliteResult.C): "MO-077",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a member counts: the rung he stands on, its ladder, and his results with those used up."""

    kind: EliteTeamKind
    rung: Rung
    ladder: Ladder
    results: Sequence[Result]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that results call for: which, to which rung (None: a termination), and by what."""

    kind: EliteRegradeKind
    to: Rung | None
    turn: Turn


async def after_appraisals(work: Work, appraisals: Sequence[EliteAppraisal]) -> None:
    """Propose what follows from appraisals that were confirmed or corrected (MO-065)."""
    await propose(work, [one.member_id for one in appraisals if one.member_id is not None])


async def propose(work: Work, member_ids: Sequence[UUID]) -> None:
    """Propose what the results of these members call for: for each one change at most, none while one is open."""
    wanted = sorted(set(member_ids))
    if not wanted:
        return
    await work.session.flush()
    rates = await rates_of(work.session, work.acting_line)
    members = {one.id: one for one in await work.session.scalars(employed(wanted))}
    for key, standing_ in (await _standings(work, list(members))).items():
        found = proposal(standing_, rates)
        if found is not None:
            _make(work, members[key], standing_, found)


def proposal(member: Standing, rates: Rates) -> Proposal | None:
    """The first change that his results call for and his ladder allows.

    Up from the highest rung leads nowhere, nor down from the lowest of the headquarters' ladder; down from the lowest
    of the regional one proposes to end the contract (MO-077).
    """

    def counts(period: str) -> Counts:
        return _counts(rates, member.kind, period)

    made = (_proposed(member, turn) for turn in turns(member.results, counts))
    return next((one for one in made if one is not None), None)


def _proposed(member: Standing, turn: Turn) -> Proposal | None:
    if turn.result is EliteResult.A:
        climb = member.ladder.up(member.rung)
        return Proposal(_UP, climb.to, turn) if climb is not None else None
    below = member.ladder.down(member.rung)
    if below is not None:
        return Proposal(_DOWN, below, turn)
    return Proposal(_END, None, turn) if member.kind is EliteTeamKind.REGIONAL else None


def _counts(rates: Rates, kind: EliteTeamKind, period: str) -> Counts:
    day = last(period)
    quarters = 1 if kind is EliteTeamKind.HQ else rates.whole("window_quarters", kind, day)
    return Counts(rates.whole("in_a_row", kind, day), rates.whole("in_window", kind, day), quarters)


async def _standings(work: Work, member_ids: Sequence[UUID]) -> dict[UUID, Standing]:
    """What counts of these members: only those who stand on a rung and have no open change."""
    session = work.session
    spent: dict[UUID, set[str]] = {}
    busy = set()
    for member, state, cause in (await session.execute(standing(member_ids))).all():
        spent.setdefault(member, set()).update(cause)
        if state in OPEN:
            busy.add(member)
    rows: dict[UUID, list[tuple[str, UUID, str]]] = {}
    for member, *one in (await session.execute(results_of(member_ids))).all():
        rows.setdefault(member, []).append((one[0], one[1], one[2]))
    found = {}
    for member, step, kind in (await session.execute(last_rungs(member_ids))).all():
        if member not in busy:
            results = _results(rows.get(member, ()), spent.get(member, set()), kind)
            found[member] = (step, EliteTeamKind(kind), results)
    kinds = sorted({kind for _, kind, _ in found.values()})
    ladders = {kind: await ladder_of(session, work.acting_line, kind) for kind in kinds}
    return {
        member: Standing(kind, _rung(ladders[kind], step), ladders[kind], results)
        for member, (step, kind, results) in found.items()
    }


def _results(rows: Iterable[tuple[str, UUID, str]], spent: set[str], kind: str) -> list[Result]:
    """Results of the scheme of this kind of team: quarters of the headquarters, months of a region."""
    shown = [(period, ids.show("ela", key), EliteResult(result)) for period, key, result in rows]
    return [
        Result(period, key, result, key in spent)
        for period, key, result in shown
        if is_quarter(period) is (kind == EliteTeamKind.HQ)
    ]


def _rung(ladder: Ladder, step: UUID) -> Rung:
    return next(rung for rung in ladder.rungs if rung.id == step)


def _make(work: Work, member: EliteMember, standing_: Standing, found: Proposal) -> None:
    rule = _RULES[standing_.kind, found.turn.result]
    row = work.add(
        EliteRegrade(
            line=member.line,
            member_id=member.id,
            owner_id=member.owner_id,
            team_id=member.team_id,
            kind=found.kind,
            state=REGRADE_LIFE.initial,
            rule=rule,
            from_step_id=standing_.rung.id,
            to_step_id=found.to.id if found.to else None,
            cause=[one.key for one in found.turn.cause],
            derivation=_derivation(found, rule),
        )
    )
    work.record(EliteRegradeProposed.of(row))


def _derivation(found: Proposal, rule: str) -> list[dict[str, Any]]:
    """The results that count, and what they come to; no rung, so that it says nothing of pay."""
    turn = found.turn
    each = [Step(one.period, one.period, "confirmed 已确认", one.result.value, rule) for one in turn.cause]
    how, how_zh = ("in a row", "连续") if turn.in_a_row else ("within the window", "窗口期内累计")
    letter, count = turn.result.value, len(turn.cause)
    total = Step(f"{letter} {how}", f"{how_zh}{letter}", f"{count} × {letter}", found.kind.value, rule)
    return [asdict(step) for step in (*each, total)]

"""One team's part of a pay run: from frozen inputs to lines, pool and problems; pure, and the same for ever (薪酬核算)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from crm_telecom_elite.runs.commission import brought_in, pool_of, pools_of, shares
from crm_telecom_elite.runs.correcting import corrections
from crm_telecom_elite.runs.dividing import money
from crm_telecom_elite.runs.inputs import ENGINE, Line, MemberInputs, Step, TeamInputs, TeamResult
from crm_telecom_elite.runs.models import EliteLineKind
from crm_telecom_elite.runs.salaries import Amount, by_the_day, missing, team_cars

SEAT: Final = 100
"""Lines of a member in his second team of a month begin here."""
_ORDER: Final = {kind: place for place, kind in enumerate(EliteLineKind)}


def compute(inputs: TeamInputs) -> TeamResult:
    """Lines, pool and problems of a team for a month, by the arithmetic the inputs name.

    Raises:
        KeyError: the arithmetic of another version is asked for.
    """
    return _ENGINES[inputs.engine](inputs)


def _first_engine(inputs: TeamInputs) -> TeamResult:
    parts = [*pools_of(inputs), *brought_in(inputs)]
    divided, trouble = shares(inputs, parts)
    amounts = [
        *(amount for member in inputs.members for amount in by_the_day(inputs, member)),
        *team_cars(inputs),
        *divided,
        *corrections(inputs),
        *_carried_over(inputs),
    ]
    return TeamResult(
        pool=pool_of(inputs, parts),
        lines=tuple(_placed(inputs, amounts)),
        problems=(*missing(inputs), *(one for past in inputs.past for one in missing(past.inputs)), *trouble),
    )


def _placed(inputs: TeamInputs, amounts: list[Amount]) -> Iterator[Line]:
    """Lines in the order of members, then of kinds, then of the months they are about."""
    for member in inputs.members:
        own = [one for one in amounts if one.member.id == member.id]
        own.sort(key=lambda one: (_ORDER[one.kind], one.about or "", one.rule))
        for place, one in enumerate(own, 1):
            yield Line(
                member_id=member.id,
                position=member.seat * SEAT + place,
                kind=one.kind.value,
                amount=one.amount,
                rule=one.rule,
                about=one.about,
                derivation=tuple(step.as_json() for step in one.steps),
            )


def _carried_over(inputs: TeamInputs) -> Iterator[Amount]:
    """What the last run could not pay because it was below nothing: pay is not taken back otherwise (MO-C13)."""
    for member in inputs.members:
        if member.carried_over:
            step = Step(
                label=f"Negative rest of {member.carried_from}",
                label_zh=f"{member.carried_from} 结转负数余额",
                inputs={"rest": money(member.carried_over)},
                value=money(member.carried_over),
                rule="MO-C13",
            )
            yield Amount(member, EliteLineKind.CARRIED_OVER, member.carried_over, "MO-C13", (step,))
        if member.written_off:
            step = _written_off_step(member)
            yield Amount(member, EliteLineKind.WRITTEN_OFF, member.written_off, "MO-C13", (step,))


def _written_off_step(member: MemberInputs) -> Step:
    rest, off = {"rest": money(member.carried_over)}, {"setOff": money(member.set_off)}
    return Step(
        label=f"Rest of {member.carried_from}, written off by decision",
        label_zh=f"{member.carried_from} 负数余额，经批准核销",
        formula="−rest − set off against pay" if member.set_off else "",
        formula_zh="−负数余额 − 已从薪酬抵扣" if member.set_off else "",
        inputs={**rest, **off} if member.set_off else rest,
        value=money(member.written_off),
        rule="MO-C13",
    )


# -- over all teams


def set_off(teams: Sequence[TeamInputs]) -> list[TeamInputs]:
    """The inputs of a run, with no more of a rest written off than stays below nothing after all a member is due.

    What he is due counts in whatever team it is; as far as it reaches, the rest is set off against it (MO-C13).
    """
    about = {member.id for team in teams for member in team.members if member.written_off}
    due: Counter[str] = Counter()
    for team in teams:
        if any(member.id in about for member in team.members):
            for line in compute(team).lines:
                due[line.member_id] += line.amount if line.kind != EliteLineKind.WRITTEN_OFF.value else 0
    return [_set_off(team, due) for team in teams]


def _set_off(team: TeamInputs, due: Mapping[str, int]) -> TeamInputs:
    if not any(member.written_off for member in team.members):
        return team
    members = tuple(_capped(one, due[one.id]) if one.written_off else one for one in team.members)
    return team.model_copy(update={"members": members})


def _capped(member: MemberInputs, due: int) -> MemberInputs:
    """What is due contains the rest (fen)."""
    decided = member.written_off + member.set_off
    stays = min(decided, max(0, -due))
    return member.model_copy(update={"written_off": stays, "set_off": decided - stays})


_ENGINES: Final[Mapping[str, Callable[[TeamInputs], TeamResult]]] = {ENGINE: _first_engine}

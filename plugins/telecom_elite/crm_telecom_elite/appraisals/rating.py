"""What a rating comes to: figures given, completed by what the product knows, through the scheme they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic.alias_generators import to_camel

from crm_core import errors
from crm_core.commands import Part
from crm_core.errors import Message, Refused, UserError
from crm_telecom_elite.appraisals.figures import bands, scheme, weights
from crm_telecom_elite.appraisals.models import ElitePeriod, EliteResult, EliteTaskSide
from crm_telecom_elite.appraisals.queries import TaskScores
from crm_telecom_elite.appraisals.scoring import Score, Step, average, given, kpi, sales
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates

NOT_OF_SCHEME = Message(
    "TELECOM_ELITE_NOT_OF_SCHEME",
    "{what} does not count here: HQ teams are rated by M, S and D each quarter, regional members by users developed and attitude each month.",
    "{what} 不适用：本部团队按季以 M、S、D 考核，区域成员按月以发展用户数和工作态度考核。",
    rule="MO-060",
)
USERS_REASON = Message(
    "TELECOM_ELITE_USERS_REASON",
    "Users are counted from those entered; say why another number holds.",
    "发展用户数由系统统计，手工填写须说明理由。",
    rule="MO-072",
)
RESULT_REASON = Message(
    "TELECOM_ELITE_RESULT_REASON",
    "The result differs from that of the score ({score}); say why in the remark.",
    "考核结果与按成绩所得结果（{score}）不同，请在备注中说明理由。",
    rule="MO-061",
)
MESSAGES = (NOT_OF_SCHEME, USERS_REASON, RESULT_REASON)
_QUARTERLY = ("market_period", "m", "s", "d", "result")
_MONTHLY = ("users", "users_reason", "attitude")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What somebody says of a period. None: not said."""

    market_period: ElitePeriod | None = None
    m: Decimal | None = None
    s: Decimal | None = None
    d: Decimal | None = None
    result: EliteResult | None = None
    users: int | None = None
    users_reason: str | None = None
    attitude: Decimal | None = None

    @classmethod
    def of(cls, said: Part) -> Figures:
        """Those an input gives."""
        return cls(**{name: getattr(said, name) for name in said.model_fields_set if name in _NAMES})

    @classmethod
    def stored(cls, inputs: dict[str, Any]) -> Figures:
        """Those an appraisal was made of; users that were counted are to be counted again."""
        known = {name: read(inputs[name]) for name, read in _READ.items() if inputs.get(name) is not None}
        return cls(**known) if not inputs.get("counted") else replace(cls(**known), users=None)

    def over(self, older: Figures) -> Figures:
        """These where they are said, else the older ones; new components of a KPI put an older result aside."""
        said = {name: getattr(self, name) for name in _NAMES if getattr(self, name) is not None}
        kept = replace(older, result=None) if said.keys() & {"m", "s", "d"} else older
        return replace(kept, **said)

    def stray(self, names: tuple[str, ...]) -> list[UserError]:
        """Refusals of what is said besides what counts."""
        said = [to_camel(name) for name in names if getattr(self, name) is not None]
        return [NOT_OF_SCHEME(name, what=name) for name in said]


@dataclass(frozen=True, slots=True)
class Rated:
    """What came of a rating, as an appraisal keeps it."""

    score: Decimal | None
    result: EliteResult
    inputs: dict[str, Any]
    derivation: list[dict[str, Any]]


def of_team(rates: Rates, day: date, figures: Figures) -> Rated:
    """A team of the headquarters by its KPI (MO-061 to MO-064)."""
    errors.raise_if(figures.stray(("result", *_MONTHLY)))
    score = _kpi(rates, day, figures)
    return Rated(score.value, score.result, _inputs(figures), score.derivation)


def of_hq_member(
    rates: Rates, day: date, figures: Figures, period: ElitePeriod, tasks: TaskScores, remark: str
) -> Rated:
    """A member of such a team: by M, S and D (M and S out of his tasks where left out), or by a result (MO-061, MO-062)."""
    errors.raise_if(figures.stray(_MONTHLY))
    if figures.result is not None and figures.m is None and figures.s is None and figures.d is None:
        steps = given(figures.result)
        return Rated(
            None, figures.result, _inputs(figures), Score(Decimal(0), figures.result, steps).derivation
        )
    whole, before = _completed(replace(figures, market_period=period), tasks)
    score = _kpi(rates, day, whole)
    score = replace(score, steps=[*before, *score.steps])
    inputs = _inputs(whole) | ({"tasks": True} if before else {})
    if figures.result is None or figures.result is score.result:
        return Rated(score.value, score.result, inputs, score.derivation)
    if not remark.strip():
        raise Refused(RESULT_REASON("remark", score=score.result.value))
    set_by_hand = replace(score, result=figures.result, steps=given(figures.result, score))
    return Rated(score.value, figures.result, inputs, set_by_hand.derivation)


def of_regional_member(rates: Rates, day: date, figures: Figures, counted: int, *, probation: bool) -> Rated:
    """A member of a regional team by users developed and attitude (MO-072), on probation by its own figures (MO-075)."""
    found = figures.stray(_QUARTERLY)
    if figures.attitude is None:
        found.append(errors.REQUIRED("attitude"))
    if figures.users is not None and not (figures.users_reason or "").strip():
        found.append(USERS_REASON("usersReason"))
    errors.raise_if(found)
    assert figures.attitude is not None  # refused above
    users = counted if figures.users is None else figures.users
    kind = EliteTeamKind.REGIONAL
    score = sales(scheme(rates, day, probation=probation), bands(rates, kind, day), users, figures.attitude)
    inputs = _inputs(figures) | {"users": users, "counted": figures.users is None, "probation": probation}
    return Rated(score.value, score.result, inputs, score.derivation)


def _kpi(rates: Rates, day: date, figures: Figures) -> Score:
    period, m, s, d = figures.market_period, figures.m, figures.s, figures.d
    missing = [name for name in ("market_period", "m", "s", "d") if getattr(figures, name) is None]
    errors.raise_if([errors.REQUIRED(to_camel(name)) for name in missing])
    assert period is not None and m is not None and s is not None and d is not None  # refused above  # noqa: PT018
    return kpi(period, weights(rates, period, day), bands(rates, EliteTeamKind.HQ, day), m, s, d)


def _completed(figures: Figures, tasks: TaskScores) -> tuple[Figures, list[Step]]:
    """The figures with M and S out of the member's tasks where they were left out and he has some (MO-062)."""
    m, of_m = _out_of_tasks(figures.m, "M", "营", tasks.get(EliteTaskSide.MARKETING, ()))
    s, of_s = _out_of_tasks(figures.s, "S", "销", tasks.get(EliteTaskSide.SELLING, ()))
    return replace(figures, m=m, s=s), [*of_m, *of_s]


def _out_of_tasks(
    said: Decimal | None, side: str, side_zh: str, scores: Sequence[Decimal]
) -> tuple[Decimal | None, list[Step]]:
    if said is not None or not scores:
        return said, []
    mean, step = average(side, side_zh, scores)
    return mean, [step]


def _inputs(figures: Figures) -> dict[str, Any]:
    """The figures as they are stored: numbers as text, exact to the digit."""
    said = {name: getattr(figures, name) for name in _NAMES if getattr(figures, name) is not None}
    return {k: format(v, "f") if isinstance(v, Decimal) else v for k, v in said.items()}


_NAMES = tuple(one.name for one in fields(Figures))
_READ: dict[str, Any] = {
    "market_period": ElitePeriod, "m": Decimal, "s": Decimal, "d": Decimal, "result": EliteResult,
    "users": int, "users_reason": str, "attitude": Decimal,
}  # fmt: skip

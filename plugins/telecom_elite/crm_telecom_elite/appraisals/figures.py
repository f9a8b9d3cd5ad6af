"""The figures of the rules that appraisals follow: weights, targets and bands as they hold on a day."""

from __future__ import annotations

from datetime import date

from crm_telecom_elite.appraisals.models import ElitePeriod
from crm_telecom_elite.appraisals.scoring import Bands, Sales, Weights
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates

_HQ, _REGIONAL = EliteTeamKind.HQ, EliteTeamKind.REGIONAL


def weights(rates: Rates, period: ElitePeriod, day: date) -> Weights:
    """What M, S and D count in a period of the headquarters' teams (MO-063, MO-064)."""
    name = period.value.lower()
    m, s, d = (rates.at(f"{name}_{part}", _HQ, day) for part in "msd")
    return Weights(m, s, d)


def scheme(rates: Rates, day: date, *, probation: bool) -> Sales:
    """Target and points of the monthly appraisal (MO-071, MO-072), of members on probation their own (MO-075)."""
    prefix, own = ("probation_", "MO-075") if probation else ("", "MO-072")
    return Sales(
        target=rates.at(f"{prefix or 'sales_'}target", _REGIONAL, day),
        sales_points=rates.at(f"{prefix}sales_weight", _REGIONAL, day),
        attitude_points=rates.at(f"{prefix}attitude_weight", _REGIONAL, day),
        capped=bool(rates.at("sales_capped", _REGIONAL, day)),
        rule=own,
    )


def bands(rates: Rates, kind: EliteTeamKind | str, day: date) -> Bands:
    """From which score on a result is A and B (MO-073; of the headquarters' teams by default the same)."""
    return Bands(a=rates.at("band_a", kind, day), b=rates.at("band_b", kind, day))

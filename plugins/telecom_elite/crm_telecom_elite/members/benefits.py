"""Which benefits a member has (福利), by where he comes from and how long he serves."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from crm_telecom_elite.members.models import EliteOrigin
from crm_telecom_elite.months import months_after
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates


class EliteBenefit(StrEnum):
    """A group of benefits (MO-052)."""

    ORIGINAL = "ORIGINAL"
    """Those of the operator's establishment, kept (原福利)."""
    SOCIAL_INSURANCE = "SOCIAL_INSURANCE"
    """社会保险"""
    COMMUNICATION = "COMMUNICATION"
    """Communication subsidy (通讯补贴)."""
    SHORT_TERM = "SHORT_TERM"
    """Meals, cooling, festivals, labour protection (短期福利)."""
    LONG_TERM = "LONG_TERM"
    """Housing subsidy, supplementary insurance (长期福利)."""


def benefits(
    origin: EliteOrigin, entered_on: date, kind: EliteTeamKind, rates: Rates, day: date
) -> list[EliteBenefit]:
    """The benefits on a day (MO-052): half a year and a year of service are full, counted from the entry."""
    if day < entered_on:
        return []
    if origin is EliteOrigin.TRANSFEREE:
        return [EliteBenefit.ORIGINAL]
    found = [EliteBenefit.SOCIAL_INSURANCE, EliteBenefit.COMMUNICATION]
    later = {
        EliteBenefit.SHORT_TERM: "benefits_short_months",
        EliteBenefit.LONG_TERM: "benefits_long_months",
    }
    for benefit, figure in later.items():
        if day >= months_after(entered_on, rates.whole(figure, kind, day)):
            found.append(benefit)
    return found

"""The GraphQL type of dated figures and its root fields."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from crm_core.graphql import ObjectType, field, query_connection, record_fields
from crm_telecom_elite.rates.models import EliteRate, EliteTeamKind
from crm_telecom_elite.rates.queries import visible
from crm_telecom_elite.scopes import TEAM_READ

ELITE_RATE = ObjectType(
    name="EliteRate",
    table=EliteRate.__table__,
    model=EliteRate,
    prefix="elr",
    description="A figure of the rules for a kind of team from a day on (参数).",
    rule=visible,
    scope=TEAM_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("elr"),
        field("name", str, "Which figure (参数).", nullable=False, filter=True),
        field("teamKind", EliteTeamKind, "For which kind of team (团队类型).", nullable=False, filter=True),
        field(
            "validFrom", date, "The first day it holds (生效日期).", nullable=False, filter=True, sort=True
        ),
        field("value", Decimal, "The figure (数值).", nullable=False),
        field("note", str, "Why, or by which rule (依据).", nullable=False),
    ),
)

TYPES = (ELITE_RATE,)
QUERIES = (query_connection("eliteRates", "EliteRate", "Dated figures of the elite's rules (参数)."),)

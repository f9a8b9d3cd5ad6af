"""Dated figures: seeded with what the rules say, set from a day on, in force by day."""

from datetime import date
from decimal import Decimal

import pytest

from crm_core import migrate
from crm_core.testing.kit import Kit
from crm_telecom_elite.rates.catalogue import CATALOGUE
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.testing import Branch

HQ, REGIONAL = EliteTeamKind.HQ, EliteTeamKind.REGIONAL
SEEN = "{ eliteRates(first: 100) { totalCount nodes { line name teamKind validFrom value note } } }"


async def test_a_line_begins_with_the_figures_of_the_rules(branch: Branch) -> None:
    seen = (await branch.crm.data(SEEN, branch.hr))["eliteRates"]
    found = {(row["name"], row["teamKind"]): Decimal(row["value"]) for row in seen["nodes"]}
    said = {(f.name, k.value): value for f in CATALOGUE.values() for k, value in f.seeds.items()}
    assert found == said
    assert {row["line"] for row in seen["nodes"]} == {"elite"}
    assert all(row["note"] == CATALOGUE[row["name"]].rule for row in seen["nodes"])


async def test_a_figure_is_set_from_a_day_on_and_the_day_itself_again(branch: Branch) -> None:
    given = {"name": "commission_rate", "teamKind": "HQ", "validFrom": "2026-01-16", "value": "0.05"}
    chosen = "eliteRate { id name value validFrom version }"
    made = await branch.crm.done("eliteRateSet", branch.hr, input=given, select=chosen)
    again = await branch.crm.done("eliteRateSet", branch.hr, input={**given, "value": "0.055"}, select=chosen)
    assert again["eliteRate"] == {**made["eliteRate"], "value": "0.055", "version": 2}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "commission_rate", "teamKind": "HQ", "value": "1.5"}, "TELECOM_ELITE_RATE_WRONG"),
        ({"name": "commission_months", "teamKind": "HQ", "value": "17.5"}, "TELECOM_ELITE_RATE_WRONG"),
        ({"name": "commission_months", "teamKind": "HQ", "value": "0"}, "TELECOM_ELITE_RATE_WRONG"),
        ({"name": "harvest_m", "teamKind": "REGIONAL", "value": "0.3"}, "TELECOM_ELITE_RATE_UNKNOWN"),
        ({"name": "harvest_x", "teamKind": "HQ", "value": "0.3"}, "TELECOM_ELITE_RATE_UNKNOWN"),
    ],
)
async def test_a_figure_nobody_means_is_refused(branch: Branch, given: dict[str, str], code: str) -> None:
    refused = await branch.crm.change("eliteRateSet", branch.hr, input={**given, "validFrom": "2026-01-01"})
    assert [error["code"] for error in refused["userErrors"]] == [code]


async def test_only_who_may_sets_figures(branch: Branch) -> None:
    given = {"name": "commission_rate", "teamKind": "HQ", "validFrom": "2026-01-16", "value": "0.05"}
    for other in (branch.centre, branch.finance, branch.manager, branch.leader):
        refused = await branch.crm.change("eliteRateSet", other, input=given)
        assert [error["code"] for error in refused["userErrors"]] == ["FORBIDDEN"]


async def test_an_upgrade_leaves_what_a_line_has_set_alone(branch: Branch, crm: Kit) -> None:
    given = {"name": "commission_rate", "teamKind": "HQ", "validFrom": "2000-01-01", "value": "0.06"}
    await branch.crm.done("eliteRateSet", branch.hr, input=given, select="eliteRate { id }")
    before = await branch.crm.data(SEEN, branch.hr)
    await migrate.upgrade(crm.services.settings, crm.services.registry)
    assert await branch.crm.data(SEEN, branch.hr) == before


def test_a_change_within_a_month_gives_two_segments() -> None:
    rates = Rates([("commission_rate", "HQ", date(2025, 11, 16), Decimal("0.05"))])
    first, second = rates.segments("commission_rate", HQ, date(2025, 11, 1), date(2025, 12, 1))
    assert (first.value, first.days, second.value, second.days) == (Decimal("0.04"), 15, Decimal("0.05"), 15)
    assert rates.at("commission_rate", HQ, date(2025, 11, 15)) == Decimal("0.04")
    assert rates.at("commission_rate", HQ, date(2025, 11, 16)) == Decimal("0.05")
    assert rates.at("commission_rate", REGIONAL, date(2025, 11, 16)) == Decimal("0.04")
    assert rates.changes(["commission_rate"], date(2025, 11, 1), date(2025, 12, 1)) == [date(2025, 11, 16)]

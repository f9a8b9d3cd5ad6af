"""The test kit: what tests share saves time and is seen by none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from crm_core.access.models import User
from crm_core.testing.kit import START, Kit, Prepare

NAMES = "{ users(orderBy: [{name: ASC}]) { nodes { name } } }"
NEW = {"login": "new", "name": "new"}


@dataclass
class Two:
    """Who was there before the tests, and the day after."""

    crm: Kit
    names: Sequence[str]


async def two(crm: Kit) -> Two:
    names = [(await crm.actor(name, {})).name for name in ("ann", "ben")]
    crm.services.store.mkdir(parents=True)
    (crm.services.store / "paper").write_text("kept")
    crm.clock.advance(days=1)
    return Two(crm, names)


class TestPrepared:
    @pytest.fixture
    def crm_prepared(self) -> Prepare:
        return two

    @pytest.mark.parametrize("turn", range(2))
    async def test_each_test_has_what_was_prepared_for_itself(self, crm: Kit, turn: int) -> None:
        made = replace(crm.prepared, crm=crm)
        assert made.names == ["ann", "ben"]
        assert (crm.clock() - START).days == 1
        assert (crm.services.store / "paper").read_text() == "kept"
        await made.crm.perform("user.create", NEW)
        (crm.services.store / "paper").write_text("changed")
        crm.clock.advance(days=1)
        assert [row["name"] for row in (await crm.data(NAMES))["users"]["nodes"]] == [
            "admin",
            "ann",
            "ben",
            "new",
        ]


@pytest.mark.parametrize("turn", range(2))
async def test_a_statement_is_new_to_each_test(crm: Kit, turn: int) -> None:
    wish = {"periodFrom": "2025-11-01", "periodTo": "2025-11-02", "findings": "in order"}
    select = "usageReview { findings }"
    assert crm.executor.plans.built == 0
    with crm.statements() as first:
        await crm.done("usageReview", input=wish, line="east", select=select)
    assert crm.executor.plans.built == 1
    with crm.statements() as second:
        await crm.done("usageReview", input=wish, line="east", select=select)
    assert crm.executor.plans.built == 1
    assert len(first) > len(second), "a mutation's reading is tried once before anything is changed"


@pytest.mark.parametrize("turn", range(2))
async def test_what_the_database_objects_to_is_no_objection_of_another(crm: Kit, turn: int) -> None:
    assert (await crm.ask(NAMES)).compiled
    (plan,) = (branch.plan for branch in crm.executor.plans._roots.values())
    assert plan is not None
    plan.broken = ValueError("not here")  # type: ignore[union-attr]  # it is a plan
    assert (await crm.ask(NAMES)).reason == "database"


async def test_a_test_that_replaces_a_part_of_the_registry_plans_for_itself(crm: Kit) -> None:
    registry = crm.services.registry
    crm.services = replace(crm.services, registry=replace(registry, types=dict(registry.types)))
    assert type(crm.executor.plans).__name__ == "Plans"


async def test_rows_of_one_test_are_not_those_of_another(crm: Kit) -> None:
    assert [row.name for row in await crm.rows(User)] == ["admin"]

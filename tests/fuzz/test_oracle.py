"""The rows that are shown are the rows that may be seen: an independent reading of the rules agrees, whoever asks."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from crm_core.customers.queries import reached_somewhere
from crm_core.graphql.access import Access
from crm_core.graphql.build import build, core_schema
from crm_core.graphql.execution import Executor
from crm_core.loader import parts_of
from crm_core.testing.kit import Kit
from tests.fuzz.actors import actors
from tests.fuzz.data import World, put
from tests.fuzz.oracle import Check
from tests.fuzz.pools import Pools

Tell = Callable[[str], None]


async def looked(crm: Kit, seed: int, callers: int, roots: int, *, compiled: bool | None = None) -> Check:
    """What so many random callers find."""
    world = World(crm.services.registry)
    await put(crm, world)
    check = Check(crm, Pools(world), seed, compiled)
    await check.everything(actors(world, seed, callers), roots)
    return check


def a_seed() -> int:
    return int(os.environ.get("FUZZ_SEED") or secrets.randbelow(10**9))


def told(check: Check, dialect: str, tell: Tell) -> list[str]:
    """The problems, after saying what came out."""
    some = "".join(f"\n{problem}" for problem in check.problems[:5])
    tell(
        f"\noracle: looks {check.looks}  problems {len(check.problems)}  ({dialect}) seed {check.seed}{some}"
    )
    return check.problems[:3]


async def test_every_caller_sees_the_rows_an_independent_reading_of_the_rules_gives_him(
    crm: Kit, crm_dialect: str, tell: Tell
) -> None:
    check = await looked(crm, a_seed(), callers=12, roots=5)
    assert told(check, crm_dialect, tell) == []


@pytest.mark.long
async def test_many_callers_see_the_rows_an_independent_reading_gives_them(
    crm: Kit, crm_dialect: str, tell: Tell
) -> None:
    check = await looked(crm, a_seed(), callers=300, roots=12)
    assert told(check, crm_dialect, tell) == []


def _without_line(t: Any, access: Access, scope: str) -> Any:
    """The rule of interactions with its mistake: reached in any line is taken for reached in this one."""
    return reached_somewhere(access, scope, t.c.customer_id)


@pytest.mark.parametrize(("crm_dialect", "compiled"), [("sqlite", False), ("postgresql", True)])
async def test_the_oracle_notices_a_rule_that_forgets_the_line(crm: Kit, *, compiled: bool) -> None:
    registry = crm.services.registry
    types: Mapping[str, Any] = {
        **registry.types,
        "Interaction": replace(registry.types["Interaction"], rule=_without_line),
    }
    broken = replace(registry, types=types)
    services = replace(crm.services, registry=broken)
    schema = build(parts_of(broken))
    executor = Executor(core_schema(schema), types, crm.database.reads.dialect, services.settings.limits)
    careless = replace(crm, schema=schema, services=services)
    careless.executor = executor
    check = await looked(careless, 7, callers=6, roots=0, compiled=None if compiled else False)
    assert any(problem.startswith("interactions") for problem in check.problems)

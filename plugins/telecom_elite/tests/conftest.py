"""A deployment whose line elite has the teams, and whose line office has not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeVar

import pytest

from crm_core.testing.kit import Kit, Prepare
from crm_telecom_elite.plans.testing import Desk
from crm_telecom_elite.testing import PLUGIN, Branch
from crm_telecom_elite.testing_pay import Pay

Numbering = TypeVar("Numbering", Branch, Pay)


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"elite": (PLUGIN,), "office": ()}


async def opened_desk(crm: Kit) -> Desk:
    return await Desk.open(await Branch.open(crm))


async def opened_pay(crm: Kit) -> Pay:
    return await Pay.open(await Branch.open(crm))


@pytest.fixture
def pay_prepared() -> Prepare:
    """How the fixture `pay` comes about."""
    return opened_pay


@pytest.fixture
def crm_prepared(request: pytest.FixtureRequest, pay_prepared: Prepare) -> Prepare | None:
    made = {"desk": opened_desk, "pay": pay_prepared, "branch": Branch.open}
    return next((made[name] for name in made if name in request.fixturenames), None)


@pytest.fixture
def branch(crm: Kit) -> Branch:
    made: Branch = crm.prepared if isinstance(crm.prepared, Branch) else crm.prepared.branch
    return continued(made, replace(made, crm=crm))


@pytest.fixture
def desk(crm: Kit, branch: Branch) -> Desk:
    made: Desk = crm.prepared
    return replace(made, branch=branch)


@pytest.fixture
def pay(crm: Kit, branch: Branch) -> Pay:
    made: Pay = crm.prepared
    return continued(made, replace(made, branch=branch))


def continued(made: Numbering, here: Numbering) -> Numbering:
    """What is made up here is numbered on from what was made up before."""
    following = next(made._numbers)
    made._numbers, here._numbers = count(following), count(following)
    return here

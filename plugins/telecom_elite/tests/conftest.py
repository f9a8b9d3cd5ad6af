"""A deployment whose line elite has the teams, and whose line office has not."""

from collections.abc import Mapping, Sequence

import pytest

from crm_core.testing.kit import Kit
from crm_telecom_elite.plans.testing import Desk
from crm_telecom_elite.testing import PLUGIN, Branch


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"elite": (PLUGIN,), "office": ()}


@pytest.fixture
async def branch(crm: Kit) -> Branch:
    return await Branch.open(crm)


@pytest.fixture
async def desk(branch: Branch) -> Desk:
    return await Desk.open(branch)

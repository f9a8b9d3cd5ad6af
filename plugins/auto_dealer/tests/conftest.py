"""A deployment whose lines east and west sell cars, and whose line office does not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from crm_auto_dealer.testing import PLUGIN, Dealer
from crm_core.testing.kit import Kit, Prepare


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": (PLUGIN,), "west": (PLUGIN,), "office": ()}


@pytest.fixture
def crm_prepared(request: pytest.FixtureRequest) -> Prepare | None:
    return Dealer.open if "dealer" in request.fixturenames else None


@pytest.fixture
def dealer(crm: Kit) -> Dealer:
    made: Dealer = crm.prepared
    return replace(made, crm=crm)

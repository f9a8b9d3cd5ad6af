"""A deployment whose lines east and west sell cars, and whose line office does not."""

from collections.abc import Mapping, Sequence

import pytest

from crm_auto_dealer.testing import PLUGIN, Dealer
from crm_core.testing.kit import Kit


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": (PLUGIN,), "west": (PLUGIN,), "office": ()}


@pytest.fixture
async def dealer(crm: Kit) -> Dealer:
    return await Dealer.open(crm)

"""A deployment whose line `east` has the shelf of the tests, and `west` has not."""

from collections.abc import Mapping, Sequence

import pytest

from crm_core.loader import Candidate
from tests.graphql.shelf import SHELF


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (SHELF,)


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": ("shelf",), "west": (), "north": ("shelf",)}

"""The queries whose plans the benchmark looks at fit the schema and compile into one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse

from crm_core.testing.kit import Kit

SCREENS = Path(__file__).parent.parent.parent / "benchmarks" / "screens"


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"auto_east": ("auto_dealer",)}


@pytest.mark.parametrize("file", sorted(SCREENS.glob("*.graphql")), ids=lambda file: file.stem)
async def test_every_screen_is_answered_by_one_statement(crm: Kit, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    document = parse(text)
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    assert operations
    for one in operations:
        assert one.name is not None
        given: dict[str, Any] = {
            v.variable.name.value: _sample(v.variable.name.value) for v in one.variable_definitions or ()
        }
        answer = await crm.ask(text, operation=one.name.value, compiled=True, **given)
        assert not answer.errors, one.name.value


def _sample(name: str) -> Any:
    """A value of the right kind for a variable of this name."""
    dates = {"day": "2025-05-05", "moment": "2025-05-05T00:00:00Z", "from": "2025-05-04T00:00:00Z"}
    kinds = {
        "customer": "cus",
        "contact": "con",
        "interaction": "int",
        "user": "usr",
        "team": "tea",
        "vehicle": "veh",
    }
    if name == "customers":
        return [_sample("customer")]
    if name == "after":
        return None
    if name == "month":
        return "2025-05"
    if name == "grade":
        return "A"
    return dates.get(name) or (f"{kinds[name]}_{'0' * 31}1" if name in kinds else "x")

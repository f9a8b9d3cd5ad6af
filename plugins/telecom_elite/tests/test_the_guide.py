"""The guide for who deploys and uses the plugin: its tables are the code's, its examples are valid documents."""

import re
from pathlib import Path

import pytest
from graphql import parse, validate

from crm_core.graphql.build import core_schema
from crm_core.testing.kit import Kit
from crm_telecom_elite import scopes
from crm_telecom_elite.rates.catalogue import CATALOGUE, Figure
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.settings import TelecomEliteSettings

GUIDE = (Path(__file__).parents[3] / "docs" / "telecom-elite.md").read_text(encoding="utf-8")


def table(head: str) -> dict[str, list[str]]:
    """Rows of the table that begins with this head, by their first cell without its quotes."""
    lines = GUIDE[GUIDE.index(f"\n| {head}") + 1 :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def seeded(figure: Figure, kind: EliteTeamKind) -> str:
    return format(figure.seeds[kind], "f") if kind in figure.seeds else ""


def test_the_guide_names_every_figure_with_what_a_line_begins_with() -> None:
    assert table("figure") == {
        name: [
            seeded(figure, EliteTeamKind.HQ), seeded(figure, EliteTeamKind.REGIONAL), figure.unit, figure.rule,
            figure.description,
        ]
        for name, figure in CATALOGUE.items()
    }  # fmt: skip


def test_the_guide_says_how_far_each_permission_of_each_role_reaches() -> None:
    said = {f"telecom_elite.{name}": cells for name, cells in table("permission").items()}
    assert said == {
        scope.name: [
            role.scopes[scope.name].name.lower() if scope.name in role.scopes else "" for role in scopes.ROLES
        ]
        for scope in scopes.SCOPES
    }


def test_the_guide_names_every_setting_with_its_default() -> None:
    defaults = {name: str(field.default).lower() for name, field in TelecomEliteSettings.model_fields.items()}
    assert {name: cells[0] for name, cells in table("in `[telecom_elite]`").items()} == defaults


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_its_examples_are_valid_documents(crm: Kit) -> None:
    schema = core_schema(crm.schema)
    examples = re.findall(r"```graphql\n(.*?)```", GUIDE, re.DOTALL)
    assert len(examples) > 5
    # an example may have operations of one name as others do, so each block is a document of its own
    assert [str(error) for text in examples for error in validate(schema, parse(text))] == []

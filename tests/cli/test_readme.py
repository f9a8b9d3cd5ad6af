"""The README's plugin works as it stands there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from crm_core.loader import Candidate
from crm_core.testing.kit import Kit

ROOT = Path(__file__).parent.parent.parent
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"


def block(language: str, first_line: str, readme: Path = README) -> str:
    """The README's code block that begins with this comment."""
    for found in re.findall(rf"```{language}\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL):
        if found.startswith(f"# {first_line}\n"):
            return str(found)
    raise AssertionError(f"{readme.name} has no block {first_line}")


def loyalty() -> ModuleType:
    module = ModuleType("crm_loyalty")
    exec(compile(block("python", "loyalty/crm_loyalty.py"), "crm_loyalty.py", "exec"), vars(module))  # noqa: S102
    return module


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (Candidate("loyalty", "0.1.0", "crm-loyalty", ("crm-core",), loyalty),)


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"main": ("loyalty",)}


def test_the_plugins_project_file_names_its_module() -> None:
    project = tomllib.loads(block("toml", "loyalty/pyproject.toml"))
    assert project["project"]["entry-points"]["crm.plugins"] == {"loyalty": "crm_loyalty"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"] == ["crm_loyalty.py"]


@pytest.mark.parametrize(
    ("language", "first_line"),
    [("toml", "crm.toml"), ("toml", "loyalty/pyproject.toml"), ("python", "loyalty/crm_loyalty.py")],
)
def test_both_languages_show_the_same_code(language: str, first_line: str) -> None:
    assert block(language, first_line) == block(language, first_line, CHINESE)


def test_the_plugin_has_about_twenty_lines() -> None:
    lines = block("python", "loyalty/crm_loyalty.py").splitlines()[1:]
    assert len([line for line in lines if line.strip()]) <= 21


async def test_the_plugin_adds_fields_a_filter_and_a_check(crm: Kit) -> None:
    async def create(name: str) -> list[str]:
        payload = await crm.change(
            "customerCreate", input={"name": name, "kind": "PERSON"}, select="customer { id }"
        )
        return [error["code"] for error in payload["userErrors"]]

    assert await create("欧阳明远") == []
    assert await create("李明") == []
    assert await create("test 1") == ["LOYALTY_MADE_UP"]
    crm.clock.advance(days=3)
    query = (
        "{ customers(where: { loyaltyLetters: { gt: 3 } }) { nodes { name loyaltyLetters loyaltyDays } } }"
    )
    assert (await crm.data(query))["customers"]["nodes"] == [
        {"name": "欧阳明远", "loyaltyLetters": 4, "loyaltyDays": 3}
    ]

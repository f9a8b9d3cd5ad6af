"""`crm schema persist`: operations of a client checked and written down with their ids."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from hashlib import sha256
from pathlib import Path

import pytest
from graphql import parse

from crm_core.cli import run
from crm_core.graphql.manifests import manifest_of

SCREENS = """
query Lines { businessLines { ...Line } }
query Customers($first: Int) { customers(first: $first) { nodes { ...Card } totalCount } }
"""
CARDS = """
fragment Card on Customer { id ...Named }
fragment Named on Customer { name }
fragment Line on BusinessLineConnection { nodes { code } }
fragment Unused on Customer { grade }
"""


def files(folder: Path, **texts: str) -> list[str]:
    for name, text in texts.items():
        (folder / f"{name}.graphql").write_text(text, encoding="utf-8")
    return [str(folder / f"{name}.graphql") for name in texts]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["schema", "persist", *words]) == 2
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def _here(tmp_path: Path) -> Iterator[None]:
    with chdir(tmp_path):
        yield


def test_operations_are_written_with_the_fragments_they_use(tmp_path: Path) -> None:
    assert run(["schema", "persist", *files(tmp_path, screens=SCREENS, cards=CARDS), "--out", "m.json"]) == 0
    written = json.loads((tmp_path / "m.json").read_text("utf-8"))
    assert (written["format"], written["version"]) == ("apollo-persisted-query-manifest", 1)
    named = {operation["name"]: operation for operation in written["operations"]}
    assert list(named) == ["Customers", "Lines"]
    assert {operation["type"] for operation in written["operations"]} == {"query"}
    for operation in named.values():
        assert operation["id"] == sha256(operation["body"].encode()).hexdigest()
        assert len(parse(operation["body"]).definitions) > 1
    card = named["Customers"]["body"]
    assert ["fragment " + name in card for name in ("Card", "Named", "Line")] == [True, True, False]


def test_the_manifest_is_read_back(tmp_path: Path) -> None:
    assert run(["schema", "persist", *files(tmp_path, screens=SCREENS, cards=CARDS)]) == 0
    manifest = manifest_of(tmp_path / "documents.json")
    assert len(manifest) == 2
    assert all(sha256(text.encode()).hexdigest() == name for name, text in manifest.items())


def test_the_same_files_give_the_same_manifest_in_any_order(tmp_path: Path) -> None:
    one, other = files(tmp_path, screens=SCREENS, cards=CARDS)
    assert run(["schema", "persist", one, other, "--out", "a.json"]) == 0
    assert run(["schema", "persist", other, one, "--out", "b.json"]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_everything_wrong_is_named_with_its_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = files(
        tmp_path,
        one="query A {\n  businessLines { nodes { colour } }\n}",
        two="{ businessLines { nodes { code } } }",
        three="query B { ...Missing }",
        four="query C {",
        five="type T { a: Int }",
    )
    words = refused(capsys, *named)
    one, two, three, four, five = named
    for expected in (
        f"{one}:2:27: Cannot query field 'colour'",
        f"{two}:1:1: The operation needs a name",
        f"{three}:1:14: Unknown fragment 'Missing'",
        f"{four}:1:10: Syntax Error",
        f"{five}:1:1: Only operations and fragments",
    ):
        assert expected in words
    assert not (tmp_path / "documents.json").exists()


def test_names_are_given_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = "query A { businessLines { ...L } } fragment L on BusinessLineConnection { totalCount }"
    b = "query A { businessLines { ...L } } fragment L on BusinessLineConnection { nodes { code } }"
    one, two = files(tmp_path, one=a, two=b)
    words = refused(capsys, one, two)
    assert f"{two}:1:1: Another operation A stands in {one}" in words
    assert f"{two}:1:36: Another fragment L stands in {one}" in words


def test_the_same_fragment_may_stand_in_several_files(tmp_path: Path) -> None:
    line = "fragment L on BusinessLineConnection { totalCount }"
    one, two = files(
        tmp_path,
        one="query A { businessLines { ...L } } " + line,
        two="query B { businessLines { ...L } }\n" + line,
    )
    assert run(["schema", "persist", one, two]) == 0


def test_what_the_limits_refuse_is_not_persisted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = " ".join(f"a{number}: businessLines {{ totalCount }}" for number in range(40))
    assert "aliases" in refused(capsys, *files(tmp_path, wide=f"query Wide {{ {wide} }}"))


def test_a_file_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "none.graphql" in refused(capsys, "none.graphql")

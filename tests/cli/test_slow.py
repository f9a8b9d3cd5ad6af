"""`crm doctor --slow` tells how one document is answered."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import insert

from crm_core.cli import run
from crm_core.cli.slow import Examination, Question
from crm_core.customers.models import Customer
from crm_core.db.explain import BIG, Explained, explained
from crm_core.db.layout import laid_out
from crm_core.ids import uuid7
from crm_core.testing.kit import INDEX_KEY, KEYS, Kit

Doctor = Callable[..., tuple[int, str, str]]

LIST = "query List($grade: CustomerGrade) { customers(first: 7, where: { grade: { eq: $grade } }) { nodes { name } } }"
TWO = LIST + " query Me { viewer { name } }"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a migrated deployment with a user."""
    folder = tmp_path_factory.mktemp("deployment")
    file = folder / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{folder}/crm.db"\nstore = "{folder}/store"\n'
        f'keys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n[lines.west]\n',
        encoding="utf-8",
    )
    assert run(["--config", str(file), "db", "upgrade"]) == 0
    assert run(["--config", str(file), "users", "create", "bob"]) == 0
    assert run(["--config", str(file), "users", "grant", "bob", "sales", "--line", "east"]) == 0
    return file


@pytest.fixture
def doctor(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Asks the doctor about a document: exit code, output, errors."""

    def ask(document: str, *more: str) -> tuple[int, str, str]:
        file = tmp_path / "asked.graphql"
        file.write_text(document, encoding="utf-8")
        capsys.readouterr()
        code = run(["--config", str(config), "doctor", "--slow", str(file), *more])
        heard = capsys.readouterr()
        return code, heard.out, " ".join(heard.err.split())

    return ask


def test_cost_statement_values_and_plan_are_shown_but_no_value(doctor: Doctor) -> None:
    code, out, _ = doctor(LIST, "--variables", '{"grade": "VIP"}')
    assert code == 0
    for words in (
        "of 10000",
        "depth 3",
        "FROM customers AS",
        "LIMIT 7",
        "1 × text",
        "查询成本",
        "SEARCH",
        "rows",
    ):
        assert words in out
    assert "VIP" not in out
    assert "No big table is read whole" in out


def test_bound_values_are_shown_on_demand(doctor: Doctor, tmp_path: Path) -> None:
    given = tmp_path / "variables.json"
    given.write_text('{"grade": "VIP"}')
    code, out, _ = doctor(LIST, "--variables", f"@{given}", "--values")
    assert code == 0
    assert "1 text VIP" in out


def test_a_users_own_view_is_shown(doctor: Doctor) -> None:
    code, out, _ = doctor(LIST, "--as", "bob")
    assert code == 0
    assert "as bob" in out
    assert "east: " in out
    assert "customer_lines" in out
    assert "as the system itself" in doctor(LIST)[1]


def test_what_does_not_compile_is_named_with_its_reason(doctor: Doctor) -> None:
    code, out, _ = doctor(TWO, "--operation", "Me")
    assert code == 0
    assert "interpreter: resolver" in out
    assert "由解释器" in out


def test_of_a_mutation_only_the_cost_is_shown(doctor: Doctor) -> None:
    code, out, _ = doctor('mutation { customerUntag(input: { id: "x", tags: [] }) { replayed } }')
    assert code == 0
    assert "Only reads are shown" in out
    assert "仅分析查询" in out


def test_refused_fields_are_named(doctor: Doctor) -> None:
    _, out, _ = doctor(
        "{ apiTokens(first: 1) { nodes { name } } customers(first: 1) { nodes { name } } }", "--as", "bob"
    )
    assert "apiTokens" in out


@pytest.mark.parametrize(
    ("document", "more", "code", "words"),
    [
        ("{ customers { nodes { colour } } }", (), 1, "asked.graphql:1:23: Cannot query field 'colour'"),
        ("{ customers ", (), 1, "Syntax Error"),
        (TWO, (), 1, "name one operation by --operation: List, Me"),
        (LIST, ("--variables", "{"), 2, "not JSON"),
        (LIST, ("--variables", "[]"), 2, "write an object"),
        (LIST, ("--variables", "@nowhere.json"), 2, "nowhere.json: cannot be read"),
        (LIST, ("--as", "nobody"), 2, "No user nobody"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    doctor: Doctor, document: str, more: tuple[str, ...], code: int, words: str
) -> None:
    found, _, error = doctor(document, *more)
    assert found == code
    assert words in error
    assert "Traceback" not in error


def test_wrong_variables_are_told_by_the_interpreter(doctor: Doctor) -> None:
    _, out, _ = doctor(LIST, "--variables", '{"grade": "Z"}')
    assert "interpreter: variables" in out
    assert "does not exist in 'CustomerGrade'" in out


def test_a_document_beyond_the_limits_is_told_apart(doctor: Doctor) -> None:
    nested = "{ customers(first: 100) { nodes { contacts(first: 100) { nodes { interactions(first: 100) { nodes { id } } } } } } }"
    _, out, _ = doctor(nested)
    assert "超出限制" in out


def test_the_other_options_belong_to_slow(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(config), "doctor", "--as", "bob"]) == 2
    assert "belong to" in capsys.readouterr().err


def test_a_missing_document_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(config), "doctor", "--slow", "nowhere.graphql"]) == 2
    assert "nowhere.graphql: cannot be read" in capsys.readouterr().err


# -- tables read whole


async def many_customers(crm: Kit) -> None:
    """One customer more than a table may have to be read whole."""
    given = {"kind": "PERSON", "name_search": "", "secrecy": "restricted", "version": 1}
    moments = {"created_at": crm.clock.now, "updated_at": crm.clock.now}
    rows: list[dict[str, object]] = [
        {"id": uuid7(), "number": f"C{n}", "name": f"客户{n}", **given, **moments} for n in range(BIG + 1)
    ]
    async with crm.database.transaction() as session:
        await session.execute(insert(Customer.__table__), rows)


async def examined(crm: Kit, document: str) -> tuple[bool, str]:
    said = StringIO()
    examination = Examination(crm.services, Question(Path("x.graphql")), Console(file=said, soft_wrap=True))
    return await examination.of(document), said.getvalue()


async def explain(crm: Kit, condition: str) -> Explained:
    sql = f"SELECT count(*) FROM customers AS t1 WHERE {condition}"  # noqa: S608  # of this file
    return await explained(crm.database, sql, [], 20)


async def test_a_big_table_read_whole_is_found_a_searched_one_is_not(crm: Kit) -> None:
    await many_customers(crm)
    whole = await explain(crm, "t1.remark LIKE '%x%'")
    searched = await explain(crm, "t1.number = 'C7'")
    assert [(s.table, s.size, s.index, s.is_big) for s in whole.scans] == [("customers", BIG + 1, None, True)]
    assert [(s.table, s.is_big) for s in searched.scans] == [("customers", False)]
    assert searched.scans[0].index is not None
    if crm.database.dialect == "postgresql":
        assert whole.scans[0].rows == BIG + 1
        assert whole.performed


async def test_the_verdict_names_the_big_table(crm: Kit) -> None:
    await many_customers(crm)
    fine, said = await examined(crm, '{ customers(where: { number: { eq: "C7" } }) { nodes { name } } }')
    assert fine, said
    assert "No big table is read whole" in said
    fine, said = await examined(crm, '{ customers(where: { secrecy: { contains: "x" } }) { totalCount } }')
    assert not fine, said
    assert f"Table customers ({BIG + 1:,} rows) is read whole" in said
    assert "全表扫描" in said
    assert ("Seq Scan" if crm.database.dialect == "postgresql" else "SCAN t") in said


async def test_small_tables_may_be_read_whole(crm: Kit) -> None:
    found = await explain(crm, "t1.remark LIKE '%x%'")
    assert not any(scan.is_big for scan in found.scans)


async def test_values_are_written_out_for_the_plan_of_any_values(crm: Kit) -> None:
    if crm.database.dialect == "sqlite":
        pytest.skip("SQLite has one plan for all values")
    sql = "SELECT name FROM customers WHERE name = $1 AND version = ANY($2) AND created_at < $3 AND remark IS NOT DISTINCT FROM $4"
    found = await explained(crm.database, sql, ["it's", [1, 2], crm.clock.now, None], 20, generic=True)
    assert found.performed
    assert "$1" in found.text


# -- layout


def test_a_statement_is_laid_out_by_its_clauses() -> None:
    sql = "SELECT a, count(*) FROM t WHERE a BETWEEN 1 AND 2 AND (b = 1 OR c) AND d IN (SELECT x FROM y) ORDER BY a"
    assert laid_out(sql).splitlines() == [
        "SELECT a, count(*)",
        "FROM t",
        "WHERE a BETWEEN 1 AND 2",
        "  AND (b = 1 OR c)",
        "  AND d IN (",
        "  SELECT x",
        "  FROM y",
        ")",
        "ORDER BY a",
    ]


def test_what_stands_in_quotes_is_left_alone() -> None:
    assert (
        laid_out("SELECT 'a  FROM ''b'' (', \"x  y\" FROM t") == "SELECT 'a  FROM ''b'' (', \"x  y\"\nFROM t"
    )

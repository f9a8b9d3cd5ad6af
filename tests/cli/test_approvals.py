"""`crm approvals` as an operator uses it, and the documented format: what the page says is what the code does."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from crm_core.approvals import conditions, policy, policy_file, stages
from crm_core.approvals.known import known_of
from crm_core.approvals.policy import Known, problems
from crm_core.approvals.policy_file import LARGEST, read
from crm_core.cli import run
from crm_core.loader import installed
from crm_core.schema import full_registry
from crm_core.testing.kit import INDEX_KEY, KEYS
from tests.approvals.chains_plugin import CANDIDATE

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "approval-policies.md").read_text(encoding="utf-8")
EXAMPLES: Final = sorted((ROOT / "examples" / "approvals").glob("*.yaml"))

GIFTS: Final = """\
line: east
policies:
  - name: new customers
    commands: [customer.create]
    stages:
      - name: first
        slots: [{role: line_manager}, {user: alice}]
        deadline: {working_hours: 4.5, then: manager}
      - name: second
        when: {all: [{field: deposit, op: gte, value: 5000}]}
        slots: [{role: administrator}]
  - name: archive
    lines: [east, west]
    commands: [customer.archive]
    valid_to: 2030-12-31
    stages: [{slots: [{manager: 1}]}]
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a migrated deployment with an administrator."""
    folder = tmp_path_factory.mktemp("deployment")
    file = folder / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{folder}/crm.db"\nstore = "{folder}/store"\n'
        f'keys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\nname = "东区"\n[lines.west]\n',
        encoding="utf-8",
    )
    assert run(["--config", str(file), "db", "upgrade"]) == 0
    assert run(["--config", str(file), "users", "create", "alice", "--role", "administrator"]) == 0
    return file


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Settings of two lines whose database was never made."""
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path}/none/crm.db"\n[lines.east]\n[lines.west]\n', encoding="utf-8"
    )
    return file


def written(folder: Path, text: str, name: str = "p.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


# -- lint


def test_a_good_file_is_passed_over_in_silence_without_a_database(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(bare.parent, GIFTS)
    assert run(["--config", str(bare), "approvals", "lint", str(file)]) == 0
    assert capsys.readouterr().out == ""


def test_every_mistake_is_said_with_its_file_line_and_column(
    bare: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    text = (
        GIFTS.replace("customer.archive", "customer.fly")
        .replace("deposit", "despoit")
        .replace("west", "north")
    )
    file = written(bare.parent, text)
    assert run(["--config", str(bare), "approvals", "lint", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:10:30: error POLICY_UNKNOWN_FIELD there is no field despoit",
        f"{file}:12:5: error POLICY_LINE there is no line north",
        f"{file}:14:16: error POLICY_UNKNOWN_COMMAND there is no command customer.fly in the line",
    ]


def test_mistakes_are_said_in_the_language_of_the_terminal(
    bare: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    file = written(bare.parent, GIFTS.replace("deposit", "despoit"))
    assert run(["--config", str(bare), "approvals", "lint", str(file)]) == 1
    assert capsys.readouterr().out == f"{file}:10:30: error POLICY_UNKNOWN_FIELD 没有字段 despoit\n"


def test_a_warning_alone_is_no_failure(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(bare.parent, GIFTS.replace("when: {all", "rule: sequential\n        when: {all"))
    assert run(["--config", str(bare), "approvals", "lint", str(file)]) == 0
    assert ":10:15: warning POLICY_SEQUENCE" in capsys.readouterr().out


def test_files_are_looked_over_together(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = written(bare.parent, GIFTS, "a.yaml")
    general = "line: west\npolicies:\n  - {name: all, priority: 1, commands: [customer.archive], stages: [{slots: [{manager: 2}]}]}\n"
    second = written(bare.parent, general, "b.yaml")
    again = written(bare.parent, GIFTS.split("  - name: archive")[0], "c.yaml")
    assert run(["--config", str(bare), "approvals", "lint", str(first), str(second), str(again)]) == 1
    said = capsys.readouterr().out
    assert "a.yaml:12:5: error POLICY_SHADOWED" in said
    assert "c.yaml:3:11: error POLICY_DUPLICATE" in said


def test_a_file_too_large_or_not_of_text_is_refused(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(bare.parent, "#" * (LARGEST + 5))
    assert run(["--config", str(bare), "approvals", "lint", str(file)]) == 1
    assert ":1:1: error POLICY_FILE" in capsys.readouterr().out
    file.write_bytes(b"policies: \xff")
    assert run(["--config", str(bare), "approvals", "lint", str(file)]) == 2
    assert "UTF-8" in capsys.readouterr().err


def test_with_a_database_roles_and_users_are_looked_up(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, GIFTS.replace("alice", "bob").replace("role: line_manager", "role: sales"))
    assert run(["--config", str(config), "approvals", "lint", str(file)]) == 0
    assert run(["--config", str(config), "approvals", "lint", "--database", str(file)]) == 1
    assert "POLICY_UNKNOWN_USER" in capsys.readouterr().out
    file = written(
        tmp_path, GIFTS.replace("role: line_manager", "role: sales").replace("administrator", "king")
    )
    assert run(["--config", str(config), "approvals", "lint", "--database", str(file)]) == 1
    said = capsys.readouterr().out
    assert ":7:24: error POLICY_ROLE_CANNOT_SIGN" in said
    assert "error POLICY_UNKNOWN_ROLE" in said


# -- import and export


def test_a_file_is_imported_once_and_its_export_changes_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, start = written(tmp_path, GIFTS), ["--config", str(config), "approvals"]
    assert run([*start, "import", str(file), "--dry-run"]) == 0
    dry = capsys.readouterr().out.splitlines()
    assert dry[1:] == ["created   east new customers", "created   east archive", "created   west archive"]

    assert run([*start, "import", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == dry[1:]
    assert run([*start, "import", str(file)]) == 0
    assert all(line.startswith("unchanged ") for line in capsys.readouterr().out.splitlines())

    assert run([*start, "export"]) == 0
    exported = capsys.readouterr().out
    assert "user: alice" in exported
    assert "valid_to: 2030-12-31" in exported
    assert run([*start, "import", str(written(tmp_path, exported, "again.yaml"))]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"unchanged"}
    assert run([*start, "export"]) == 0
    assert capsys.readouterr().out == exported

    changed = written(tmp_path, GIFTS.replace("5000", "6000").replace("    valid_to: 2030-12-31\n", ""))
    assert run([*start, "import", str(changed)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "changed   east new customers",
        "changed   east archive",
        "changed   west archive",
    ]
    assert run([*start, "export", "--line", "west", "--name", "archive"]) == 0
    assert capsys.readouterr().out == (
        "policies:\n  - name: archive\n    line: west\n    commands:\n      - customer.archive\n"
        "    stages:\n      - slots:\n          - manager: 1\n"
    )


def test_a_file_with_a_mistake_sets_nothing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GIFTS.replace("new customers", "other customers").replace("manager: 1}", "role: king}")
    assert run(["--config", str(config), "approvals", "import", str(written(tmp_path, text))]) == 1
    assert "POLICY_UNKNOWN_ROLE" in capsys.readouterr().out
    assert run(["--config", str(config), "approvals", "export", "--name", "other customers"]) == 2


def test_a_file_without_a_line_needs_one(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, GIFTS.replace("line: east\n", "").replace("    lines: [east, west]\n", ""))
    assert run(["--config", str(config), "approvals", "import", str(file), "--dry-run"]) == 2
    assert "--line" in capsys.readouterr().err
    assert (
        run(["--config", str(config), "approvals", "import", str(file), "--dry-run", "--line", "west"]) == 0
    )
    assert run(["--config", str(config), "approvals", "export", "--line", "north"]) == 2


# -- the page and its examples


@pytest.fixture(scope="module")
def known() -> Known:
    """The core, the installed plugins, and the one that makes up what the examples are about, with its roles."""
    registry = full_registry([*installed(), CANDIDATE])
    found = known_of(registry, None, now=datetime(2025, 11, 22, tzinfo=UTC))
    return replace(found, roles={name: frozenset(role.scopes) for name, role in registry.roles.items()})


def test_the_page_shows_examples_as_they_are_and_lists_them_all() -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    texts = {file.read_text(encoding="utf-8") for file in EXAMPLES}
    assert len(shown) >= 4
    assert set(shown) <= texts
    assert re.findall(r"^\| `([\w-]+\.yaml)` \|", PAGE, re.MULTILINE) != []
    assert sorted(re.findall(r"^\| `([\w-]+\.yaml)` \|", PAGE, re.MULTILINE)) == [f.name for f in EXAMPLES]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_clean(file: Path, known: Known) -> None:
    found = read(file.read_text(encoding="utf-8"))
    assert found.problems == ()
    assert [p for one in found.policies for p in problems(one.definition, known)] == []


def test_every_code_is_explained_and_every_explained_code_exists() -> None:
    sources = [Path(str(module.__file__)) for module in (conditions, policy, policy_file, stages)]
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    codes = set(re.findall(r'"((?:POLICY|APPROVAL)_[A-Z_]+)"', text))
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == codes


@pytest.mark.parametrize(
    "part",
    [
        stages.PolicyDefinition,
        stages.ApprovalStage,
        stages.ApprovalSlot,
        stages.ApprovalDeadline,
        conditions.ApprovalCondition,
        conditions.ApprovalTest,
    ],
)
def test_every_key_is_explained(part: type[stages.PolicyDefinition]) -> None:
    for name in part.model_fields:
        assert f"`{'copy' if name == 'copies' else name}`" in PAGE


def test_every_operator_is_named() -> None:
    for operator in conditions.ApprovalOperator:
        assert f"`{operator.value.lower()}`" in PAGE

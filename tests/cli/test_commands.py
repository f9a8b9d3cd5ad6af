"""The command line as an operator uses it, on one small deployment."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import typer

from crm_core.cli import commands, run
from crm_core.cli.doctor import examined
from crm_core.cli.tokens import moment_of
from crm_core.errors import ConfigurationError
from crm_core.settings import Settings, load
from crm_core.testing.kit import INDEX_KEY, KEYS

TOKEN = re.compile(r"^TOKEN (crm_([0-9a-f]{32})_[0-9a-f]{64})$", re.MULTILINE)


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


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    heard = capsys.readouterr()
    return heard.out, " ".join(heard.err.split())


def test_upgrading_twice_changes_nothing_and_the_check_is_content(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", str(config), "db", "upgrade"]) == 0
    assert "core at core_" in said(capsys)[0]
    assert run(["--config", str(config), "db", "check"]) == 0
    assert "without drift" in said(capsys)[0]


def test_a_database_that_is_behind_is_named_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path}/x.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n'
    )
    assert run(["--config", str(file), "db", "check"]) == 1
    assert "crm db upgrade" in said(capsys)[0]
    assert run(["--config", str(file), "serve"]) == 2
    assert "crm db upgrade" in said(capsys)[1]


def test_a_token_is_printed_once_and_can_be_revoked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [
        "token",
        "create",
        "--user",
        "alice",
        "--lines",
        "east",
        "--scopes",
        "user.read",
        "--expires",
        "90d",
    ]
    assert run(["--config", str(config), *made]) == 0
    found = TOKEN.search(said(capsys)[0])
    assert found
    rows = (
        sqlite3.connect(config.parent / "crm.db")
        .execute("SELECT secret_hash, lines FROM api_tokens")
        .fetchall()
    )
    assert all(found[1].rsplit("_", 1)[1] not in str(row) for row in rows)
    assert run(["--config", str(config), "token", "revoke", f"tok_{found[2]}"]) == 0
    assert f"Revoked tok_{found[2]}" in said(capsys)[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["token", "create", "--user", "nobody"], 2, "No user nobody"),
        (["token", "create", "--user", "alice", "--scopes", "fly"], 1, "No permission fly"),
        (["token", "create", "--user", "alice", "--lines", "north"], 1, "business line north"),
        (["token", "create", "--user", "alice", "--expires", "soon"], 2, "90d"),
        (["token", "revoke", "tok_" + "0" * 32], 1, "No ApiToken"),
        (["users", "create", "alice"], 1, "taken"),
        (["users", "grant", "alice", "emperor"], 1, "emperor"),
        (["db", "revision", "x", "--owner", "nobody"], 2, "no revisions"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_what_is_refused_is_said_in_words_with_its_exit_code(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert run(["--config", str(config), *arguments]) == code
    error = said(capsys)[1]
    assert words in error
    assert "Traceback" not in error


def test_a_role_can_be_given_in_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(config), "users", "create", "bob", "--name", "Bob"]) == 0
    assert said(capsys)[0].startswith("usr_")
    assert run(["--config", str(config), "users", "grant", "bob", "sales", "--line", "west"]) == 0
    assert "bob is sales in west" in said(capsys)[0]


def test_unknown_settings_and_missing_files_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.toml"
    file.write_text("prot = 1\n")
    assert run(["--config", str(file), "plugins", "list"]) == 2
    assert "prot" in said(capsys)[1]
    assert run(["--config", str(tmp_path / "none.toml"), "plugins", "list"]) == 2
    assert "none.toml" in said(capsys)[1]


def test_a_database_out_of_reach_has_its_own_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "postgresql://x@127.0.0.1:1/x"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n'
    )
    assert run(["--config", str(file), "users", "create", "bo"]) == 3
    assert "does not answer" in said(capsys)[1]


def test_an_enabled_plugin_that_is_not_installed_is_listed_as_quarantined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(f'database_url = "sqlite:///{tmp_path}/x.db"\n[lines.east]\nplugins = ["missing"]\n')
    assert run(["--config", str(file), "plugins", "list"]) == 1
    assert "quarantined" in said(capsys)[0]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90d", datetime(2026, 1, 30, 9, tzinfo=UTC)),
        ("2025-12-31", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2025-12-31T09:00:00+08:00", datetime(2025, 12, 31, 1, tzinfo=UTC)),
    ],
)
def test_expiry_is_days_from_now_the_end_of_a_day_or_a_moment(text: str, meant: datetime) -> None:
    assert moment_of(text, datetime(2025, 11, 1, 9, tzinfo=UTC)) == meant


@pytest.mark.parametrize("text", ["soon", "2025-12-31T09:00:00", "-5d"])
def test_an_expiry_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment_of(text, datetime(2025, 11, 1, 9, tzinfo=UTC))


# -- doctor


def found(settings: Settings, today: date = date(2025, 11, 3)) -> set[str]:
    return {f"{finding.severity}: {finding.what}" for finding in examined(lambda: settings, today)}


def test_the_doctor_finds_nothing_wrong_with_a_sound_deployment(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", str(config), "doctor"]) == 0
    assert "Nothing stands in the way" in said(capsys)[0]


def test_the_doctor_makes_the_keys_that_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(f'database_url = "sqlite:///{tmp_path}/x.db"\n')
    assert run(["--config", str(file), "doctor"]) == 1
    out = said(capsys)[0]
    keys = dict(re.findall(r"CRM_(KEYS|INDEX_KEY)=(\S+)", out))
    assert set(keys) == {"KEYS", "INDEX_KEY"}
    for words in ("No business line", "没有声明业务线", "database is behind", "ERROR"):
        assert words in out


def test_the_doctor_sees_what_keeps_a_deployment_from_working(config: Path) -> None:
    sound = load(config, {})
    many = found(sound.model_copy(update={"workers": 4}))
    assert any("4 workers on SQLite" in one for one in many)
    away = found(sound.model_copy(update={"database_url": "postgresql://x@127.0.0.1:1/x"}))
    assert any(one.startswith("error: The database is out of reach") for one in away)
    far = found(sound, date(2040, 1, 1))
    assert any(one.startswith("warning: Official working days") for one in far)
    blocked = found(sound.model_copy(update={"store": Path("/proc/store")}))
    assert any("cannot be written" in one for one in blocked)


def test_the_doctor_says_which_setting_is_wrong() -> None:
    def wrong() -> Settings:
        raise ConfigurationError("Unknown setting prot")

    findings = examined(wrong, date(2025, 11, 3))
    assert [f.severity for f in findings] == ["error"]
    assert "prot" in findings[0].what


def test_the_doctor_misses_an_administrator(tmp_path: Path) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path}/x.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\nplugins = ["missing"]\n'
    )
    assert run(["--config", str(file), "db", "upgrade"]) == 0
    several = found(load(file, {}))
    assert "error: Nobody is administrator." in several
    assert any("missing is quarantined" in one for one in several)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ([], {"serve", "db", "import", "doctor"}),
        (["--config", "serve"], {"serve", "db", "import", "doctor"}),
        (["--config=serve", "webhooks"], {"webhooks"}),
        (["serve", "db"], {"serve"}),
        (["webhook"], {"serve", "db", "import", "doctor"}),
    ],
)
def test_only_the_part_that_is_asked_for_is_loaded(asked: list[str], shown: set[str]) -> None:
    app = commands(asked)
    names = {one.name for one in app.registered_commands} | {one.name for one in app.registered_groups}
    found = {str(name) for name in names if name}
    assert shown <= found
    assert len(shown) > 1 or found == shown

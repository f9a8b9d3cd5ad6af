"""Settings: variables before the file before defaults; whatever is wrong or unknown is named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from crm_core.errors import ConfigurationError
from crm_core.settings import Settings, load


class SlotSettings(BaseModel):
    """Settings of a plugin."""

    model_config = ConfigDict(extra="forbid")

    slot_minutes: int = 15
    note: str = ""


def loaded(folder: Path, text: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    file = folder / "crm.toml"
    file.write_text(text, "utf-8")
    return load(file, environ or {})


def refused(folder: Path, text: str = "", environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as found:
        loaded(folder, text, environ)
    return str(found.value)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert (settings.database_url, settings.port, settings.lines) == ("sqlite:///crm.db", 8000, {})


def test_the_file_goes_before_the_defaults_and_variables_before_the_file(tmp_path: Path) -> None:
    text = 'port = 9000\nhost = "0.0.0.0"\n[limits]\ndepth = 5\naliases = 6\n'
    settings = loaded(tmp_path, text, {"CRM_PORT": "9001", "CRM_LIMITS__DEPTH": "7"})
    assert (settings.port, settings.host) == (9001, "0.0.0.0")  # noqa: S104  # read back, not bound
    assert (settings.limits.depth, settings.limits.aliases, settings.limits.tokens) == (7, 6, 5_000)


def test_only_what_is_handed_over_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PORT", "1234")
    monkeypatch.setenv("PORT", "1234")
    assert loaded(tmp_path).port == 8000
    assert Settings().port == 8000


def test_lines_are_read_with_their_days(tmp_path: Path) -> None:
    text = '[lines.east]\nname = "东区"\nplugins = ["auto_dealer"]\ndays_off = ["2025-12-31"]\n[lines.west]\n'
    settings = loaded(tmp_path, text)
    assert settings.plugins() == ("auto_dealer",)
    assert settings.lines["east"].name == "东区"
    assert settings.lines["east"].days_off == [date(2025, 12, 31)]


def test_a_list_in_a_variable_is_json(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[lines.east]\n", {"CRM_LINES__EAST__PLUGINS": '["auto_dealer", "conduct"]'})
    assert settings.lines["east"].plugins == ["auto_dealer", "conduct"]
    assert "CRM_LINES__EAST__PLUGINS" in refused(tmp_path, "", {"CRM_LINES__EAST__PLUGINS": "[auto"})


def test_the_table_of_a_plugin_is_read_by_the_plugins_own_model(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[auto_dealer]\nslot_minutes = 20\n")
    assert settings.room("auto_dealer", SlotSettings).slot_minutes == 20
    assert settings.room("other", SlotSettings).slot_minutes == 15


def test_a_setting_of_a_plugin_may_stand_in_a_variable(tmp_path: Path) -> None:
    text = '[auto_dealer]\nslot_minutes = 20\nnote = "kept"\n'
    settings = loaded(tmp_path, text, {"CRM_AUTO_DEALER__SLOT_MINUTES": "30"})
    assert settings.room("auto_dealer", SlotSettings) == SlotSettings(slot_minutes=30, note="kept")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "prot"),
        ("[limits]\ndeepth = 1", "limits.deepth"),
        ("[lines.east]\nplugin = 1", "lines.east.plugin"),
        ("rooms = 1", "rooms"),
        ("_env_file = 'x'", "_env_file"),
        ("[[list]]\na = 1", "list"),
    ],
)
def test_an_unknown_key_of_the_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    message = refused(tmp_path, text)
    assert f"Unknown setting {named} " in message
    assert "未知的配置项" in message
    assert "docs/reference/settings.md" in message


@pytest.mark.parametrize("name", ["CRM_PROT", "CRM_LIMITS__DEEPTH", "CRM_LINES__EAST__PLUGIN", "CRM_ROOMS"])
def test_an_unknown_variable_is_named_as_it_was_written(tmp_path: Path, name: str) -> None:
    assert f"Unknown setting {name} " in refused(tmp_path, "[lines.east]\n", {name: "1"})


def test_all_unknown_keys_are_named_together(tmp_path: Path) -> None:
    message = refused(tmp_path, "prot = 1\nhots = 2")
    assert "hots" in message
    assert "prot" in message


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("port = 'many'", {}, "Setting port:"),
        ("port = 70000", {}, "Setting port:"),
        ("[port]\nx = 1", {}, "Setting port:"),
        ("limits = 3", {}, "Setting limits:"),
        ("lines = 3", {}, "Setting lines:"),
        ("[lines.east]\nplugins = 'auto_dealer'", {}, "Setting lines.east.plugins:"),
        ("[lines.east]\ndays_off = ['yesterday']", {}, "Setting lines.east.days_off.0:"),
        ("log_level = 'loud'", {}, "Setting log_level:"),
        ("", {"CRM_PORT": "many"}, "Setting CRM_PORT:"),
        ("", {"CRM_LIMITS__DEPTH": "x"}, "Setting CRM_LIMITS__DEPTH:"),
        ("", {"CRM_DATABASE_CONNECTIONS": "0"}, "Setting CRM_DATABASE_CONNECTIONS:"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, environ: Mapping[str, str], named: str) -> None:
    message = refused(tmp_path, text, environ)
    assert named in message
    assert "值不正确" in message


def test_a_wrong_or_unknown_setting_of_a_plugin_is_named_with_its_table(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[auto_dealer]\nslot_minuts = 20\nslot_minutes = 'x'\n")
    with pytest.raises(ConfigurationError) as found:
        settings.room("auto_dealer", SlotSettings)
    assert "Unknown setting auto_dealer.slot_minuts " in str(found.value)
    assert "Setting auto_dealer.slot_minutes:" in str(found.value)


def test_a_variable_cannot_be_a_value_and_a_table(tmp_path: Path) -> None:
    assert "CRM_PORT__X" in refused(tmp_path, "", {"CRM_PORT": "1", "CRM_PORT__X": "2"})


def test_a_missing_file_is_fine_unless_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).port == 8000
    with pytest.raises(ConfigurationError, match=r"absent\.toml: no such settings file"):
        load(tmp_path / "absent.toml", {})
    with pytest.raises(ConfigurationError, match=r"elsewhere\.toml: no such settings file"):
        load(None, {"CRM_CONFIG": str(tmp_path / "elsewhere.toml")})


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("port = 1234")
    assert load(None, {"CRM_CONFIG": str(file)}).port == 1234


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2", b"[a\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "crm.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"crm\.toml: not readable as TOML"):
        load(file, {})


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path, {})


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "", {"CRM_KEYS": "k1:c2VjcmV0"})
    assert "c2VjcmV0" not in repr(settings)
    assert settings.keys.get_secret_value() == "k1:c2VjcmV0"


def test_the_variables_of_tests_are_not_settings(tmp_path: Path) -> None:
    loaded(tmp_path, "", {"CRM_TEST_POSTGRES": "postgresql://x", "PATH": "/bin", "XCRM_PORT": "x"})


@given(st.dictionaries(st.from_regex(r"CRM_[A-Z_]{1,12}", fullmatch=True), st.text(max_size=8), max_size=4))
def test_whatever_the_variables_are_the_answer_is_settings_or_an_error_that_names_one(
    environ: Mapping[str, str],
) -> None:
    try:
        load(None, {**environ, "CRM_CONFIG": "/dev/null"})
    except ConfigurationError as error:
        assert str(error)  # noqa: PT017  # either outcome is right

"""The schema as text, what breaks a client of it, and the reference written from the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import build_schema

from crm_core.cli import run
from crm_core.cli.docs import commands_page, events_page, hooks_page, scopes_page, settings_page
from crm_core.errors import ConfigurationError
from crm_core.loader import Candidate
from crm_core.registry import Registry
from crm_core.schema import changes, core_registry, full_registry, sdl

OLD = "type Query { a: Int  b(x: Int): String }  enum E { ONE TWO }"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return core_registry()


def test_the_schema_text_is_the_same_each_time_and_a_schema(registry: Registry) -> None:
    text = sdl(registry)
    assert text == sdl(registry)
    assert text.endswith("}\n")
    assert build_schema(text).query_type


def test_additions_are_no_change_to_a_client() -> None:
    assert changes(OLD, OLD.replace("a: Int", "a: Int c: Int")) == []


def test_what_breaks_and_what_endangers_a_client_is_named() -> None:
    found = changes(OLD, "type Query { b(x: Int): String }  enum E { ONE TWO THREE }")
    assert [(c.severity, c.kind) for c in found] == [
        ("breaking", "FIELD_REMOVED"),
        ("dangerous", "VALUE_ADDED_TO_ENUM"),
    ]


def test_a_text_that_is_no_schema_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a GraphQL schema"):
        changes("nonsense {", OLD)


def test_a_plugin_that_does_not_load_is_no_part_of_a_full_schema() -> None:
    def fails() -> object:
        raise ImportError("gone")

    with pytest.raises(ConfigurationError, match="trouble: import failed"):
        full_registry([Candidate("trouble", "1", "crm-trouble", (), fails)])


def test_export_and_check_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "export", "--core"]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "core.graphql"
    file.write_text(text, encoding="utf-8")
    assert run(["schema", "check", "--core", "--against", str(file)]) == 0
    file.write_text(
        text.replace("  businessLines(", "  businessLinesOnce(x: Int): Int\n  businessLines("),
        encoding="utf-8",
    )
    capsys.readouterr()
    assert run(["schema", "check", "--core", "--against", str(file)]) == 1
    assert "businessLinesOnce" in capsys.readouterr().out


def test_every_command_event_scope_and_hook_is_in_the_reference(registry: Registry) -> None:
    commands, events, scopes = commands_page(registry), events_page(registry), scopes_page(registry)
    assert all(f"## `{kind}`" in commands for kind in registry.commands)
    assert all(f"## `{kind}`" in events for kind in registry.events)
    assert all(f"| `{name}` |" in scopes for name in (*registry.scopes, *registry.roles))
    assert "## `crm_commands`" in hooks_page()


def test_every_setting_is_in_the_reference_with_its_variable(registry: Registry) -> None:
    page = settings_page(registry)
    for row in (
        "| `database_url` | `CRM_DATABASE_URL` | `sqlite:///crm.db` |",
        "`CRM_LIMITS__DEPTH` | `12`",
        "## `[lines.CODE]`",
    ):
        assert row in page
    assert all(f"## `[{name}]`" in page for name in registry.setting_models)


@pytest.mark.parametrize("subject", ["commands", "events", "hooks", "scopes", "settings"])
def test_the_reference_is_printed_by_subject(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["docs", subject]) == 0
    assert capsys.readouterr().out.startswith("# ")

"""`crm import` at the terminal: inspect, import, summary file, rejects file, exit codes, and a kill -9 in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crm_core.cli import run
from crm_core.keyring import Keyring
from tests.imports.made_up import CUSTOMER_COLUMNS, INTERACTION_COLUMNS, contact_with, person, read, write

AS_OF = ["--as-of", "2025-10-31"]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a migrated deployment of two lines; the process stands in it."""
    settings = f"""
database_url = "sqlite:///{tmp_path / "crm.db"}"
store = "{tmp_path / "store"}"
keys = "{Keyring.generate_text()}"
index_key = "{Keyring.generate_index_text()}"
[lines.east]
[lines.west]
"""
    (tmp_path / "crm.toml").write_text(settings, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["db", "upgrade"]) == 0
    return tmp_path


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    return found


def imported(folder: Path, *more: str) -> int:
    return run(["import", *more, "--line", "east", *AS_OF, "--summary-json", str(folder / "summary.json")])


def test_inspect_shows_the_columns_and_writes_a_mapping_that_importing_takes(
    deployment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(deployment / "old.csv", [*CUSTOMER_COLUMNS, "录入终端"], [person(1)])
    assert run(["import", "inspect", str(file), "--mapping", "map.toml"]) == 0
    said = capsys.readouterr().out
    assert "gb18030" in said
    assert "录入终端" in said
    assert imported(deployment, "customers", str(file), "--mapping", "map.toml") == 0
    assert summary(deployment)["created"] == 1
    assert summary(deployment)["unknownColumns"] == ["录入终端"]


def test_one_wrong_row_refuses_the_file_unless_only_rows_are_to_be_refused(
    deployment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(deployment / "old.csv", CUSTOMER_COLUMNS, [person(1), person(2, 客户级别="Z")])
    assert imported(deployment, "customers", str(file)) == 1
    assert (summary(deployment)["state"], summary(deployment)["rejectedBy"]) == (
        "refused",
        {"GRADE_UNKNOWN": 1},
    )
    assert imported(deployment, "customers", str(file), "--on-error", "reject-rows") == 0
    assert (summary(deployment)["created"], summary(deployment)["rejected"]) == (1, 1)
    assert [row["客户编号"] for row in read(deployment / "old.rejects.csv")] == ["K00002"]
    assert "GRADE_UNKNOWN" in capsys.readouterr().out


def test_interactions_follow_their_customers(deployment: Path) -> None:
    people = write(deployment / "people.csv", CUSTOMER_COLUMNS, [person(1)])
    calls = write(
        deployment / "calls.csv", INTERACTION_COLUMNS, [contact_with(1, "2025-05-01 10:00")], "utf-8-sig"
    )
    assert imported(deployment, "customers", str(people), "--source", "dms") == 0
    assert imported(deployment, "interactions", str(calls), "--source", "dms", "--dry-run") == 0
    assert summary(deployment)["state"] == "dry_run"
    assert imported(deployment, "interactions", str(calls), "--source", "dms") == 0
    assert summary(deployment)["created"] == 1


def test_what_cannot_be_read_is_said_in_words(deployment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (deployment / "empty.csv").write_bytes(b"")
    assert imported(deployment, "customers", "empty.csv") == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run(["import", "customers", "empty.csv"]) == 2  # two lines: one must be named


def test_a_killed_import_goes_on_and_ends_as_if_nothing_had_been(deployment: Path) -> None:
    rows = [person(n) for n in range(1, 2_501)]
    file = write(deployment / "old.csv", CUSTOMER_COLUMNS, rows)
    arguments = ["import", "customers", str(file), "--line", "east", *AS_OF, "--on-error", "reject-rows"]
    program = f"from crm_core.cli import main; main({arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", program], env=os.environ, stderr=subprocess.DEVNULL)
    _wait_until(lambda: _position(deployment) > 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped = _position(deployment)
    assert imported(deployment, "customers", str(file), "--on-error", "reject-rows") == 0
    told = summary(deployment)
    assert (told["created"], told["read"]) == (2_500, 2_500)
    assert told["resumedAfterRow"] in (stopped, None)
    assert imported(deployment, "customers", str(file), "--on-error", "reject-rows") == 0
    assert (summary(deployment)["created"], summary(deployment)["unchanged"]) == (0, 2_500)


def _position(folder: Path) -> int:
    import sqlite3  # noqa: PLC0415  # looks past the product at its file

    with sqlite3.connect(folder / "crm.db", timeout=30) as database:
        found = database.execute("SELECT max(position) FROM import_runs").fetchone()[0]
    return int(found or 0)


def _wait_until(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)

"""`crm worker` and `crm events`, and a server that is stopped while somebody follows its events."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

from crm_core.cli import run
from crm_core.testing.kit import INDEX_KEY, KEYS
from tests.cli.test_serve import CRM, PATIENCE, crm, free_port, served, until_ready

LIVE = "subscription { events { id } }"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worked")
    file = folder / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{folder}/crm.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\nrelay_seconds = 0.05\n'
        "[lines.east]\n"
    )
    crm(file, "db", "upgrade")
    crm(file, "users", "create", "alice", "--role", "administrator")
    return file


@contextmanager
def worked(config: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*CRM, "--config", str(config), "worker"], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def waiting(config: Path) -> int:
    engine = create_engine(f"sqlite:///{config.parent}/crm.db")
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT count(*) FROM outbox_events WHERE position IS NULL")
        ).scalar_one()
    engine.dispose()
    return int(found)


def test_a_worker_numbers_what_was_recorded_and_stops_when_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waiting(config) > 0
    with worked(config) as process:
        deadline = time.monotonic() + PATIENCE
        while waiting(config) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.poll() is None
    assert waiting(config) == 0
    assert process.returncode == 0
    assert run(["--config", str(config), "events", "status"]) == 0
    assert run(["--config", str(config), "events", "failures"]) == 0
    assert ", without one: 0\n" in capsys.readouterr().out


def test_a_worker_refuses_a_database_that_lacks_revisions(tmp_path: Path) -> None:
    file = tmp_path / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path}/crm.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n'
    )
    done = subprocess.run(
        [*CRM, "--config", str(file), "worker"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "crm db upgrade" in done.stderr


def test_a_server_with_open_streams_stops_soon(config: Path) -> None:
    found = re.search(r"TOKEN (\S+)", crm(config, "token", "create", "--user", "alice"))
    assert found
    port = free_port()
    headers = {"authorization": f"Bearer {found[1]}", "accept": "text/event-stream"}
    with served(config, port) as process:
        until_ready(port, process)
        url = f"http://127.0.0.1:{port}/graphql"
        with httpx.stream("POST", url, json={"query": LIVE}, headers=headers, timeout=PATIENCE) as response:
            lines = response.iter_lines()
            assert next(lines) == ":"
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            assert "crm_streams 1.0" in metrics
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert "event: complete" not in list(lines)
        process.wait(PATIENCE)
        assert time.monotonic() - told < 15
    assert process.returncode in (0, -signal.SIGTERM)


def test_nothing_can_be_given_again_to_a_receiver_that_is_none(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", str(config), "events", "retry", "nobody"]) == 2
    assert "No receiver nobody" in capsys.readouterr().err
    assert run(["--config", str(config), "events", "retry", "nobody", "--event", "x"]) == 2

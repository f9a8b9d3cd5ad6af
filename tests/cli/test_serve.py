"""`crm serve` as a process of its own, asked through a socket."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from crm_core.testing.kit import INDEX_KEY, KEYS

CRM = [sys.executable, "-c", "from crm_core.cli import main; main()"]
PATIENCE = 90


def crm(config: Path, *words: str) -> str:
    done = subprocess.run([*CRM, "--config", str(config), *words], capture_output=True, text=True, check=True)
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(config: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    words = [*CRM, "--config", str(config), "serve", "--port", str(port)]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUTF8": "1"}
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def until_ready(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the server did not become ready")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    file = folder / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{folder}/crm.db"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n'
    )
    crm(file, "db", "upgrade")
    crm(file, "users", "create", "alice", "--role", "administrator")
    return file


def test_a_served_deployment_answers_through_a_socket_and_stops_when_told(config: Path) -> None:
    found = re.search(r"TOKEN (\S+)", crm(config, "token", "create", "--user", "alice"))
    assert found
    port = free_port()
    with served(config, port) as process:
        until_ready(port, process)
        url, bearer = f"http://127.0.0.1:{port}/graphql", {"authorization": f"Bearer {found[1]}"}
        asked = {"query": "{ businessLines { nodes { code } } }"}
        assert httpx.post(url, json=asked, headers=bearer).json()["data"] == {
            "businessLines": {"nodes": [{"code": "east"}]}
        }
        assert httpx.post(url, json=asked).status_code == 401
        large = httpx.post(
            url, content=b"x" * 2_000_000, headers={**bearer, "content-type": "application/json"}
        )
        assert large.status_code == 413
        assert (
            httpx.post(
                url, content=b'"\xff"', headers={**bearer, "content-type": "application/json"}
            ).status_code
            == 400
        )
    assert process.returncode in (0, -signal.SIGTERM)

"""`crm serve` as a process of its own, asked through a socket."""

from __future__ import annotations

import json
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


def maps_of(pid: int) -> str:
    """The files a process has loaded."""
    return Path(f"/proc/{pid}/maps").read_text()


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


QUERY = "query Lines { businessLines { nodes { code } } }"


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
        assert "uvloop" in maps_of(process.pid)
        assert "httptools" in maps_of(process.pid)
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


def test_a_served_deployment_answers_persisted_documents_by_id(config: Path) -> None:
    found = re.search(r"TOKEN (\S+)", crm(config, "token", "create", "--user", "alice"))
    assert found
    folder, port = config.parent, free_port()
    (folder / "screens.graphql").write_text(QUERY)
    crm(config, "schema", "persist", str(folder / "screens.graphql"), "--out", str(folder / "documents.json"))
    key = json.loads((folder / "documents.json").read_text())["operations"][0]["id"]
    strict = folder / "strict.toml"
    added = f'persisted_documents = "{folder}/documents.json"\nonly_persisted = true\n'
    strict.write_text(added + config.read_text())
    with served(strict, port) as process:
        until_ready(port, process)
        url, bearer = f"http://127.0.0.1:{port}/graphql", {"authorization": f"Bearer {found[1]}"}
        by_get = httpx.get(url, params={"documentId": f"sha256:{key}"}, headers=bearer)
        hashed = {"persistedQuery": {"version": 1, "sha256Hash": key}}
        by_post = httpx.post(url, json={"extensions": hashed}, headers=bearer)
        for answer in (by_get, by_post):
            assert answer.json()["data"] == {"businessLines": {"nodes": [{"code": "east"}]}}
        other = httpx.post(url, json={"query": "{ businessLines { totalCount } }"}, headers=bearer).json()
        assert other["errors"][0]["extensions"]["code"] == "PERSISTED_DOCUMENT_REQUIRED"


def test_a_deployment_is_not_served_with_documents_that_are_not_valid(config: Path) -> None:
    folder = config.parent
    (folder / "gone.json").write_text(json.dumps({"x1": "query Gone { colours }"}))
    wrong = folder / "wrong.toml"
    wrong.write_text(f'persisted_documents = "{folder}/gone.json"\n' + config.read_text())
    done = subprocess.run(
        [*CRM, "--config", str(wrong), "serve"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "x1 query Gone" in done.stderr
    assert "Cannot query field 'colours'" in done.stderr

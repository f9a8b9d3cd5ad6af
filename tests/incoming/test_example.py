"""The shipped example, played as an operator and a website would: imported, tried, and sent by real HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import text as statement

from crm_core.actors import system
from crm_core.app import create_app, services_of
from crm_core.cli import run
from crm_core.commands import Options
from crm_core.db.session import open_database
from crm_core.incoming.hooks import crm_verifiers
from crm_core.incoming.settings import IncomingSettings
from crm_core.logs import logger
from crm_core.settings import load as load_settings
from crm_core.testing.kit import INDEX_KEY, KEYS
from crm_core.work import perform

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "webhooks" / "web-form-lead.yaml"
LEAD = ROOT / "examples" / "webhooks" / "lead.json"
PAGE = (ROOT / "docs" / "incoming-webhooks.md").read_text(encoding="utf-8")
PATIENCE = 60
RIGHTS = ["customer.read", "customer.write", "customer.phone", "interaction.read", "interaction.write"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a migrated deployment of a car dealer, with the user the example names."""
    folder = tmp_path_factory.mktemp("website")
    file = folder / "crm.toml"
    file.write_text(
        f'database_url = "sqlite:///{folder}/crm.db"\nstore = "{folder}/store"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n'
        '[lines.auto_east]\nplugins = ["auto_dealer"]\n[incoming]\npoll_seconds = 0.05\n',
        encoding="utf-8",
    )
    assert run(["--config", str(file), "db", "upgrade"]) == 0
    asyncio.run(role_of_the_form(file))
    assert crm(file, "users", "create", "web-form", "--role", "web_lead", "--line", "auto_east") == 0
    return file


async def role_of_the_form(config: Path) -> None:
    settings = load_settings(config, {})
    database = open_database(settings)
    try:
        services = await services_of(settings, database)
        body = {"name": "web_lead", "scopes": [{"scope": s, "reach": 4} for s in RIGHTS]}
        outcome, _ = await perform(services, system(("auto_east",)), "role.define", body, Options())
        assert not outcome.errors
    finally:
        await database.dispose()


def crm(config: Path, *words: str) -> int:
    return run(["--config", str(config), *words])


@pytest.fixture(scope="module")
def imported(config: Path) -> tuple[str, str]:
    """The path and the token of the imported example."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert crm(config, "webhooks", "import", str(EXAMPLE)) == 0
    found = re.search(r"website: POST (/hooks/\S+)\n  secret, .*: ([0-9a-f]{64})\n", said.getvalue())
    assert found is not None, said.getvalue()
    return found[1], found[2]


@contextmanager
def served(config: Path) -> Iterator[str]:
    """The server behind a socket, in a thread of its own; its address."""
    app = create_app(load_settings(config, {}), log=logger("error", io.StringIO()))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, proxy_headers=False, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


async def rows(config: Path, sql: str) -> list[Any]:
    database = open_database(load_settings(config, {}))
    try:
        return list(await database.fetch(statement(sql)))
    finally:
        await database.dispose()


def counted(config: Path, table: str) -> int:
    return int(asyncio.run(rows(config, f"SELECT count(*) AS n FROM {table}"))[0].n)  # noqa: S608  # our own words


def test_the_shipped_lead_becomes_a_customer_with_an_interaction(
    config: Path, imported: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, token = imported
    assert crm(config, "webhooks", "try", "website", str(LEAD)) == 0
    shown = capsys.readouterr().out
    assert "customer.create" in shown
    assert "李晓燕" in shown
    assert counted(config, "customers") == 0, "a trial keeps nothing"
    lead = json.loads(LEAD.read_text(encoding="utf-8"))
    with served(config) as address:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        url = address + path
        first = httpx.post(url, headers=headers, content=LEAD.read_bytes())
        again = httpx.post(url, headers=headers, content=LEAD.read_bytes())
        other = httpx.post(url, headers=headers, json={**lead, "lead_id": "L-8", "message": "改天再来"})
        wrong = httpx.post(url, headers={**headers, "authorization": "Bearer no"}, json=lead)
        large = httpx.post(url, headers=headers, content=b"x" * 1_048_577)
        assert [r.status_code for r in (first, again, other, wrong, large)] == [202, 200, 202, 401, 413]
        assert first.json()["id"] == again.json()["id"]
        deadline = time.monotonic() + PATIENCE
        while counted(config, "interactions") < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
    (customer,) = asyncio.run(rows(config, "SELECT name, source_channel, origin FROM customers"))
    assert tuple(customer) == ("李晓燕", "官网留资", "ENQUIRY")
    found = asyncio.run(rows(config, "SELECT content, direction, line FROM interactions ORDER BY id"))
    assert [tuple(one) for one in found] == [
        ("Model Y 长续航；周末可以试驾吗？", "INBOUND", "auto_east"),
        ("Model Y 长续航；改天再来", "INBOUND", "auto_east"),
    ]


def test_importing_again_updates_and_shows_no_secret(
    config: Path, imported: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert crm(config, "webhooks", "import", str(EXAMPLE), "--line", "auto_east") == 0
    shown = capsys.readouterr().out
    assert "updated" in shown
    assert imported[0] in shown
    assert imported[1] not in shown


def test_a_mapping_is_tried_before_it_is_set(
    config: Path, imported: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported
    file, body = tmp_path / "mapping.yaml", tmp_path / "lead.form"
    body.write_text("name=%E7%8E%8B&tel=1", encoding="utf-8")
    words = ("webhooks", "try", "website", str(body), "--mapping", str(file))
    file.write_text(
        "- command: customer.create\n  input: {name: =body.name, kind: PERSON, fon: x}\n", encoding="utf-8"
    )
    assert crm(config, *words) == 1
    assert "0.input.fon" in capsys.readouterr().err
    file.write_text(
        "- command: customer.create\n  input: {name: =body.name, kind: PERSON}\n", encoding="utf-8"
    )
    assert crm(config, *words) == 0
    assert '"王"' in capsys.readouterr().out
    file.write_text(
        "- command: customer.create\n  input: {name: =body.missing, kind: PERSON}\n", encoding="utf-8"
    )
    assert crm(config, *words) == 1
    out = capsys.readouterr().out
    assert "customer.create" in out
    assert "name" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sources: [", "YAML"),
        ("sources: []", "sources"),
        ("sources: [{name: a}]", "verifier"),
        ("sources: [{name: a, verifier: WECOM, actor: web-form, mapping: []}]", "secret_from"),
        ("sources: [{name: a, verifier: GITHUB, actor: nobody, mapping: []}]", "nobody"),
        (
            "sources: [{name: a, verifier: GITHUB, actor: web-form, secret_from: {secret: NOT_SET_HERE}}]",
            "NOT_SET_HERE",
        ),
        ("sources: [{name: website, verifier: GITHUB, actor: web-form}]", "verifier"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(
    config: Path,
    imported: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    said: str,
) -> None:
    assert imported
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    assert crm(config, "webhooks", "import", str(file)) in (1, 2)
    assert said in capsys.readouterr().err


def test_every_verifier_and_setting_stands_on_the_page() -> None:
    for verifier in crm_verifiers():
        assert f"`{verifier.name}`" in PAGE
    for name in IncomingSettings.model_fields:
        assert f"`{name}`" in PAGE

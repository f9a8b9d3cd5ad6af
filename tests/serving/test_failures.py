"""When something breaks – a plugin, the code, the database – the rest answers and the caller is told what to do."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from crm_core import hookimpl, migrate
from crm_core.app import create_app
from crm_core.errors import ConfigurationError
from crm_core.graphql.fields import Field, batch, field
from crm_core.loader import Candidate, load
from crm_core.logs import logger
from crm_core.settings import LineSettings, Settings
from crm_core.testing.kit import INDEX_KEY, KEYS
from crm_core.testing.postgres import Server
from tests.serving.conftest import administrator_token, codes

WRITE = 'mutation { teamCreate(input: { line: "east", name: "%s" }) { team { id } userErrors { code } } }'


def settings_for(url: str, folder: Path) -> Settings:
    return Settings(
        database_url=url,
        lines={"east": LineSettings(plugins=["trouble"])},
        keys=KEYS,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=INDEX_KEY,  # type: ignore[arg-type]
        store=folder / "store",
    )


async def _raise(_rows: Sequence[Any], _context: Any) -> Sequence[Any]:
    raise ValueError("the secret 42")


async def _too_few(_rows: Sequence[Any], _context: Any) -> Sequence[Any]:
    return []


def _bug(_t: Any, _access: Any) -> Any:
    raise ZeroDivisionError("the secret 43")


def trouble() -> ModuleType:
    """A plugin that loads well and fails when asked."""
    module = ModuleType("trouble")

    @hookimpl
    def crm_fields() -> Mapping[str, Sequence[Field]]:
        return {
            "User": (
                batch("troubleRaises", str, "Raises.", _raise),
                batch("troubleShort", str, "Gives too few values.", _too_few),
                field("troubleBug", str, "A bug while the statement is built.", sql=_bug),
            )
        }

    module.crm_fields = crm_fields  # type: ignore[attr-defined]
    return module


CANDIDATES = (Candidate("trouble", "1.0", "crm-trouble", (), trouble),)


@asynccontextmanager
async def serving(settings: Settings, log: io.StringIO) -> AsyncIterator[tuple[httpx.AsyncClient, Starlette]]:
    app = create_app(settings, candidates=CANDIDATES, log=logger("info", log))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://crm", timeout=60) as client:
            yield client, app


async def ask(client: httpx.AsyncClient, token: str, query: str) -> httpx.Response:
    return await client.post("/graphql", json={"query": query}, headers={"authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
async def broken(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[httpx.AsyncClient, str, io.StringIO, Path]]:
    folder, log = tmp_path_factory.mktemp("broken"), io.StringIO()
    settings = settings_for(f"sqlite:///{folder}/crm.db", folder)
    await migrate.upgrade(settings, load(settings, CANDIDATES))
    async with serving(settings, log) as (client, app):
        yield client, await administrator_token(app.state.house.services), log, folder


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


Broken = tuple[httpx.AsyncClient, str, io.StringIO, Path]


@pytest.mark.parametrize("name", ["troubleRaises", "troubleShort"])
async def test_a_plugin_field_that_fails_leaves_the_rest_standing(broken: Broken, name: str) -> None:
    client, token, log, _ = broken
    answer = await ask(client, token, f"{{ users {{ nodes {{ login {name} }} }} }}")
    assert answer.status_code == 200
    assert set(codes(answer)) == {"PLUGIN_FIELD_FAILED"}
    assert answer.json()["data"]["users"]["nodes"][0][name] is None
    assert answer.json()["data"]["users"]["nodes"][0]["login"].startswith("admin")
    assert "secret" not in answer.text
    assert "PLUGIN_FIELD_FAILED" in log.getvalue()


async def test_an_unexpected_error_is_masked_and_logged_under_the_request_id(broken: Broken) -> None:
    client, token, log, _ = broken
    answer = await ask(client, token, "{ users { nodes { troubleBug } } businessLines { nodes { code } } }")
    assert codes(answer) == ["INTERNAL"]
    assert "secret" not in answer.text
    assert answer.json()["data"]["businessLines"] == {"nodes": [{"code": "east"}]}
    identifier = answer.headers["x-request-id"]
    assert answer.json()["errors"][0]["extensions"]["requestId"] == identifier
    assert identifier in answer.json()["errors"][0]["message"]
    entry = next(e for e in map(orjson.loads, log.getvalue().splitlines()) if e["event"] == "INTERNAL")
    assert entry["request_id"] == identifier
    assert "the secret 43" in str(entry["exception"])


async def test_sqlite_locked_by_another_process_is_told_and_passes(broken: Broken) -> None:
    client, token, _, folder = broken
    other = sqlite3.connect(folder / "crm.db", isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # the server, in this loop, may be writing
    try:
        reading = await ask(client, token, "{ businessLines { nodes { code } } }")
        writing = await ask(client, token, WRITE % "locked")
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert reading.json()["data"] == {"businessLines": {"nodes": [{"code": "east"}]}}
    assert codes(writing) == ["DATABASE_BUSY"]
    again = await ask(client, token, WRITE % "locked")
    assert again.json()["data"]["teamCreate"]["userErrors"] == []


async def test_a_database_that_is_behind_is_not_served(tmp_path: Path) -> None:
    settings = settings_for(f"sqlite:///{tmp_path}/empty.db", tmp_path)
    with pytest.raises(ConfigurationError, match="crm db upgrade"):
        async with serving(settings, io.StringIO()):
            pass


async def test_a_server_that_starts_before_its_database_waits_for_it(
    tmp_path: Path, postgres_server: Server
) -> None:
    name = f"late_{tmp_path.name[-8:].replace('-', '_')}".lower()
    url = postgres_server.create_database(name)
    settings = settings_for(url, tmp_path)
    postgres_server.drop_database(name)
    log = io.StringIO()
    async with serving(settings, log) as (client, app):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        away = await ask(client, "any", "{ __typename }")
        assert (away.status_code, codes(away)) == (503, ["DATABASE_UNAVAILABLE"])
        assert away.headers["retry-after"]
        postgres_server.create_database(name)
        behind = await ask(client, "any", "{ __typename }")
        assert (behind.status_code, codes(behind)) == (503, ["DATABASE_BEHIND"])
        await migrate.upgrade(settings, load(settings, CANDIDATES))
        assert (await client.get("/readyz")).status_code == 200
        token = await administrator_token(app.state.house.services)
        assert (await ask(client, token, WRITE % "here")).json()["data"]["teamCreate"]["userErrors"] == []
        postgres_server.drop_database(name)
        gone = await ask(client, token, "{ businessLines { nodes { code } } }")
        assert (gone.status_code, codes(gone)) == (503, ["DATABASE_UNAVAILABLE"]), log.getvalue()
        lost = await ask(client, token, WRITE % "gone")
        assert (lost.status_code, codes(lost)) == (503, ["DATABASE_UNAVAILABLE"])
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        postgres_server.create_database(name)
        await migrate.upgrade(settings, load(settings, CANDIDATES))
        assert (await client.get("/readyz")).status_code == 200
        token = await administrator_token(app.state.house.services)
        assert (await ask(client, token, WRITE % "back")).json()["data"]["teamCreate"]["userErrors"] == []
    postgres_server.drop_database(name)

"""One server for all questions of HTTP, asked without a socket; building its schema takes seconds."""

from __future__ import annotations

import io
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from crm_core import migrate
from crm_core.access.queries import secret_hash, show_token
from crm_core.actors import system
from crm_core.app import create_app
from crm_core.commands import Options
from crm_core.loader import load
from crm_core.logs import logger
from crm_core.settings import LineSettings, Settings
from crm_core.testing.kit import INDEX_KEY, KEYS, FrozenClock
from crm_core.work import Services, perform


@dataclass
class Web:
    """A client with an administrator's token, the app it asks, what the app logs, and its clock."""

    client: httpx.AsyncClient
    app: Starlette
    log: io.StringIO
    clock: FrozenClock
    token: str

    async def ask(
        self, query: str, *, token: str | None = None, headers: dict[str, str] | None = None, **variables: Any
    ) -> httpx.Response:
        """POST a document."""
        bearer = {"authorization": f"Bearer {token or self.token}"}
        body = {"query": query, "variables": variables}
        return await self.client.post("/graphql", json=body, headers=bearer | (headers or {}))

    @property
    def services(self) -> Services:
        """The services behind the server."""
        services: Services = self.app.state.house.services
        return services

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Log entries of one kind."""
        return [e for e in map(orjson.loads, self.log.getvalue().splitlines()) if e["event"] == event]


def codes(response: httpx.Response) -> list[str]:
    """Codes of the errors in an answer."""
    return [error["extensions"]["code"] for error in response.json()["errors"]]


async def done(services: Services, kind: str, **body: Any) -> Any:
    """Id of what a command of the system made."""
    crm = system(tuple(services.registry.lines))
    outcome, _ = await perform(services, crm, kind, body, Options(channel="test"))
    assert not outcome.errors, outcome.errors
    return outcome.ids[0]


async def administrator_token(services: Services, lives: timedelta | None = None) -> str:
    """A token of a new administrator."""
    user = await done(services, "user.create", login=f"admin-{secrets.token_hex(4)}", name="Admin")
    await done(services, "role.grant", user_id=user, role="administrator")
    secret = secrets.token_hex(32)
    expires = None if lives is None else services.clock() + lives
    body = {"user_id": user, "name": "test", "secret_hash": secret_hash(secret), "expires_at": expires}
    return show_token(await done(services, "token.create", **body), secret)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    folder, log, clock = tmp_path_factory.mktemp("web"), io.StringIO(), FrozenClock()
    settings = Settings(
        database_url=f"sqlite:///{folder}/crm.db",
        lines={"east": LineSettings(), "west": LineSettings()},
        keys=KEYS,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=INDEX_KEY,  # type: ignore[arg-type]
        store=folder / "store",
    )
    await migrate.upgrade(settings, load(settings, ()))
    app = create_app(settings, candidates=(), clock=clock, log=logger("info", log))
    async with app.router.lifespan_context(app):
        token = await administrator_token(app.state.house.services)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crm") as client:
            yield Web(client, app, log, clock, token)

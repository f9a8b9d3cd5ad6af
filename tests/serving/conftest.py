"""A server over the kit's deployment, asked by HTTP without a socket."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from crm_core.app import create_app
from crm_core.loader import Candidate
from crm_core.logs import logger
from crm_core.testing.kit import Kit


@dataclass
class Web:
    """A client with an administrator's token, the app it asks, and what the app logs."""

    client: httpx.AsyncClient
    app: Starlette
    log: io.StringIO
    token: str

    async def ask(
        self, query: str, *, token: str | None = None, headers: dict[str, str] | None = None, **variables: Any
    ) -> httpx.Response:
        """POST a document."""
        bearer = {"authorization": f"Bearer {token or self.token}"}
        body = {"query": query, "variables": variables}
        return await self.client.post("/graphql", json=body, headers=bearer | (headers or {}))


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


@pytest.fixture
async def web(crm: Kit, crm_candidates: Sequence[Candidate]) -> AsyncIterator[Web]:
    log = io.StringIO()
    app = create_app(
        crm.services.settings, candidates=crm_candidates, clock=crm.clock, log=logger("info", log)
    )
    token = await crm.token(crm.administrator)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=transport, base_url="http://crm") as client:
            yield Web(client, app, log, token)

"""A deployment with a service user, sources made in a line, and a client before the door."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.errors import Unavailable
from crm_core.incoming.handler import IncomingHandler
from crm_core.incoming.models import IncomingRequest, IncomingSource
from crm_core.incoming.processing import work_off
from crm_core.incoming.settings import IncomingSettings
from crm_core.incoming.verifier import Verifier
from crm_core.incoming_http import HOOKS_ROUTE, incoming_hooks
from crm_core.logs import logger
from crm_core.testing.kit import Kit
from crm_core.work import Services

ONCE = pytest.mark.parametrize("crm_dialect", ["sqlite"], indirect=True)
"""For what no database has a part in."""
TOKEN = "a-token-of-sixteen-or-more"
RIGHTS = {
    "customer.read": Reach.LINE,
    "customer.write": Reach.LINE,
    "interaction.read": Reach.LINE,
    "interaction.write": Reach.LINE,
    "customer.phone": Reach.LINE,
}
NEW_CUSTOMER = [{"command": "customer.create", "input": {"name": "=body.name", "kind": "PERSON"}}]


@dataclass
class Door:
    """Incoming webhooks of the deployment under test."""

    crm: Kit
    robot: Actor
    log: io.StringIO
    away: bool = False
    counted: list[tuple[str, str]] = field(default_factory=list)
    peer: str = "192.0.2.10"

    def __post_init__(self) -> None:
        self.crm.services = replace(
            self.crm.services, count=lambda what, who, _n: self.counted.append((what, who))
        )

    @property
    def services(self) -> Services:
        """The services."""
        return self.crm.services

    def configure(self, **settings: Any) -> None:
        """Set up the room."""
        registry = self.services.registry
        given = {**registry.settings, "incoming": IncomingSettings.model_validate(settings)}
        self.crm.services = replace(self.services, registry=replace(registry, settings=given))

    def plug_in(
        self, *, handlers: Sequence[IncomingHandler] = (), verifiers: Sequence[Verifier] = ()
    ) -> None:
        """Have these, as if a plugin gave them."""
        registry = self.services.registry
        changed = replace(
            registry,
            incoming_handlers={h.name: h for h in handlers},
            verifiers={**registry.verifiers, **{v.name: v for v in verifiers}},
        )
        self.crm.services = replace(self.services, registry=changed)

    async def try_source(self, actor: Actor | None = None, **given: Any) -> dict[str, Any]:
        """Set a source up; the payload."""
        body: dict[str, Any] = {
            "name": "website",
            "verifier": "STATIC_TOKEN",
            "secret": {"secret": TOKEN},
            "mapping": NEW_CUSTOMER,
            "actorId": ids.show("usr", _user(self.robot)),
        }
        body = {k: v for k, v in {**body, **given}.items() if v is not ...}
        return await self.crm.change(
            "incomingCreate", actor, acting="east", input=body, select="incomingSource { id path verifier }"
        )

    async def source(self, **given: Any) -> Any:
        """A new source; its row."""
        payload = await self.try_source(**given)
        assert payload["userErrors"] == [], payload["userErrors"]
        (_, key) = ids.read(payload["incomingSource"]["id"])
        return next(row for row in await self.crm.rows(IncomingSource) if row.id == key)

    @property
    def app(self) -> Starlette:
        """The app."""

        async def services() -> Services:
            if self.away:
                raise Unavailable("The database does not answer")
            return self.services

        hooks = incoming_hooks(services, logger("debug", self.log))
        return Starlette(routes=[Route(HOOKS_ROUTE, hooks, methods=["GET", "POST"])])

    async def send(
        self,
        source: Any,
        content: Any = b'{"name": "Ann"}',
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
        token: str | None = TOKEN,
    ) -> httpx.Response:
        """A request to a source (or to a path)."""
        path = source if isinstance(source, str) else f"/hooks/{source.path_key}"
        told = (
            {"content-type": "application/json"} if headers is None or "content-type" not in headers else {}
        )
        if token is not None:
            told["authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(self.app, client=(self.peer, 1), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://crm") as client:
            return await client.request(
                method, path, content=content, headers={**told, **(headers or {})}, params=query
            )

    async def work_off(self) -> int:
        """Process what is due."""
        return await work_off(self.services)

    async def requests(self) -> list[Any]:
        """All requests, in the order received."""
        return sorted(await self.crm.rows(IncomingRequest), key=lambda row: row.id)

    async def request(self) -> Any:
        """The only request."""
        (row,) = await self.requests()
        return row

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Log entries of one kind."""
        return [e for e in map(orjson.loads, self.log.getvalue().splitlines()) if e["event"] == event]


def _user(actor: Actor) -> UUID:
    assert actor.user_id is not None
    return actor.user_id


def codes(payload: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Codes and fields of refusals."""
    return [(e["code"], e["field"]) for e in payload["userErrors"]]


def signature(secret: str, body: bytes) -> str:
    """An HMAC-SHA256 in hex, by the standard library."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def whsec(key: bytes) -> str:
    """A secret of Standard Webhooks."""
    return "whsec_" + base64.b64encode(key).decode()


@pytest.fixture
async def door(crm: Kit) -> Door:
    """A deployment whose sources act as the user `robot`."""
    return Door(crm, await crm.actor("robot", RIGHTS), io.StringIO())

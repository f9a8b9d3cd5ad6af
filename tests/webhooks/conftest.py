"""A deployment with a receiver of webhooks, whose settings can be set up in a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.outbox.loop import work_off
from crm_core.testing.kit import Kit
from crm_core.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from crm_core.webhooks.sending import send_due
from crm_core.webhooks.settings import WebhooksSettings
from tests.webhooks.sinks import Sink, sink

SHORT = {
    "timeout_seconds": 0.5, "connect_seconds": 0.3, "lease_seconds": 20.0, "allowed_networks": ["127.0.0.0/8"],
}  # fmt: skip
SCOPES = ["customer.read", "contact.read", "event.read"]
SHOWN = (
    "webhookEndpoint { id secret state stateReason failures failingSince headerNames previousUntil version }"
)


@dataclass
class Post:
    """The deployment under test, and its receiver."""

    crm: Kit
    sink: Sink

    def configure(self, **settings: Any) -> None:
        """Set up webhooks: short times, and 127.0.0.1 allowed, unless told otherwise."""
        registry = self.crm.services.registry
        given = WebhooksSettings.model_validate({**SHORT, **settings})
        changed = replace(registry, settings={**registry.settings, "webhooks": given})
        self.crm.services = replace(self.crm.services, registry=changed)

    async def endpoint(self, **given: Any) -> str:
        """A new endpoint at the sink; its id."""
        made = (await self.create(**given))["webhookEndpoint"]
        assert isinstance(made, dict)
        return str(made["id"])

    async def create(self, **given: Any) -> dict[str, Any]:
        """A new endpoint at the sink; the payload."""
        wish = {"name": "Partner", "url": self.sink.url(), "allowPrivate": True, "scopes": SCOPES, **given}
        return await self.crm.done("webhookCreate", input=wish, line="east", select=SHOWN)

    async def customer(self, name: str = "华信", **more: Any) -> str:
        """A new customer of the line east; his id."""
        wish = {"kind": "ORGANISATION", "name": name, **more}
        made = await self.crm.done("customerCreate", input=wish, line="east", select="customer { id }")
        return str(made["customer"]["id"])

    async def rename(self, customer: str, name: str) -> None:
        """An update of a customer."""
        wish = {"id": customer, "name": name}
        await self.crm.done("customerUpdate", input=wish, line="east")

    async def feed(self) -> None:
        """Have everything recorded become deliveries."""
        await work_off(self.crm.services)

    async def send(self, **how: Any) -> int:
        """Feed, and send what is due by the clock; how many attempts were made."""
        await self.feed()
        return await send_due(self.crm.services, chance=lambda: 0.5, **how)

    async def deliveries(self) -> list[Any]:
        """All deliveries in the order of the feed."""
        rows = await self.crm.rows(WebhookDelivery)
        return sorted(rows, key=lambda row: (row.position or 0, row.id))

    async def delivery(self) -> Any:
        """The only delivery."""
        (row,) = await self.deliveries()
        return row

    async def attempts(self) -> list[Any]:
        """All attempts, in order."""
        return sorted(await self.crm.rows(WebhookAttempt), key=lambda row: row.id)

    async def state(self, endpoint: str | None = None) -> Any:
        """The endpoint's row (default: the only one)."""
        rows = await self.crm.rows(WebhookEndpoint)
        key: UUID | None = ids.read_as("whe", endpoint) if endpoint else None
        (row,) = [row for row in rows if key is None or row.id == key]
        return row

    def now(self) -> None:
        """Have the clock show the real time, for receivers that compare."""
        self.crm.clock.now = datetime.now(UTC)


@pytest.fixture
async def post(crm: Kit) -> AsyncIterator[Post]:
    """A deployment with a receiver; the feed begins here."""
    async with sink() as receiver:
        made = Post(crm, receiver)
        made.configure()
        await made.feed()
        yield made

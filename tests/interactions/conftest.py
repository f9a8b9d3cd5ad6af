"""A small sales company: a manager, two salespeople of one team, and customers made as the rules need them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.testing.kit import Kit, Prepare

SELLS = {
    "customer.read": Reach.OWN,
    "customer.write": Reach.OWN,
    "contact.read": Reach.OWN,
    "contact.write": Reach.OWN,
    "interaction.read": Reach.OWN,
    "interaction.write": Reach.OWN,
}
MANAGES = {
    "customer.read": Reach.LINE,
    "customer.write": Reach.LINE,
    "customer.assign": Reach.LINE,
    "contact.read": Reach.LINE,
    "contact.write": Reach.LINE,
    "interaction.read": Reach.LINE,
    "interaction.write": Reach.LINE,
    "interaction.review": Reach.LINE,
    "interaction.manage": Reach.LINE,
}
PLAN = {"purposes": ["LEARN_NEEDS"], "target": "年度框架协议"}


@dataclass
class Company:
    """The company under test; every method acts in line `east` unless told otherwise."""

    crm: Kit
    team: UUID
    manager: Actor
    seller: Actor
    other: Actor

    async def customer(self, name: str, actor: Actor | None = None, **more: Any) -> str:
        """A new customer of the seller."""
        given = {"name": name, "kind": "ORGANISATION", **more}
        return await self._id("customerCreate", "customer", actor or self.seller, given)

    async def contact(self, customer: str, name: str) -> str:
        """A contact of the customer."""
        return await self._id("contactCreate", "contact", self.seller, {"customerId": customer, "name": name})

    async def plan(self, customer: str, actor: Actor | None = None, **more: Any) -> str:
        """A planned visit tomorrow."""
        given = {
            "customerId": customer,
            "kind": "visit",
            "plannedAt": "2025-11-04T10:00:00+08:00",
            "visit": PLAN,
        }
        return await self._id("interactionPlan", "interaction", actor or self.seller, given | more)

    async def visited(self, customer: str, actor: Actor | None = None) -> str:
        """A visit planned now and done a second later."""
        soon = self.crm.clock.now + timedelta(seconds=1)
        visit = await self.plan(customer, actor, plannedAt=soon.isoformat())
        self.crm.clock.advance(seconds=1)
        return await self._id(
            "interactionComplete", "interaction", actor or self.seller, {"id": visit, "content": "谈妥"}
        )

    async def log(self, customer: str, actor: Actor | None = None, **more: Any) -> str:
        """A call that took place now."""
        given = {"customerId": customer, "kind": "call", "content": "询问近况", **more}
        return await self._id("interactionLog", "interaction", actor or self.seller, given)

    async def codes(
        self, mutation: str, actor: Actor | None = None, **given: Any
    ) -> list[tuple[str, str | None]]:
        """Codes and fields of the refusals of a mutation."""
        payload = await self.crm.change(mutation, actor or self.seller, input=given, acting="east")
        return [(error["code"], error["field"]) for error in payload["userErrors"]]

    async def do(
        self, mutation: str, actor: Actor | None = None, select: str = "", **given: Any
    ) -> dict[str, Any]:
        """The payload of a mutation that must not be refused."""
        return await self.crm.done(mutation, actor or self.seller, input=given, select=select, acting="east")

    async def read(self, interaction: str, fields: str, actor: Actor | None = None) -> Any:
        """Fields of an interaction."""
        text = f"query($id: ID!) {{ interaction(id: $id) {{ {fields} }} }}"
        return (await self.crm.data(text, actor or self.seller, id=interaction))["interaction"]

    async def _id(self, mutation: str, record: str, actor: Actor, given: dict[str, Any]) -> str:
        done = await self.crm.done(mutation, actor, input=given, select=f"{record} {{ id }}", acting="east")
        found: str = done[record]["id"]
        return found


async def opened(crm: Kit) -> Company:
    """The company."""
    team = await crm.team("一部")
    manager = await crm.actor("manager", MANAGES)
    seller = await crm.actor("seller", SELLS, team=team)
    other = await crm.actor("other", SELLS, team=team)
    return Company(crm, team, manager, seller, other)


@pytest.fixture
def crm_prepared(request: pytest.FixtureRequest) -> Prepare | None:
    return opened if "company" in request.fixturenames else None


@pytest.fixture
def company(crm: Kit) -> Company:
    """The company on a fresh deployment."""
    made: Company = crm.prepared
    return replace(made, crm=crm)


@pytest.fixture
def shown() -> Any:
    """An id as the API shows it: `shown("usr", actor.user_id)`."""
    return ids.show

"""A line with salesmen, their leader and a manager, and customers with contacts entered as the rules need them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_core.testing.kit import Kit, Prepare


@dataclass
class House:
    """The company under test; acts in line `east` as the salesman `li` unless told otherwise."""

    crm: Kit
    team: UUID
    li: Actor
    wang: Actor
    leader: Actor
    manager: Actor

    async def enter(self, name: str, actor: Actor | None = None, line: str = "east", **more: Any) -> str:
        """A new customer; its id."""
        given = {"name": name, "kind": "ORGANISATION", **more}
        done = await self.crm.done(
            "customerCreate", actor or self.li, input=given, select="customer { id }", acting=line
        )
        made: str = done["customer"]["id"]
        return made

    async def do(
        self, mutation: str, actor: Actor | None = None, select: str = "", line: str = "east", **given: Any
    ) -> Any:
        """The payload of a mutation that must not be refused."""
        return await self.crm.done(mutation, actor or self.li, input=given, select=select, acting=line)

    async def refused(
        self, mutation: str, actor: Actor | None = None, line: str = "east", **given: Any
    ) -> Any:
        """Codes and fields of the refusals."""
        payload = await self.crm.change(mutation, actor or self.li, input=given, acting=line)
        return [(error["code"], error["field"]) for error in payload["userErrors"]]

    async def read(self, customer: str, fields: str, actor: Actor | None = None) -> Any:
        """Fields of one customer, or None."""
        text = f"query($id: ID!) {{ customer(id: $id) {{ {fields} }} }}"
        return (await self.crm.data(text, actor or self.li, id=customer))["customer"]

    async def names(self, actor: Actor | None = None, **where: Any) -> list[str]:
        """Names of the customers found, in the order of their names."""
        text = "query($w: CustomerWhere) { customers(where: $w, orderBy: [{name: ASC}]) { nodes { name } } }"
        found = await self.crm.data(text, actor or self.li, w=where)
        return [node["name"] for node in found["customers"]["nodes"]]

    async def contact(self, customer: str, name: str, actor: Actor | None = None, **more: Any) -> str:
        """A new contact; its id."""
        given = {"customerId": customer, "name": name, **more}
        done = await self.do("contactCreate", actor, "contact { id }", **given)
        made: str = done["contact"]["id"]
        return made

    async def contact_fields(self, contact: str, fields: str, actor: Actor | None = None) -> Any:
        """Fields of one contact, or None."""
        text = f"query($id: ID!) {{ contact(id: $id) {{ {fields} }} }}"
        return (await self.crm.data(text, actor or self.li, id=contact))["contact"]

    def user(self, actor: Actor) -> str:
        """The actor's user as the API shows it."""
        assert actor.user_id is not None
        return ids.show("usr", actor.user_id)


async def opened(crm: Kit) -> House:
    """The company."""
    upper = await crm.team("销售部")
    team = await crm.team("一组", parent=upper)
    return House(
        crm,
        team,
        li=await crm.actor("李", role="sales", team=team),
        wang=await crm.actor("王", role="sales", team=team),
        leader=await crm.actor("赵", role="team_leader", team=upper, leads=True),
        manager=await crm.actor("钱", role="line_manager"),
    )


@pytest.fixture
def crm_prepared(request: pytest.FixtureRequest) -> Prepare | None:
    return opened if "house" in request.fixturenames else None


@pytest.fixture
def house(crm: Kit) -> House:
    """The company on a fresh deployment."""
    made: House = crm.prepared
    return replace(made, crm=crm)

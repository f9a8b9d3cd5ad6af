"""What tests of plans share: a branch with people who plan, and what they do through the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from crm_core import ids
from crm_core.actors import Actor
from crm_core.notices.models import Notice
from crm_telecom_elite.testing import Branch

CONTACT = "elitePlannedContact { id state dueOn reportDueOn }"
"""Of a planned contact."""


def shown(who: Actor) -> str:
    """The id of somebody's account as clients see it."""
    assert who.user_id is not None
    return ids.show("usr", who.user_id)


def codes(payload: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Code, field and rule of refusals."""
    return [(e["code"], e["field"], e["rule"]) for e in payload["userErrors"]]


@dataclass
class Desk:
    """A branch with two members of one team, a colleague of another, a general manager and somebody of compliance."""

    branch: Branch
    mine: Actor
    other: Actor
    far: Actor
    general: Actor
    compliance: Actor

    @classmethod
    async def open(cls, branch: Branch) -> Desk:
        """Hire them."""
        crm, lines = branch.crm, ("elite",)
        hq, region = (next(iter(who.teams["elite"])) for who in (branch.manager, branch.regional_leader))
        return cls(
            branch,
            mine=await crm.actor("小王", role="elite_member", lines=lines, team=hq),
            other=await crm.actor("小李", role="elite_member", lines=lines, team=hq),
            far=await crm.actor("小赵", role="elite_member", lines=lines, team=region),
            general=await crm.actor("总经理", role="marketing_gm", lines=lines),
            compliance=await crm.actor("合规", role="elite_compliance", lines=lines),
        )

    async def done(self, mutation: str, by: Actor, select: str, **given: Any) -> dict[str, Any]:
        """The record that a command yields, which must not be refused."""
        payload = await self.branch.crm.done(mutation, by, input=given, select=select)
        found: dict[str, Any] = payload[select.split(" ", maxsplit=1)[0]]
        return found

    async def refused(
        self, mutation: str, by: Actor, **given: Any
    ) -> list[tuple[str, str | None, str | None]]:
        """Why a command is refused."""
        return codes(await self.branch.crm.change(mutation, by, input=given))

    async def customer(self, owner: Actor | None = None, name: str = "华信集团") -> str:
        """A customer of `mine`, or of another."""
        made = await self.done(
            "customerCreate", owner or self.mine, "customer { id }", name=name, kind="ORGANISATION"
        )
        found: str = made["id"]
        return found

    async def person(self, customer: str, name: str = "陈总", **more: Any) -> str:
        """A key person of a customer."""
        given = {"customerId": customer, "name": name, "isKeyPerson": True, **more}
        found: str = (await self.done("contactCreate", self.mine, "contact { id }", **given))["id"]
        return found

    async def knows(self, contact: str, who: Actor, state: str = "POSITIVE") -> None:
        """Somebody of us has a relation with a person."""
        await self.done(
            "contactLink", self.mine, "contact { id }", id=contact, userId=shown(who), state=state
        )

    async def plan(self, customer: str, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        """A contact plan of 2025."""
        given = {"customerId": customer, "year": 2025, "goal": "建立对应关系", **more}
        return await self.done(
            "eliteContactPlanCreate", by or self.mine,
            "eliteContactPlan { id owner { name } contacts { nodes { id state dueOn reportDueOn owner { name } } } }",
            **given,
        )  # fmt: skip

    async def contact(self, customer: str, **more: Any) -> str:
        """A planned contact, by telephone on Wednesday, 5 November."""
        plan = await self.plan(customer, contacts=[{"way": "PHONE", "dueOn": "2025-11-05"} | more])
        found: str = plan["contacts"]["nodes"][0]["id"]
        return found

    async def told(self, kind: str) -> set[UUID]:
        """Who got a notice of a kind."""
        return {row.user_id for row in await self.branch.crm.rows(Notice) if row.kind == kind}

    async def opening(self, customer: str, who: Actor) -> None:
        """Somebody opens the roles of a customer's people."""
        await self.done(
            "eliteKeyPersonMapOpen", who, "eliteMapOpening { id }", customerId=customer, purpose="准备投标"
        )

    async def tender(self, customer: str) -> str:
        """A tender of a customer that is open."""
        given = {"customerId": customer, "name": "专网招标", "openedOn": "2025-11-01"}
        found: str = (await self.done("eliteTenderOpen", self.mine, "eliteTender { id }", **given))["id"]
        return found

    async def decider(self, customer: str, contact: str) -> str:
        """A tender in which this person decides."""
        tender = await self.tender(customer)
        await self.opening(customer, self.mine)
        await self.done("eliteTenderRoleSet", self.mine, "eliteTenderRole { id }", **role(tender, contact))
        return tender


def role(tender: str, contact: str, **more: Any) -> dict[str, Any]:
    """What is said of a person who decides in a tender."""
    return {
        "id": tender, "contactId": contact, "role": "评标组长", "decisionMaker": True, "influence": "一票否决",
        "concerns": "服务响应", "purpose": "了解评标流程", **more,
    }  # fmt: skip

"""A small car dealer for tests: its people with the roles of the plugin, customers, cars, drives and orders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from crm_auto_dealer.vehicles.vin import with_check_digit
from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals.models import Approval
from crm_core.testing.kit import Kit

PLUGIN = "auto_dealer"
APPROVAL = "approval { id state reasons tasks { stageName state role user { name } } }"


@dataclass
class Dealer:
    """A line with two teams: `consultant` under `leader` in one, `rival` in the other; and those above both."""

    crm: Kit
    line: str
    consultant: Actor
    rival: Actor
    leader: Actor
    manager: Actor
    assistant: Actor
    head: Actor

    def __post_init__(self) -> None:
        """Number what is made up."""
        self._numbers = count(1)

    @classmethod
    async def open(cls, crm: Kit, line: str = "east") -> Dealer:
        """Hire the people of a line."""
        first, second = await crm.team(f"{line} 一组", line), await crm.team(f"{line} 二组", line)

        async def hire(name: str, role: str, **more: Any) -> Actor:
            return await crm.actor(f"{line} {name}", role=role, lines=(line,), **more)

        return cls(
            crm,
            line,
            consultant=await hire("李顾问", "sales", team=first),
            rival=await hire("赵顾问", "sales", team=second),
            leader=await hire("王组长", "team_leader", team=first, leads=True),
            manager=await hire("陈经理", "sales_manager"),
            assistant=await hire("周助理", "sales_assistant"),
            head=await hire("孙部长", "department_manager"),
        )

    async def customer(self, owner: Actor | None = None, **more: Any) -> str:
        """A new customer of a consultant."""
        given = {"name": f"客户{next(self._numbers)}", "kind": "PERSON", **more}
        made = await self.crm.done(
            "customerCreate",
            owner or self.consultant,
            input=given,
            acting=self.line,
            select="customer { id }",
        )
        found: str = made["customer"]["id"]
        return found

    async def car(self, state: str = "READY", **more: Any) -> str:
        """A new test-drive car (or another `use`) in this state; personal use comes with its consent."""
        given = {"vin": self.vin(), "model": "名图 1.8", "use": "TEST_DRIVE", **more}
        made = await self.crm.done("vehicleCreate", self.assistant, input=given, select="vehicle { id }")
        found: str = made["vehicle"]["id"]
        if state == "PERSONAL_USE":
            await self.move(found, "READY")
            await self.consent(found)
        if state != "IN_TRANSIT":
            await self.move(found, state)
        return found

    def vin(self) -> str:
        """A VIN nobody has."""
        return with_check_digit(f"LBEHDAEB0CY{next(self._numbers):06d}")

    async def move(self, car: str, state: str, **more: Any) -> None:
        """Bring a car into a state."""
        await self.crm.done("vehicleSetState", self.assistant, input={"id": car, "state": state, **more})

    async def consent(self, car: str, until: str = "2025-11-10T00:00:00Z") -> None:
        """The department manager's consent that the sales manager uses the car."""
        user = f"usr_{self.manager.user_id.hex}" if self.manager.user_id else ""
        given = {"id": car, "userId": user, "until": until}
        await self.crm.done("vehicleConsentPersonalUse", self.head, input=given)

    async def asked_drive(self, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        """The outcome of asking for a drive from 10:00 to 10:30 on the day after the clock's start (UTC)."""
        given = {"startsAt": "2025-11-04T02:00:00Z", "endsAt": "2025-11-04T02:30:00Z", **more}
        given["customerId"] = given.get("customerId") or await self.customer(by)
        return await self.crm.change(
            "testDriveRequest", by or self.consultant, input=given, select="testDrive { id state version }"
        )

    async def drive(self, by: Actor | None = None, **more: Any) -> str:
        """A booked drive."""
        given = {"vehicleId": await self.car(), **more} if "vehicleId" not in more else more
        asked = await self.asked_drive(by, **given)
        assert asked["userErrors"] == [], asked["userErrors"]
        found: str = asked["testDrive"]["id"]
        return found

    async def order(self, by: Actor | None = None, *steps: str, **more: Any) -> str:
        """An order card of a consultant after these steps: `submit` by him, `sign` by the manager, `register`.

        The last is the assistant's. What is signed was handed in before.
        """
        given = {"model": "名图 1.8", "price": "139800.00", "deposit": "5000.00", **more}
        given["customerId"] = given.get("customerId") or await self.customer(by)
        made = await self.crm.done(
            "orderCreate", by or self.consultant, input=given, select="orderCard { id }"
        )
        found: str = made["orderCard"]["id"]
        if steps:
            await self.submit(found, by)
        for step in steps:
            if step != "submit":
                await self.sign(found, self.manager if step == "sign" else self.assistant)
        return found

    async def submit(self, record: str, by: Actor | None = None) -> dict[str, Any]:
        """The request for signatures as which the consultant hands a record in."""
        payload = await self.crm.done(
            "approvalSubmit",
            by or self.consultant,
            acting=self.line,
            input={"record": record},
            select=APPROVAL,
        )
        found: dict[str, Any] = payload["approval"]
        return found

    async def answered(self, record: str, who: Actor, verb: str = "Approve") -> dict[str, Any]:
        """The outcome of somebody's answer (Approve, Reject, Return, Withdraw) to the record's latest request."""
        key = ids.read(record)[1]
        latest = max(row.id for row in await self.crm.rows(Approval) if row.subject_id == key)
        given = {"id": ids.show("apr", latest)}
        return await self.crm.change(f"approval{verb}", who, input=given, select=APPROVAL)

    async def sign(self, record: str, who: Actor, verb: str = "Approve") -> dict[str, Any]:
        """The record's latest request after this person's answer, which is not refused."""
        payload = await self.answered(record, who, verb)
        assert payload["userErrors"] == [], payload["userErrors"]
        found: dict[str, Any] = payload["approval"]
        return found

    async def change(self, order: str, by: Actor | None = None, **content: Any) -> str:
        """A change asked for, which is handed in with that."""
        made = await self.crm.done(
            "orderChange",
            by or self.consultant,
            input={"id": order, "content": content},
            select="orderChange { id }",
        )
        found: str = made["orderChange"]["id"]
        return found


def outcome(approval: dict[str, Any]) -> tuple[str, list[str]]:
    """State of a request for signatures, and the codes of why it could not be performed."""
    return approval["state"], [reason["code"] for reason in approval["reasons"]]

"""The demo company has test drives and orders in every state, some waiting for signatures, and a change of one."""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_auto_dealer import demo
from crm_auto_dealer.orders.models import OrderCard, OrderChange, OrderState
from crm_auto_dealer.test_drives.models import TestDrive, TestDriveState
from crm_auto_dealer.testing import Dealer
from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals.models import Approval, ApprovalTask


class SmallCompany:
    """A company of one dealer with the customers given."""

    def __init__(self, dealer: Dealer, customers: Sequence[UUID]) -> None:
        self.rng = random.Random(7)
        self.dealer = dealer
        self.known = customers
        self.people = {"sales_manager": dealer.manager, "sales_assistant": dealer.assistant}

    @property
    def now(self) -> datetime:
        return self.dealer.crm.clock()

    def lines_of(self, plugin: str) -> Sequence[str]:
        return ["east"] if plugin == "auto_dealer" else []

    def customers(self, line: str) -> Sequence[UUID]:
        return self.known if line == "east" else []

    async def perform(self, role: str, kind: str, body: Mapping[str, Any], *, line: str) -> UUID:
        outcome = await self.dealer.crm.perform(kind, body, self.people[role], line=line)
        assert outcome.errors == ()
        return outcome.ids[0]

    async def hire(self, login: str, name: str, roles: Iterable[str], line: str | None) -> Actor:
        (role,) = roles
        return await self.dealer.crm.actor(f"{login} {name}", role=role, lines=(line or "east",))


async def test_every_state_is_there_to_see(dealer: Dealer) -> None:
    customers = [ids.read_as("cus", await dealer.customer()) for _ in range(24)]
    await demo.company(SmallCompany(dealer, customers))
    assert {row.state for row in await dealer.crm.rows(TestDrive)} == set(TestDriveState)
    assert {row.state for row in await dealer.crm.rows(OrderCard)} == set(OrderState)
    assert [row.state for row in await dealer.crm.rows(OrderChange)] == ["PENDING"]


async def test_orders_wait_for_their_signature_and_for_their_registration(dealer: Dealer) -> None:
    customers = [ids.read_as("cus", await dealer.customer()) for _ in range(24)]
    await demo.company(SmallCompany(dealer, customers))
    of_orders = [row for row in await dealer.crm.rows(Approval) if row.document == "OrderCard"]
    open_ = {row.approval_id: row.stage for row in await dealer.crm.rows(ApprovalTask) if row.state == "OPEN"}
    waiting = {open_[row.id] for row in of_orders if row.state == "PENDING"}
    assert {row.state for row in of_orders} == {"PENDING", "APPROVED"}
    assert waiting == {0, 1}

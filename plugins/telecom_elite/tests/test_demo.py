"""The demo company has a branch with members in training, on probation and regular, and customers of theirs."""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_core import ids
from crm_core.actors import Actor
from crm_telecom_elite import demo
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.teams.models import EliteCustomerAssignment
from crm_telecom_elite.testing import Branch


class SmallCompany:
    """A company of one branch with the customers given."""

    def __init__(self, branch: Branch, customers: Sequence[UUID]) -> None:
        self.rng = random.Random(7)
        self.branch = branch
        self.services = branch.crm.services
        self.known = customers
        self.people = {"elite_hr": branch.hr, "elite_centre": branch.centre}

    @property
    def now(self) -> datetime:
        return self.branch.crm.clock()

    def lines_of(self, plugin: str) -> Sequence[str]:
        return ["elite"] if plugin == "telecom_elite" else []

    def customers(self, line: str) -> Sequence[UUID]:
        return self.known if line == "elite" else []

    async def perform(self, role: str, kind: str, body: Mapping[str, Any], *, line: str) -> UUID:
        outcome = await self.branch.crm.perform(kind, body, self.people[role], line=line)
        assert outcome.errors == (), (kind, outcome.errors)
        return outcome.ids[0]

    async def hire(self, login: str, name: str, roles: Iterable[str], line: str | None) -> Actor:
        (role,) = roles
        return await self.branch.crm.actor(f"{login} {name}", role=role, lines=(line or "elite",))


async def test_a_branch_has_members_on_every_stretch_and_customers(branch: Branch) -> None:
    customers = [ids.read_as("cus", await branch.customer()) for _ in range(6)]
    await demo.company(SmallCompany(branch, customers))
    members = await branch.crm.rows(EliteMember)
    assert len(members) == len(demo.HQ) + len(demo.REGIONAL)
    assert {row.state for row in members} == {"IN_TRAINING", "COACHING", "REGULAR"}
    assert {row.customer_id for row in await branch.crm.rows(EliteCustomerAssignment)} == set(customers)

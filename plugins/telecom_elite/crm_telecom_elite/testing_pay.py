"""A month's pay for tests: people of a branch with standards, their users' fees, distributions, and a run of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals.models import Approval
from crm_core.jobs.running import work_off
from crm_telecom_elite.appraisals.models import EliteAppraisal
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.testing import Branch

RUN = "eliteRun { id month state total members problems version }"
MONTH = "2025-10"


@dataclass
class Pay:
    """The team `hq` with its manager, `first` and `second` on package 2; `third` in the team `regional`."""

    branch: Branch
    manager: str
    first: str
    second: str
    third: str

    def __post_init__(self) -> None:
        """Number what is made up."""
        self._numbers = count(1)

    @classmethod
    async def open(cls, branch: Branch) -> Pay:
        """Set standards of 4,000 and 1,500 yuan, and hire four people on package 2."""
        for kind in ("HQ", "REGIONAL"):
            await branch.standard("营销经理", "A", "4000.00", "1500.00", kind=kind)
        told = {"origin": "DIRECT_SALES"}
        return cls(
            branch,
            manager=await branch.member(user=branch.manager, post="team_manager", **told),
            first=await branch.member(user=branch.members[0], **told),
            second=await branch.member(user=branch.members[1], **told),
            third=await branch.member(
                user=branch.members[2], team=branch.regional, post="customer_manager", **told
            ),
        )

    async def user(self, member: str, activated_on: str = "2025-09-01", **more: Any) -> str:
        """The number of a new user that a member developed."""
        number = f"1860000{next(self._numbers):04d}"
        given = {"number": number, "memberId": member, "activatedOn": activated_on, **more}
        await self.branch.crm.done("eliteUserCreate", self.branch.centre, input=given)
        return number

    async def fees(
        self, member: str, amount: str, received_on: str = "2025-10-20", user: str | None = None, **more: Any
    ) -> str:
        """Fees of a new user of a member (or of `user`); the number of the receipt."""
        number = f"R{next(self._numbers):06d}"
        receipt = {
            "number": number,
            "userNumber": user or await self.user(member),
            "billMonth": received_on[:7],
            "receivedOn": received_on,
            "amount": amount,
            **more,
        }
        await self.branch.crm.done(
            "eliteReceiptsRecord", self.branch.finance, input={"receipts": [receipt]}, acting=self.branch.line
        )
        return number

    async def propose(
        self,
        weights: Mapping[str, str],
        by: Actor | None = None,
        team: str | None = None,
        month: str = MONTH,
        **more: Any,
    ) -> dict[str, Any]:
        """The outcome of proposing how a team divides its commission."""
        shares = [{"memberId": member, "weight": weight} for member, weight in weights.items()]
        given = {"teamId": team or self.branch.hq, "month": month, "shares": shares, **more}
        return await self.branch.crm.change(
            "eliteDistributionPropose",
            by or self.branch.manager,
            input=given,
            acting=self.branch.line,
            select="eliteDistribution { id state }",
        )

    async def divided(self, weights: Mapping[str, str], **more: Any) -> str:
        """A distribution that the Centre signed."""
        made = await self.propose(weights, **more)
        assert made["userErrors"] == [], made["userErrors"]
        found: str = made["eliteDistribution"]["id"]
        await self.sign(found)
        return found

    async def sign(self, record: str, verb: str = "Approve") -> None:
        """The Centre's answer to what was handed in last of a record."""
        key = ids.read(record)[1]
        latest = max(row.id for row in await self.branch.crm.rows(Approval) if row.subject_id == key)
        given = {"id": ids.show("apr", latest)}
        await self.branch.crm.done(f"approval{verb}", self.branch.centre, input=given)

    async def appraised(self, member: str, *results: tuple[str, str], state: str = "CONFIRMED") -> None:
        """Results of a member by period, entered in this order."""
        crm, key = self.branch.crm, ids.read(member)[1]
        (team,) = {row.elite_team_id for row in await crm.rows(EliteMember) if row.id == key}
        async with crm.database.transaction() as session:
            for period, result in results:
                session.add(
                    EliteAppraisal(
                        line=self.branch.line,
                        elite_team_id=team,
                        member_id=key,
                        member_key=key.hex,
                        period=period,
                        state=state,
                        inputs={},
                        derivation=[],
                        result=result,
                        created_at=crm.clock(),
                    )
                )
                await session.flush()

    # -- runs

    async def act(self, verb: str, run: str, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        """The outcome of a command `eliteRun<verb>`; by the human resources unless named."""
        return await self.branch.crm.change(
            f"eliteRun{verb}", by or self.branch.hr, input={"id": run, **more}, select=RUN
        )

    async def done(self, verb: str, run: str, by: Actor | None = None, **more: Any) -> dict[str, Any]:
        """The run after a command that must not be refused."""
        payload = await self.act(verb, run, by, **more)
        assert payload["userErrors"] == [], payload["userErrors"]
        found: dict[str, Any] = payload["eliteRun"]
        return found

    async def open_run(self, month: str = MONTH) -> str:
        """An open run."""
        made = await self.branch.crm.done(
            "eliteRunOpen", self.branch.hr, input={"month": month}, acting=self.branch.line, select=RUN
        )
        found: str = made["eliteRun"]["id"]
        return found

    async def computed(self, month: str = MONTH) -> str:
        """A run that its job computed."""
        run = await self.open_run(month)
        await self.compute(run)
        return run

    async def compute(self, run: str) -> dict[str, Any]:
        """The run after its job computed it (again)."""
        await self.done("Compute", run)
        await work_off(self.branch.crm.services)
        return await self.run(run)

    async def run(self, run: str, by: Actor | None = None) -> dict[str, Any]:
        """The run as somebody sees it."""
        text = "query($id: ID!) { eliteRun(id: $id) { id month state total members problems digest reproducible } }"
        data = await self.branch.crm.data(text, by or self.branch.hr, id=run)
        found: dict[str, Any] = data["eliteRun"]
        return found

    async def closed(self, month: str = MONTH) -> str:
        """A run that was computed, reviewed, confirmed by time, approved, closed and filed."""
        return await self.finish(await self.computed(month))

    async def finish(self, run: str) -> str:
        """A computed run brought to its end."""
        await self.done("Review", run)
        self.branch.crm.advance_working_days(6, self.branch.line)
        await self.done("Confirm", run)
        await self.done("Approve", run, self.branch.finance)
        await self.done("Close", run)
        await work_off(self.branch.crm.services)
        return run

    async def lines(self, run: str, by: Actor | None = None) -> list[dict[str, Any]]:
        """Lines of a run that somebody sees, member by member."""
        text = """query($id: ID!) { eliteRun(id: $id) { lines(first: 100) { nodes {
            position kind amount rule about derivation member { id } } } } }"""
        data = await self.branch.crm.data(text, by or self.branch.hr, id=run)
        nodes: list[dict[str, Any]] = data["eliteRun"]["lines"]["nodes"]
        return sorted(nodes, key=lambda one: ((one["member"] or {}).get("id", ""), one["position"]))

    async def paid(self, run: str, member: str) -> dict[str, str]:
        """What a member gets of a run: kind (with the month an adjustment is about) → yuan."""
        return {
            one["kind"] + (f" {one['about']}" if one["about"] else ""): one["amount"]
            for one in await self.lines(run)
            if one["member"]["id"] == member
        }

    async def statements(self, run: str, by: Actor | None = None) -> dict[str, dict[str, Any]]:
        """Statements of a run that somebody sees, by member."""
        text = """query($id: ID!) { eliteRun(id: $id) { statements(first: 100) { nodes {
            id total payable carriedOver confirmedAt objection answer member { id }
            files { id title mediaType size sha256 } lines { kind amount } } } } }"""
        data = await self.branch.crm.data(text, by or self.branch.hr, id=run)
        return {one["member"]["id"]: one for one in data["eliteRun"]["statements"]["nodes"]}

    async def statement(self, run: str, member: str) -> str:
        """The id of a member's statement."""
        found: str = (await self.statements(run))[member]["id"]
        return found

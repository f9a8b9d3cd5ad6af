"""A small branch for tests: its people with the roles of the plugin, two teams, and members in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from crm_core import ids
from crm_core.actors import Actor
from crm_core.testing.kit import Kit
from crm_telecom_elite.ladder.models import ElitePost, EliteStep
from crm_telecom_elite.months import months_after, term_end
from crm_telecom_elite.teams.models import EliteTeam

PLUGIN = "telecom_elite"


@dataclass
class Branch:
    """A line with a team of the headquarters and a regional one.

    `leader` leads the company, `manager` the team `hq`, `regional_leader` the team `regional`. `members` are accounts:
    the first two sit in `hq`, the third in `regional`; `member(user=…)` makes one of them a member of the elite.
    """

    crm: Kit
    line: str
    hr: Actor
    centre: Actor
    finance: Actor
    leader: Actor
    manager: Actor
    regional_leader: Actor
    members: tuple[Actor, Actor, Actor]
    hq: str
    regional: str

    def __post_init__(self) -> None:
        """Number what is made up."""
        self._numbers = count(1)

    @classmethod
    async def open(cls, crm: Kit, line: str = "elite") -> Branch:
        """Hire the people of a line and set up its teams."""

        async def hire(name: str, role: str, **more: Any) -> Actor:
            return await crm.actor(f"{line} {name}", role=role, lines=(line,), **more)

        centre = await hire("周中心", "elite_centre")
        hq = await _team(crm, centre, line, name=f"{line} 本部一队", teamKind="HQ")
        regional = await _team(crm, centre, line, name=f"{line} 宝安一队", teamKind="REGIONAL", region="宝安")
        core = {ids.show("elt", row.id): row.team_id for row in await crm.rows(EliteTeam)}
        return cls(
            crm,
            line,
            hr=await hire("吴人力", "elite_hr"),
            centre=centre,
            finance=await hire("郑财务", "elite_finance"),
            leader=await hire("王总", "elite_leader"),
            manager=await hire("李经理", "elite_manager", team=core[hq], leads=True),
            regional_leader=await hire("赵组长", "elite_manager", team=core[regional], leads=True),
            members=(
                await hire("陈一", "elite_member", team=core[hq]),
                await hire("林二", "elite_member", team=core[hq]),
                await hire("黄三", "elite_member", team=core[regional]),
            ),
            hq=hq,
            regional=regional,
        )

    @property
    def today(self) -> date:
        """The day in Shanghai."""
        return self.crm.clock().astimezone(ZoneInfo("Asia/Shanghai")).date()

    async def team(self, kind: str = "HQ", **more: Any) -> str:
        """Another team."""
        given = {"name": f"{self.line} 队{next(self._numbers)}", "teamKind": kind, **more}
        if kind == "REGIONAL":
            given.setdefault("region", "宝安")
        return await _team(self.crm, self.centre, self.line, **given)

    async def post(self, code: str) -> str:
        """The shown id of a post."""
        rows = await self.crm.rows(ElitePost)
        return next(ids.show("elp", row.id) for row in rows if (row.line, row.code) == (self.line, code))

    async def step(self, kind: str, grade: str, letter: str) -> str:
        """The shown id of a rung of the ladder."""
        wanted = (self.line, kind, grade, letter)
        rows = await self.crm.rows(EliteStep)
        return next(
            ids.show("els", row.id)
            for row in rows
            if (row.line, row.team_kind, row.grade, row.letter) == wanted
        )

    async def kind(self, team: str) -> str:
        """The kind of a team."""
        rows = await self.crm.rows(EliteTeam)
        return next(str(row.kind) for row in rows if ids.show("elt", row.id) == team)

    async def standard(self, grade: str, letter: str, salary: str, bonus: str = "0", **more: Any) -> None:
        """Set what a rung pays from 2025-01-01 (or `validFrom`) on, for `kind` HQ unless named."""
        step = await self.step(more.pop("kind", "HQ"), grade, letter)
        given = {"id": step, "validFrom": "2025-01-01", "salary": salary, "bonus": bonus, **more}
        await self.crm.done("eliteStandardSet", self.hr, input=given)

    async def customer(self, **more: Any) -> str:
        """A new customer of the line, the Centre's."""
        given = {"name": f"集团客户{next(self._numbers)}", "kind": "ORGANISATION", **more}
        made = await self.crm.done(
            "customerCreate", self.centre, input=given, acting=self.line, select="customer { id }"
        )
        found: str = made["customer"]["id"]
        return found

    async def candidate(
        self, team: str | None = None, *, post: str = "marketing_manager", **more: Any
    ) -> str:
        """A candidate for a post of a team (`hq` unless named); `user` may be an Actor."""
        given = {
            "teamId": team or self.hq,
            "postId": await self.post(post),
            "name": f"成员{next(self._numbers)}",
            "origin": "RECRUIT",
            **more,
        }
        user: Actor | None = given.pop("user", None)
        if user is not None and user.user_id is not None:
            given["userId"] = ids.show("usr", user.user_id)
        if given["origin"] == "TRANSFEREE":
            given = {"originalSalary": "5000.00", "originalBonus": "2000.00", **given}
        made = await self.act("Propose", **given)
        found: str = made["eliteMember"]["id"]
        return found

    async def act(self, verb: str, **given: Any) -> dict[str, Any]:
        """A command `eliteMember<verb>` by the human resources, which must not be refused; the payload."""
        return await self.crm.done(
            f"eliteMember{verb}", self.hr, input=given, acting=self.line, select="eliteMember { id state }"
        )

    async def ready(self, candidate: str, on: str = "2025-02-20") -> str:
        """The candidate, approved by the province and passed by the doctor on a day."""
        for department in ("HR", "GROUP_CUSTOMER"):
            said = {"department": department, "approvedOn": on, "reference": f"粤{department}〔2025〕1号"}
            await self.act("ApproveByProvince", id=candidate, **said)
        await self.act("PassMedical", id=candidate, passedOn=on, hospital="深圳市人民医院")
        return candidate

    async def member(
        self,
        *,
        team: str | None = None,
        origin: str = "RECRUIT",
        entered_on: str = "2025-03-01",
        post: str = "marketing_manager",
        grade: str = "营销经理",
        letter: str = "A",
        user: Actor | None = None,
        **more: Any,
    ) -> str:
        """The shown id of a new member who entered that day, as far on his way as the present day allows.

        One who entered three months ago or more is regular; who entered lately is still in training or coached.
        """
        where = team or self.hq
        entered = date.fromisoformat(entered_on)
        asked = await self.candidate(where, post=post, origin=origin, user=user, **more)
        await self.ready(asked, (entered - timedelta(days=9)).isoformat())
        step = await self.step(await self.kind(where), grade, letter)
        await self.act("Enter", id=asked, enteredOn=entered_on, stepId=step)
        await self._through_training(asked, entered)
        return asked

    async def _through_training(self, member: str, entered: date) -> None:
        trained, today = entered + timedelta(days=11), self.today
        if trained < today:
            said = {"trainedFrom": entered.isoformat(), "trainedUntil": trained.isoformat()}
            await self.act("PassExam", id=member, passedOn=trained.isoformat(), **said)
            coached = trained + timedelta(days=1)
            await self.act("Coach", id=member, coachName="老员工", coachedFrom=coached.isoformat())
            if (started := months_after(coached, 2)) <= today:
                await self.act("Start", id=member, startedOn=started.isoformat())
                if term_end(entered, 3) < today:
                    await self.act("Confirm", id=member)


async def _team(crm: Kit, by: Actor, line: str, **given: Any) -> str:
    made = await crm.done("eliteTeamCreate", by, input=given, acting=line, select="eliteTeam { id }")
    found: str = made["eliteTeam"]["id"]
    return found

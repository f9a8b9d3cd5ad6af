"""The branch of the demo company: two teams, their members on every stretch of the way, customers of theirs."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import select

from crm_core.actors import Actor
from crm_core.work import Services
from crm_telecom_elite.ladder.models import ElitePost, EliteStep
from crm_telecom_elite.members.models import EliteOrigin
from crm_telecom_elite.months import months_after, term_end

_HR, _CENTRE = "elite_hr", "elite_centre"
_SALARY, _RISE = 3_000, 400
"""Yuan a month of the lowest rung, and what each further one pays more."""


class Company(Protocol):
    """What the demo company offers while it is being filled."""

    rng: random.Random
    services: Services

    @property
    def now(self) -> datetime:
        """The present of the company, UTC."""
        ...

    def lines_of(self, plugin: str) -> Sequence[str]:
        """Lines that enable the plugin."""
        ...

    def customers(self, line: str) -> Sequence[UUID]:
        """Customers of a line."""
        ...

    async def perform(self, role: str, kind: str, body: Mapping[str, Any], *, line: str) -> UUID:
        """Perform a command as somebody who holds the role in the line; the id of its record."""
        ...

    async def hire(self, login: str, name: str, roles: Iterable[str], line: str | None) -> Actor:
        """A new user with these roles in the line."""
        ...


HQ: Final = (
    ("李建国", "team_manager", EliteOrigin.TRANSFEREE, 400),
    ("陈晓明", "marketing_manager", EliteOrigin.RECRUIT, 300),
    ("林雅芳", "marketing_manager", EliteOrigin.DIRECT_SALES, 120),
    ("周启航", "product_manager", EliteOrigin.RECRUIT, 200),
    ("吴静", "service_manager", EliteOrigin.RECRUIT, 100),
)
REGIONAL: Final = (
    ("赵海峰", "team_leader", EliteOrigin.DIRECT_SALES, 400),
    *((name, "customer_manager", EliteOrigin.DIRECT_SALES, 250) for name in ("黄丽", "何伟", "罗敏", "谢强")),
    ("邓小婷", "customer_manager", EliteOrigin.RECRUIT, 60),
    ("许文", "customer_manager", EliteOrigin.RECRUIT, 10),
    ("马骏", "service_manager", EliteOrigin.RECRUIT, 220),
)
"""Name, post, origin and days of service of who works in the two teams; who came lately is still being trained."""


async def company(demo: Company) -> None:
    """A branch in every line that enables the plugin."""
    for line in demo.lines_of("telecom_elite"):
        hq = {"name": f"集团客户本部一队 {line}", "team_kind": "HQ"}
        regional = {"name": f"宝安营销中心一队 {line}", "team_kind": "REGIONAL", "region": "宝安"}
        teams = [await demo.perform(_CENTRE, "elite_team.create", body, line=line) for body in (hq, regional)]
        await _pay(demo, line)
        for kind, team, people in (("HQ", teams[0], HQ), ("REGIONAL", teams[1], REGIONAL)):
            for number, person in enumerate(people):
                await _Newcomer(demo, line, kind, team).employ(f"{kind.lower()}{number}.{line}", *person)
        await _assigned(demo, line, teams)


async def _pay(demo: Company, line: str) -> None:
    """What every rung pays, for two years and more."""
    step = EliteStep.__table__
    wanted = select(step.c.id, step.c.rank).where(step.c.line == line).order_by(step.c.team_kind, step.c.rank)
    for row in await demo.services.database.fetch(wanted):
        salary = _SALARY + _RISE * row.rank // 10
        body = {"id": row.id, "valid_from": _today(demo, line).replace(month=1, day=1) - timedelta(days=731),
                "salary": f"{salary}.00", "bonus": f"{salary // 3}.00"}  # fmt: skip
        await demo.perform(_HR, "elite_standard.set", body, line=line)


async def _assigned(demo: Company, line: str, teams: Sequence[UUID]) -> None:
    known = list(demo.customers(line))
    for number, customer in enumerate(demo.rng.sample(known, min(20, len(known)))):
        body = {"customer_id": customer, "team_id": teams[number % len(teams)]}
        await demo.perform(_CENTRE, "elite_customer.assign", body, line=line)


def _today(demo: Company, line: str) -> date:
    return demo.services.day(line, demo.now)


class _Newcomer:
    """Employs one person after another in a team."""

    def __init__(self, demo: Company, line: str, kind: str, team: UUID) -> None:
        self._demo, self._line, self._kind, self._team = demo, line, kind, team

    async def employ(self, login: str, name: str, post: str, origin: EliteOrigin, days: int) -> None:
        """From the proposal as far as the days of service allow."""
        entered = _today(self._demo, self._line) - timedelta(days=days)
        member = await self._proposed(login, name, post, origin)
        await self._approved(member, entered - timedelta(days=14))
        step = await self._one(EliteStep, EliteStep.team_kind == self._kind, EliteStep.rank == 10)  # noqa: PLR2004  # the lowest
        await self._do("enter", id=member, entered_on=entered, step_id=step)
        await self._trained(member, entered)

    async def _proposed(self, login: str, name: str, post: str, origin: EliteOrigin) -> UUID:
        role = "elite_manager" if post in ("team_manager", "team_leader") else "elite_member"
        user = await self._demo.hire(login, name, (role,), self._line)
        body: dict[str, Any] = {
            "name": name,
            "origin": origin,
            "team_id": self._team,
            "user_id": user.user_id,
        }
        body["post_id"] = await self._one(ElitePost, ElitePost.code == post)
        if origin is EliteOrigin.TRANSFEREE:
            body |= {"original_salary": "5000.00", "original_bonus": "2000.00"}
        return await self._do("propose", **body)

    async def _approved(self, member: UUID, day: date) -> None:
        for department in ("HR", "GROUP_CUSTOMER"):
            said = {
                "department": department,
                "approved_on": day,
                "reference": f"粤{department}〔{day.year}〕8号",
            }
            await self._do("approve_by_province", id=member, **said)
        await self._do("pass_medical", id=member, passed_on=day, hospital="深圳市人民医院")

    async def _trained(self, member: UUID, entered: date) -> None:
        """Through classroom, exam, coaching and probation, as far as it is behind him."""
        today, trained = _today(self._demo, self._line), entered + timedelta(days=11)
        if trained >= today:
            return
        await self._do("pass_exam", id=member, trained_from=entered, trained_until=trained, passed_on=trained)
        coached = trained + timedelta(days=1)
        await self._do("coach", id=member, coach_name="老员工", coached_from=coached)
        if (started := months_after(coached, 2)) <= today:
            await self._do("start", id=member, started_on=started)
            if term_end(entered, 3) < today:
                await self._do("confirm", id=member)

    async def _do(self, verb: str, **body: Any) -> UUID:
        return await self._demo.perform(_HR, f"elite_member.{verb}", body, line=self._line)

    async def _one(self, model: type[ElitePost | EliteStep], *wanted: Any) -> UUID:
        rows = await self._demo.services.database.fetch(
            select(model.__table__.c.id).where(model.__table__.c.line == self._line, *wanted)
        )
        found: UUID = rows[0].id
        return found

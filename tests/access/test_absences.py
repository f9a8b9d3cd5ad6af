"""Being away: who may say so, what is refused, who sees it, and who is away on a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from crm_core import ids
from crm_core.access.absences import away
from crm_core.access.deputies import deputy
from crm_core.actors import Actor, Reach
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit

FIELDS = "absence { id fromDay toDay kinds line note endedAt version user { name } deputy { name } }"
LIST = "{ absences { totalCount nodes { id user { name } deputy { name } } } }"


@dataclass
class Office:
    """Li and Wang sell, Zhao leads them."""

    crm: Kit
    li: Actor
    wang: Actor
    zhao: Actor

    async def set(self, actor: Actor | None = None, **given: Any) -> dict[str, Any]:
        """Li's absence of a week, unless told otherwise."""
        body = {"deputyId": user(self.wang), "fromDay": "2025-11-03", "toDay": "2025-11-07", **given}
        made = await self.crm.done("absenceSet", actor or self.li, input=body, select=FIELDS)
        absence: dict[str, Any] = made["absence"]
        return absence

    async def refused(self, actor: Actor | None = None, **given: Any) -> list[tuple[str, str | None]]:
        body = {"deputyId": user(self.wang), "fromDay": "2025-11-03", "toDay": "2025-11-07", **given}
        made = await self.crm.change("absenceSet", actor or self.li, input=body, select=FIELDS)
        assert made["absence"] is None
        return [(error["code"], error["field"]) for error in made["userErrors"]]

    async def stands_in(self, kind: str, day: str, line: str = "east") -> object:
        """Who stands in for Li."""
        assert self.li.user_id is not None
        on = date.fromisoformat(day)
        async with self.crm.database.transaction() as session:
            return deputy(self.li.user_id, kind, line, on, await away(session, line, on))


def user(actor: Actor) -> str:
    assert actor.user_id is not None
    return ids.show("usr", actor.user_id)


@pytest.fixture
async def office(crm: Kit) -> Office:
    return Office(
        crm,
        await crm.actor("li", role="sales"),
        await crm.actor("wang", role="sales"),
        await crm.actor("zhao", role="team_leader"),
    )


async def test_somebody_says_when_he_is_away_and_who_stands_in(office: Office) -> None:
    made = await office.set(note="出差", kinds=["customer.update", "customer.assign", "customer.update"])
    assert made | {"id": ""} == {
        "id": "",
        "fromDay": "2025-11-03",
        "toDay": "2025-11-07",
        "kinds": ["customer.assign", "customer.update"],
        "line": None,
        "note": "出差",
        "endedAt": None,
        "version": 1,
        "user": {"name": "li"},
        "deputy": {"name": "wang"},
    }
    assert await office.stands_in("customer.assign", "2025-11-07") == office.wang.user_id
    assert await office.stands_in("customer.create", "2025-11-07") is None
    assert await office.stands_in("customer.assign", "2025-11-08") is None


async def test_what_is_wrong_is_refused_all_at_once(office: Office) -> None:
    assert await office.refused(
        deputyId=user(office.li), toDay="2025-11-02", line="north", kinds=["tea"]
    ) == [
        ("OWN_DEPUTY", "deputyId"),
        ("ENDS_BEFORE_IT_BEGINS", "toDay"),
        ("UNKNOWN_LINE", "line"),
        ("UNKNOWN_KIND", "kinds.0"),
    ]
    await office.crm.done("userUpdate", input={"id": user(office.wang), "disabled": True})
    assert await office.refused() == [("DEPUTY_DISABLED", "deputyId")]
    assert await office.crm.data(LIST) == {"absences": {"totalCount": 0, "nodes": []}}


async def test_a_refusal_is_said_in_chinese_too(office: Office) -> None:
    body = {"deputyId": user(office.li), "fromDay": "2025-11-03", "toDay": "2025-11-07"}
    refused = await office.crm.change("absenceSet", office.li, input=body, language="zh-CN")
    assert refused["userErrors"][0]["message"] == "不能委托给本人。"


async def test_days_of_the_same_kinds_and_line_have_one_deputy(office: Office) -> None:
    await office.set(kinds=["customer.assign"], line="east")
    assert await office.refused(fromDay="2025-11-07", toDay="2025-11-09") == [("ABSENT_ALREADY", "fromDay")]
    same = ["customer.assign", "customer.update"]
    assert await office.refused(kinds=same, line="east") == [("ABSENT_ALREADY", "fromDay")]
    await office.set(kinds=["customer.update"])
    await office.set(kinds=["customer.assign"], line="west")
    await office.set(fromDay="2025-11-08", toDay="2025-11-09")
    await office.set(office.wang, deputyId=user(office.li))


async def test_for_others_only_an_administrator_says_so(office: Office) -> None:
    assert await office.refused(userId=user(office.zhao)) == [("FORBIDDEN", None)]
    made = await office.set(office.crm.administrator, userId=user(office.zhao))
    assert made["user"] == {"name": "zhao"}
    nobody = await office.crm.actor("nobody", {"customer.read": Reach.OWN})
    assert await office.refused(nobody) == [("FORBIDDEN", None)]


async def test_an_absence_is_ended_by_whose_it_is_or_an_administrator(office: Office) -> None:
    one = await office.set()
    gone = await office.crm.change("absenceEnd", office.zhao, input={"id": one["id"]})
    assert [e["code"] for e in gone["userErrors"]] == ["NOT_FOUND"]
    by_deputy = await office.crm.change("absenceEnd", office.wang, input={"id": one["id"]})
    assert [e["code"] for e in by_deputy["userErrors"]] == ["FORBIDDEN"]
    ended = await office.crm.done("absenceEnd", office.li, input={"id": one["id"]}, select=FIELDS)
    assert ended["absence"]["endedAt"] == "2025-11-03T02:00:00.000000Z"
    assert await office.stands_in("customer.assign", "2025-11-03") is None
    again = await office.crm.done(
        "absenceEnd", office.crm.administrator, input={"id": one["id"]}, select=FIELDS
    )
    assert again["absence"]["version"] == ended["absence"]["version"] == 2
    await office.set()


async def test_absences_are_seen_by_whose_they_are_his_deputy_and_administrators(office: Office) -> None:
    one = await office.set()
    node = {"id": one["id"], "user": {"name": "li"}, "deputy": {"name": "wang"}}
    for actor in (office.li, office.wang, office.crm.administrator):
        assert (await office.crm.data(LIST, actor))["absences"] == {"totalCount": 1, "nodes": [node]}
    assert (await office.crm.data(LIST, office.zhao))["absences"]["totalCount"] == 0
    of_li = '{ users(where: {name: {eq: "li"}}) { nodes { absences { nodes { toDay } } } } }'
    for actor, seen in ((office.wang, [{"toDay": "2025-11-07"}]), (office.zhao, [])):
        found = await office.crm.data(of_li, actor)
        assert found["users"]["nodes"][0]["absences"]["nodes"] == seen


async def test_a_deputy_disabled_later_stands_in_for_nobody(office: Office) -> None:
    await office.set()
    await office.crm.done("userUpdate", input={"id": user(office.wang), "disabled": True})
    assert await office.stands_in("customer.assign", "2025-11-03") is None


async def test_an_absence_is_announced(office: Office) -> None:
    one = await office.set()
    await office.crm.done("absenceEnd", office.li, input={"id": one["id"]})
    told = [row.kind for row in await office.crm.rows(OutboxEvent) if row.subject_type == "Absence"]
    assert told == ["absence.set", "absence.ended"]

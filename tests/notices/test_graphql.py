"""What users and administrators see and do through the API."""

from __future__ import annotations

from typing import Any

from crm_core import ids
from crm_core.actors import Actor, Reach
from crm_core.notices.notifier import Unsent
from tests.notices.conftest import FACTS, Office

MINE = """query($where: NoticeWhere) { myNotices(where: $where) { totalCount
  nodes { id kind title body line facts path urgent subjectType readAt } } }"""
PREFERENCES = (
    "{ myNoticePreferences { nodes { id channel enabled kinds quietFrom quietTo language address } } }"
)
DELIVERIES = """{ noticeDeliveries { totalCount
  nodes { id line kind channel address state attempts lastError nextAt sentAt userId user { name } } } }"""


async def mine(office: Office, actor: Actor | None = None, **where: Any) -> list[dict[str, Any]]:
    data = await office.crm.data(MINE, actor or office.ann, where=where)
    nodes: list[dict[str, Any]] = data["myNotices"]["nodes"]
    assert data["myNotices"]["totalCount"] == len(nodes)
    return nodes


async def test_everybody_reads_his_own_notices_newest_first(office: Office) -> None:
    bob = await office.person("bob")
    await office.tell(office.ann, bob)
    await office.tell(about="approval.decided", path="/approvals/1", urgent=True)
    newest, oldest = await mine(office)
    assert (newest["kind"], newest["path"], newest["urgent"]) == ("approval.decided", "/approvals/1", True)
    assert (oldest["facts"], oldest["line"], oldest["subjectType"]) == (FACTS, "east", "User")
    assert [notice["kind"] for notice in await mine(office, bob)] == ["approval.asked"]
    assert await mine(office, office.crm.administrator) == []


async def test_a_notice_is_said_in_the_readers_language(office: Office) -> None:
    await office.tell()
    for language, title in (("en", "Your signature is asked for: 折扣申请"), ("zh-CN", "待您审批：折扣申请")):
        answer = await office.crm.ask(MINE, office.ann, language=language)  # type: ignore[arg-type]
        assert answer.data is not None
        (notice,) = answer.data["myNotices"]["nodes"]
        assert notice["title"] == title
        assert "王芳" in notice["body"]


async def test_a_notice_is_marked_as_read_once(office: Office) -> None:
    await office.tell()
    (notice,) = await mine(office, unread=True)
    done = await office.crm.done(
        "noticeRead", office.ann, input={"id": notice["id"]}, select="notice { id readAt version }"
    )
    assert done["notice"]["readAt"] is not None
    office.crm.clock.advance(hours=1)
    again = await office.crm.done(
        "noticeRead", office.ann, input={"id": notice["id"]}, select="notice { id readAt version }"
    )
    assert again == done
    assert await mine(office, unread=True) == []
    assert len(await mine(office, unread=False)) == 1


async def test_nobody_reads_or_marks_the_notices_of_others(office: Office) -> None:
    bob = await office.person("bob")
    await office.tell()
    (notice,) = await mine(office)
    for actor in (bob, office.crm.administrator):
        refused = await office.crm.change("noticeRead", actor, input={"id": notice["id"]})
        assert [e["code"] for e in refused["userErrors"]] == ["NOT_FOUND"]
        seen = await office.crm.data("query($id: ID!) { node(id: $id) { id } }", actor, id=notice["id"])
        assert seen == {"node": None}


async def test_who_lacks_the_permission_has_no_notices(office: Office) -> None:
    stranger = await office.crm.actor("stranger", {"customer.read": Reach.OWN})
    answer = await office.crm.ask("{ myNotices { nodes { id } } }", stranger)
    assert answer.codes == ["FORBIDDEN"]
    refused = await office.crm.change("noticePreferenceSet", stranger, input={"channel": "mail"})
    assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]


# -- preferences


async def test_a_preference_is_set_changed_and_given_up(office: Office) -> None:
    made = await office.prefer(kinds=["approval.*"], quietFrom="22:00", quietTo="07:00")
    assert made["userErrors"] == []
    key = made["noticePreference"]["id"]
    changed = await office.prefer(language="en")
    assert changed["noticePreference"] == {
        "id": key, "channel": "fake", "enabled": True, "kinds": ["approval.*"], "quietFrom": "22:00",
        "quietTo": "07:00", "language": "en", "address": None, "version": 2,
    }  # fmt: skip
    cleared = await office.prefer(quietFrom=None, quietTo=None, language=None)
    assert cleared["noticePreference"]["quietFrom"] is None
    await office.crm.done("noticePreferenceRemove", office.ann, input={"id": key})
    data = await office.crm.data(PREFERENCES, office.ann)
    assert data == {"myNoticePreferences": {"nodes": []}}


async def test_nobody_sees_or_changes_the_preferences_of_others(office: Office) -> None:
    made = await office.prefer()
    bob = await office.person("bob")
    assert await office.crm.data(PREFERENCES, bob) == {"myNoticePreferences": {"nodes": []}}
    refused = await office.crm.change(
        "noticePreferenceRemove", bob, input={"id": made["noticePreference"]["id"]}
    )
    assert [e["code"] for e in refused["userErrors"]] == ["NOT_FOUND"]


async def test_what_makes_no_sense_is_refused_with_its_field(office: Office) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"channel": "pigeon"}, "NOTICE_UNKNOWN_CHANNEL", "channel"),
        ({"kinds": ["approval.asked", "no.such"]}, "NOTICE_UNKNOWN_KIND", "kinds.1"),
        ({"kinds": ["Approval asked"]}, "INVALID_STRING_PATTERN_MISMATCH", "kinds.0"),
        ({"quietFrom": "22:00"}, "NOTICE_QUIET_HOURS", "quietTo"),
        ({"quietFrom": "22:00", "quietTo": "22:00"}, "NOTICE_QUIET_HOURS", "quietTo"),
        ({"quietFrom": "25:00", "quietTo": "07:00"}, "INVALID_STRING_PATTERN_MISMATCH", "quietFrom"),
        ({"language": "fr"}, "INVALID_STRING_PATTERN_MISMATCH", "language"),
        ({"channel": "mail", "address": "not an address"}, "NOTICE_WRONG_ADDRESS", "address"),
        ({"channel": "bot", "address": "unknown"}, "NOTICE_WRONG_ADDRESS", "address"),
    ]
    for given, code, where in wrong:
        refused = await office.prefer(**given)
        assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [(code, where)], given
    assert (await office.crm.data(PREFERENCES, office.ann))["myNoticePreferences"]["nodes"] == []


# -- administrators


async def test_administrators_see_deliveries_of_their_lines_alone(office: Office) -> None:
    admin = {"notice.admin": Reach.LINE}
    east = await office.crm.actor("east", admin)
    west = await office.crm.actor("west", admin, lines=("west",))
    await office.tell()
    await office.tell(line=None)
    data = await office.crm.data(DELIVERIES, east)
    (seen,) = data["noticeDeliveries"]["nodes"]
    assert seen["user"] == {"name": "ann"}
    assert (seen["line"], seen["kind"], seen["state"]) == ("east", "approval.asked", "WAITING")
    assert (seen["channel"], seen["address"], seen["attempts"]) == ("fake", "ann@example.com", 0)
    assert (await office.crm.data(DELIVERIES, west))["noticeDeliveries"]["totalCount"] == 0
    assert (await office.crm.data(DELIVERIES))["noticeDeliveries"]["totalCount"] == 2
    answer = await office.crm.ask(DELIVERIES, office.ann)
    assert answer.codes == ["FORBIDDEN"]


async def test_a_dead_delivery_is_tried_again_at_the_address_of_today(office: Office) -> None:
    office.fake.troubles = [Unsent("mailbox gone", retry=False)]
    await office.tell()
    await office.deliver()
    row = await office.delivery()
    key = ids.show("ntd", row.id)
    await office.prefer(address="ann@new.example")
    office.crm.clock.advance(minutes=5)
    done = await office.crm.done(
        "noticeRetry", input={"id": key}, select="noticeDelivery { state attempts address lastError }"
    )
    assert done["noticeDelivery"] == {
        "state": "WAITING", "attempts": 0, "address": "ann@new.example", "lastError": "mailbox gone",
    }  # fmt: skip
    assert await office.deliver() == 1
    first, second = office.fake.sent
    assert (first.id, second.address) == (second.id, "ann@new.example")
    assert (await office.delivery()).state == "SENT"


async def test_only_a_dead_delivery_is_tried_again_by_hand_and_only_by_administrators(office: Office) -> None:
    await office.tell()
    key = ids.show("ntd", (await office.delivery()).id)
    refused = await office.crm.change("noticeRetry", input={"id": key})
    assert [e["code"] for e in refused["userErrors"]] == ["NOTICE_NOT_DEAD"]
    refused = await office.crm.change("noticeRetry", office.ann, input={"id": key})
    assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]


async def test_the_log_of_deliveries_can_be_filtered_by_state(office: Office) -> None:
    office.fake.troubles = [Unsent("no", retry=False)]
    await office.tell()
    await office.tell()
    await office.deliver(most=1)
    document = "query($s: NoticeDeliveryState) { noticeDeliveries(where: {state: {eq: $s}}) { totalCount } }"
    counts = [
        (await office.crm.data(document, s=state))["noticeDeliveries"]["totalCount"]
        for state in ("DEAD", "WAITING", "SENT")
    ]
    assert counts == [1, 1, 0]


async def test_lists_without_words_are_compiled(office: Office) -> None:
    await office.tell()
    for document in (DELIVERIES, PREFERENCES, "{ myNotices(where: {unread: true}) { nodes { id kind } } }"):
        answer = await office.crm.ask(document, compiled=True)
        assert not answer.errors

"""The words of notices, in both languages."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from crm_core.approvals.notices import NOTICE_KINDS
from crm_core.errors import Json, Language
from crm_core.notices.wording import storable, worded
from crm_core.registry import NoticeKind

KIND = NoticeKind(
    "shop.sold", "已售：{what}", "Sold: {what}", "客户：{who}\n备注：{note}", "To: {who}\nNote: {note}"
)
MESSAGES = {m.code: m for kind in (KIND, *NOTICE_KINDS) for m in kind.messages}
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("language", "title", "body"),
    [("zh-CN", "已售：车", "客户：李明\n备注：好"), ("en", "Sold: 车", "To: 李明\nNote: 好")],
)
def test_a_notice_is_said_in_the_readers_language(language: Language, title: str, body: str) -> None:
    facts = {"what": "车", "who": "李明", "note": "好"}
    assert worded(MESSAGES, "shop.sold", facts, language) == (title, body)


def test_a_fact_may_have_words_for_each_language() -> None:
    facts: dict[str, Json] = {"what": {"en": "car", "zh-CN": "车"}, "who": None}
    assert worded(MESSAGES, "shop.sold", facts, "en") == ("Sold: car", "")
    assert worded(MESSAGES, "shop.sold", facts, "zh-CN")[0] == "已售：车"


def test_a_line_without_any_fact_is_left_out() -> None:
    assert worded(MESSAGES, "shop.sold", {"what": "车", "who": "李明"}, "en")[1] == "To: 李明"


def test_a_title_is_one_line_whatever_people_wrote() -> None:
    title, _ = worded(MESSAGES, "shop.sold", {"what": "a\r\nBcc: x@example.com\n\nb"}, "en")
    assert title == "Sold: a Bcc: x@example.com b"


def test_braces_in_a_fact_are_only_text() -> None:
    assert worded(MESSAGES, "shop.sold", {"what": "{who}", "who": "x"}, "en")[0] == "Sold: {who}"


def test_a_kind_whose_plugin_is_gone_is_named() -> None:
    assert worded(MESSAGES, "gone.kind", {"a": 1}, "en") == ("gone.kind", "")


def test_moments_are_kept_as_local_times_and_days_as_days() -> None:
    facts = {"due": datetime(2025, 11, 3, 10, tzinfo=UTC), "day": date(2025, 11, 4), "n": 3, "none": None}
    assert storable(facts, SHANGHAI) == {
        "due": "2025-11-03 18:00",
        "day": "2025-11-04",
        "n": 3,
        "none": None,
    }


@pytest.mark.parametrize("kind", NOTICE_KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_notice_of_an_approval_names_what_it_is_about(kind: NoticeKind, language: Language) -> None:
    facts = {name: f"<{name}>" for name in ("title", "requester", "kind", "line", "subject", "due")}
    title, body = worded(MESSAGES, kind.kind, facts, language)
    assert "<title>" in title
    assert {"<requester>", "<kind>", "<line>", "<subject>"} <= set(body.replace("：", ": ").split())
    assert "{" not in title + body

"""GraphQL types of notices, their deliveries and preferences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from crm_core.graphql import Filter, Id, ObjectType, batch, field, query_connection, relation
from crm_core.graphql.access import whole_lines
from crm_core.graphql.context import Context
from crm_core.notices.models import Notice, NoticeDelivery, NoticeDeliveryState, NoticePreference
from crm_core.notices.queries import ADMIN, SELF, own
from crm_core.notices.wording import worded


async def _titles(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """Titles in the caller's language."""
    return [worded(context.messages, row["kind"], row["facts"], context.language)[0] for row in rows]


async def _bodies(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """Bodies in the caller's language."""
    return [worded(context.messages, row["kind"], row["facts"], context.language)[1] for row in rows]


def _kind_of_notice(t: Any, _access: Any) -> Any:
    notice = Notice.__table__.alias("notice_of_delivery")
    return (
        select(notice.c.kind).where(notice.c.id == t.c.notice_id).correlate_except(notice).scalar_subquery()
    )


NOTICE = ObjectType(
    name="Notice",
    table=Notice.__table__,
    model=Notice,
    prefix="ntc",
    description="A message to you (通知).",
    rule=own,
    scope=SELF,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("ntc"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was written (时间).", nullable=False, filter=True),
        field("version", int, "Counts changes.", nullable=False),
        field("kind", str, "Kind, e.g. approval.asked (类型).", nullable=False, filter=True),
        field("line", str, "Business line; null: none (业务线).", filter=True),
        batch("title", str, "In one line, in your language (标题).", _titles, needs=("id", "kind", "facts")),
        batch("body", str, "In full, in your language (内容).", _bodies, needs=("id", "kind", "facts")),
        field("facts", dict, "What its words name.", nullable=False),
        field("subjectType", str, "Type of the record it is about.", filter=True),
        field(
            "subject", str, "Id of the record it is about.", sql=lambda t, _a: t.c.subject_ref, filter=True
        ),
        field("path", str, "Where it leads, below the public address (链接)."),
        field("urgent", bool, "Whether it is sent in quiet hours too (紧急).", nullable=False, filter=True),
        field("readAt", datetime, "When you read it; null: not yet (已读时间).", filter=True),
    ),
    filters=(
        Filter(
            "unread",
            bool,
            "Those you have not (true) or have (false) read (未读).",
            lambda t, _a, v: t.c.read_at.is_(None) if v else t.c.read_at.is_not(None),
        ),
    ),
)

PREFERENCE = ObjectType(
    name="NoticePreference",
    table=NoticePreference.__table__,
    model=NoticePreference,
    prefix="ntp",
    description="What you want to be told through a channel; without one the company's default holds (通知偏好).",
    rule=own,
    scope=SELF,
    order=lambda t: [t.c.channel],
    fields=(
        field("id", Id("ntp"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was set first.", nullable=False),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("channel", str, "The channel (渠道).", nullable=False, filter=True),
        field("enabled", bool, "Whether anything is sent through it (启用).", nullable=False, filter=True),
        field("kinds", list[str], "Kinds sent through it (类型).", nullable=False),
        field("quietFrom", str, "Quiet hours begin, local time HH:MM (免打扰开始)."),
        field("quietTo", str, "Quiet hours end (免打扰结束)."),
        field("language", str, "zh-CN or en; null: the company's default (语言)."),
        field("address", str, "Where to; null: your usual one (地址)."),
    ),
)

DELIVERY = ObjectType(
    name="NoticeDelivery",
    table=NoticeDelivery.__table__,
    model=NoticeDelivery,
    prefix="ntd",
    plural="noticeDeliveries",
    description="A notice on its way through one channel, for administrators (投递).",
    rule=whole_lines,
    scope=ADMIN,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("ntd"), "Id; the same message id in every attempt.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was written.", nullable=False, filter=True),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line; null: none (业务线).", filter=True),
        relation("user", "User", "To whom (接收人).", on=lambda d, u, _a: u.c.id == d.c.user_id),
        field("userId", Id("usr"), "Id of to whom.", nullable=False, filter=True),
        field("kind", str, "Kind of the notice (类型).", sql=_kind_of_notice),
        field("channel", str, "The channel (渠道).", nullable=False, filter=True),
        field("address", str, "Where to (地址).", nullable=False),
        field("state", NoticeDeliveryState, "State (状态).", nullable=False, filter=True),
        field("attempts", int, "Attempts made (次数).", nullable=False),
        field("nextAt", datetime, "Not tried before (下次时间).", nullable=False, filter=True),
        field("lastError", str, "Why the last attempt failed (失败原因)."),
        field("sentAt", datetime, "When it was sent (送达时间).", filter=True),
    ),
)

TYPES = (NOTICE, PREFERENCE, DELIVERY)
QUERIES = (
    query_connection("myNotices", "Notice", "Messages to you, newest first (我的通知)."),
    query_connection(
        "myNoticePreferences", "NoticePreference", "Your preferences by channel (我的通知偏好)."
    ),
    query_connection(
        "noticeDeliveries", "NoticeDelivery", "Deliveries of your lines, for administrators (通知投递)."
    ),
)

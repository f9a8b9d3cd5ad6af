"""GraphQL types of endpoints, deliveries, attempts and replays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Text, and_, cast

from crm_core.graphql import (
    Filter,
    Id,
    ObjectType,
    batch,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    relation,
)
from crm_core.graphql.access import whole_lines
from crm_core.graphql.context import Context
from crm_core.keyring import KeyringError
from crm_core.webhooks.documents import problems_of
from crm_core.webhooks.models import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookDeliveryState,
    WebhookEndpoint,
    WebhookOrder,
    WebhookReplay,
    WebhookState,
)
from crm_core.webhooks.queries import MANAGE, READ
from crm_core.webhooks.secrets import SECRET, asker, opened

SHOWN_FOR: Final = timedelta(seconds=60)
"""How long after it was made a secret can be shown to the request that made it."""


async def _secrets(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """Secrets made for this very request."""
    return [_secret(row, context) for row in rows]


def _secret(row: dict[str, Any], context: Context) -> str | None:
    services = context.services
    made_for_it = row["secret_asker"] == asker(context.actor.user_id, context.request_id)
    if not made_for_it or services.clock() - row["secret_at"] > SHOWN_FOR:
        return None
    try:
        return opened(services.keyring, row["id"], SECRET, row["secret_sealed"])
    except KeyringError:
        return None


async def _document_problems(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """What keeps stored documents from being run now."""
    registry, limits = context.services.registry, context.limits
    return [problems_of(registry, limits, row["document"]) if row["document"] else [] for row in rows]


ENDPOINT = ObjectType(
    name="WebhookEndpoint",
    table=WebhookEndpoint.__table__,
    model=WebhookEndpoint,
    prefix="whe",
    description="Where events of a line are posted to, and which of them (Webhook 端点).",
    rule=whole_lines,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("whe"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was set up.", nullable=False, filter=True),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("name", str, "What it is (名称).", nullable=False, filter=True, sort=True),
        field("url", str, "Where to (地址).", nullable=False, filter=True),
        field("kinds", list[str], "Kinds of events, or beginnings (事件类型).", nullable=False),
        field("changedFields", list[str], "Only where one of these changed; null: any (变更字段)."),
        field("condition", dict, "Only where this holds; null: always (条件)."),
        field("scopes", list[str], "What it may see (权限).", nullable=False),
        field("document", str, "The query whose answer is sent; null: the event (查询文档).", scope=MANAGE),
        batch(
            "documentProblems",
            list[str],
            "What keeps the document from being run; its deliveries wait until that is mended (文档问题).",
            _document_problems,
            needs=("id", "document"),
            scope=MANAGE,
        ),
        field("ordered", WebhookOrder, "What is sent in order (投递顺序).", nullable=False),
        field("concurrency", int, "Most requests at the same time, per process (并发数).", nullable=False),
        field("perSecond", int, "Most requests per second (速率)."),
        field("headerNames", list[str], "Names of its own headers; values are shown to nobody (请求头).", nullable=False),
        field("ca", str, "Certificates that verify it instead of the system's (CA 证书).", scope=MANAGE),
        field("allowPrivate", bool, "Whether it may stand in an allowed private network (允许内网).", nullable=False),
        batch(
            "secret",
            str,
            "The secret, in the answer to the request that had it made; null ever after (签名密钥).",
            _secrets,
            needs=("id", "secret_sealed", "secret_at", "secret_asker"),
            scope=MANAGE,
        ),
        field("secretAt", datetime, "Since when it has its secret.", nullable=False),
        field("previousUntil", datetime, "Until when the previous secret signs too (旧密钥有效期)."),
        field("state", WebhookState, "How it does (状态).", nullable=False, filter=True),
        field("stateReason", str, "Why it fails, or was paused (原因)."),
        field("failures", int, "Attempts that failed one after the other (连续失败次数).", nullable=False),
        field("failingSince", datetime, "Since when it has been failing (失败起始时间).", filter=True),
        field("restingUntil", datetime, "Nothing is tried before (下次尝试时间)."),
        connection(
            "deliveries", "WebhookDelivery", "What is on its way to it, and was (投递).",
            on=lambda e, d, _a: d.c.endpoint_id == e.c.id,
        ),
    ),
)  # fmt: skip

DELIVERY = ObjectType(
    name="WebhookDelivery",
    table=WebhookDelivery.__table__,
    model=WebhookDelivery,
    prefix="whd",
    plural="webhookDeliveries",
    description="An event on its way to an endpoint (投递).",
    rule=whole_lines,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("whd"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was written.", nullable=False, filter=True),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        relation(
            "endpoint", "WebhookEndpoint", "Where to (端点).", on=lambda d, e, _a: e.c.id == d.c.endpoint_id
        ),
        field("endpointId", Id("whe"), "Id of where to.", nullable=False, filter=True),
        field("eventId", Id("evt"), "The event, and its `webhook-id`; null: a test (事件).", filter=True),
        field(
            "position",
            str,
            "Its place in the feed; null: a test (序号).",
            sql=lambda t, _a: cast(t.c.position, Text()),
        ),
        field("kind", str, "Kind of the event (事件类型).", nullable=False, filter=True),
        field("subjectId", str, "Id of the record (记录).", sql=lambda t, _a: t.c.subject_ref, filter=True),
        field("occurredAt", datetime, "When it happened (发生时间).", nullable=False, filter=True),
        field("state", WebhookDeliveryState, "State (状态).", nullable=False, filter=True),
        field("attempts", int, "Attempts made since it began to wait (次数).", nullable=False),
        field("nextAt", datetime, "Not tried before (下次时间).", nullable=False, filter=True),
        field("firstAt", datetime, "When it was first tried (首次尝试时间)."),
        field("lastAt", datetime, "When it was last tried (最近尝试时间).", filter=True),
        field("lastStatus", int, "What was answered last: HTTP status (最近响应码).", filter=True),
        field("lastError", str, "Why it was not taken (失败原因)."),
        listing(
            "log",
            "WebhookAttempt",
            "Every attempt, the first one first (尝试记录).",
            on=lambda d, a, _a: a.c.delivery_id == d.c.id,
            order=lambda a: [a.c.id],
        ),
    ),
    filters=(
        Filter(
            "failed",
            bool,
            "Those that were tried and not taken (失败).",
            lambda t, _a, v: _failed(t) if v else ~_failed(t),
        ),
    ),
)


def _failed(t: Any) -> Any:
    return and_(t.c.last_error.is_not(None), t.c.state != WebhookDeliveryState.DELIVERED.value)


ATTEMPT = ObjectType(
    name="WebhookAttempt",
    table=WebhookAttempt.__table__,
    model=WebhookAttempt,
    description="One attempt to deliver (投递尝试).",
    order=lambda t: [t.c.id],
    fields=(
        field("at", datetime, "When (时间).", sql=lambda t, _a: t.c.created_at, nullable=False),
        field("number", int, "Which one since the delivery began to wait (次序).", nullable=False),
        field("milliseconds", int, "How long it took (耗时毫秒).", nullable=False),
        field("status", int, "HTTP status; null: none came (响应码)."),
        field("error", str, "Why it was not taken (失败原因)."),
        field("response", str, "Beginning of the answer (响应摘要)."),
        field("retryAfter", int, "Seconds the receiver asked to wait (要求等待秒数)."),
    ),
)

REPLAY = ObjectType(
    name="WebhookReplay",
    table=WebhookReplay.__table__,
    model=WebhookReplay,
    prefix="whr",
    description="A request to send again, and how many deliveries it meant (重新投递).",
    rule=whole_lines,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("whr"), "Id.", nullable=False),
        field("createdAt", datetime, "When.", nullable=False),
        relation("endpoint", "WebhookEndpoint", "Of which endpoint (端点).", on=lambda r, e, _a: e.c.id == r.c.endpoint_id),
        field("asked", dict, "What was asked for.", nullable=False),
        field("again", int, "Deliveries that wait again (重发数量).", nullable=False),
        field("added", int, "Deliveries added for events it never got (补发数量).", nullable=False),
    ),
)  # fmt: skip

TYPES = (ENDPOINT, DELIVERY, ATTEMPT, REPLAY)
QUERIES = (
    query_one("webhookEndpoint", "WebhookEndpoint", "One endpoint (端点)."),
    query_connection("webhookEndpoints", "WebhookEndpoint", "Endpoints of your lines (Webhook 端点)."),
    query_one("webhookDelivery", "WebhookDelivery", "One delivery (投递)."),
    query_connection(
        "webhookDeliveries", "WebhookDelivery", "What your lines send, latest first (投递记录)."
    ),
)

"""GraphQL types of sources and of the requests they sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from crm_core.errors import UserError, worded
from crm_core.graphql import Id, ObjectType, batch, connection, field, query_connection, relation
from crm_core.graphql.access import whole_lines
from crm_core.graphql.context import Context
from crm_core.incoming.models import IncomingOrder, IncomingRequest, IncomingSource, IncomingState
from crm_core.incoming.queries import MANAGE, READ

ROUTE = "/hooks/"


async def _errors(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """Reasons in the caller's language."""
    return [[_shown(one, context) for one in row["errors"]] for row in rows]


def _shown(kept: dict[str, Any], context: Context) -> dict[str, Any]:
    error = UserError(kept["code"], kept["params"], kept["field"], kept["rule"])
    return {
        "step": kept["step"],
        "command": kept["command"],
        "code": error.code,
        "field": error.field,
        "message": worded(error, context.messages, context.language),
    }


async def _bodies(rows: Sequence[dict[str, Any]], _context: Context) -> Sequence[Any]:
    """Bodies as text; what is no UTF-8 shows replacement characters."""
    return [None if row["body"] is None else bytes(row["body"]).decode(errors="replace") for row in rows]


SOURCE = ObjectType(
    name="IncomingSource",
    table=IncomingSource.__table__,
    model=IncomingSource,
    prefix="ins",
    plural="incomingSources",
    description="A system that sends webhooks to a line, and what becomes of them (接收来源).",
    rule=whole_lines,
    scope=READ,
    order=lambda t: [t.c.name],
    fields=(
        field("id", Id("ins"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was set up.", nullable=False),
        field("updatedAt", datetime, "Last change.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("name", str, "Its name (名称).", nullable=False, filter=True, sort=True),
        field(
            "path",
            str,
            "Path requests are sent to, below the public address; keep it to the sender (接收路径).",
            sql=lambda t, _a: ROUTE + t.c.path_key,
            scope=MANAGE,
        ),
        field("verifier", str, "How requests are verified (验签方式).", nullable=False, filter=True),
        field("options", dict, "Options of the verifier (验签选项).", nullable=False),
        field("previousUntil", datetime, "Until when the previous secret holds too; null: it does not."),
        field("addresses", list[str], "Where it may come from; empty: anywhere (IP 白名单).", nullable=False),
        field("windowSeconds", int, "Replay window; 0: none (防重放窗口).", nullable=False),
        field("bodyBytes", int, "Largest body, bytes (正文上限).", nullable=False),
        field("dedupe", str, "What tells requests apart (去重键)."),
        field(
            "ordered",
            IncomingOrder,
            "Which of its requests wait for the earlier ones (处理顺序).",
            nullable=False,
        ),
        field("about", str, "What a request is about, for the order (排序键)."),
        field("handler", str, "Handler of a plugin (处理程序)."),
        field("mapping", dict, "Or steps that perform commands (字段映射)."),
        relation(
            "actor",
            "User",
            "As whom commands are performed (操作账号).",
            on=lambda s, u, _a: u.c.id == s.c.actor_id,
        ),
        field("actorId", Id("usr"), "Id of as whom.", nullable=False),
        field("enabled", bool, "Whether it is taken in (启用).", nullable=False, filter=True),
        connection(
            "requests",
            "IncomingRequest",
            "What it sent, newest first (请求).",
            on=lambda s, r, _a: r.c.source_id == s.c.id,
        ),
    ),
)

REQUEST = ObjectType(
    name="IncomingRequest",
    table=IncomingRequest.__table__,
    model=IncomingRequest,
    prefix="inr",
    plural="incomingRequests",
    description="A request as it was received, and what became of it (收到的请求).",
    rule=whole_lines,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("inr"), "Id; what was done has it as request id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was received (接收时间).", nullable=False, filter=True),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        relation(
            "source", "IncomingSource", "Who sent it (来源).", on=lambda r, s, _a: s.c.id == r.c.source_id
        ),
        field("sourceId", Id("ins"), "Id of who sent it.", nullable=False, filter=True),
        field("dedupeKey", str, "The same whenever it is sent again (去重键).", nullable=False, filter=True),
        field(
            "orderKey",
            str,
            "It waits for the earlier ones with the same key; null: for none (排序键).",
            filter=True,
        ),
        field("contentType", str, "Content type.", nullable=False),
        field("headers", dict, "Headers, without secrets.", nullable=False),
        field("query", dict, "Query, without secrets.", nullable=False),
        batch(
            "body", str, "The body as text; null once it was removed (正文).", _bodies, needs=("id", "body")
        ),
        field("size", int, "Size of the body, bytes.", nullable=False),
        field("address", str, "Where it came from (来源地址)."),
        field("state", IncomingState, "What became of it (状态).", nullable=False, filter=True),
        field("attempts", int, "Attempts made (次数).", nullable=False),
        field("nextAt", datetime, "Not tried before (下次时间).", nullable=False),
        field("finishedAt", datetime, "When it was done, failed or was discarded.", filter=True),
        field(
            "results", dict, "What was done, step by step: ids of records, approvals (结果).", nullable=False
        ),
        batch(
            "errors",
            dict,
            "Why it failed: step, command, code, field, message (失败原因).",
            _errors,
            needs=("id", "errors"),
        ),
    ),
)

TYPES = (SOURCE, REQUEST)
QUERIES = (
    query_connection(
        "incomingSources", "IncomingSource", "Sources of incoming webhooks in your lines (接收来源)."
    ),
    query_connection(
        "incomingRequests", "IncomingRequest", "Requests received in your lines, newest first (收到的请求)."
    ),
)

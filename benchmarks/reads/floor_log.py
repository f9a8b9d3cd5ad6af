"""The floor's write: visibility, interaction, audit entry and event in one statement of one transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson

from benchmarks.reads.floor_sql import Rules, moment, shown
from benchmarks.reads.wire import Caller
from crm_core import ids

CHANNELS: Final = {"call": "PHONE", "wechat": "WECHAT", "sms": "SMS"}
BOUND: Final = 14


def log_values(given: dict[str, Any], caller: Caller) -> list[object]:
    """Values of the statement in its order."""
    now = datetime.now(UTC)
    key = ids.uuid7(now)
    body = {
        "content": given["content"],
        "customer_id": given["customerId"],
        "subject_text": given["subject"],
        "interaction_kind": given["kind"],
    }
    return [
        key, ids.read_as("cus", given["customerId"]), given["line"], given["kind"], CHANNELS[given["kind"]],
        given["subject"], given["content"], now, caller.user, caller.name, caller.token_id,
        ids.uuid7(now), ids.uuid7(now), orjson.dumps(body).decode(),
    ]  # fmt: skip


def log_statement(caller: Caller) -> tuple[str, list[object]]:
    """The statement and the caller's own values."""
    r = Rules(caller, BOUND)
    return _STATEMENT.format(
        reached=r.line_rows("cl", None), me_visible=r.users("u"), customer=r.customers("c.id"),
        interaction_id=shown("int", "i.id"), customer_id=shown("cus", "c.id"), at=moment("i.occurred_at"),
    ), r.values  # fmt: skip


_STATEMENT: Final = """
WITH reached AS (
    SELECT cl.customer_id, cl.team_id FROM customer_lines cl
    WHERE cl.customer_id = $2::uuid AND cl.line = $3::text AND {reached}
), i AS (
    INSERT INTO interactions (
        id, created_at, updated_at, version, customer_id, line, kind, channel, status, direction, is_visit, is_callback,
        subject, target, content, occurred_at, occurred_on, performer_id, team_id, next_step
    )
    SELECT $1::uuid, $8::timestamptz, $8, 1, reached.customer_id, $3, $4::text, $5::text, 'DONE', 'OUTBOUND', false,
        false, $6::text, '', $7::text, $8, ($8 AT TIME ZONE 'Asia/Shanghai')::date, $9::uuid, reached.team_id, ''
    FROM reached
    RETURNING id, created_at, customer_id, line, kind, channel, status, direction, is_visit, is_callback, subject,
        content, occurred_at, occurred_on, performer_id, team_id, next_step
), after AS (
    SELECT i.id, to_jsonb(i) AS row, 'int_' || encode(uuid_send(i.id), 'hex') AS ref FROM i
), audited AS (
    INSERT INTO audit_entries (
        id, created_at, kind, actor_id, actor_name, token_id, line, channel, request_id, subject_type, subject_ref, command,
        changes
    )
    SELECT $12::uuid, $8, 'interaction.log', $9, $10::text, $11::uuid, $3, 'graphql', encode(uuid_send($12), 'hex'),
        'Interaction', after.ref, $14::text::jsonb,
        jsonb_build_array(jsonb_build_object('table', 'interactions', 'id', after.id, 'before', NULL, 'after', after.row))
    FROM after
), announced AS (
    INSERT INTO outbox_events (
        id, created_at, kind, schema_version, subject_type, subject_id, subject_ref, sequence, ordinal, line, actor_id,
        actor_name, request_id, occurred_at, before, after, changed_fields, data
    )
    SELECT $13::uuid, $8, 'interaction.logged', 1, 'Interaction', after.id, after.ref, 1, 0, $3, $9, $10,
        encode(uuid_send($12), 'hex'), $8, 'null', after.row, '[]', '{{}}'
    FROM after
)
SELECT json_build_object('interactionLog', json_build_object('interaction', (
    SELECT row_to_json(s) FROM (
        SELECT {interaction_id} AS id, i.kind, i.status, i.subject, {at} AS "occurredAt",
            (SELECT row_to_json(x) FROM (SELECT {customer_id} AS id, c.name FROM customers c
                WHERE c.id = i.customer_id AND {customer}) x) AS customer,
            (SELECT row_to_json(x) FROM (SELECT u.name FROM users u WHERE u.id = i.performer_id AND {me_visible}) x)
                AS performer
        FROM i
    ) s), 'userErrors', json_build_array()))
"""

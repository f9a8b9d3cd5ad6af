"""The floor on SQLite: Starlette and sqlite3 in the event loop, SQL by hand, the database's JSON passed through."""
# ruff: noqa: S608  # statements are put together from our own words

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.reads import wire
from benchmarks.reads.floor_log import CHANNELS
from benchmarks.reads.floor_sql import Rules
from benchmarks.reads.wire import Caller
from crm_core import ids

Named = dict[str, Any]
PRAGMAS: Final = (
    "busy_timeout=5000",
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "cache_size=-16000",
)
"""How a connection is set, as the product sets its own."""


class SqliteRules(Rules):
    """The same row rules with named parameters."""

    @property
    def me(self) -> str:
        """The caller's id."""
        return ":me"

    def team(self, place: int) -> str:
        """The caller's team in his so many-th line."""
        return f":team{place}"

    def phone(self, column: str) -> str:
        """A telephone number, in part where the caller may not see it whole."""
        if not self.caller.teams:
            return column
        return (
            f"CASE WHEN {column} LIKE '+86%' THEN substr({column}, 4, 3) || '****' || substr({column}, -4)"
            f" ELSE '****' || substr({column}, -4) END"
        )

    def first(self, column: str) -> str:
        """A column of the caller's first line of customer c."""
        return (
            f"(SELECT l.{column} FROM customer_lines l WHERE l.customer_id = c.id AND {self.line_rows('l')}"
            " ORDER BY l.line LIMIT 1)"
        )

    def user(self, key: str, *, with_id: bool = True) -> str:
        """A colleague as an object."""
        shown = "'id', 'usr_' || u.id, " if with_id else ""
        return f"(SELECT json_object({shown}'name', u.name) FROM users u WHERE u.id = {key} AND {self.users('u')})"


def moment(column: str) -> str:
    """A moment as clients see it."""
    return f"substr({column}, 1, 10) || 'T' || substr({column}, 12) || 'Z'"


def _true(column: str) -> str:
    return f"json(CASE WHEN {column} THEN 'true' ELSE 'false' END)"


def _listed(inner: str) -> str:
    return f"(SELECT json_group_array(json(s)) FROM ({inner}))"


def _nodes(inner: str) -> str:
    return f"json_object('nodes', {_listed(inner)})"


def q1(r: SqliteRules) -> str:
    """:id."""
    phones = _listed(
        f"SELECT json_object('number', {r.phone('p.e164')}, 'use', p.kind) AS s FROM contact_phones p"
        " WHERE p.contact_id = k.id ORDER BY p.position, p.id"
    )
    contacts = _nodes(
        "SELECT json_object('id', 'con_' || k.id, 'name', k.name, 'title', k.title, 'isKeyPerson',"
        f" {_true('k.is_key_person')}, 'phones', json({phones})) AS s FROM contacts k WHERE k.customer_id = c.id"
        f" AND {r.contacts('k')} ORDER BY k.id DESC LIMIT 10"
    )
    interactions = _nodes(
        "SELECT json_object('id', 'int_' || i.id, 'kind', i.kind, 'channel', i.channel, 'subject', i.subject,"
        f" 'occurredAt', {moment('i.occurred_at')}, 'performer', json({r.user('i.performer_id')})) AS s"
        f" FROM interactions i WHERE i.customer_id = c.id AND {r.interactions('i')}"
        " ORDER BY i.occurred_at DESC, i.id DESC LIMIT 10"
    )
    return (
        "SELECT json_object('customer', (SELECT json_object('id', 'cus_' || c.id, 'number', c.number, 'name', c.name,"
        f" 'grade', {r.first('grade')}, 'stage', {r.first('stage')}, 'province', c.province, 'city', c.city,"
        f" 'owner', json({r.user(r.first('owner_id'))}), 'contacts', {contacts}, 'interactions', {interactions})"
        f" FROM customers c WHERE c.id = :id AND {r.customers('c.id')}))"
    )


def q2(r: SqliteRules) -> str:
    """:grade and :province."""
    inner = (
        "SELECT json_object('id', 'cus_' || c.id, 'number', c.number, 'name', c.name, 'grade', :grade, 'province',"
        f" c.province, 'city', c.city, 'createdAt', {moment('c.created_at')},"
        f" 'owner', json({r.user(r.first('owner_id'))})) AS s FROM customers c"
        f" WHERE c.province = :province AND {r.first('grade')} = :grade AND {r.customers('c.id')}"
        " ORDER BY c.id DESC LIMIT 50"
    )
    return f"SELECT json_object('customers', {_nodes(inner)})"


def q3(r: SqliteRules) -> str:
    """:after."""
    contacts = _nodes(
        "SELECT json_object('id', 'con_' || k.id, 'name', k.name, 'title', k.title, 'isKeyPerson',"
        f" {_true('k.is_key_person')}) AS s FROM contacts k WHERE k.customer_id = c.id AND {r.contacts('k')}"
        " ORDER BY k.id DESC LIMIT 10"
    )
    interactions = _nodes(
        "SELECT json_object('id', 'int_' || i.id, 'kind', i.kind, 'subject', i.subject, 'occurredAt',"
        f" {moment('i.occurred_at')}) AS s FROM interactions i WHERE i.customer_id = c.id"
        f" AND {r.interactions('i')} ORDER BY i.occurred_at DESC, i.id DESC LIMIT 3"
    )
    inner = (
        f"SELECT json_object('id', 'cus_' || c.id, 'name', c.name,"
        f" 'owner', json({r.user(r.first('owner_id'), with_id=False)}), 'contacts', {contacts},"
        f" 'interactions', {interactions}) AS s"
        f" FROM (SELECT c.id, c.name FROM customers c WHERE c.id < :after AND {r.customers('c.id')}"
        " ORDER BY c.id DESC LIMIT 50) c"
    )
    return f"SELECT json_object('customers', {_nodes(inner)})"


def q4(r: SqliteRules) -> str:
    """:at and :id."""
    customer = (
        "(SELECT json_object('id', 'cus_' || c.id, 'name', c.name) FROM customers c WHERE c.id = i.customer_id"
        f" AND {r.customers('c.id')})"
    )
    return (
        "WITH found AS MATERIALIZED (SELECT i.id, i.kind, i.subject, i.occurred_at, i.customer_id"
        f" FROM interactions i WHERE (i.occurred_at, i.id) < (:at, :id) AND {r.interactions('i')}"
        " ORDER BY i.occurred_at DESC, i.id DESC LIMIT 101)"
        " SELECT json_object('interactions', json_object('nodes', "
        + _listed(
            "SELECT json_object('id', 'int_' || i.id, 'kind', i.kind, 'subject', i.subject, 'occurredAt',"
            f" {moment('i.occurred_at')}, 'customer', json({customer})) AS s FROM (SELECT * FROM found LIMIT 100) i"
        )
        + ", 'pageInfo', json_object('hasNextPage', json((SELECT CASE WHEN count(*) > 100 THEN 'true' ELSE 'false' END"
        " FROM found)), 'endCursor', (SELECT hex(occurred_at || ' ' || id) FROM found LIMIT 1 OFFSET 99))))"
    )


def q5(r: SqliteRules) -> str:
    """:token."""
    inner = (
        "SELECT json_object('id', 'cus_' || c.id, 'number', c.number, 'name', c.name) AS s FROM customers c"
        " WHERE c.id IN (SELECT d.subject_id FROM search_documents d WHERE d.kind = 'Customer' AND d.id IN"
        " (SELECT rowid FROM search_documents_fts WHERE search_documents_fts MATCH :token))"
        f" AND {r.customers('c.id')} ORDER BY c.id DESC LIMIT 20"
    )
    return f"SELECT json_object('customers', {_nodes(inner)})"


def logged(r: SqliteRules) -> str:
    """:id of the interaction recorded."""
    customer = (
        "(SELECT json_object('id', 'cus_' || c.id, 'name', c.name) FROM customers c WHERE c.id = i.customer_id"
        f" AND {r.customers('c.id')})"
    )
    return (
        "SELECT json_object('interactionLog', json_object('interaction', json_object('id', 'int_' || i.id, 'kind',"
        f" i.kind, 'status', i.status, 'subject', i.subject, 'occurredAt', {moment('i.occurred_at')},"
        f" 'customer', json({customer}), 'performer', json({r.user('i.performer_id', with_id=False)})),"
        " 'userErrors', json_array())) FROM interactions i WHERE i.id = :id"
    )


READS: Final = {"q1": q1, "q2": q2, "q3": q3, "q4": q4, "q5": q5}


def _values(given: Named) -> Named:
    """Ids without their prefix, moments as SQLite keeps them, two characters as their token."""
    found = dict(given)
    for name in ("id", "after", "customerId"):
        if name in found:
            found[name] = found[name].partition("_")[2]
    if "at" in found:
        found["at"] = _kept(datetime.fromisoformat(found["at"]))
    if "text" in found:
        text = found.pop("text")
        found["token"] = f'"b{ord(text[0]):x}x{ord(text[1]):x}"'
    return found


def _kept(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f")


def _caller_values(caller: Caller) -> Named:
    teams = {f"team{place}": team.hex for place, team in enumerate(caller.teams.values())}
    return {"me": caller.user.hex, **teams}


def opened(file: str) -> sqlite3.Connection:
    """A connection as the product has it."""
    connection = sqlite3.connect(file, isolation_level=None, cached_statements=64)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


# -- the write


def log(connection: sqlite3.Connection, caller: Caller, rules: SqliteRules, given: Named) -> str | None:
    """Interaction, audit entry and event in one transaction; the payload after it."""
    now = datetime.now(UTC)
    key, own = ids.uuid7(now), _caller_values(caller)
    connection.execute("BEGIN IMMEDIATE")
    try:
        reached = connection.execute(
            "SELECT cl.team_id FROM customer_lines cl WHERE cl.customer_id = :customerId AND cl.line = :line"
            f" AND {rules.line_rows('cl')}",
            {**own, **given},
        ).fetchone()
        if reached is None:
            return None
        row = _row(key, now, caller, given, reached[0])
        _insert(connection, "interactions", row)
        after = _after(row)
        _insert(connection, "audit_entries", _entry(key, now, caller, given, after))
        _insert(connection, "outbox_events", _event(key, now, caller, given, after))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    found: str = connection.execute(logged(rules), {**own, "id": key.hex}).fetchone()[0]
    return found


def _insert(connection: sqlite3.Connection, table: str, row: Named) -> None:
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)


def _row(key: UUID, now: datetime, caller: Caller, given: Named, team: str | None) -> Named:
    return {
        "id": key.hex, "created_at": _kept(now), "updated_at": _kept(now), "version": 1,
        "customer_id": given["customerId"], "line": given["line"], "kind": given["kind"],
        "channel": CHANNELS[given["kind"]], "status": "DONE", "direction": "OUTBOUND", "is_visit": False,
        "is_callback": False, "subject": given["subject"], "target": "", "content": given["content"],
        "occurred_at": _kept(now), "occurred_on": (now + timedelta(hours=8)).date().isoformat(),
        "performer_id": caller.user.hex, "team_id": team, "next_step": "",
    }  # fmt: skip


def _after(row: Named) -> Named:
    """The row as audit entries and events tell it."""
    found = {name: value for name, value in row.items() if name not in ("updated_at", "version", "target")}
    for name in ("id", "customer_id", "performer_id", "team_id"):
        found[name] = str(UUID(hex=found[name])) if found[name] else None
    for name in ("created_at", "occurred_at"):
        found[name] = f"{found[name].replace(' ', 'T')}+00:00"
    return {name: value for name, value in found.items() if value is not None}


def _entry(key: UUID, now: datetime, caller: Caller, given: Named, after: Named) -> Named:
    command = {
        "content": given["content"], "customer_id": f"cus_{given['customerId']}",
        "subject_text": given["subject"], "interaction_kind": given["kind"],
    }  # fmt: skip
    changes = [{"table": "interactions", "id": str(key), "before": None, "after": after}]
    return {
        "id": ids.uuid7(now).hex, "created_at": _kept(now), "kind": "interaction.log",
        "actor_id": caller.user.hex, "actor_name": caller.name, "token_id": caller.token_id.hex,
        "line": given["line"], "channel": "graphql", "request_id": ids.uuid7(now).hex,
        "subject_type": "Interaction", "subject_ref": ids.show("int", key),
        "command": orjson.dumps(command).decode(), "changes": orjson.dumps(changes).decode(),
    }  # fmt: skip


def _event(key: UUID, now: datetime, caller: Caller, given: Named, after: Named) -> Named:
    return {
        "id": ids.uuid7(now).hex, "created_at": _kept(now), "kind": "interaction.logged", "schema_version": 1,
        "subject_type": "Interaction", "subject_id": key.hex, "subject_ref": ids.show("int", key), "sequence": 1,
        "ordinal": 0, "line": given["line"], "actor_id": caller.user.hex, "actor_name": caller.name,
        "request_id": ids.uuid7(now).hex, "occurred_at": _kept(now), "before": "null",
        "after": orjson.dumps(after).decode(), "changed_fields": "[]", "data": "{}",
    }  # fmt: skip


# -- the server


def app(address: str, known: dict[str, Caller]) -> Starlette:
    """One path per operation."""
    connection = opened(address)
    rules = {caller.user: SqliteRules(caller, 0) for caller in known.values()}
    own = {caller.user: _caller_values(caller) for caller in known.values()}

    def read(name: str) -> Route:
        statements = {user: READS[name](one) for user, one in rules.items()}

        async def endpoint(request: Request) -> Response:
            user = wire.caller_of(request, known).user
            given = _values(orjson.loads(await request.body()))
            data = connection.execute(statements[user], {**own[user], **given}).fetchone()[0]
            return Response('{"data":' + data + "}", media_type="application/json")

        return Route(f"/{name}", endpoint, methods=["POST"])

    async def record(request: Request) -> Response:
        caller = wire.caller_of(request, known)
        given = _values(orjson.loads(await request.body()))
        data = log(connection, caller, rules[caller.user], given)
        return Response('{"data":' + (data or "null") + "}", media_type="application/json")

    return Starlette(routes=[*(read(name) for name in READS), Route("/m1", record, methods=["POST"])])


if __name__ == "__main__":
    given = wire.arguments()
    wire.serve(app(given.address, wire.callers(given.folder)), given.port)

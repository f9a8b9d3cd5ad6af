"""The SQL of the floor, written by hand: each operation for one caller, his row rules and masks in it.

A caller without teams is the administrator, who sees everything: no rule is written for him. For the other one the
rules are those of the product: a customer is reached in a line by its owner or team, a contact with its customer or
in its own line, an interaction by its performer or its customer in the same line, a colleague by a common line.
Rules are probes of an index per row (`SELECT true … LIMIT 1`), which the database cannot turn into a hash of all that
the caller reaches.
"""
# ruff: noqa: S608  # statements are put together from our own words

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.reads.wire import Caller


@dataclass(frozen=True)
class Rules:
    """Row rules of one caller as SQL; his values are bound after `bound` parameters of the operation itself."""

    caller: Caller
    bound: int

    @property
    def values(self) -> list[object]:
        """What is bound: the user, then a team per line."""
        caller = self.caller
        return [caller.user, *caller.teams.values()] if caller.teams else []

    @property
    def me(self) -> str:
        """The caller's id."""
        return f"${self.bound + 1}::uuid"

    def team(self, place: int) -> str:
        """The caller's team in his so many-th line."""
        return f"${self.bound + 2 + place}::uuid"

    def line_rows(self, t: str, line: str | None = None) -> str:
        """Rows of customer_lines reached, in one line or in any."""
        if not self.caller.teams:
            return "true"
        branches = [
            f"({t}.line = '{code}' AND ({t}.owner_id = {self.me} OR {t}.team_id = {self.team(place)}))"
            for place, code in enumerate(self.caller.teams)
            if line in (None, code)
        ]
        return f"({' OR '.join(branches)})"

    def customers(self, key: str) -> str:
        """Customers reached in some line."""
        if not self.caller.teams:
            return "true"
        return f"(SELECT true FROM customer_lines v WHERE v.customer_id = {key} AND {self.line_rows('v')} LIMIT 1)"

    def contacts(self, t: str) -> str:
        """Contacts: shared ones with their customer, others in their own line."""
        if not self.caller.teams:
            return "true"
        return (
            f"(SELECT true FROM customer_lines v WHERE v.customer_id = {t}.customer_id"
            f" AND ({t}.line IS NULL OR {t}.line = v.line) AND {self.line_rows('v')} LIMIT 1)"
        )

    def interactions(self, t: str) -> str:
        """Interactions of the caller's lines: his own, or of customers reached in the same line."""
        if not self.caller.teams:
            return "true"
        lines = ", ".join(f"'{code}'" for code in self.caller.teams)
        reached = (
            f"(SELECT true FROM customer_lines v WHERE v.customer_id = {t}.customer_id AND v.line = {t}.line"
            f" AND {self.line_rows('v')} LIMIT 1)"
        )
        return f"{t}.line IN ({lines}) AND ({t}.performer_id = {self.me} OR {reached})"

    def users(self, t: str) -> str:
        """Colleagues who share a line with the caller, and himself."""
        if not self.caller.teams:
            return "true"
        lines = ", ".join(f"'{code}'" for code in self.caller.teams)
        shared = f"SELECT 1 FROM role_grants g WHERE g.user_id = {t}.id AND (g.line IS NULL OR g.line IN ({lines}))"
        return f"({t}.id = {self.me} OR EXISTS ({shared}))"

    def phone(self, column: str) -> str:
        """A telephone number, in part where the caller may not see it whole."""
        if not self.caller.teams:
            return column
        return (
            f"CASE WHEN {column} LIKE '+86%' THEN substr({column}, 4, 3) || '****' || right({column}, 4)"
            f" ELSE '****' || right({column}, 4) END"
        )

    def first_line(self, customer: str, *columns: str) -> str:
        """The row of the caller's first line of a customer, as a lateral source."""
        wanted = ", ".join(f"l.{column}" for column in columns)
        return (
            f"LATERAL (SELECT {wanted} FROM customer_lines l WHERE l.customer_id = {customer}"
            f" AND {self.line_rows('l')} ORDER BY l.line LIMIT 1)"
        )


def shown(prefix: str, column: str) -> str:
    """An id as clients see it."""
    return f"'{prefix}_' || encode(uuid_send({column}), 'hex')"


def moment(column: str) -> str:
    """A moment as clients see it."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _listed(inner: str) -> str:
    return f"(SELECT coalesce(json_agg(s), '[]') FROM ({inner}) s)"


def _nodes(inner: str) -> str:
    return f"json_build_object('nodes', {_listed(inner)})"


def _one(inner: str) -> str:
    return f"(SELECT row_to_json(s) FROM ({inner}) s)"


def _user(rules: Rules, key: str, columns: str) -> str:
    return _one(f"SELECT {columns} FROM users u WHERE u.id = {key} AND {rules.users('u')}")


_USER: Final = f"{shown('usr', 'u.id')} AS id, u.name"


def q1(caller: Caller) -> tuple[str, list[object]]:
    """$1: the customer."""
    r = Rules(caller, 1)
    phones = _listed(
        f"SELECT {r.phone('p.e164')} AS number, p.kind AS use FROM contact_phones p"
        " WHERE p.contact_id = k.id ORDER BY p.position, p.id"
    )
    contacts = _nodes(
        f'SELECT {shown("con", "k.id")} AS id, k.name, k.title, k.is_key_person AS "isKeyPerson", {phones} AS phones'
        f" FROM contacts k WHERE k.customer_id = c.id AND {r.contacts('k')} ORDER BY k.id DESC LIMIT 10"
    )
    interactions = _nodes(
        f'SELECT {shown("int", "i.id")} AS id, i.kind, i.channel, i.subject, {moment("i.occurred_at")} AS "occurredAt",'
        f" {_user(r, 'i.performer_id', _USER)} AS performer"
        f" FROM interactions i WHERE i.customer_id = c.id AND {r.interactions('i')}"
        " ORDER BY i.occurred_at DESC, i.id DESC LIMIT 10"
    )
    customer = _one(
        f"SELECT {shown('cus', 'c.id')} AS id, c.number, c.name, f.grade, f.stage, c.province, c.city,"
        f" {_user(r, 'f.owner_id', _USER)} AS owner, {contacts} AS contacts, {interactions} AS interactions"
        f" FROM customers c LEFT JOIN {r.first_line('c.id', 'grade', 'stage', 'owner_id')} f ON true"
        f" WHERE c.id = $1::uuid AND {r.customers('c.id')}"
    )
    return f"SELECT json_build_object('customer', {customer})", r.values


def q2(caller: Caller) -> tuple[str, list[object]]:
    """$1: grade, $2: province."""
    r = Rules(caller, 2)
    inner = (
        f"SELECT {shown('cus', 'c.id')} AS id, c.number, c.name, f.grade, c.province, c.city,"
        f' {moment("c.created_at")} AS "createdAt", {_user(r, "f.owner_id", _USER)} AS owner'
        f" FROM customers c CROSS JOIN {r.first_line('c.id', 'grade', 'owner_id')} f"
        f" WHERE c.province = $2::text AND f.grade = $1::text AND {r.customers('c.id')}"
        " ORDER BY c.id DESC LIMIT 50"
    )
    return f"SELECT json_build_object('customers', {_nodes(inner)})", r.values


def q3(caller: Caller) -> tuple[str, list[object]]:
    """$1: the customer before the page."""
    r = Rules(caller, 1)
    contacts = _nodes(
        f'SELECT {shown("con", "k.id")} AS id, k.name, k.title, k.is_key_person AS "isKeyPerson"'
        f" FROM contacts k WHERE k.customer_id = c.id AND {r.contacts('k')} ORDER BY k.id DESC LIMIT 10"
    )
    interactions = _nodes(
        f'SELECT {shown("int", "i.id")} AS id, i.kind, i.subject, {moment("i.occurred_at")} AS "occurredAt"'
        f" FROM interactions i WHERE i.customer_id = c.id AND {r.interactions('i')}"
        " ORDER BY i.occurred_at DESC, i.id DESC LIMIT 3"
    )
    inner = (
        f"SELECT {shown('cus', 'c.id')} AS id, c.name, {_user(r, 'f.owner_id', 'u.name')} AS owner,"
        f" {contacts} AS contacts, {interactions} AS interactions"
        f" FROM (SELECT c.id, c.name FROM customers c WHERE c.id < $1::uuid AND {r.customers('c.id')}"
        f" ORDER BY c.id DESC LIMIT 50) c LEFT JOIN {r.first_line('c.id', 'owner_id')} f ON true ORDER BY c.id DESC"
    )
    return f"SELECT json_build_object('customers', {_nodes(inner)})", r.values


def q4(caller: Caller) -> tuple[str, list[object]]:
    """$1, $2: moment and id of the interaction before the page."""
    r = Rules(caller, 2)
    customer = _one(
        f"SELECT {shown('cus', 'c.id')} AS id, c.name FROM customers c"
        f" WHERE c.id = i.customer_id AND {r.customers('c.id')}"
    )
    return (
        "WITH found AS MATERIALIZED (SELECT i.id, i.kind, i.subject, i.occurred_at, i.customer_id"
        " FROM interactions i"
        f" WHERE (i.occurred_at, i.id) < ($1::timestamptz, $2::uuid) AND {r.interactions('i')}"
        " ORDER BY i.occurred_at DESC, i.id DESC LIMIT 101), page AS (SELECT * FROM found LIMIT 100)"
        " SELECT json_build_object('interactions', json_build_object('nodes', "
        + _listed(
            f'SELECT {shown("int", "i.id")} AS id, i.kind, i.subject, {moment("i.occurred_at")} AS "occurredAt",'
            f" {customer} AS customer FROM page i"
        )
        + ", 'pageInfo', json_build_object('hasNextPage', (SELECT count(*) > 100 FROM found), 'endCursor',"
        " (SELECT encode(convert_to(i.occurred_at || ' ' || i.id, 'UTF8'), 'hex') FROM page i"
        " ORDER BY i.occurred_at, i.id LIMIT 1))))",
        r.values,
    )


def q5(caller: Caller) -> tuple[str, list[object]]:
    """$1: the token of the two characters, as an array."""
    r = Rules(caller, 1)
    inner = (
        f"SELECT {shown('cus', 'c.id')} AS id, c.number, c.name FROM search_documents d"
        " JOIN customers c ON c.id = d.subject_id"
        " WHERE CASE WHEN d.kind = 'Customer' THEN d.tokens END @> $1::text[]"
        f" AND {r.customers('c.id')}"
        " ORDER BY c.id DESC LIMIT 20"
    )
    return f"SELECT json_build_object('customers', {_nodes(inner)})", r.values


READS: Final = {"q1": q1, "q2": q2, "q3": q3, "q4": q4, "q5": q5}

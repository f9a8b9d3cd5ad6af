"""One small, nasty company, the same rows with the same ids on every database: ties, nulls, quotes, odd characters."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from itertools import groupby
from typing import Any, get_args, get_origin
from uuid import UUID

from sqlalchemy import Column, Table, UniqueConstraint, delete, insert

from crm_core.actors import system
from crm_core.customers.inputs import searchable
from crm_core.db.base import Base
from crm_core.graphql.access import Access
from crm_core.ids import show, uuid7
from crm_core.registry import Registry
from crm_core.testing.kit import START, Kit
from crm_core.tokens import tokens_of
from tests.fuzz.probe import LINES

Row = dict[str, Any]
SEED = 20251103
COUNTS: Mapping[str, int] = {
    "users": 18, "teams": 9, "roles": 6, "role_scopes": 20, "role_grants": 30, "team_members": 24, "api_tokens": 12,
    "absences": 14, "notices": 40, "notice_deliveries": 40, "notice_preferences": 20,
    "usage_reviews": 8, "audit_entries": 40, "outbox_events": 30, "approval_policies": 12, "approvals": 40,
    "approval_tasks": 80, "customers": 150, "customer_lines": 200, "customer_line_changes": 150,
    "customer_phones": 200, "customer_external_ids": 80, "customer_tags": 200, "customer_documents": 90,
    "customer_transactions": 110, "customer_duplicate_flags": 15, "contacts": 300, "contact_phones": 250,
    "contact_links": 200, "interactions": 600, "interaction_visits": 120, "interaction_callbacks": 90,
    "interaction_participants": 250, "interaction_reports": 120, "tasks": 220, "interaction_cadences": 16,
    "interaction_callback_plans": 10, "sales_meetings": 25, "import_runs": 14, "import_findings": 50,
    "incoming_sources": 9, "incoming_requests": 60,
    "auto_dealer_vehicles": 50, "auto_dealer_test_drives": 80, "auto_dealer_orders": 80,
    "auto_dealer_order_changes": 50, "probe_marks": 140,
}  # fmt: skip
"""How many rows of each table are tried, parents first; those that would be there twice are left out."""
KEPT = ("plugin_failures", "chores")

TEXTS = (
    "a", "b", "B", "ab", "Ab", "a%b", "a_b", "a*b", "a\\b", "[a]", "[!a]", "^a", "A?B", "x' OR 1=1 --", 'say "hi"',
    "华信", "华为", "信华", "华信物流（苏州）有限公司", "张伟", "欧阳娜娜", "重庆单", "𠮷野家", "😀", "👩‍👩‍👧‍👦 x", "é", "e\u0301",
    " lead", "trail ", "\ttab", "line\nbreak", "\r\n", "\x01\x1f\x7f", "\u2028\u2029", "\\u0041", "\\", "'", '"', "{}",
    "null", "true", "0", "-1", "1e5", "${x}", ":name", "%s", "?", "$1", "</script>", "ﬁ", "Ａ１", "ß", "İ", "العربية",
    "a" * 40, "长" * 30,
)  # fmt: skip
NUMBERS = (-1, 0, 0, 1, 1, 2, 3, 7, 2**31 - 1)
FEN = (-5, 0, 1, 5, 99, 100, 120050, 10**14 + 1)
MOMENTS = (
    START, START, START + timedelta(microseconds=1), START - timedelta(days=1), START - timedelta(days=40, hours=3),
    START + timedelta(days=9), START - timedelta(days=400), datetime(2025, 10, 31, 16, 0, tzinfo=UTC),
    datetime(2025, 10, 31, 15, 59, 59, 120000, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
)  # fmt: skip
DAYS = (
    date(2025, 10, 31), date(2025, 11, 1), date(2025, 11, 2), date(2025, 11, 3), date(2025, 11, 4), date(2025, 2, 28),
    date(2024, 2, 29), date(1970, 1, 1), date(2030, 1, 1),
)  # fmt: skip
PHONES = (
    "+8613800138000",
    "+8613912345678",
    "+862164370001",
    "+14155550100",
    "+85223456789",
    "+8615900001111",
)
BODIES = (b"", b"\0", b"\x00\xff\xfe", b'{"name": "\xe5\x8d\x8e\xe4\xbf\xa1"}', bytes(range(256)), b"\xc3(")
"""Bytes, with and without being text."""
EXACT = (Decimal(0), Decimal("1.50"), Decimal("-2.250"), Decimal("0.1"), Decimal(100), Decimal("1e-7"))
JSONS: Sequence[Any] = (
    None, {}, [], {"b": 1, "a": [True, None, 1.5, "x"]}, {"引号": '"\\\n'}, ["a", {"k": {"k": []}}], "text", 7, False,
)  # fmt: skip
REFS = (f"cus_{7:032x}", f"usr_{8:032x}")
KINDS = ("visit", "call", "wechat", "email", "sms", "test_drive", "gone_kind")


class World:
    """All rows by table, and values to ask for by type and field."""

    def __init__(self, registry: Registry) -> None:
        """Make every row up; the same for everyone who asks."""
        self.registry = registry
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self.access = Access(system(tuple(LINES)), "sqlite", now=START)
        self.enums = _enums(registry, self.access)
        self.prefixes = {
            k.table.name: k.prefix for k in registry.types.values() if isinstance(k.table, Table) and k.prefix
        }
        for name in COUNTS:
            _Maker(self, Base.metadata.tables[name]).fill()
        self._lines()
        self._keys()
        self._search()

    def ids(self, table: str) -> list[UUID]:
        """Ids of the rows of a table."""
        return [row["id"] for row in self.rows[table]]

    def shown(self, table: str) -> list[str]:
        """Ids of the rows of a table as clients see them."""
        return [show(self.prefixes[table] or "row", key) for key in self.ids(table)]

    def _lines(self) -> None:
        chance = random.Random(SEED)
        for number, (code, plugins) in enumerate(sorted(LINES.items())):
            steward = chance.choice([None, *self.ids("users")])
            row = {
                **_base(number, "business_lines"),
                "code": code,
                "name": code + ' "线"',
                "plugins": list(plugins),
            }
            self.rows["business_lines"].append({**row, "steward_id": steward, "retired_at": None})

    def _keys(self) -> None:
        seen: set[tuple[Any, ...]] = set()
        for phone in self.rows["customer_phones"]:
            key = ("PHONE", phone["e164"], phone["customer_id"])
            if key not in seen:
                seen.add(key)
                self.rows["customer_keys"].append(
                    dict(zip(("kind", "value", "customer_id"), key, strict=True))
                )

    def _search(self) -> None:
        for kind, table, phones in (
            ("Customer", "customers", "customer_phones"),
            ("Contact", "contacts", "contact_phones"),
        ):
            numbers: dict[UUID, list[str]] = defaultdict(list)
            for phone in self.rows[phones]:
                numbers[phone[f"{kind.lower()}_id"]].append(phone["e164"])
            for row in self.rows[table]:
                tokens = tokens_of(
                    [row["name"]], numbers[row["id"]], [row["number"]] if kind == "Customer" else []
                )
                self.rows["search_documents"].append(
                    {"kind": kind, "subject_id": row["id"], "tokens": tokens}
                )


def _enums(registry: Registry, access: Access) -> dict[tuple[str, str], type[Enum]]:
    """Which columns hold members of which enumeration, as the declared types tell."""
    found: dict[tuple[str, str], type[Enum]] = {}
    for kind in registry.types.values():
        for declared in kind.fields if isinstance(kind.table, Table) else ():
            inner = get_args(declared.type)[0] if get_origin(declared.type) is list else declared.type
            if declared.kind == "column" and isinstance(inner, type) and issubclass(inner, Enum):
                plain = declared.plain(kind.table, access)
                if isinstance(plain, Column) and plain.table is kind.table:
                    found[kind.table.name, plain.name] = inner
    return found


def _base(number: int, table: str) -> Row:
    """Id, moments and version of a row: ids in the order made, moments with many ties."""
    chance = random.Random(f"{SEED}:{table}:{number}")
    moment = START - timedelta(days=30) + timedelta(milliseconds=number)
    key = uuid7(moment, chance.randbytes)
    return {"id": key, "created_at": chance.choice(MOMENTS[:6]), "updated_at": chance.choice(MOMENTS[:6]),
            "version": chance.randrange(1, 6)}  # fmt: skip


class _Maker:
    """Fills one table, row by row, from the rows of those it refers to."""

    def __init__(self, world: World, table: Table) -> None:
        self.world, self.table = world, table
        self.chance = random.Random(f"{SEED}:{table.name}")
        keys = [c.columns for c in table.constraints if isinstance(c, UniqueConstraint)]
        self.unique = [[column.name for column in columns] for columns in (*keys, table.primary_key.columns)]
        self.seen: set[tuple[Any, ...]] = set()

    def fill(self) -> None:
        for number in range(COUNTS[self.table.name]):
            row = self.row(number)
            places = [(i, *(row.get(c) for c in key)) for i, key in enumerate(self.unique)]
            whole = [place for place in places if None not in place]
            if not self.seen.intersection(whole):
                self.seen.update(whole)
                self.world.rows[self.table.name].append(row)

    def row(self, number: int) -> Row:
        row: Row = {}
        base = _base(number, self.table.name)
        for column in self.table.columns:
            row[column.name] = base[column.name] if column.name in base else self.value(column, number)
        own = _OWN.get(self.table.name)
        if own is not None:
            own(self, row, number)
        self._together(row)
        return row

    def _together(self, row: Row) -> None:
        """Rows of a line and a customer are of a line the customer belongs to."""
        if (
            "customer_id" in row
            and "line" in row
            and row["customer_id"]
            and self.table.name != "customer_lines"
        ):
            if self.table.name == "customer_duplicate_flags":
                return
            if self.table.name == "contacts" and row["line"] is None:
                return
            place = self.chance.choice(self.world.rows["customer_lines"])
            row["customer_id"], row["line"] = place["customer_id"], place["line"]

    def value(self, column: Column[Any], number: int) -> Any:
        chance = self.chance
        if column.nullable and chance.random() < 0.3:
            return None
        if column.foreign_keys:
            return self._reference(column)
        if column.name in ("line", "foreign_line", "code"):
            return chance.choice(sorted(LINES))
        enum = self.world.enums.get((self.table.name, column.name))
        if enum is not None:
            members = [member.value for member in enum]
            many = type(column.type).__name__ in ("JSON", "JSONB")
            return chance.sample(members, chance.randrange(len(members))) if many else chance.choice(members)
        return self._plain(column)

    def _reference(self, column: Column[Any]) -> Any:
        target = next(iter(column.foreign_keys)).column.table.name
        known = self.world.ids(target)
        if target == self.table.name and (not known or self.chance.random() < 0.5):
            return None
        return self.chance.choice(known)

    def _plain(self, column: Column[Any]) -> Any:
        chance, name = self.chance, type(column.type).__name__
        if name in ("String", "Text"):
            longest = getattr(column.type, "length", None) or 4000
            return chance.choice(TEXTS)[:longest]
        if name == "JSON":
            return chance.choice(JSONS if column.nullable else JSONS[1:])
        choices: Mapping[str, Sequence[Any]] = {
            "Integer": NUMBERS, "BigInteger": FEN, "Boolean": (True, False), "Date": DAYS, "UtcDateTime": MOMENTS,
            "LargeBinary": BODIES, "ExactDecimal": EXACT,
        }  # fmt: skip
        if name == "Uuid":
            return UUID(int=chance.getrandbits(128))
        return chance.choice(choices[name])

    def near(self) -> datetime:
        return START + timedelta(days=self.chance.randrange(-90, 10), minutes=self.chance.randrange(3))


def _user(m: _Maker, row: Row, number: int) -> None:
    row |= {"login": f"user{number}'\\", "disabled_at": None if number % 7 else START}


def _role(m: _Maker, row: Row, number: int) -> None:
    row |= {"name": ("administrator", "sales", "a'b", "B", "a", "x\\y")[number % 6], "offered": {}}


def _role_scope(m: _Maker, row: Row, number: int) -> None:
    row |= {"scope": m.chance.choice(sorted(m.world.registry.scopes)), "reach": m.chance.randrange(1, 6)}


def _team(m: _Maker, row: Row, number: int) -> None:
    line = sorted(LINES)[number % 3]
    above = [t["id"] for t in m.world.rows["teams"] if t["line"] == line]
    row |= {
        "line": line,
        "name": f"{m.chance.choice(TEXTS[:20])}{number}"[:100],
        "parent_id": m.chance.choice([None, *above]),
    }


def _member(m: _Maker, row: Row, number: int) -> None:
    row["leads"] = m.chance.random() < 0.3


def _token(m: _Maker, row: Row, number: int) -> None:
    row |= {"secret_hash": f"{number:064d}", "scopes": m.chance.choice([None, [], ["customer.read"]])}
    row["lines"] = m.chance.choice([None, ["east"]])


def _absence(m: _Maker, row: Row, number: int) -> None:
    row["line"] = m.chance.choice([None, "east", "north"])
    row["kinds"] = m.chance.choice([None, ["customer.assign"], ["a", "华信"]])


def _notice(m: _Maker, row: Row, number: int) -> None:
    row |= {"kind": m.chance.choice(["approval.asked", "gone'kind"]), "dedupe_key": f"{number}"}
    row["facts"] = m.chance.choice([{}, {"title": "华信"}, {"title": {"en": "a", "zh-CN": "一"}}])


def _preference(m: _Maker, row: Row, number: int) -> None:
    row |= {"channel": m.chance.choice(["mail", "bot"]), "kinds": m.chance.choice([["*"], ["a", "华信"]])}


def _customer(m: _Maker, row: Row, number: int) -> None:
    row |= {"number": f"C{number:06d}", "name_search": searchable(row["name"]), "identity_sealed": None}
    row |= {"identity_blind": None, "merged_into_id": row["merged_into_id"] if number % 10 == 0 else None}
    row["identity_masked"] = m.chance.choice([None, "3****************X"])
    row["remark"] = m.chance.choice([None, None, "", *TEXTS[:12]])


def _customer_line(m: _Maker, row: Row, number: int) -> None:
    row["owner_id"] = m.chance.choice([None, *m.world.ids("users")])
    row["team_id"] = m.chance.choice([None, *_teams(m, row["line"])])
    row["review_due_at"] = m.near()


def _teams(m: _Maker, line: str) -> list[UUID]:
    return [t["id"] for t in m.world.rows["teams"] if t["line"] == line]


def _phone(m: _Maker, row: Row, number: int) -> None:
    e164 = m.chance.choice([*PHONES, f"+86139{number:08d}"])
    row |= {
        "e164": e164,
        "raw": m.chance.choice([e164, e164[3:], f"({e164[3:6]}) {e164[6:]}"]),
        "position": number % 3,
    }
    row["extension"] = m.chance.choice([None, None, "8", "12'"])


def _contact(m: _Maker, row: Row, number: int) -> None:
    row["name_search"] = searchable(row["name"])
    row["card_check_due_at"] = m.near()
    row["line"] = None if m.chance.random() < 0.5 else "east"


def _document(m: _Maker, row: Row, number: int) -> None:
    row |= {"sha256": f"{number:064x}", "size": m.chance.choice([0, 1, 2**31 - 1])}


def _transaction(m: _Maker, row: Row, number: int) -> None:
    row["amount"] = m.chance.choice(FEN)


def _interaction(m: _Maker, row: Row, number: int) -> None:
    moment = m.near()
    row |= {
        "kind": m.chance.choice(KINDS),
        "occurred_at": moment,
        "occurred_on": (moment + timedelta(hours=8)).date(),
    }
    row["team_id"] = m.chance.choice([None, *m.world.ids("teams")])


def _of_interaction(m: _Maker, row: Row, number: int) -> None:
    talk = m.chance.choice(m.world.rows["interactions"])
    row["interaction_id"] = talk["id"]
    if "line" in row:
        row["line"] = talk["line"]
    for name in ("checklist", "preparations"):
        if name in row:
            row[name] = m.chance.sample(TEXTS, m.chance.randrange(3))


def _task(m: _Maker, row: Row, number: int) -> None:
    row["team_id"] = m.chance.choice([None, *_teams(m, row["line"])])


def _cadence(m: _Maker, row: Row, number: int) -> None:
    row |= {
        "kind": m.chance.choice(KINDS[:3]),
        "every_days": m.chance.choice([1, 7, 30]),
        "valid_from": m.chance.choice(DAYS[:6]),
    }


def _callback_plan(m: _Maker, row: Row, number: int) -> None:
    row |= {"team_id": m.chance.choice(_teams(m, row["line"])), "every_days": m.chance.choice([1, 7, 30])}
    row |= {
        "valid_from": m.chance.choice(DAYS[:6]),
        "valid_to": m.chance.choice([None, date(2025, 11, 3), date(2030, 1, 1)]),
    }


def _approval(m: _Maker, row: Row, number: int) -> None:
    change: dict[str, Any] = {
        "table": "customers",
        "recordId": "x",
        "field": "name",
        "before": "a",
        "after": None,
    }
    change |= {"base": 1, "theirs": None, "mine": "m", "needs": m.chance.choice([[], ["customer.phone"]])}
    reason = {"code": "NOT_FOUND", "params": {"type": "Customer", "id": "cus_x"}, "field": "id", "rule": None}
    row |= {
        "kind": m.chance.choice(["customer.update", "order.cancel"]),
        "diff": [change] * m.chance.randrange(3),
    }
    row |= {"conflicts": [change] * m.chance.randrange(2), "reasons": [reason] * m.chance.randrange(2)}
    row |= {
        "options": m.chance.choice([{}, {"reason": "why'\\"}, {"reason": None}]),
        "body": {},
        "chain": {},
        "base": [],
    }
    row |= {"subject_ref": m.chance.choice([None, *m.world.shown("customers")[:5]]), "sealed": None}
    row["result_refs"] = m.chance.choice([[], m.world.shown("customers")[:2]])


def _approval_task(m: _Maker, row: Row, number: int) -> None:
    approval = m.chance.choice(m.world.rows["approvals"])
    row |= {"approval_id": approval["id"], "line": approval["line"], "position": number}
    row["role"] = None if row["user_id"] else m.chance.choice(m.world.rows["roles"])["name"]


def _policy(m: _Maker, row: Row, number: int) -> None:
    row |= {
        "name": m.chance.choice(["p", "q'"]),
        "edition": m.chance.randrange(1, 4),
        "commands": ["customer.update"],
        "self_approval": "FORBID",
        "same_signer": "SIGN",
        "valid_to": None,
        "document": None,
        "valid_for": m.chance.sample(["amount", "title"], m.chance.randrange(3)),
    }
    row |= {"valid_from": m.chance.choice(MOMENTS[:6]), "condition": {"all": []}}
    row["stages"] = [{"name": "s", "rule": "ALL", "slots": [{"role": "administrator", "rule": "ANY"}]}]


def _event(m: _Maker, row: Row, number: int) -> None:
    row |= {
        "position": number,
        "sequence": number,
        "ordinal": 0,
        "changed_fields": m.chance.sample(TEXTS, 2),
        "data": {},
    }
    row["subject_ref"] = m.chance.choice(REFS)


def _audit(m: _Maker, row: Row, number: int) -> None:
    row |= {"command": {"b": 1, "a": ['"']}, "changes": [], "subject_ref": m.chance.choice([None, *REFS])}


def _run(m: _Maker, row: Row, number: int) -> None:
    row |= {"mapping": {"a": "b"}, "options": {}, "sample": [], "tallies": {"n": number}}


def _finding(m: _Maker, row: Row, number: int) -> None:
    run = m.chance.choice(m.world.rows["import_runs"])
    row |= {
        "run_id": run["id"],
        "line": run["line"],
        "row": m.chance.randrange(20),
        "problems": [{"code": "X"}],
    }


def _source(m: _Maker, row: Row, number: int) -> None:
    row |= {"name": f"{m.chance.choice(TEXTS[:20])}{number}"[:80], "path_key": f"{number:064d}"}
    row |= {"options": {}, "addresses": m.chance.choice([[], ["203.0.113.0/24"]])}


def _request(m: _Maker, row: Row, number: int) -> None:
    source = m.chance.choice(m.world.rows["incoming_sources"])
    error = {"code": "NOT_FOUND", "params": {"type": "Customer", "id": "cus_x"}, "field": "id", "rule": None}
    row |= {"source_id": source["id"], "line": source["line"], "dedupe_key": f"k'{number}"}
    row["errors"] = [{**error, "step": 0, "command": "customer.update"}] * m.chance.randrange(3)


def _vehicle(m: _Maker, row: Row, number: int) -> None:
    row |= {"vin": f"LBEHDAEB0CY{number:06d}", "line": row["line"] if row["customer_id"] else "east"}


def _change(m: _Maker, row: Row, number: int) -> None:
    order = m.chance.choice(m.world.rows["auto_dealer_orders"])
    row |= {"order_id": order["id"], "line": order["line"], "proposed": {"price": "1.00"}}


def _mark(m: _Maker, row: Row, number: int) -> None:
    row |= {
        "line": m.chance.choice(["east", "north"]),
        "words": m.chance.sample(TEXTS, m.chance.randrange(4)),
    }
    row |= {"name": m.chance.choice(TEXTS[:16]), "amount": m.chance.choice([None, None, -1, 0, 1, 2**30 - 1])}
    row["note"] = m.chance.choice([None, None, "", "a", "note", "Note", "100%", "注"])
    row["price"] = m.chance.choice([None, 0, 5, 120050])


_OWN: Mapping[str, Callable[[_Maker, Row, int], None]] = {
    "users": _user, "roles": _role, "role_scopes": _role_scope, "teams": _team, "team_members": _member,
    "api_tokens": _token, "absences": _absence, "notices": _notice, "notice_preferences": _preference,
    "customers": _customer, "customer_lines": _customer_line, "customer_phones": _phone,
    "contact_phones": _phone, "contacts": _contact, "customer_documents": _document,
    "customer_transactions": _transaction, "interactions": _interaction, "interaction_visits": _of_interaction,
    "interaction_callbacks": _of_interaction, "interaction_reports": _of_interaction, "tasks": _task,
    "interaction_cadences": _cadence, "interaction_callback_plans": _callback_plan, "approvals": _approval,
    "approval_tasks": _approval_task, "approval_policies": _policy, "outbox_events": _event, "audit_entries": _audit,
    "import_runs": _run, "import_findings": _finding, "incoming_sources": _source, "incoming_requests": _request,
    "auto_dealer_vehicles": _vehicle, "auto_dealer_order_changes": _change, "probe_marks": _mark,
}  # fmt: skip


async def put(crm: Kit, world: World) -> None:
    """Write the company in place of whatever stands in the database."""
    tables = [t for t in Base.metadata.sorted_tables if t.name in world.rows or t.name in COUNTS]
    async with crm.database.transaction() as session:
        for table in reversed([t for t in Base.metadata.sorted_tables if t.name in _present(crm)]):
            await session.execute(delete(table))
        for table in tables:
            for rows in _alike(world.rows[table.name]):
                await session.execute(insert(table), rows)


def _present(crm: Kit) -> set[str]:
    """Tables of the plugins and rooms that are loaded; other tests' plugins may have declared more."""
    models = [model for models in crm.services.registry.tables.values() for model in models]
    return {m.__tablename__ for m in models} | {"search_documents", "customer_keys"} - set(KEPT)


def _alike(rows: Sequence[Row]) -> list[list[Row]]:
    """Neighbouring rows that give the same columns: some JSON nulls are left out, so that SQL nulls come up too."""
    given = [
        {k: v for k, v in row.items() if v is not None or number % 4 or k not in ("before", "after", "data")}
        for number, row in enumerate(rows)
    ]
    return [list(group) for _, group in groupby(given, key=sorted)]


def described(value: Any) -> str:
    """A value for people, in one line."""
    return json.dumps(value, ensure_ascii=False, default=str)

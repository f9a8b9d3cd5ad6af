"""Rows of every other table that a screen reads: tasks, visits, orders, approvals, audit entries, events and more.

They are made inside PostgreSQL from the company's own rows, in a copy of its database, so that timings of the company
stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from benchmarks.reads.postgres import Server
from crm_auto_dealer.orders.models import OrderCard, OrderChange
from crm_auto_dealer.test_drives.models import TestDrive
from crm_auto_dealer.vehicles.models import Vehicle
from crm_core.approvals.models import Approval, ApprovalPolicy, ApprovalTask
from crm_core.audit.models import AuditEntry
from crm_core.contacts.models import ContactLink
from crm_core.customers.models import (
    CustomerDocument,
    CustomerExternalId,
    CustomerLineChange,
    CustomerTag,
    CustomerTransaction,
    DuplicateFlag,
)
from crm_core.db.base import Base
from crm_core.imports.models import ImportFinding, ImportRun
from crm_core.interactions.models import (
    Callback,
    Interaction,
    InteractionReport,
    Participant,
    Task,
    Visit,
)
from crm_core.outbox.models import OutboxEvent

Expressions = dict[str, str]

_ID: Final = """
CREATE OR REPLACE FUNCTION bench_id(moment timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3)
          || '8' || substr(h, 4, 15))::uuid
  FROM (SELECT md5(random()::text || clock_timestamp()::text) AS h) AS made
$$
"""
_CUSTOMER: Final = {"customer_id": "customer_id", "line": "line"}
_OWNED: Final = _CUSTOMER | {"owner_id": "owner_id", "team_id": "team_id"}
_AUTO: Final = "line LIKE 'auto%'"
_DAY: Final = "(created_at + r * interval '60 days')::date"


def _one_of(*words: str) -> str:
    """One of these texts, at random."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"(ARRAY[{listed}])[1 + floor(random() * {len(words)})::int]"


@dataclass(frozen=True)
class Made:
    """Rows of a table: a share of the rows of `source` (with `n`, their number, and `r`, a chance), turned into others."""

    model: type[Any]
    source: str
    share: float
    columns: Expressions
    where: str = "true"
    moment: str = "created_at + r * interval '20 days'"

    def sql(self) -> str:
        """The statement that makes them; columns left out get the model's default, else null."""
        table: Table = self.model.__table__
        given = _defaults(table) | self.columns
        moments = {"created_at": "moment", "updated_at": "moment", "version": "1", "id": "bench_id(moment)"}
        given |= {name: sql for name, sql in moments.items() if name in table.c and name not in self.columns}
        names = ", ".join(f'"{name}"' for name in given)
        return (
            f'INSERT INTO "{table.name}" ({names}) SELECT {", ".join(given.values())} FROM ('  # noqa: S608  # our own
            f"SELECT *, {self.moment} AS moment FROM (SELECT *, row_number() OVER () AS n, random() AS r"
            f" FROM {self.source} WHERE {self.where}) AS counted WHERE random() < {self.share}) AS chosen"
        )


def _defaults(table: Table) -> Expressions:
    found: Expressions = {}
    for column in table.columns:
        default = column.default
        if default is not None and default.is_scalar:
            value = getattr(default, "arg", None)
            found[column.name] = f"'{value}'" if isinstance(value, str) else str(value).lower()
        elif not column.nullable and str(column.type).startswith("JSON"):
            found[column.name] = "'[]'"
    return found


def made() -> Iterator[Made]:
    """What is made, in the order of foreign keys. About a million rows in all at scale 1."""
    planned = {
        **_CUSTOMER, "kind": _one_of("visit", "call", "showroom_visit"), "channel": "'FACE_TO_FACE'",
        "status": _one_of("PLANNED", "PLANNED", "DONE", "CANCELLED"), "is_visit": "r < 0.7",
        "is_callback": "r > 0.8", "subject": "'拜访计划'", "occurred_at": "moment + interval '30 days'",
        "occurred_on": "(moment + interval '30 days')::date", "planned_at": "moment + interval '30 days'",
        "next_on": _DAY, "performer_id": "owner_id", "team_id": "team_id",
    }  # fmt: skip
    yield Made(Interaction, "customer_lines", 0.3, planned, moment="created_at + r * interval '600 days'")
    yield from _of_interactions()
    yield from _of_customers()
    yield from _of_dealer()
    yield from _of_approvals()
    yield from _of_records()


def _of_interactions() -> Iterator[Made]:
    visit = {
        "interaction_id": "id", "submitted_at": "CASE WHEN r < 0.6 THEN moment END", "is_late": "r < 0.1",
        "review_result": f"CASE WHEN r < 0.4 THEN {_one_of('ACCEPTED', 'RETURNED')} END",
    }  # fmt: skip
    yield Made(Visit, "interactions", 1, visit, "is_visit")
    callback = {"interaction_id": "id", "satisfaction": "1 + floor(random() * 5)::int"}
    yield Made(Callback, "interactions", 1, callback, "is_callback")
    yield Made(Participant, "interactions", 0.15, {"interaction_id": "id", "user_id": "performer_id"})
    report = {
        "interaction_id": "id", "line": "line", "user_id": "performer_id", "text": "'简报'",
        "read_at": "CASE WHEN r < 0.9 THEN moment END",
    }  # fmt: skip
    yield Made(InteractionReport, "interactions", 0.1, report)
    task = {
        **_CUSTOMER, "interaction_id": "id", "title": "'回电'", "due_on": _DAY, "assignee_id": "performer_id",
        "creator_id": "performer_id", "team_id": "team_id", "status": _one_of("OPEN", "DONE", "DONE", "DONE"),
    }  # fmt: skip
    yield Made(Task, "interactions", 0.15, task)


def _of_customers() -> Iterator[Made]:
    change = {
        "customer_line_id": "id",
        "what": _one_of("OWNER", "GRADE", "STAGE"),
        "old": "'B'",
        "new": "'A'",
    }
    yield Made(CustomerLineChange, "customer_lines", 0.9, change)
    yield Made(CustomerTag, "customers", 0.8, {"customer_id": "id", "tag": "'标签' || n % 60"})
    yield Made(
        CustomerExternalId, "customers", 0.5,
        {"customer_id": "id", "source": "'erp'", "external_id": "'E' || n"},
    )  # fmt: skip
    document = {
        **_CUSTOMER, "category": _one_of("CONTRACT", "BUSINESS_LICENCE", "OTHER"), "title": "'合同'",
        "origin": "'SALES_CONTRACT'", "path": "'x/' || n", "sha256": "md5(n::text)", "size": "1000",
        "media_type": "'application/pdf'", "received_on": _DAY, "filed_at": "moment", "filed_late": "r < 0.05",
    }  # fmt: skip
    yield Made(CustomerDocument, "customer_lines", 0.4, document)
    transaction = {
        **_CUSTOMER, "done_on": _DAY, "description": "'购车'", "amount": "100000 + n", "origin": "'SALES_CONTRACT'",
    }  # fmt: skip
    yield Made(CustomerTransaction, "customer_lines", 0.7, transaction)
    flag = {
        "customer_id": "customer_id", "other_id": "lag(customer_id, 1, customer_id) OVER (ORDER BY n)",
        "line": "line", "foreign_line": "CASE line WHEN 'telecom' THEN 'auto_east' ELSE 'telecom' END",
        "by": _one_of("PHONE", "COMPANY"),
    }  # fmt: skip
    yield Made(DuplicateFlag, "customer_lines", 0.2, flag)
    link = {"contact_id": "id", "user_id": "(SELECT id FROM users LIMIT 1)", "state": "'POSITIVE'"}
    yield Made(ContactLink, "contacts", 0.1, link)


def _of_dealer() -> Iterator[Made]:
    vehicle = {
        "line": "line", "vin": "'LSV' || lpad(n::text, 14, '0')", "model": "'朗逸 1.5L'",
        "plate": "CASE WHEN r < 0.5 THEN '苏E' || lpad(n::text, 5, '0') END", "list_price": "12000000",
        "use": _one_of("TEST_DRIVE", "STOCK", "DISPLAY", "CUSTOMER"),
        "state": _one_of("IN_TRANSIT", "READY", "SOLD", "SOLD"),
        "customer_id": "CASE WHEN r < 0.6 THEN customer_id END",
    }  # fmt: skip
    yield Made(Vehicle, "customer_lines", 0.4, vehicle, _AUTO)
    any_vehicle = "(SELECT id FROM auto_dealer_vehicles LIMIT 1)"
    drive = {
        **_OWNED, "vehicle_id": any_vehicle, "model": "'朗逸 1.5L'", "starts_at": "moment",
        "ends_at": "moment + interval '30 minutes'",
        "state": _one_of("REQUESTED", "DRIVEN", "RECORDED", "CANCELLED"),
    }  # fmt: skip
    yield Made(TestDrive, "customer_lines", 0.7, drive, _AUTO)
    order = {
        **_OWNED, "vehicle_id": any_vehicle, "model": "'朗逸 1.5L'", "price": "12000000", "deposit": "500000",
        "state": _one_of("DRAFT", "EFFECTIVE", "CANCELLED"), "ordered_on": "moment::date",
        "governing_on": "moment::date",
    }  # fmt: skip
    yield Made(OrderCard, "customer_lines", 0.5, order, _AUTO)
    change = {
        "line": "line",
        "order_id": "id",
        "state": _one_of("PENDING", "SIGNED", "REJECTED"),
        "proposed": "'{}'",
    }
    yield Made(OrderChange, "auto_dealer_orders", 0.3, change)


def _of_approvals() -> Iterator[Made]:
    policy = {
        "line": "code", "name": "'bench'", "commands": "'[\"customer.update\"]'", "edition": "1", "enabled": "true",
        "condition": "'{}'", "valid_from": "moment", "stages": "'[]'", "self_approval": "'FORBID'",
        "same_signer": "'SIGN'",
    }  # fmt: skip
    yield Made(ApprovalPolicy, "business_lines", 1, policy)
    approval = {
        "line": "line", "kind": "'customer.update'", "command_version": "1", "body": "'{}'",
        "requester_id": "owner_id", "options": "'{}'", "policy_edition": "1", "self_approval": "false",
        "title": "'客户资料变更'",
        "policy_id": "(SELECT id FROM approval_policies LIMIT 1)",
        "state": "CASE WHEN r < 0.03 THEN 'PENDING' WHEN r < 0.9 THEN 'APPROVED' ELSE 'REJECTED' END",
        "chain": "'{}'", "subject_type": "'Customer'", "subject_id": "customer_id",
        "subject_ref": "'cus_' || replace(customer_id::text, '-', '')",
    }  # fmt: skip
    yield Made(Approval, "customer_lines", 0.6, approval)
    task = {
        "approval_id": "id", "line": "line", "position": "1", "stage": "1", "slot": "1", "kind": "'SIGN'",
        "role": f"CASE WHEN n % 2 = 0 THEN {_one_of('line_manager', 'bench_teams', 'archivist', 'finance')} END",
        "user_id": "CASE WHEN n % 2 = 1 THEN requester_id END",
        "state": "CASE state WHEN 'PENDING' THEN 'OPEN' ELSE 'DONE' END",
    }  # fmt: skip
    yield Made(ApprovalTask, "approvals", 1, task)
    run = {
        "line": "line", "subject": "'CUSTOMERS'", "source": "'erp'", "file_name": "'a.csv'", "rows": "100",
        "file_sha256": "md5(n::text)", "mapping": "'{}'", "options": "'{}'", "digest": "md5(n::text)",
        "state": "'DONE'", "tallies": "'{}'",
    }  # fmt: skip
    yield Made(ImportRun, "customer_lines", 0.02, run)
    finding = {
        "run_id": "(SELECT id FROM import_runs LIMIT 1)", "line": "line", "source": "'erp'", "kind": "'REFUSED'",
        "subject": "'CUSTOMERS'", "row": "n", "external_id": "'E' || n",
    }  # fmt: skip
    yield Made(ImportFinding, "customer_lines", 0.4, finding)


def _of_records() -> Iterator[Made]:
    """An audit entry and an event for half of the interactions, as their recording would have left them."""
    said = {
        "line": "line", "kind": _one_of("interaction.log", "interaction.complete", "task.create"),
        "actor_id": "performer_id", "actor_name": "'销售顾问'", "subject_type": "'Interaction'",
        "subject_ref": "'int_' || replace(id::text, '-', '')", "request_id": "md5(n::text)",
    }  # fmt: skip
    entry = {**said, "channel": _one_of("api", "import"), "command": "'{}'"}
    yield Made(AuditEntry, "interactions", 0.5, entry)
    event = {
        **said, "position": "n", "schema_version": "1", "subject_id": "id", "sequence": "1", "ordinal": "0",
        "occurred_at": "moment", "data": "'{}'", "kind": _one_of("interaction.logged", "interaction.completed"),
    }  # fmt: skip
    yield Made(OutboxEvent, "interactions", 0.5, event)


async def surrounded(server: Server, source: str) -> str:
    """The name of a copy of this database with the other tables filled; made at the first time."""
    name = f"{source}_around"
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return name
        print(f"copying {source} and filling its other tables", flush=True)
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}_new"')
        await connection.execute(f'CREATE DATABASE "{name}_new" TEMPLATE "{source}"')
        await _filled(server.url(f"{name}_new"))
        await connection.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
    finally:
        await connection.close()
    return name


async def _filled(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(_ID)
        for one in made():
            print(f"  {one.model.__tablename__} {await connection.execute(one.sql())}", flush=True)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


async def indexed(url: str) -> None:
    """Give a kept database the indexes that the models have won since; revisions do not know of them."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's
    connection = await asyncpg.connect(url)
    try:
        known = {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes")}
        for table in Base.metadata.sorted_tables:
            for index in table.indexes:
                if index.name not in known:
                    print(f"making {index.name}", flush=True)
                    await connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
    finally:
        await connection.close()

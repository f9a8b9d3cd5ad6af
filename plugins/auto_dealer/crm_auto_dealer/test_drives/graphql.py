"""The GraphQL type of test drives, its root fields, and the drives of a customer and of a vehicle."""

from __future__ import annotations

from datetime import datetime

from crm_auto_dealer.scopes import TEST_DRIVE_READ
from crm_auto_dealer.test_drives.models import TestDrive, TestDriveState
from crm_auto_dealer.test_drives.queries import visible
from crm_core.graphql import (
    ObjectType,
    connection,
    field,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.interactions.timeline import source

TEST_DRIVE = ObjectType(
    name="TestDrive",
    table=TestDrive.__table__,
    model=TestDrive,
    prefix="tdr",
    description="A customer's test drive in one of the dealer's cars (试乘试驾).",
    rule=visible,
    scope=TEST_DRIVE_READ,
    order=lambda t: [t.c.starts_at.desc()],
    fields=(
        *record_fields("tdr"),
        field("state", TestDriveState, "State (状态).", nullable=False, filter=True),
        field("startsAt", datetime, "Begin (开始时间).", nullable=False, filter=True, sort=True),
        field("endsAt", datetime, "End (结束时间).", nullable=False),
        field("model", str, "Model driven, as it was called then (车型).", nullable=False),
        field("licenceChecked", bool, "Whether the driving licence was seen (已核验驾驶证).", nullable=False),
        field("route", str, "Where it went (试驾路线).", nullable=False),
        field("odometerKm", int, "Odometer afterwards, km (里程)."),
        field("feedback", str, "What the customer said (客户反馈).", nullable=False),
        field("rating", int, "1 (poor) to 5 (delighted) (评分)."),
        relation(
            "customer",
            "Customer",
            "Who drives (客户).",
            on=lambda d, c, _a: c.c.id == d.c.customer_id,
            filter=True,
        ),
        relation(
            "vehicle",
            "Vehicle",
            "The car (试驾车).",
            on=lambda d, v, _a: v.c.id == d.c.vehicle_id,
            filter=True,
        ),
        relation(
            "consultant",
            "User",
            "Who accompanies (销售顾问).",
            on=lambda d, u, _a: u.c.id == d.c.owner_id,
            filter=True,
        ),
        relation(
            "team", "Team", "The consultant's team then (团队).", on=lambda d, t, _a: t.c.id == d.c.team_id
        ),
    ),
)

TYPES = (TEST_DRIVE,)
QUERIES = (
    query_connection("testDrives", "TestDrive", "Test drives you may see (试驾)."),
    query_one("testDrive", "TestDrive", "A test drive by id."),
)
FIELDS = {
    "Customer": (
        connection(
            "testDrives",
            "TestDrive",
            "The customer's test drives (试驾).",
            on=lambda c, d, _a: d.c.customer_id == c.c.id,
            scope=TEST_DRIVE_READ,
        ),
    ),
    "Vehicle": (
        connection(
            "testDrives",
            "TestDrive",
            "Test drives in this car (试驾).",
            on=lambda v, d, _a: d.c.vehicle_id == v.c.id,
            scope=TEST_DRIVE_READ,
        ),
    ),
}
TIMELINE = (
    source(
        "test_drive",
        TEST_DRIVE,
        at=lambda t: t.c.starts_at,
        title=lambda t: t.c.model,
        status=lambda t: t.c.state,
    ),
)

"""What of the fees received earns commission: within the first months, by whose they are and what holds that day."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, event, insert
from sqlalchemy.pool import StaticPool

from crm_core import ids
from crm_core.db.base import Base
from crm_telecom_elite.hooks import crm_tables
from crm_telecom_elite.months import first_day, later, month_of
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates
from crm_telecom_elite.receipts.earning import adding_up, earned
from crm_telecom_elite.receipts.models import EliteReceipt, EliteReceiptBatch
from crm_telecom_elite.receipts.testing import by_standing, commission, earnings, receipt, record, user
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.testing import Branch
from crm_telecom_elite.users.entering import commission_months
from crm_telecom_elite.users.models import EliteAssignment, EliteUser

HQ, REGIONAL = EliteTeamKind.HQ, EliteTeamKind.REGIONAL


async def regional(branch: Branch) -> str:
    """A member of the regional team."""
    return await branch.member(team=branch.regional, post="customer_manager")


# -- worked examples


@pytest.mark.rule("MO-040", "MO-041", "MO-043", "OT-112", "OT-113")
async def test_a_team_of_the_headquarters_earns_4_percent_of_what_was_received(branch: Branch) -> None:
    member = await branch.member()
    await record(branch, *[receipt(await user(branch, member), "2500.00") for _ in range(4)])
    assert await commission(branch, HQ) == Decimal("400.00")
    (one,) = await earnings(branch)
    assert (one.amount, one.users, one.since) == (1_000_000, 4, date(2025, 11, 1))


@pytest.mark.rule("MO-041", "MO-043", "OT-113")
async def test_a_regional_team_earns_nine_tenths_of_that(branch: Branch) -> None:
    one = await user(branch, await regional(branch))
    await record(branch, receipt(one, "10000.00"))
    assert await commission(branch, REGIONAL) == Decimal("360.00")


@pytest.mark.rule("MO-042", "MO-043", "OT-114")
@pytest.mark.parametrize(("kind", "whole"), [(HQ, "144.00"), (REGIONAL, "129.60")])
async def test_a_user_who_pays_200_a_month_earns_for_18_months_and_not_in_the_19th(
    branch: Branch, kind: EliteTeamKind, whole: str
) -> None:
    member = await branch.member() if kind is HQ else await regional(branch)
    one = await user(branch, member, activatedOn="2025-10-15")
    months = [later("2025-10", number) for number in range(19)]
    await record(branch, *(receipt(one, "200.00", m, receivedOn=f"{m}-20") for m in months))
    earned_in = [await commission(branch, kind, month) for month in months]
    assert sum(earned_in) == Decimal(whole)
    assert earned_in[-1] == 0
    assert all(earned_in[:-1])


@pytest.mark.rule("MO-040")
async def test_of_a_bill_only_what_was_received_earns_and_when_it_was(branch: Branch) -> None:
    member = await branch.member()
    one, _unpaid = await user(branch, member), await user(branch, member)
    await record(branch, receipt(one, "7500.00"))  # of a bill of 10,000
    (found,) = await earnings(branch)
    assert (found.amount, found.users) == (750_000, 1), "who has paid nothing is not in it"
    assert await commission(branch, HQ) == Decimal("300.00")
    await record(branch, receipt(one, "2500.00", "2025-11", receivedOn="2025-12-09"))
    assert await commission(branch, HQ) == Decimal("300.00"), "the rest of the bill came later"
    assert await commission(branch, HQ, "2025-12") == Decimal("100.00")


@pytest.mark.rule("MO-043")
async def test_money_that_goes_back_is_taken_off_in_the_month_it_goes_back(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    paid = receipt(one, "100.00", "2025-10", receivedOn="2025-10-20")
    await record(branch, paid)
    await record(branch, receipt(one, "-40.00", "2025-10", receivedOn="2025-11-05", corrects=paid["number"]))
    assert await commission(branch, HQ, "2025-10") == Decimal("4.00")
    assert await commission(branch, HQ, "2025-11") == Decimal("-1.60")


# -- which months count


@pytest.mark.rule("MO-042")
async def test_a_late_receipt_counts_by_the_month_of_its_bill(branch: Branch) -> None:
    one = await user(branch, await branch.member(), activatedOn="2025-10-15")
    last, after = "2027-03", "2027-04"
    await record(
        branch,
        receipt(one, "10.00", last, receivedOn="2027-08-01"),
        receipt(one, "20.00", after, receivedOn="2027-08-01"),
        receipt(one, "40.00", "2025-09", receivedOn="2027-08-01"),
    )
    assert by_standing(await earnings(branch, "2027-08")) == {"COUNTS": 1000, "AFTER": 2000, "BEFORE": 4000}


@pytest.mark.rule("MO-042")
async def test_a_line_may_count_by_the_day_of_receipt_instead(branch: Branch) -> None:
    given_ = {"name": "commission_by_receipt", "teamKind": "HQ", "validFrom": "2027-05-01", "value": "1"}
    await branch.crm.done("eliteRateSet", branch.hr, input=given_)
    one = await user(branch, await branch.member(), activatedOn="2025-12-15")  # months 2025-12 to 2027-05
    other = await user(branch, await regional(branch), activatedOn="2025-12-15")
    await record(
        branch,
        receipt(one, "1.00", "2027-06", receivedOn="2027-05-31"),
        receipt(one, "2.00", "2027-05", receivedOn="2027-06-01"),
        receipt(other, "4.00", "2027-06", receivedOn="2027-05-31"),
        receipt(one, "8.00", "2027-06", receivedOn="2027-04-30"),
    )
    assert by_standing(await earnings(branch, "2027-05")) == {"COUNTS": 100, "AFTER": 400}
    assert by_standing(await earnings(branch, "2027-06")) == {"AFTER": 200}
    assert by_standing(await earnings(branch, "2027-04")) == {"AFTER": 800}


@pytest.mark.rule("MO-040")
async def test_a_rate_that_changes_in_mid_month_holds_from_its_day_on(branch: Branch) -> None:
    given_ = {"name": "commission_rate", "teamKind": "HQ", "validFrom": "2025-11-16", "value": "0.05"}
    await branch.crm.done("eliteRateSet", branch.hr, input=given_)
    one = await user(branch, await branch.member())
    days = ("2025-11-15", "2025-11-16", "2025-11-30")
    await record(branch, *(receipt(one, "100.00", receivedOn=day) for day in days))
    found = await earnings(branch)
    assert [(e.since, e.amount) for e in found] == [(date(2025, 11, 1), 10_000), (date(2025, 11, 16), 20_000)]
    assert await commission(branch, HQ) == Decimal("14.00")


@pytest.mark.rule("MO-038", "OT-115")
async def test_a_legacy_user_earns_from_his_day_on_the_list_on_within_his_own_months(branch: Branch) -> None:
    member = await branch.member(entered_on="2025-03-01", origin="DIRECT_SALES")
    old = await user(branch, member, activatedOn="2024-06-10", legacy=True)  # months 2024-06 to 2025-11
    listed = {"ids": [old["id"]], "approvedOn": "2025-11-10"}
    await branch.crm.done("eliteUserApproveLegacy", branch.centre, input=listed)
    unlisted = await user(branch, member, activatedOn="2024-12-10", legacy=True)
    await record(
        branch,
        receipt(old, "1.00", "2025-10", receivedOn="2025-11-09"),
        receipt(old, "2.00", "2025-11", receivedOn="2025-11-10"),
        receipt(old, "4.00", "2025-12", receivedOn="2025-11-20"),
        receipt(unlisted, "8.00", "2025-11", receivedOn="2025-11-20"),
        receipt(old, "16.00", "2025-02", receivedOn="2025-02-20"),
    )
    assert by_standing(await earnings(branch)) == {"NOT_LISTED": 900, "COUNTS": 200, "AFTER": 400}
    assert by_standing(await earnings(branch, "2025-02")) == {"NOBODYS": 1600}


# -- whose it is


@pytest.mark.rule("MO-043")
async def test_what_was_received_is_whose_the_user_was_that_day(branch: Branch) -> None:
    first, second = await branch.member(), await regional(branch)
    one = await user(branch, first)
    moved = {"id": one["id"], "memberId": second, "validFrom": "2025-11-15"}
    await branch.crm.done("eliteUserAssign", branch.centre, input=moved)
    before = receipt(one, "1.00", receivedOn="2025-11-14")
    await record(branch, before, receipt(one, "2.00", receivedOn="2025-11-15"))
    await record(branch, receipt(one, "-1.00", receivedOn="2025-11-20", corrects=before["number"]))
    found = await earnings(branch)
    shown = {
        (ids.show("elt", e.elite_team_id), ids.show("elm", e.member_id)): e.amount
        for e in found
        if e.elite_team_id and e.member_id
    }
    assert shown == {(branch.hq, first): 0, (branch.regional, second): 200}


# -- against an oracle, on a database in memory


@dataclass(frozen=True)
class Paid:
    """A receipt: whose (place of the user), when earned, of which bill, fen."""

    user: int
    earned_on: date
    bill_month: str
    amount: int


@dataclass(frozen=True)
class World:
    """Users (first month, legacy, on the list from), whose they are from which day on, rate changes, receipts."""

    users: tuple[tuple[str, bool, date | None], ...]
    holders: tuple[tuple[tuple[date, int], ...], ...]
    changes: tuple[date, ...]
    by_receipt_from: date | None
    paid: tuple[Paid, ...]


DAYS = st.dates(date(2025, 9, 1), date(2026, 1, 31))
MONTHS = st.integers(0, 30).map(lambda n: later("2024-01", n))


def worlds() -> st.SearchStrategy[World]:
    """Small worlds of three users, two teams, and money that comes and goes."""
    users = st.tuples(st.sampled_from(["2023-08", "2024-03", "2025-10"]), st.booleans(), st.none() | DAYS)
    holders = st.lists(st.tuples(DAYS, st.integers(0, 1)), max_size=3, unique_by=lambda one: one[0])
    paid = st.builds(Paid, st.integers(0, 2), DAYS, MONTHS, st.integers(-9_999, 99_999))
    return st.builds(
        World,
        st.tuples(users, users, users),
        st.tuples(*[holders.map(lambda found: tuple(sorted(found)))] * 3),
        st.lists(DAYS, max_size=2).map(tuple),
        st.none() | DAYS,
        st.lists(paid, max_size=12).map(tuple),
    )


TEAM_IDS = tuple(ids.uuid7() for _ in range(2))
TABLES: tuple[type[Base], ...] = (EliteReceipt, EliteAssignment, EliteUser, EliteTeam)
Sums = Mapping[tuple[UUID | None, str, date, str], tuple[int, int]]


@pytest.fixture(scope="module")
def memory() -> Iterator[Connection]:
    """The tables in memory, rows of other tables not asked for."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys=OFF"))
    with engine.begin() as connection:
        Base.metadata.create_all(connection, tables=[t.__table__ for t in crm_tables() if t in TABLES])
        yield connection
    engine.dispose()


def rates_in(world: World) -> Rates:
    """Rates that change on the days of the world."""
    rows = [("commission_rate", "HQ", day, Decimal("0.05")) for day in world.changes]
    if world.by_receipt_from is not None:
        rows.append(("commission_by_receipt", "HQ", world.by_receipt_from, Decimal(1)))
    return Rates(rows)


def summed(memory: Connection, world: World) -> Sums:
    """What the statement says, by team, month, change and standing: fen and users."""
    for table in TABLES:
        memory.execute(delete(table))
    for table, rows in rows_of(world).items():
        if rows:
            memory.execute(insert(table), rows)
    found = memory.execute(adding_up("elite", "2026-02", rates_in(world), "sqlite"))
    return {(r[0], r[2], r[3], r[4]): (r[5], r[6]) for r in found}


def rows_of(world: World) -> dict[type[Base], list[dict[str, Any]]]:
    """The rows of a world."""
    now = datetime(2026, 2, 1, tzinfo=UTC)
    common = {"created_at": now, "updated_at": now, "version": 1, "line": "elite"}
    rates = rates_in(world)
    users = [ids.uuid7() for _ in world.users]
    batch, team = ids.uuid7(), ids.uuid7()
    found: dict[type[Base], list[dict[str, Any]]] = {table: [] for table in reversed(TABLES)}
    for key, kind in zip(TEAM_IDS, ("HQ", "REGIONAL"), strict=True):
        found[EliteTeam].append(
            {**common, "id": key, "team_id": ids.uuid7(), "name": kind, "kind": kind, "region": ""}
        )
    for key, (first, legacy, listed) in zip(users, world.users, strict=True):
        found[EliteUser].append(
            {**common, "id": key, "number": key.hex, "team_id": team, "activated_on": first_day(first),
             "first_month": first, "last_month": commission_months(rates, HQ, first_day(first))[1], "group_user": True, "legacy": legacy,
             "legacy_approved_on": listed}
        )  # fmt: skip
    for key, holders in zip(users, world.holders, strict=True):
        ends = [*(day for day, _ in holders[1:]), None]
        for (day, place), end in zip(holders, ends, strict=False):
            found[EliteAssignment].append(
                {"id": ids.uuid7(), "created_at": now, "user_id": key, "elite_team_id": TEAM_IDS[place],
                 "valid_from": day, "valid_to": end}
            )  # fmt: skip
    for number, one in enumerate(world.paid):
        found[EliteReceipt].append(
            {"id": ids.uuid7(), "created_at": now, "line": "elite", "number": str(number), "user_id": users[one.user],
             "bill_month": one.bill_month, "received_on": one.earned_on, "amount": one.amount,
             "earned_on": one.earned_on, "pay_month": "2026-02", "batch_id": batch}
        )  # fmt: skip
    return found


def told_one_by_one(world: World) -> Sums:
    """The same, receipt by receipt, in the words of the rules."""
    sums: dict[tuple[UUID | None, str, date, str], int] = defaultdict(int)
    whose: dict[tuple[UUID | None, str, date, str], set[int]] = defaultdict(set)
    for one in world.paid:
        first, legacy, listed = world.users[one.user]
        held = [place for day, place in world.holders[one.user] if day <= one.earned_on]
        team = TEAM_IDS[held[-1]] if held else None
        figure_days = [*world.changes, *([world.by_receipt_from] if world.by_receipt_from else [])]
        since = max([day for day in figure_days if day <= one.earned_on], default=date(2000, 1, 1))
        by_receipt = (
            held and held[-1] == 0 and world.by_receipt_from and one.earned_on >= world.by_receipt_from
        )
        age = month_of(one.earned_on) if by_receipt else one.bill_month
        window = [later(first, number) for number in range(18)]
        if team is None:
            standing = "NOBODYS"
        elif age not in window:
            standing = "BEFORE" if age < first else "AFTER"
        elif legacy and (listed is None or one.earned_on < listed):
            standing = "NOT_LISTED"
        else:
            standing = "COUNTS"
        key = (team, month_of(one.earned_on), since, standing)
        sums[key] += one.amount
        whose[key].add(one.user)
    return {key: (amount, len(whose[key])) for key, amount in sums.items()}


@pytest.mark.rule("MO-038", "MO-042", "MO-043")
@settings(max_examples=150, deadline=None)
@given(world=worlds())
def test_the_statement_says_what_the_rules_say_of_each_receipt(memory: Connection, world: World) -> None:
    assert summed(memory, world) == told_one_by_one(world)


@pytest.mark.rule("MO-042")
@settings(max_examples=60, deadline=None)
@given(world=worlds())
def test_nothing_earns_outside_the_18_months(memory: Connection, world: World) -> None:
    outside = tuple(
        one
        for one in world.paid
        if not world.users[one.user][0] <= one.bill_month <= later(world.users[one.user][0], 17)
    )
    found = summed(memory, replace(world, paid=outside, by_receipt_from=None))
    assert all(standing != "COUNTS" for *_, standing in found)


@pytest.mark.rule("MO-043")
@settings(max_examples=60, deadline=None)
@given(world=worlds(), order=st.randoms(use_true_random=False), part=st.integers(-500, 500))
def test_neither_order_nor_splitting_of_receipts_changes_a_sum(
    memory: Connection, world: World, order: random.Random, part: int
) -> None:
    pieces = [
        p for one in world.paid for p in (replace(one, amount=part), replace(one, amount=one.amount - part))
    ]
    order.shuffle(pieces)
    assert summed(memory, replace(world, paid=tuple(pieces))) == summed(memory, world)


@pytest.mark.rule("MO-043")
@settings(max_examples=60, deadline=None)
@given(world=worlds(), taken_back=st.sets(st.integers(0, 11)))
def test_what_is_taken_back_counts_as_if_it_had_never_come(
    memory: Connection, world: World, taken_back: set[int]
) -> None:
    reversed_ = [replace(p, amount=-p.amount) for n, p in enumerate(world.paid) if n in taken_back]
    kept = [p for n, p in enumerate(world.paid) if n not in taken_back]
    both = summed(memory, replace(world, paid=(*world.paid, *reversed_)))
    alone = summed(memory, replace(world, paid=tuple(kept)))
    assert amounts(both) == amounts(alone)


def amounts(sums: Sums) -> dict[tuple[UUID | None, str, date, str], int]:
    """The sums that are not nothing."""
    return {key: amount for key, (amount, _) in sums.items() if amount}


# -- the same on either database


async def test_both_databases_say_the_same_of_a_large_month(branch: Branch) -> None:
    chance = random.Random(18)
    member, other = await branch.member(), await regional(branch)
    shown = [await user(branch, one) for one in (member, other) for _ in range(3)]
    days = [date(2025, 10, 12) + timedelta(days=n) for n in range(60)]
    paid = [
        receipt(chance.choice(shown), f"{chance.randrange(-500, 20_000) / 100:.2f}",
                later("2025-08", chance.randrange(24)), receivedOn=chance.choice(days).isoformat())
        for _ in range(400)
    ]  # fmt: skip
    await record(branch, *paid)
    rates = Rates([("commission_rate", "HQ", date(2025, 11, 11), Decimal("0.05"))])
    expected: dict[tuple[date, bool], int] = defaultdict(int)
    for one in paid:
        day, bill = date.fromisoformat(one["receivedOn"]), one["billMonth"]
        if day.month == 11:
            since = date(2025, 11, 11) if day >= date(2025, 11, 11) else date(2025, 11, 1)
            expected[since, "2025-10" <= bill <= "2027-03"] += round(Decimal(one["amount"]) * 100)
    async with branch.crm.database.transaction() as session:
        found = await earned(session, branch.line, "2025-11", rates)
    sums: dict[tuple[date, bool], int] = defaultdict(int)
    for part in found:
        sums[part.since, part.counts] += part.amount
    assert sums == expected
    assert sorted(found, key=lambda e: str(e.elite_team_id.hex if e.elite_team_id else "")) == found


async def test_no_receipts_no_rows(branch: Branch) -> None:
    assert await earnings(branch) == []
    assert await branch.crm.rows(EliteReceiptBatch) == []

"""Keeps a customer findable: its number, phones, comparison keys, search tokens, and flags for stewards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, insert, or_, select, true, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from crm_core import ids
from crm_core.customers.inputs import CustomerPhoneInput
from crm_core.customers.models import (
    Customer,
    CustomerExternalId,
    CustomerKey,
    CustomerKind,
    CustomerLine,
    CustomerNumber,
    CustomerPhone,
    DuplicateFlag,
    DuplicateKeyKind,
    PhoneUse,
)
from crm_core.customers.queries import READ, visible
from crm_core.db import search
from crm_core.db.writer import given
from crm_core.graphql.access import Access
from crm_core.keyring import mask_identity
from crm_core.numbers import PhoneKind, PhoneNumber, company_key, parse_phones
from crm_core.tokens import tokens_of
from crm_core.work import Work

MOST_FLAGGED = 20
NUMBERS_AHEAD = 100
"""Customer numbers taken at once where many customers are written together."""
IDENTITY = "customers.identity_number"


async def next_number(work: Work, customer_id: UUID) -> str:
    """A new customer number (客户编号) `C000123`; numbers of undone changes are not handed out again."""
    if work.together is None:
        return f"C{(await _numbers(work, [customer_id]))[0]:06d}"
    ahead: list[int] = work.together.kept.setdefault("customer numbers", [])
    if not ahead:
        ahead.extend(await _numbers(work, [customer_id] * NUMBERS_AHEAD))
    return f"C{ahead.pop(0):06d}"


async def _numbers(work: Work, customers: Sequence[UUID]) -> list[int]:
    table = CustomerNumber.__table__
    rows = [{"customer_id": customer} for customer in customers]
    made = await work.session.execute(insert(table).values(rows).returning(table.c.id))
    return sorted(made.scalars())


def seal_identity(work: Work, customer: Customer, number: str | None) -> None:
    """Keep an identity number encrypted, with its blind index and its mask; None takes it away, the same changes nothing."""
    keyring = work.services.keyring
    if number and keyring.blind(number, IDENTITY) == customer.identity_blind:
        return
    customer.identity_sealed = keyring.seal(number, f"{IDENTITY}:{customer.id}") if number else None
    customer.identity_blind = keyring.blind(number, IDENTITY) if number else None
    customer.identity_masked = mask_identity(number) if number else None


async def replace_phones(work: Work, customer: Customer, given: Sequence[CustomerPhoneInput]) -> None:
    """Make the customer's phones those given, in their order; equal numbers count once, known ones are kept."""
    known = {(p.e164, p.extension): p for p in await phones_of(work, customer.id)}
    put_phones(work, customer, given, known)
    for gone in known.values():
        await work.session.delete(gone)


def put_phones(
    work: Work,
    customer: Customer,
    given: Sequence[CustomerPhoneInput],
    known: dict[tuple[str, str | None], CustomerPhone],
) -> list[str]:
    """Add or keep the given phones, taking those kept out of `known`; all of them in E.164."""
    found = _distinct(given)
    for position, (key, (number, use)) in enumerate(found.items()):
        row = known.pop(key, None)
        if row is None:
            row = CustomerPhone(
                customer_id=customer.id, e164=number.e164, extension=number.extension, raw=number.raw
            )
            work.add(row)
        row.position, row.raw, row.kind = position, number.raw, use.value
    return [e164 for e164, _ in found]


async def phones_of(work: Work, customer_id: UUID) -> list[CustomerPhone]:
    """The customer's phones in their order."""
    statement = select(CustomerPhone).where(CustomerPhone.customer_id == customer_id)
    return list(
        (await work.session.scalars(statement.order_by(CustomerPhone.position, CustomerPhone.id))).all()
    )


def _distinct(
    given: Sequence[CustomerPhoneInput],
) -> dict[tuple[str, str | None], tuple[PhoneNumber, PhoneUse]]:
    found: dict[tuple[str, str | None], tuple[PhoneNumber, PhoneUse]] = {}
    for one in given:
        number = parse_phones(one.number).numbers[0]
        found.setdefault((number.e164, number.extension), (number, one.use or _use(number)))
    return found


def _use(number: PhoneNumber) -> PhoneUse:
    return PhoneUse.MOBILE if number.kind is PhoneKind.MOBILE else PhoneUse.LANDLINE


async def make_findable(work: Work, customer: Customer) -> None:
    """Write comparison keys and search tokens anew; call after the customer and its parts were flushed."""
    phones = [phone.e164 for phone in await phones_of(work, customer.id)]
    await _index(work, customer, phones, await _external_ids(work, customer.id))
    await _compare_anew(work, customer, phones)


async def make_new_findable(
    work: Work, customer: Customer, phones: Sequence[str], external: Sequence[str]
) -> None:
    """Write comparison keys and search tokens of a new customer with these phones (E.164) and outside ids."""
    await _index(work, customer, phones, external)
    await _compare_by(work, customer, sorted(_keys(customer, phones)))


async def _index(work: Work, customer: Customer, phones: Sequence[str], external: Sequence[str]) -> None:
    codes = [customer.number, *filter(None, (customer.credit_code, customer.wechat)), *external]
    tokens = tokens_of([customer.name], phones, codes)
    await search.index(work.session, work.services.database.dialect, "Customer", customer.id, tokens)


async def _external_ids(work: Work, customer_id: UUID) -> list[str]:
    statement = select(CustomerExternalId.external_id).where(CustomerExternalId.customer_id == customer_id)
    return list((await work.session.scalars(statement)).all())


async def _compare_anew(work: Work, customer: Customer, phones: Iterable[str]) -> None:
    table, keys = CustomerKey.__table__, _keys(customer, phones)
    stored = select(table.c.kind, table.c.value).where(table.c.customer_id == customer.id)
    known = {(row.kind, row.value) for row in await work.session.execute(stored)}
    gone, new = sorted(known - keys), sorted(keys - known)
    if gone:
        same = tuple_(table.c.kind, table.c.value).in_(gone)
        await work.session.execute(delete(table).where(table.c.customer_id == customer.id, same))
    await _compare_by(work, customer, new)


async def _compare_by(work: Work, customer: Customer, keys: Sequence[tuple[str, str]]) -> None:
    """Add comparison keys, and flag equal customers elsewhere."""
    if keys:
        rows = [{"kind": kind, "value": value, "customer_id": customer.id} for kind, value in keys]
        await work.insert(insert(CustomerKey.__table__), rows)
        await _flag_elsewhere(work, customer, keys)


def _keys(customer: Customer, phones: Iterable[str]) -> set[tuple[str, str]]:
    keys = {(DuplicateKeyKind.PHONE.value, phone) for phone in phones}
    if customer.credit_code:
        keys.add((DuplicateKeyKind.CREDIT_CODE.value, customer.credit_code))
    if customer.identity_blind:
        keys.add((DuplicateKeyKind.IDENTITY.value, customer.identity_blind))
    company = company_key(customer.name) if customer.kind == CustomerKind.ORGANISATION.value else None
    if company:
        keys.add((DuplicateKeyKind.COMPANY.value, company[:200]))
    return keys


async def _flag_elsewhere(work: Work, customer: Customer, keys: Sequence[tuple[str, str]]) -> None:
    """Tell stewards of an equal customer whom the actor cannot see (疑似重复); the actor learns nothing.

    The rows bypass the audit entry of the change, which the actor's own line may read.
    """
    access = replace(work.access, wanted="few")
    if work.line is None or access.everything(READ):
        return
    bound = {**access.values, "customer": customer.id}
    for n, (kind, value) in enumerate(keys):
        bound |= {f"kind_{n}": kind, f"value_{n}": value}
    made_for = ("equals unseen", work.actor.shape, len(keys))
    found = await work.session.rows(made_for, lambda: _equals_unseen(access, len(keys)), bound)
    rows = [
        {"id": ids.uuid7(), "created_at": work.now, "customer_id": customer.id, "other_id": other,
         "line": work.line, "foreign_line": line, "by": kind}
        for kind, other, line in found
    ]  # fmt: skip
    if rows:
        made = postgresql.insert if work.services.database.dialect == "postgresql" else sqlite.insert
        await work.session.execute(made(DuplicateFlag.__table__).on_conflict_do_nothing(), rows)


def _equals_unseen(access: Access, many: int) -> Select[Any]:
    """Customers with one of so many keys whom the actor cannot see: key, customer, and each of its lines."""
    key, other, line = CustomerKey.__table__, Customer.__table__, CustomerLine.__table__
    same = [
        and_(
            key.c.kind == given(f"kind_{n}", key.c.kind.type),
            key.c.value == given(f"value_{n}", key.c.value.type),
        )
        for n in range(many)
    ]
    return (
        select(key.c.kind, key.c.customer_id, line.c.line)
        .join(other, other.c.id == key.c.customer_id)
        .join(line, line.c.customer_id == key.c.customer_id)
        .where(or_(*same), key.c.customer_id != given("customer", key.c.customer_id.type))
        .where(visible(other, access, READ).is_not(true()))  # PostgreSQL may say null for no
        .limit(MOST_FLAGGED)
    )

"""Finds what is due and who takes it, and writes down what became of it; row rules of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    column,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.types import TypeEngine

from crm_core.access.models import RoleGrant, RoleScope, User
from crm_core.access.queries import EVERYTHING
from crm_core.db.arrays import ListOf
from crm_core.db.types import UtcDateTime
from crm_core.db.unit import Unit
from crm_core.outbox.events import RecordedEvent
from crm_core.outbox.models import OutboxEvent
from crm_core.webhooks.models import WebhookDelivery, WebhookDeliveryState, WebhookEndpoint, WebhookState

READ, MANAGE, PRIVATE = "webhook.read", "webhook.manage", "webhook.private"
D, E, _EVENTS = WebhookDelivery.__table__, WebhookEndpoint.__table__, OutboxEvent.__table__
SENDING: Final = (WebhookState.ACTIVE.value, WebhookState.FAILING.value)
EVENT_COLUMNS: Final = tuple(_EVENTS.c[name] for name in RecordedEvent.__dataclass_fields__)
_CLAIMED: Final = tuple(
    D.c[name]
    for name in (
        "id", "event_id", "position", "kind", "subject_ref", "attempts", "body", "content_type", "next_at",
        "created_at",
    )
)  # fmt: skip


def waiting(t: Any = D) -> ColumnElement[bool]:
    """Deliveries that wait; written out, as the partial indexes are."""
    condition: ColumnElement[bool] = t.c.state == literal_column("'WAITING'")
    return condition


# -- taking what is due


@cache
def endpoints_due() -> Select[Any]:
    """Endpoints (`id`, `is_limited`, `concurrency`) with a delivery due `now`; each is looked at by the index alone."""
    now = bindparam("now", type_=UtcDateTime())
    first = (
        select(D.c.id)
        .where(D.c.endpoint_id == E.c.id, waiting(), D.c.next_at <= now)
        .order_by(D.c.next_at)
        .limit(1)
        .correlate(E)
        .scalar_subquery()
    )
    rested = or_(E.c.resting_until.is_(None), E.c.resting_until <= now)
    return select(E.c.id, E.c.concurrency, is_limited().label("is_limited")).where(
        E.c.state.in_(SENDING), rested, first.is_not(None)
    )


def is_limited() -> ColumnElement[bool]:
    """Whether only one process at a time may take deliveries of an endpoint."""
    return or_(E.c.state == WebhookState.FAILING.value, E.c.per_second.is_not(None))


def endpoint(endpoint_id: UUID, *, alone: bool) -> Select[Any]:
    """An endpoint; `alone`: nobody else takes its deliveries meanwhile, or nothing is found."""
    found = select(E).where(E.c.id == endpoint_id)
    return found.with_for_update(skip_locked=True) if alone else found


def due(endpoint_id: UUID, now: datetime, most: int) -> Select[Any]:
    """Deliveries of an endpoint that are due, those due longest first; what others are taking is left to them."""
    return (
        select(*_CLAIMED)
        .where(D.c.endpoint_id == endpoint_id, waiting(), D.c.next_at <= now)
        .order_by(D.c.next_at, D.c.position)
        .limit(most)
        .with_for_update(skip_locked=True)
    )


def heads(delivery_ids: Sequence[UUID]) -> Select[Any]:
    """For each of these deliveries the first waiting one about the same record (`head`)."""
    before = D.alias("before")
    head = (
        select(before.c.id)
        .where(
            before.c.endpoint_id == D.c.endpoint_id, before.c.subject_ref == D.c.subject_ref, waiting(before),
            before.c.position.is_not(None),
        )
        .order_by(before.c.position)
        .limit(1)
        .correlate(D)
        .scalar_subquery()
    )  # fmt: skip
    return select(D.c.id, head.label("head")).where(D.c.id.in_(delivery_ids))


def next_moments(delivery_ids: Iterable[UUID]) -> Select[Any]:
    """When these deliveries are due."""
    return select(D.c.id, D.c.next_at).where(D.c.id.in_(list(delivery_ids)))


def put_off() -> Update:
    """Have a delivery wait for the one before it: `which`, `until`."""
    return update(D).where(D.c.id == bindparam("which")).values(next_at=bindparam("until"))


_TAKEN: Final[Mapping[str, TypeEngine[Any]]] = {"which": Uuid(), "bytes": LargeBinary(), "type": String()}
_BECAME: Final[Mapping[str, TypeEngine[Any]]] = {
    "which": Uuid(), "number": Integer(), "to": String(), "due": UtcDateTime(), "status": Integer(), "why": String(),
}  # fmt: skip


async def take(session: Unit, rows: Sequence[Mapping[str, Any]], now: datetime, until: datetime) -> None:
    """Take deliveries until a lease ends: `which`, with the bytes that will be sent: `bytes`, `type`."""
    dialect = session.get_bind().dialect.name
    given = _each(dialect, _TAKEN)
    taking = (
        update(D)
        .where(D.c.id == given["which"])
        .values(
            attempts=D.c.attempts + 1, lease_until=until, next_at=until, body=given["bytes"],
            content_type=given["type"], first_at=func.coalesce(D.c.first_at, now), updated_at=now,
            version=D.c.version + 1,
        )
    )  # fmt: skip
    await session.execute(taking, _bound(dialect, _TAKEN, rows))


def _each(dialect: str, types: Mapping[str, TypeEngine[Any]]) -> Mapping[str, ColumnElement[Any]]:
    """The values of one row out of many: PostgreSQL takes them all in one statement, SQLite one after the other."""
    if dialect != "postgresql":
        return {name: bindparam(name, type_=type_) for name, type_ in types.items()}
    lists = [bindparam(name, type_=ListOf(type_)) for name, type_ in types.items()]
    columns = [column(name, type_) for name, type_ in types.items()]
    given = func.unnest(*lists).table_valued(*columns, name="given").render_derived()
    return {name: given.c[name] for name in types}


def _bound(dialect: str, types: Mapping[str, TypeEngine[Any]], rows: Sequence[Mapping[str, Any]]) -> Any:
    if dialect != "postgresql":
        return rows
    return {name: [row[name] for row in rows] for name in types}


def freezing() -> Update:
    """Keep the bytes that will be sent, for every further attempt: `which`, `number`, `bytes`, `type`."""
    mine = and_(D.c.id == bindparam("which"), D.c.attempts == bindparam("number"), D.c.body.is_(None))
    return update(D).where(mine).values(body=bindparam("bytes"), content_type=bindparam("type"))


def renewing(delivery_ids: Sequence[UUID], old: datetime, until: datetime) -> Update:
    """Hold deliveries for longer that were taken under a lease until `old`; gives back those still held."""
    held = and_(D.c.id.in_(delivery_ids), waiting(), D.c.lease_until == old)
    return update(D).where(held).values(lease_until=until, next_at=until).returning(D.c.id)


def events(event_ids: Iterable[UUID]) -> Select[Any]:
    """Recorded events by their ids."""
    return select(*EVENT_COLUMNS).where(_EVENTS.c.id.in_(list(event_ids)))


# -- writing down what became of it


async def write_down(session: Unit, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """What became of attempts: `which`, `number`, `to`, `due`, `status`, `why`.

    That it was taken is always written, unless it is settled already; that it failed only by who still holds it.
    """
    dialect = session.get_bind().dialect.name
    given = _each(dialect, _BECAME)
    delivered = WebhookDeliveryState.DELIVERED.value
    settled = or_(given["to"] == delivered, D.c.attempts == given["number"])
    recording = (
        update(D)
        .where(D.c.id == given["which"], waiting(), settled)
        .values(
            state=given["to"], next_at=given["due"], lease_until=null(), last_at=now,
            last_status=given["status"], last_error=given["why"], updated_at=now, version=D.c.version + 1,
        )
    )  # fmt: skip
    await session.execute(recording, _bound(dialect, _BECAME, rows))


def giving_back() -> Update:
    """Give back what was taken and not tried: `which`, `number`, when it is `due`, and `why` if there is a reason."""
    mine = and_(D.c.id == bindparam("which"), D.c.attempts == bindparam("number"), waiting())
    why = func.coalesce(bindparam("why", type_=String()), D.c.last_error)
    values = {"next_at": bindparam("due"), "lease_until": null(), "last_error": why}
    return update(D).where(mine).values(attempts=D.c.attempts - 1, **values)


def calling_next(now: datetime) -> Update:
    """Have the next delivery about a record go at once, now that the one before is settled: `whose`, `about`."""
    after = D.alias("after")
    first = (
        select(after.c.id)
        .where(
            after.c.endpoint_id == bindparam("whose"), after.c.subject_ref == bindparam("about"), waiting(after),
            after.c.position.is_not(None),
        )
        .order_by(after.c.position)
        .limit(1)
        .scalar_subquery()
    )  # fmt: skip
    put_off_only = and_(D.c.lease_until.is_(None), D.c.next_at > now, D.c.attempts == 0)
    return update(D).where(D.c.id == first, put_off_only).values(next_at=now)


def recovered(endpoint_id: UUID) -> Update:
    """An endpoint takes deliveries again; one that asked to be left alone, or has a rate, rests as long as before."""
    failing = E.c.state == WebhookState.FAILING.value
    return (
        update(E)
        .where(E.c.id == endpoint_id)
        .values(
            failures=0,
            failing_since=None,
            resting_until=case((failing, null()), else_=E.c.resting_until),
            state=case((failing, WebhookState.ACTIVE.value), else_=E.c.state),
            state_reason=case((failing, null()), else_=E.c.state_reason),
        )
    )


def failed(endpoint_id: UUID, many: int, why: str, now: datetime, rest: datetime, most: int) -> Update:
    """An endpoint failed so many times more; from `most` on it is FAILING and rests. Gives back how it does."""
    failures = E.c.failures + many
    breaks = and_(failures >= most, E.c.state.in_(SENDING))
    return (
        update(E)
        .where(E.c.id == endpoint_id)
        .values(
            failures=failures,
            failing_since=func.coalesce(E.c.failing_since, now),
            state=case((breaks, WebhookState.FAILING.value), else_=E.c.state),
            state_reason=case((breaks, why), else_=E.c.state_reason),
            resting_until=case((breaks, rest), else_=E.c.resting_until),
        )
        .returning(E.c.id, E.c.line, E.c.state, E.c.failing_since)
    )


def resting(endpoint_id: UUID, until: datetime) -> Update:
    """Leave an endpoint alone until a moment, unless it rests longer."""
    rested = or_(E.c.resting_until.is_(None), E.c.resting_until < until)
    return update(E).where(E.c.id == endpoint_id, rested).values(resting_until=until)


# -- whom to tell


def managers(line: str) -> Select[Any]:
    """Ids of enabled users who may manage webhooks of a line."""
    grant, scope, user = RoleGrant.__table__, RoleScope.__table__, User.__table__
    return (
        select(grant.c.user_id)
        .distinct()
        .join(scope, scope.c.role_id == grant.c.role_id)
        .join(user, and_(user.c.id == grant.c.user_id, user.c.disabled_at.is_(None)))
        .where(scope.c.scope.in_((MANAGE, EVERYTHING)), or_(grant.c.line == line, grant.c.line.is_(None)))
    )

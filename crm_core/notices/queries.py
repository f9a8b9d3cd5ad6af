"""Finds who is to be told and how, and what is due; row rules of this room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Update, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.access.models import User
from crm_core.graphql.access import Access
from crm_core.notices.models import Notice, NoticeDelivery, NoticeDeliveryState, NoticePreference
from crm_core.notices.planning import Person, Preference

SELF, ADMIN = "notice.self", "notice.admin"
OPEN = (NoticeDeliveryState.WAITING.value, NoticeDeliveryState.FAILED.value)
_D, _N = NoticeDelivery.__table__, Notice.__table__


async def people(session: AsyncSession, user_ids: Iterable[UUID]) -> dict[UUID, Person]:
    """Those of these users who are not disabled, with their preferences, in the order given; one statement."""
    wanted = list(dict.fromkeys(user_ids))
    rows = (await session.execute(_people().where(User.__table__.c.id.in_(wanted)))).all()
    found = person_by_id(rows)
    return {one: found[one] for one in wanted if one in found}


def person_by_id(rows: Sequence[Row[Any]]) -> dict[UUID, Person]:
    """People of the rows of `_people`, one row per preference."""
    found: dict[UUID, Person] = {}
    preferences: dict[UUID, dict[str, Preference]] = {}
    for row in rows:
        own = preferences.setdefault(row.user, {})
        found[row.user] = Person(row.email, own)
        if row.channel is not None:
            own[row.channel] = Preference(
                row.enabled, row.kinds, row.quiet_from, row.quiet_to, row.language, row.address
            )
    return found


def _people() -> Select[Any]:
    user, own = User.__table__, NoticePreference.__table__
    return (
        select(
            user.c.id.label("user"), user.c.email, own.c.channel, own.c.enabled, own.c.kinds, own.c.quiet_from,
            own.c.quiet_to, own.c.language, own.c.address,
        )
        .select_from(user)
        .join(own, own.c.user_id == user.c.id, isouter=True)
        .where(user.c.disabled_at.is_(None))
    )  # fmt: skip


# -- what is due


def claiming(now: datetime, lease: timedelta, most: int) -> Update:
    """Take the deliveries due longest, for the time of a lease; gives back `id` and `attempts`, this one counted.

    What another process is taking at this moment is left to it.
    """
    free = or_(_D.c.lease_until.is_(None), _D.c.lease_until <= now)
    due = (
        select(_D.c.id)
        .where(_D.c.state.in_(OPEN), _D.c.next_at <= now, free)
        .order_by(_D.c.next_at)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(_D)
        .where(_D.c.id.in_(select(due.c.id)))
        .values(attempts=_D.c.attempts + 1, lease_until=now + lease)
        .returning(_D.c.id)
    )


def claimed(delivery_ids: Sequence[UUID]) -> Select[Any]:
    """Deliveries with their notices, those due longest first; `disabled_at` tells whether their user left."""
    user = User.__table__
    notice = [_N.c[name] for name in ("kind", "facts", "path", "urgent", "subject_type", "subject_ref")]
    return (
        select(
            _D.c.id, _D.c.channel, _D.c.address, _D.c.language, _D.c.attempts, _D.c.line, _D.c.user_id,
            _N.c.created_at, user.c.disabled_at, *notice,
        )
        .join(_N, _N.c.id == _D.c.notice_id)
        .join(user, user.c.id == _D.c.user_id)
        .where(_D.c.id.in_(delivery_ids))
        .order_by(_D.c.next_at, _D.c.id)
    )  # fmt: skip


def recording(delivery_id: UUID, attempts: int, now: datetime, values: dict[str, Any]) -> Update:
    """Write down what became of an attempt.

    That it was sent is always written; that it failed only by who still holds it.
    """
    mine = and_(_D.c.id == delivery_id, _D.c.state.in_(OPEN))
    if values["state"] is not NoticeDeliveryState.SENT:
        mine = and_(mine, _D.c.attempts == attempts)
    return update(_D).where(mine).values(**values, lease_until=None, updated_at=now, version=_D.c.version + 1)


# -- row rules


def own(t: Any, access: Access, _scope: str) -> ColumnElement[bool]:
    """Rows of the actor himself; nobody reads those of others."""
    mine: ColumnElement[bool] = t.c.user_id == access.me()
    return mine

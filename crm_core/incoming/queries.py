"""Finds sources and requests: by the end of an address, those due, who manages a line's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Insert, Select, Update, and_, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from crm_core.access.models import RoleGrant, RoleScope, User
from crm_core.access.queries import EVERYTHING
from crm_core.actors import Reach
from crm_core.incoming.models import IncomingRequest, IncomingSource, IncomingState

READ, MANAGE = "incoming.read", "incoming.manage"
_R, _S = IncomingRequest.__table__, IncomingSource.__table__
_WAITING: Final = _R.c.state == IncomingState.RECEIVED.value


def source_at(path_key: str) -> Select[Any]:
    """The source whose address ends so."""
    return select(_S).where(_S.c.path_key == path_key)


def source_named(line: str, name: str) -> Select[Any]:
    """The source of a line by its name."""
    return select(_S).where(_S.c.line == line, _S.c.name == name)


# -- taking in


def keeping(dialect: str, values: dict[str, Any]) -> Insert:
    """Keep a request unless the same was kept; gives back its id if it is new."""
    insert = postgresql.insert(_R) if dialect == "postgresql" else sqlite.insert(_R)
    return insert.values(**values).on_conflict_do_nothing().returning(_R.c.id)


def kept(source: UUID, dedupe_key: str) -> Select[Any]:
    """The id of the request kept under this key."""
    return select(_R.c.id).where(_R.c.source_id == source, _R.c.dedupe_key == dedupe_key)


# -- what is due


def anything_due(now: datetime) -> Select[Any]:
    """Whether a request waits to be processed; by an index that holds those alone."""
    return select(_R.c.id).where(_due(now)).limit(1)


def _due(now: datetime) -> Any:
    free = or_(_R.c.lease_until.is_(None), _R.c.lease_until <= now)
    return and_(_WAITING, _R.c.next_at <= now, free)


def claiming(now: datetime, lease: timedelta, most: int) -> Update:
    """Take the requests that wait longest, for the time of a lease; gives back `id` and `attempts`, this one counted.

    What another process is taking at this moment is left to it.
    """
    due = (
        select(_R.c.id)
        .where(_due(now))
        .order_by(_R.c.next_at, _R.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(_R)
        .where(_R.c.id.in_(select(due.c.id)))
        .values(attempts=_R.c.attempts + 1, lease_until=now + lease)
        .returning(_R.c.id)
    )


def claimed(request_ids: Sequence[UUID]) -> Select[Any]:
    """Requests with their sources, those that wait longest first."""
    source = [_S.c[n] for n in ("name", "handler", "mapping", "actor_id")]
    return (
        select(
            _R.c.id, _R.c.source_id, _R.c.line, _R.c.created_at, _R.c.content_type, _R.c.headers, _R.c.query,
            _R.c.body, _R.c.attempts, *source,
        )
        .join(_S, _S.c.id == _R.c.source_id)
        .where(_R.c.id.in_(request_ids))
        .order_by(_R.c.next_at, _R.c.id)
    )  # fmt: skip


def moving(request_id: UUID, attempts: int, now: datetime, **values: Any) -> Update:
    """Write what became of an attempt, by who still holds it; gives back its id."""
    mine = and_(_R.c.id == request_id, _WAITING, _R.c.attempts == attempts)
    return (
        update(_R)
        .where(mine)
        .values(lease_until=None, updated_at=now, version=_R.c.version + 1, **values)
        .returning(_R.c.id)
    )


def noting(request_id: UUID, results: list[dict[str, Any]]) -> Update:
    """Write what was done for a request."""
    return update(_R).where(_R.c.id == request_id).values(results=results)


# -- who is told


def failed_since(source: UUID, since: datetime) -> Select[Any]:
    """How many requests of a source failed since then and still wait for somebody."""
    return (
        select(func.count())
        .select_from(_R)
        .where(_R.c.source_id == source, _R.c.state == IncomingState.FAILED.value, _R.c.finished_at >= since)
    )


def managers_of(line: str) -> Select[Any]:
    """Ids of enabled users who manage incoming webhooks of this line."""
    grant, scope, user = RoleGrant.__table__, RoleScope.__table__, User.__table__
    manages = exists().where(
        scope.c.role_id == grant.c.role_id,
        scope.c.scope.in_((MANAGE, EVERYTHING)),
        scope.c.reach >= int(Reach.LINE),
    )
    return (
        select(grant.c.user_id)
        .join(user, and_(user.c.id == grant.c.user_id, user.c.disabled_at.is_(None)))
        .where(or_(grant.c.line == line, grant.c.line.is_(None)), manages)
        .distinct()
    )

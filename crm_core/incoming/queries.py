"""Finds sources and requests: by the end of an address, those due, who manages a line's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from crm_core.access.models import RoleGrant, RoleScope, User
from crm_core.access.queries import EVERYTHING
from crm_core.actors import Reach
from crm_core.incoming.models import IncomingRequest, IncomingSource, IncomingState

READ, MANAGE = "incoming.read", "incoming.manage"
_R, _S = IncomingRequest.__table__, IncomingSource.__table__
MOST_CALLED: Final = 100
"""Requests of a key that are called at once when the one before them is settled."""
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
    """Take the requests that wait longest, for the time of a lease; gives back `id` and `order_key`.

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
        .returning(_R.c.id, _R.c.order_key)
    )


# -- the order

_OPEN: Final[Sequence[ColumnElement[str]]] = [literal_column("'RECEIVED'"), literal_column("'FAILED'")]


def _open_in_order(t: Any) -> ColumnElement[bool]:
    """Requests that hold up later ones of their key; written out, as the partial index is."""
    is_open: ColumnElement[bool] = t.c.state.in_(_OPEN)
    return and_(t.c.order_key.is_not(None), is_open)


def held_up(request_ids: Sequence[UUID]) -> Select[Any]:
    """Those of these requests that wait for an earlier one that is not among them: `id`, and its `state`, `until`."""
    before, first = _R.alias("before"), _R.alias("first")
    earliest = (
        select(before.c.id)
        .where(
            before.c.source_id == _R.c.source_id, before.c.order_key == _R.c.order_key, _open_in_order(before),
            tuple_(before.c.created_at, before.c.id) < tuple_(_R.c.created_at, _R.c.id),
            before.c.id.not_in(request_ids),
        )
        .order_by(before.c.created_at, before.c.id)
        .limit(1)
        .correlate(_R)
        .scalar_subquery()
    )  # fmt: skip
    until = func.coalesce(first.c.lease_until, first.c.next_at)
    return (
        select(_R.c.id, first.c.state, until.label("until"))
        .select_from(_R.join(first, first.c.id == earliest))
        .where(_R.c.id.in_(request_ids), _R.c.order_key.is_not(None))
    )


def putting_off() -> Update:
    """Give back requests taken that were not tried: `which`, due at `due`."""
    return (
        update(_R)
        .where(_R.c.id == bindparam("which"), _WAITING)
        .values(attempts=_R.c.attempts - 1, lease_until=null(), next_at=bindparam("due"))
    )


def calling_next(source: UUID, key: str, now: datetime) -> Update:
    """Have the first requests of a key go at once, now that what held them up is settled.

    Whoever is putting one off at this moment holds it: then this waits, and has the last word.
    """
    after = _R.alias("after")
    first = (
        select(after.c.id)
        .where(after.c.source_id == source, after.c.order_key == key, _open_in_order(after))
        .order_by(after.c.created_at, after.c.id)
        .limit(MOST_CALLED)
    )
    put_off = _R.c.id.in_(first.scalar_subquery())
    return update(_R).where(put_off, _WAITING, _R.c.lease_until.is_(None)).values(next_at=now)


def claimed(request_ids: Sequence[UUID]) -> Select[Any]:
    """Requests with their sources, in the order received."""
    source = [_S.c[n] for n in ("name", "handler", "mapping", "actor_id")]
    return (
        select(
            _R.c.id, _R.c.source_id, _R.c.line, _R.c.created_at, _R.c.content_type, _R.c.headers, _R.c.query,
            _R.c.body, _R.c.attempts, _R.c.order_key, *source,
        )
        .join(_S, _S.c.id == _R.c.source_id)
        .where(_R.c.id.in_(request_ids))
        .order_by(_R.c.created_at, _R.c.id)
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


def finishing(attempts: Mapping[int, Sequence[UUID]], now: datetime) -> Update:
    """Write that requests are done, by who still holds them, of each number of attempts; gives back their ids."""
    mine = [and_(_R.c.id.in_(some), _R.c.attempts == number) for number, some in sorted(attempts.items())]
    done = {"state": IncomingState.DONE.value, "errors": [], "finished_at": now, "lease_until": None}
    return (
        update(_R)
        .where(or_(*mine), _WAITING)
        .values(**done, updated_at=now, version=_R.c.version + 1)
        .returning(_R.c.id)
    )


def noting() -> Update:
    """Write what was done for a request: `which`, `what`."""
    return update(_R).where(_R.c.id == bindparam("which")).values(results=bindparam("what"))


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

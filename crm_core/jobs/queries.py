"""Statements of the queue: what is due, claimed, held, ended; and the row rule of jobs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)

from crm_core.db.arrays import among
from crm_core.db.types import JsonValue, UtcDateTime
from crm_core.graphql.access import Access
from crm_core.jobs.models import IS_RUNNING, IS_WAITING, JobState, QueuedJob

READ, MANAGE = "job.read", "job.manage"
GONE: Final = "its worker is gone (执行进程已退出)"
MOST_REAPED: Final = 500
_J = QueuedJob.__table__
_HELD: Final = (
    "id",
    "name",
    "arguments",
    "labels",
    "line",
    "requester_id",
    "attempts",
    "most_attempts",
    "resume",
)
CLAIMED: Final = tuple(_J.c[name] for name in (*_HELD, "next_at"))
"""What whoever claims a job gets to know of it."""


def due(names: Collection[str], now: datetime | ColumnElement[datetime], dialect: str) -> Select[Any]:
    """Ids of jobs of these names that may begin, those due longest first."""
    known = among(_J.c.name, sorted(names), String(), dialect)
    return select(_J.c.id).where(text(IS_WAITING), _J.c.next_at <= now, known).order_by(_J.c.next_at, _J.c.id)


@cache
def first_due(names: frozenset[str], dialect: str) -> Select[Any]:
    """The id of a job of these names that may begin `now`, if there is one."""
    return due(names, bindparam("now", type_=UtcDateTime()), dialect).limit(1)


def claiming(
    names: Collection[str], owner: str, now: datetime, until: datetime, most: int, dialect: str
) -> Update:
    """Take the jobs due longest; what another process is taking at this moment is left to it."""
    some = due(names, now, dialect).limit(most).with_for_update(skip_locked=True).cte("due")
    return _claimed(_J.c.id.in_(select(some.c.id)), owner, now, until)


def claiming_one(job_id: UUID, owner: str, now: datetime, until: datetime) -> Update:
    """Take this job, if it may begin."""
    may = or_(_J.c.next_at <= now, _J.c.woken.is_(True))
    return _claimed(and_(_J.c.id == job_id, text(IS_WAITING), may), owner, now, until)


def _claimed(which: ColumnElement[bool], owner: str, now: datetime, until: datetime) -> Update:
    began = case((_J.c.started_at.is_(None), bindparam("now", now, UtcDateTime())), else_=_J.c.started_at)
    return (
        update(_J)
        .where(which)
        .values(
            state=JobState.RUNNING.value, attempts=_J.c.attempts + 1, lease_owner=owner, lease_until=until,
            woken=False, started_at=began, updated_at=now, version=_J.c.version + 1,
        )
        .returning(*CLAIMED)
    )  # fmt: skip


def waking(names: Collection[str], now: datetime, again: datetime, most: int, dialect: str) -> Update:
    """Note that a broker is told of the jobs due longest; unless somebody claims them they are due `again`."""
    some = due(names, now, dialect).limit(most).with_for_update(skip_locked=True).cte("due")
    return (
        update(_J)
        .where(_J.c.id.in_(select(some.c.id)))
        .values(next_at=again, woken=True)
        .returning(_J.c.id, _J.c.name, _J.c.attempts)
    )


def not_woken(job_ids: Collection[UUID], now: datetime, dialect: str) -> Update:
    """The broker did not take the news: these are due as before."""
    these = among(_J.c.id, sorted(job_ids), Uuid(), dialect)
    return update(_J).where(these, text(IS_WAITING), _J.c.woken.is_(True)).values(next_at=now, woken=False)


def held(job_id: UUID, owner: str, attempt: int) -> ColumnElement[bool]:
    """This attempt at the job is still its holder's."""
    return and_(_J.c.id == job_id, text(IS_RUNNING), _J.c.lease_owner == owner, _J.c.attempts == attempt)


def renewing(job_ids: Collection[UUID], owner: str, until: datetime, dialect: str) -> Update:
    """Hold these jobs longer; gives back those that are still the owner's, with the attempt."""
    these = among(_J.c.id, sorted(job_ids), Uuid(), dialect)
    return (
        update(_J)
        .where(these, text(IS_RUNNING), _J.c.lease_owner == owner)
        .values(lease_until=until)
        .returning(_J.c.id, _J.c.attempts)
    )


def _ending(state: ColumnElement[str], now: ColumnElement[Any]) -> dict[str, Any]:
    """Columns of a job that goes to this state; one that would be tried again is cancelled if somebody asked for it."""
    open_ = or_(state == JobState.FAILED.value, state == JobState.WAITING.value)
    stopped = and_(_J.c.cancel_asked_at.is_not(None), open_)
    return {
        "state": case((stopped, JobState.CANCELLED.value), else_=state),
        "ended_at": case((and_(_J.c.cancel_asked_at.is_(None), open_), null()), else_=now),
        "lease_owner": None,
        "lease_until": None,
        "woken": False,
        "updated_at": now,
        "version": _J.c.version + 1,
    }


OUTCOME: Final = (
    update(_J)
    .where(
        _J.c.id == bindparam("job_id", type_=Uuid()),
        text(IS_RUNNING),
        _J.c.lease_owner == bindparam("owner", type_=String()),
        _J.c.attempts == bindparam("attempt"),
    )
    .values(
        **_ending(bindparam("new_state", type_=String()), bindparam("now", type_=UtcDateTime())),
        attempts=bindparam("counted"),
        result=bindparam("new_result", type_=JsonValue),
        last_error=bindparam("error", type_=String()),
        next_at=bindparam("again", type_=UtcDateTime()),
    )
)
"""Write down what became of attempts, unless they were overtaken; for many rows of values at once."""


def lost(now: datetime) -> Select[Any]:
    """Jobs whose holder gave no sign of life for a lease."""
    return select(_J.c.id).where(text(IS_RUNNING), _J.c.lease_until <= now).limit(MOST_REAPED)


def reaping(now: datetime) -> Update:
    """Let jobs whose holder is gone be tried again, or die when they were tried often enough."""
    some = lost(now).with_for_update(skip_locked=True).cte("lost")
    last = _J.c.attempts >= _J.c.most_attempts
    state: ColumnElement[str] = case(
        (last, literal_column(f"'{JobState.DEAD.value}'")), else_=literal_column(f"'{JobState.FAILED.value}'")
    )
    moment = bindparam("now", now, UtcDateTime())
    return (
        update(_J)
        .where(_J.c.id.in_(select(some.c.id)))
        .values(**_ending(state, moment), next_at=now, last_error=GONE)
        .returning(_J.c.id, _J.c.name, _J.c.state)
    )


# -- row rules


def own_or_line(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Jobs of the lines the scope reaches whole; the caller's own wherever he holds it, in a line or in none."""
    if access.everything(scope):
        return access.per_line(scope, t.c.line)
    rule = access.per_line(scope, t.c.line, owner=t.c.requester_id)
    if not access.actor.may(scope):
        return rule
    return or_(rule, and_(t.c.line.is_(None), t.c.requester_id == access.me()))

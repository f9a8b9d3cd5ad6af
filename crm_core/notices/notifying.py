"""Tells users something: the notice and its deliveries are written with the change they are about, and sent later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql, sqlite

from crm_core import ids
from crm_core.errors import Fault
from crm_core.notices.models import Notice, NoticeDelivery, NoticeDeliveryState
from crm_core.notices.planning import Person, Way, ways
from crm_core.notices.queries import people
from crm_core.notices.wording import storable
from crm_core.work import Services, Work

_NOTICES: Final = insert(Notice.__table__)
_DELIVERIES: Final = insert(NoticeDelivery.__table__)
Row = dict[str, Any]


async def notify(
    work: Work,
    user_ids: Iterable[UUID],
    kind: str,
    facts: Mapping[str, Any],
    *,
    subject: tuple[str, UUID] | None = None,
    path: str | None = None,
    urgent: bool = False,
    dedupe: str | None = None,
    line: str | None = None,
    own: Mapping[UUID, Mapping[str, Any]] | None = None,
) -> Sequence[UUID]:
    """Tell users something (通知), in this transaction: nothing is sent before it commits, nothing after it fails.

    Each user gets one notice, disabled ones none, and one delivery per channel that he wants it by. Quiet hours of
    his put a delivery off to their end.

    Args:
        work: the unit of work of the change.
        user_ids: who is told, each once.
        kind: a kind declared by `crm_notice_kinds`, e.g. `approval.asked`.
        facts: what its words name. Moments are kept as local times; `{"en": …, "zh-CN": …}` has words per language.
        subject: type and id of the record it is about.
        path: where its link leads, below the public address.
        urgent: sent in quiet hours too (紧急).
        dedupe: a user who was told under the same key is not told again.
        line: the business line it belongs to; default: the one acted in.
        own: further facts of single users, or in place of the common ones.

    Returns:
        Ids of the notices written.

    Raises:
        Fault: no room or plugin declares this kind.
    """
    if kind not in work.registry.notice_kinds:
        raise Fault("UNKNOWN_NOTICE_KIND", f"No notice kind {kind}")
    told = await people(work.session, user_ids)
    belongs = line or work.line
    zone = zone_of(work.services, belongs)
    common = {
        **_common(work.now),
        "line": belongs,
        "kind": kind,
        "subject_type": subject[0] if subject else None,
        "subject_ref": _shown(work, *subject) if subject else None,
        "path": path,
        "urgent": urgent,
        "dedupe_key": dedupe,
        "read_at": None,
    }
    alone: Mapping[UUID, Mapping[str, Any]] = own or {}
    rows = [
        {
            "id": ids.uuid7(),
            "user_id": one,
            "facts": storable({**facts, **alone.get(one, {})}, zone),
            **common,
        }
        for one in told
    ]
    written = await _written(work, rows, once=dedupe is not None)
    await _deliver_later(work, written, told, zone)
    return [row["id"] for row in written]


def zone_of(services: Services, line: str | None) -> ZoneInfo:
    """The time zone of a line, or of the company."""
    lines = services.settings.lines
    if line in lines:
        return ZoneInfo(lines[line].time_zone)
    return ZoneInfo(services.registry.settings["notices"].time_zone)  # type: ignore[attr-defined]  # NoticesSettings


async def _written(work: Work, rows: list[Row], *, once: bool) -> list[Row]:
    """The notices that are new; one that was written before under the same key is left alone."""
    if not rows:
        return []
    if not once:
        await work.insert(_NOTICES, rows)
        return rows
    dialect = postgresql if work.services.database.dialect == "postgresql" else sqlite
    statement = dialect.insert(Notice.__table__).values(rows).on_conflict_do_nothing()
    fresh = set((await work.session.execute(statement.returning(Notice.__table__.c.id))).scalars())
    return [row for row in rows if row["id"] in fresh]


async def _deliver_later(
    work: Work, notices: Sequence[Row], told: Mapping[UUID, Person], zone: ZoneInfo
) -> None:
    rows = [
        _delivery(work.now, notice, way)
        for notice in notices
        for way in ways(
            work.services, told[notice["user_id"]], notice["kind"], work.now, zone, urgent=notice["urgent"]
        )
    ]
    if rows:
        await work.insert(_DELIVERIES, rows)


def _delivery(now: datetime, notice: Row, way: Way) -> Row:
    return {
        "id": ids.uuid7(),
        **_common(now),
        "notice_id": notice["id"],
        "user_id": notice["user_id"],
        "line": notice["line"],
        "channel": way.channel,
        "address": way.address,
        "language": way.language,
        "state": NoticeDeliveryState.WAITING.value,
        "attempts": 0,
        "next_at": way.at,
        "lease_until": None,
        "last_error": None,
        "sent_at": None,
    }


def _common(now: datetime) -> Row:
    return {"created_at": now, "updated_at": now, "version": 1}


def _shown(work: Work, type_name: str, key: UUID) -> str:
    return ids.show(work.registry.types[type_name].prefix or "rec", key)

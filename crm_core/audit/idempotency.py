"""Remembers the outcome of a command by its idempotency key (幂等键) for 24 hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import errors
from crm_core.audit.models import IdempotencyKey
from crm_core.errors import Json, Refused

REMEMBERED = timedelta(hours=24)
LONGEST_KEY = 200
_KEYS = IdempotencyKey.__table__


@dataclass(frozen=True, slots=True)
class Claim:
    """One use of a key: by whom, for which kind of command, with which content."""

    actor: str
    kind: str
    key: str
    digest: str

    @property
    def _own(self) -> tuple[Any, ...]:
        return (_KEYS.c.actor == self.actor, _KEYS.c.kind == self.kind, _KEYS.c.key == self.key)


async def claim(
    session: AsyncSession, dialect: str, wanted: Claim, now: datetime
) -> Mapping[str, Any] | None:
    """Claim the key, or give back the outcome it already has; a concurrent twin waits for the first to finish.

    Refuses a key of a wrong length, or one that was used for another content.
    """
    if not 1 <= len(wanted.key) <= LONGEST_KEY:
        raise Refused(errors.INVALID("idempotencyKey", problem="1 to 200 characters (1 至 200 个字符)"))
    own = wanted._own  # noqa: SLF001  # of this module
    await session.execute(delete(_KEYS).where(*own, _KEYS.c.created_at < now - REMEMBERED))
    insert = postgresql.insert(_KEYS) if dialect == "postgresql" else sqlite.insert(_KEYS)
    values = {"actor": wanted.actor, "kind": wanted.kind, "key": wanted.key, "digest": wanted.digest}
    claimed = insert.values(**values, created_at=now).on_conflict_do_nothing().returning(_KEYS.c.key)
    if (await session.execute(claimed)).first() is not None:
        return None
    known = (await session.execute(select(_KEYS.c.digest, _KEYS.c.outcome).where(*own))).one()
    if known.digest != wanted.digest:
        raise Refused(errors.IDEMPOTENCY_MISMATCH("idempotencyKey", key=wanted.key))
    outcome: Mapping[str, Any] = known.outcome
    return outcome


async def keep(session: AsyncSession, claimed: Claim, outcome: Mapping[str, Json]) -> None:
    """Remember what the key stands for."""
    own = claimed._own  # noqa: SLF001  # of this module
    await session.execute(update(_KEYS).where(*own).values(outcome=dict(outcome)))

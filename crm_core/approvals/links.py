"""Signed links by which one user may sign one task, once, out of a mail or chat (一次性审批链接).

A link is made when a notice is sent; what makes it valid stands in the notice alone, the database keeps a digest.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import ids
from crm_core.approvals.models import Approval, ApprovalLink, ApprovalTask
from crm_core.approvals.settings import ApprovalsSettings
from crm_core.approvals.words import ApprovalState, ApprovalTaskKind, ApprovalTaskState
from crm_core.errors import Fault
from crm_core.graphql.context import Fetch
from crm_core.keyring import Keyring
from crm_core.registry import Chore
from crm_core.work import Services

KEPT: Final = timedelta(days=30)
"""How long a link that has expired can still be told from one that never was."""
PATH: Final = "/a/"
"""Links lead to `<public address>/a/<token>`."""
_SECRET_BYTES, _KEY_DIGITS, _SECRET_DIGITS, _SIGNATURE_DIGITS = 16, 32, 32, 32
_DIGITS: Final = frozenset("0123456789abcdef")
_L, _T, _A = ApprovalLink.__table__, ApprovalTask.__table__, Approval.__table__


# -- tokens


def token_of(keyring: Keyring, link: UUID, secret: str) -> str:
    """The token of a link: its id, its secret, and the deployment's signature of both; hexadecimal digits."""
    return link.hex + secret + _signature(keyring, link.hex + secret)


def read_token(keyring: Keyring, token: str) -> UUID | None:
    """The id of the link whose token this is; None for a text that this deployment did not sign."""
    body, signature = token[:-_SIGNATURE_DIGITS], token[-_SIGNATURE_DIGITS:]
    if len(body) != _KEY_DIGITS + _SECRET_DIGITS or not _DIGITS.issuperset(token):
        return None
    if not hmac.compare_digest(signature, _signature(keyring, body)):
        return None
    return UUID(hex=body[:_KEY_DIGITS])


def digest_of(token: str) -> str:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _signature(keyring: Keyring, body: str) -> str:
    return keyring.blind(body, "approval_links.token")


# -- making them


async def link_for(services: Services, facts: Mapping[str, Any], user: UUID, channel: str) -> str | None:
    """The path of a new link to the task that a notice is about, for the user it is sent to.

    None where no link belongs: the channel carries none, the notice is about no task, or nothing is to be signed any
    more. In its own transaction.
    """
    task, settings = _task_in(facts), settings_of(services)
    if task is None or channel not in settings.link_channels or not await _is_open(services, task):
        return None
    link, secret, now = ids.uuid7(), services.keyring.random(_SECRET_BYTES).hex(), services.clock()
    token = token_of(services.keyring, link, secret)
    row = {
        "id": link,
        "task_id": task,
        "user_id": user,
        "digest": digest_of(token),
        "made_at": now,
        "expires_at": now + timedelta(hours=settings.link_hours),
        "used_at": None,
    }
    async with services.database.transaction() as session:
        await session.execute(insert(_L).values(**row))
    return PATH + token


def settings_of(services: Services) -> ApprovalsSettings:
    """The settings of this room."""
    settings = services.registry.settings["approvals"]
    if not isinstance(settings, ApprovalsSettings):
        raise Fault("MISCONFIGURED", "The settings of approvals are not known")
    return settings


def _task_in(facts: Mapping[str, Any]) -> UUID | None:
    try:
        return ids.read_as("apt", str(facts.get("task")))
    except ValueError:
        return None


async def _is_open(services: Services, task: UUID) -> bool:
    wanted = (_T.c.id == task) & (_T.c.state == ApprovalTaskState.OPEN.value)
    signed = _T.c.kind == ApprovalTaskKind.SIGN.value
    return bool(await services.database.fetch(select(_T.c.id).where(wanted, signed)))


# -- finding and using them


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it stands: whom and what it is bound to, and what became of both."""

    id: UUID
    user: UUID
    task: UUID
    approval: UUID
    expires_at: datetime
    used_at: datetime | None
    task_state: str
    approval_state: str

    @property
    def decided(self) -> bool:
        """Whether there is nothing to sign any more: the task was done or lapsed, or the request has ended."""
        pending = self.approval_state == ApprovalState.PENDING.value
        return not pending or self.task_state != ApprovalTaskState.OPEN.value


async def find(fetch: Fetch, keyring: Keyring, token: str) -> Link | None:
    """The link of this token; None for one that was never made here, or is no token at all."""
    key = read_token(keyring, token)
    if key is None:
        return None
    states = (_T.c.state.label("task_state"), _A.c.state.label("approval_state"))
    statement = (
        select(_L, _T.c.approval_id, *states)
        .join(_T, _T.c.id == _L.c.task_id)
        .join(_A, _A.c.id == _T.c.approval_id)
        .where(_L.c.id == key)
    )
    row = next(iter(await fetch(statement)), None)
    if row is None or not hmac.compare_digest(row.digest, digest_of(token)):
        return None
    return Link(
        row.id, row.user_id, row.task_id, row.approval_id, row.expires_at, row.used_at,
        row.task_state, row.approval_state,
    )  # fmt: skip


async def use(session: AsyncSession, link: UUID, now: datetime) -> bool:
    """Use a link up in this transaction; False where another has, or its time is over. One statement, so one wins."""
    fresh = (_L.c.id == link) & _L.c.used_at.is_(None) & (_L.c.expires_at > now)
    used = await session.execute(update(_L).where(fresh).values(used_at=now).returning(_L.c.id))
    return used.first() is not None


async def forget(services: Services) -> None:
    """Take out the links that expired long ago; what was signed by them stands in the audit trail."""
    async with services.database.transaction() as session:
        await session.execute(delete(_L).where(_L.c.expires_at < services.clock() - KEPT))


CHORES: Sequence[Chore] = (Chore("approvals.links", timedelta(days=1), forget),)

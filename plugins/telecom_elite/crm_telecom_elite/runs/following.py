"""What is a member's follows him to another account: users, appraisals, pay (账号变更)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from crm_core.commands import Command, Perform
from crm_core.db.base import Aggregate, Base
from crm_core.work import Work
from crm_telecom_elite.appraisals.models import EliteAppraisal, EliteTask
from crm_telecom_elite.members.commands import UpdateEliteMember, updating
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.regrading.models import EliteRegrade
from crm_telecom_elite.runs.models import (
    EliteBonusFactor,
    ElitePayLine,
    EliteShare,
    EliteStatement,
    EliteStatementFile,
    EliteWriteOff,
)
from crm_telecom_elite.users.models import EliteAssignment, EliteUser

OWN: Final[Sequence[type[Base]]] = (
    EliteAppraisal,
    EliteTask,
    EliteRegrade,
    EliteShare,
    EliteBonusFactor,
    ElitePayLine,
    EliteStatement,
    EliteWriteOff,
)
"""Tables whose rows are one member's, and name his account as their owner."""


async def follow(work: Work, member: EliteMember, before: UUID | None) -> None:
    """Let the new account own what is this member's: a statement a table, however much there is.

    The one before sees nothing of it any more. What the two did stays theirs: who proposed, confirmed, signed.
    """
    for model in OWN:
        await _give(work, member, model, model.__table__.c.member_id == member.id)
    statements = select(EliteStatement.id).where(EliteStatement.member_id == member.id)
    await _give(work, member, EliteStatementFile, EliteStatementFile.__table__.c.statement_id.in_(statements))
    await _give(work, member, EliteUser, _his_users(member, before))


def _his_users(member: EliteMember, before: UUID | None) -> ColumnElement[bool]:
    """Users whose last holder he is; they were seen by the account before."""
    user, held = EliteUser.__table__, EliteAssignment.__table__
    last = select(held.c.user_id).where(held.c.member_id == member.id, held.c.valid_to.is_(None))
    owned = user.c.owner_id.is_(None) if before is None else user.c.owner_id == before
    found: ColumnElement[bool] = owned & user.c.id.in_(last)
    return found


async def _give(work: Work, member: EliteMember, model: type[Base], whose: ColumnElement[bool]) -> None:
    t = model.__table__
    values: dict[str, Any] = {"owner_id": member.owner_id}
    if issubclass(model, Aggregate):
        values |= {"version": t.c.version + 1, "updated_at": work.now}
    await work.session.execute(update(t).where(whose).values(**values))


COMMANDS: dict[type[Command], Perform] = {UpdateEliteMember: updating(follow)}

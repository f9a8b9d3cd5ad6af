"""Records that are locked while they are being signed (审批中锁定), and the commands that would change them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import select, true

from crm_core.approvals.models import Approval
from crm_core.commands import Command, Ref
from crm_core.errors import Message
from crm_core.work import Work

LOCKED = Message(
    "APPROVAL_LOCKED",
    "The record waits for signatures and cannot be changed meanwhile; withdraw its approval first.",
    "该记录正在审批中，不能修改，请先撤回审批。",
)


async def is_locked(work: Work, records: Collection[UUID]) -> bool:
    """Whether one of these records is being signed; asks nothing where there are none."""
    if not records:
        return False
    statement = select(Approval.id).where(Approval.locked == true(), Approval.subject_id.in_(records))
    return (await work.session.execute(statement.limit(1))).first() is not None


def documents_changed(work: Work, command: Command) -> set[UUID]:
    """Records that can be signed and that a command is about: its subject, or all that a bulk command names."""
    named = command.subject_type or command.result_type()
    if named not in work.registry.documents:
        return set()
    found: set[UUID] = set()
    for name, info in type(command).model_fields.items():
        if any(ref.type == named for ref in (*_refs(info.annotation), *_of(info.metadata))):
            found.update(_keys(getattr(command, name)))
    return found


def _refs(annotation: Any) -> Iterator[Ref]:
    for one in get_args(annotation):
        yield from _of((one,))
        yield from _refs(one)


def _of(metadata: Iterable[Any]) -> Iterator[Ref]:
    return (one for one in metadata if isinstance(one, Ref))


def _keys(value: Any) -> Iterator[UUID]:
    if isinstance(value, UUID):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _keys(one)


__all__ = ["LOCKED", "documents_changed", "is_locked"]

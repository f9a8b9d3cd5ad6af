"""GraphQL of the inbox: boxes and search over approvals, counts, history, who could sign."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import ColumnElement, not_, select

from crm_core import ids
from crm_core.access.models import User
from crm_core.approvals import inbox
from crm_core.approvals.history import Event, history, people_in, state_in_words
from crm_core.approvals.models import ApprovalCopy
from crm_core.approvals.moving import STATE
from crm_core.approvals.queries import READ
from crm_core.approvals.titles import role_titles
from crm_core.errors import Forbidden
from crm_core.graphql import Filter, batch, field, listing
from crm_core.graphql.access import Access
from crm_core.graphql.context import Context
from crm_core.graphql.fields import Field
from crm_core.graphql.values import show_moment


def _read_at(t: Any, access: Access) -> Any:
    copy = ApprovalCopy.__table__.alias("my_copy")
    mine = select(copy.c.read_at).where(copy.c.approval_id == t.c.id, copy.c.user_id == access.me())
    return mine.correlate(t).scalar_subquery()


async def _history(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """What happened to each, in the caller's language; names by one statement."""
    roles = role_titles(context.services.registry.roles, context.language)
    states = [STATE.validate_python(row["chain"]) for row in rows]
    names = await _names({user for state in states for user in people_in(state)}, context)
    return [
        [
            _told(event, names)
            for event in history(
                state, row["created_at"], row["options"].get("reason") or "", names, roles, context.language
            )
        ]
        for row, state in zip(rows, states, strict=True)
    ]


async def _names(users: set[UUID], context: Context) -> dict[UUID, str]:
    table = User.__table__
    wanted = select(table.c.id, table.c.name).where(table.c.id.in_(sorted(users)))
    return {row.id: row.name for row in await context.fetch(wanted)}


def _told(event: Event, names: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "at": show_moment(event.at),
        "verb": event.verb,
        "words": event.words,
        "actor": names.get(event.actor) if event.actor else None,
        "actorId": ids.show("usr", event.actor) if event.actor else None,
        "comment": event.comment,
        "stage": event.stage,
        "stageName": event.stage_name,
        "task": ids.show("apt", event.task) if event.task else None,
    }


async def _state_in_words(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    return [state_in_words(row["state"], context.language) for row in rows]


def _either(rule: inbox.Rule) -> Callable[..., ColumnElement[bool]]:
    def found(t: Any, access: Access, wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001  # a filter's value
        return rule(t, access) if wanted else not_(rule(t, access))

    return found


def _in_box(t: Any, access: Access, box: inbox.ApprovalBox) -> ColumnElement[bool]:
    return inbox.BOXES[inbox.ApprovalBox(box)](t, access)


FIELDS: Mapping[str, Sequence[Field | Filter]] = {
    "Approval": (
        batch(
            "history",
            dict,
            "What happened, oldest first: at, verb, words (in your language), actor, actorId, comment, stage (from 0), "
            "stageName, task (审批历史).",
            _history,
            needs=("id", "chain", "created_at", "options"),
        ),
        batch(
            "stateInWords",
            str,
            "Its state in your language (状态).",
            _state_in_words,
            needs=("id", "state"),
            cost=1,
        ),
        listing(
            "couldSign",
            "User",
            "Who could sign now: asked by name or role, or absent and represented; enabled, with the right to (可签署人).",
            on=inbox.could_sign,
            order=lambda u: [u.c.name],
        ),
        field("readAt", datetime, "When you read the copy you were sent (抄送阅读时间).", sql=_read_at),
        Filter(
            "inbox",
            inbox.ApprovalBox,
            "Those in this box of yours (审批箱): MINE (待我审批), DELEGATED (代理、委派), COPIED (抄送我的), SUBMITTED (我的申请), DONE (我已处理).",
            _in_box,
            finds=True,
        ),
        Filter(
            "unread", bool, "Those copied to you and not read yet, or not (未读抄送).", _either(inbox.unread)
        ),
        Filter(
            "overdue", bool, "Those that wait for you and are overdue, or not (逾期).", _either(inbox.overdue)
        ),
        Filter(
            "search",
            str,
            "Finds by the title (fragment, pinyin, initials), the name of who asked, or the id of the record (搜索).",
            inbox.found,
            parts=inbox.looked_for,
            finds=True,
        ),
    )
}


@strawberry.type(description="How many approvals stand in each box of the caller's inbox (审批箱计数).")
class ApprovalInboxCounts:
    """How many approvals stand in each box of the caller's inbox."""

    mine: int = strawberry.field(description="Waiting for you (待我审批).")
    delegated: int = strawberry.field(description="Of these as a deputy, or for your advice (代理、委派).")
    copied: int = strawberry.field(description="Copied to you (抄送我的).")
    submitted: int = strawberry.field(description="Asked for by you (我的申请).")
    done: int = strawberry.field(description="Those you have done something with (我已处理).")
    unread: int = strawberry.field(description="Of those copied to you: not read yet (未读抄送).")
    returned: int = strawberry.field(description="Of those you asked for: sent back to you (退回我的).")
    overdue: int = strawberry.field(description="Of those waiting for you: overdue (逾期).")


@strawberry.type
class InboxQuery:
    """Root fields of this file."""

    @strawberry.field(  # type: ignore[untyped-decorator]  # it has no types
        description="How many approvals stand in each box of your inbox (审批箱计数)."
    )
    async def approvalInboxCounts(self, info: strawberry.Info) -> ApprovalInboxCounts:  # noqa: N802  # as in the schema
        """The counts, by one statement."""
        context: Context = info.context
        if not context.actor.may(READ):
            raise Forbidden(f"needs the permission {READ}")
        (row,) = await context.fetch(inbox.counts(context.access))
        return ApprovalInboxCounts(**dict(zip(inbox.COUNTED, row, strict=True)))


QUERIES: tuple[Field | type, ...] = (InboxQuery,)

"""The root field `viewer`: who the caller is, in which lines, with which permissions."""

from __future__ import annotations

import strawberry

from crm_core import ids
from crm_core.graphql.context import Context


@strawberry.type(description="A permission of the caller in a line.")
class ViewerScope:
    """A permission of the caller in a line."""

    scope: str = strawberry.field(description="Permission, e.g. customer.read (权限).")
    reach: str = strawberry.field(description="OWN, TEAM, SUBTREE, LINE or ALL (数据范围).")


@strawberry.type(description="A business line of the caller, with what he may do there.")
class ViewerLine:
    """A business line of the caller."""

    line: str = strawberry.field(description="Business line (业务线).")
    scopes: list[ViewerScope] = strawberry.field(description="His permissions there (权限).")


@strawberry.type(description="Who the caller is (当前用户).")
class Viewer:
    """Who the caller is."""

    userId: strawberry.ID | None = strawberry.field(description="His id; null for the system itself.")  # noqa: N815  # as in the schema
    name: str = strawberry.field(description="Name (姓名).")
    lines: list[ViewerLine] = strawberry.field(description="His business lines (业务线).")


@strawberry.type
class ViewerQuery:
    """Root fields of this file."""

    @strawberry.field(  # type: ignore[untyped-decorator]  # it has no types
        description="Who you are, in which lines, with which permissions (当前用户)."
    )
    def viewer(self, info: strawberry.Info) -> Viewer:
        """The caller."""
        context: Context = info.context
        actor = context.actor
        lines = [
            ViewerLine(
                line=line,
                scopes=[
                    ViewerScope(scope=scope, reach=reach.name)
                    for scope, reach in sorted(actor.grants[line].items())
                ],
            )
            for line in actor.lines
        ]
        shown = strawberry.ID(ids.show("usr", actor.user_id)) if actor.user_id else None
        return Viewer(userId=shown, name=actor.name, lines=lines)

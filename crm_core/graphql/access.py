"""What row rules, fields and filters may know of the caller while a statement is being built."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Date, Uuid, bindparam, false, or_, true

from crm_core.actors import Actor, Reach
from crm_core.db.arrays import among
from crm_core.db.types import UtcDateTime

if TYPE_CHECKING:
    from crm_core.graphql.fields import Source


@dataclass(frozen=True)
class Access:
    """One caller's view of the data: his reach per line, bound values, and the moment of the request.

    Row rules compile reach in, one branch per line (`per_line`); ids and moments are always bound values, so that
    two callers with the same reach share one statement. `timeline` holds the sources of `Customer.timeline`,
    `hidden` the plugins enabled in none of the caller's lines. `parents` (a type, and a test of the column that holds
    its ids) tells a computed table whose children alone are wanted, so that it need not make all its rows. `wanted`
    tells row rules how many rows come to them: those in a list's order until its page is full, all of a list, or few
    anyway (children of a parent, records by their ids). Up to `few` customers reached are listed rather than looked
    for. Both change how rows are found, never which.
    """

    actor: Actor
    dialect: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    timeline: tuple[Source, ...] = ()
    hidden: frozenset[str] = frozenset()
    parents: tuple[str, Callable[[ColumnElement[Any]], ColumnElement[bool]]] | None = None
    wanted: Literal["page", "all", "few"] = "page"
    few: int = 1_000

    def lines(self, scope: str) -> tuple[str, ...]:
        """Lines in which the actor holds the scope."""
        return self.actor.lines if self.actor.is_system else tuple(sorted(self.actor.reach(scope)))

    def denial(self, owner: str, *scopes: str | None) -> str | None:
        """Why the caller may not use something of this owner that needs these scopes; None: he may."""
        missing = next((s for s in scopes if s is not None and not self.actor.may(s)), None)
        if missing is not None:
            return f"needs the permission {missing}"
        return f"belongs to plugin {owner}, enabled in none of your lines" if owner in self.hidden else None

    def everything(self, scope: str) -> bool:
        """Whether the scope reaches all lines."""
        return self.actor.reaches_everything(scope)

    def me(self) -> ColumnElement[UUID]:
        """The actor's user id as a bound value."""
        return bindparam("actor_user", self.actor.user_id, type_=Uuid())

    def moment(self) -> ColumnElement[datetime]:
        """The moment of the request (UTC) as a bound value."""
        return bindparam("request_moment", self.now, type_=UtcDateTime())

    def today(self) -> ColumnElement[Any]:
        """The day of the request, in the time zone of the caller's first line, as a bound value."""
        return bindparam("request_day", self.now.astimezone(self.zone).date(), type_=Date())

    def per_line(
        self,
        scope: str,
        line: ColumnElement[str],
        *,
        owner: ColumnElement[Any] | None = None,
        team: ColumnElement[Any] | None = None,
        only: Container[str] | None = None,
    ) -> ColumnElement[bool]:
        """A row rule: which rows with these line, owner and team columns the scope reaches, one branch per line.

        `only` leaves out the branches of other lines.
        """
        if self.everything(scope):
            return true()
        reached = [(c, r) for c, r in sorted(self.actor.reach(scope).items()) if only is None or c in only]
        whole = [code for code, reach in reached if reach >= Reach.LINE]
        narrow = [
            self._branch(line, code, reach, owner, team) for code, reach in reached if reach < Reach.LINE
        ]
        return or_(line.in_(whole) if whole else false(), *narrow)

    def _branch(
        self,
        line: ColumnElement[str],
        code: str,
        reach: Reach,
        owner: ColumnElement[Any] | None,
        team: ColumnElement[Any] | None,
    ) -> ColumnElement[bool]:
        here = line == code
        mine = owner == self.me() if owner is not None else false()
        if reach is Reach.OWN or team is None:
            return here & mine
        teams = (self.actor.subtree if reach is Reach.SUBTREE else self.actor.teams).get(code, frozenset())
        return here & (mine | self.one_of(team, teams_of(reach, code), teams))

    def one_of(self, column: ColumnElement[Any], name: str, values: Iterable[UUID]) -> ColumnElement[bool]:
        """The column is one of these ids, bound as one parameter of this name."""
        return among(column, sorted(values), Uuid(), self.dialect, name)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The values of this caller and moment, by the names under which rules bind them."""
        actor = self.actor
        values: dict[str, Any] = {
            "actor_user": actor.user_id,
            "request_moment": self.now,
            "request_day": self.now.astimezone(self.zone).date(),
        }
        for code in actor.lines:
            values[teams_of(Reach.TEAM, code)] = sorted(actor.teams.get(code, ()))
            values[teams_of(Reach.SUBTREE, code)] = sorted(actor.subtree.get(code, ()))
        return values


def teams_of(reach: Reach, line: str) -> str:
    """The name under which the actor's teams in a line are bound."""
    return f"teams_{reach.name.lower()}_{line}"


Rule = Callable[[Any, Access, str], ColumnElement[bool]]
"""A row rule: (the table under its alias, access, scope) → which rows the scope reaches. It belongs to the table."""


def whole_lines(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """A row rule for rows without owner: those of the lines where the scope reaches at least the whole line."""
    if access.everything(scope):
        return true()
    lines = [line for line, reach in access.actor.reach(scope).items() if reach >= Reach.LINE]
    reached: ColumnElement[bool] = t.c.line.in_(sorted(lines))
    return reached

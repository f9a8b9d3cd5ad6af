"""Who acts, and how far his permissions reach in each business line; pure values, built by the room `access`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from uuid import UUID

from crm_core.errors import Language


class Reach(IntEnum):
    """How far a scope reaches inside a line (数据范围): own records, team, team with sub-teams, line, all lines."""

    OWN = 1
    TEAM = 2
    SUBTREE = 3
    LINE = 4
    ALL = 5


Grants = Mapping[str, Mapping[str, Reach]]
_NOTHING: Mapping[str, Reach] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, key or the system itself, with what it may do in which business line (业务线).

    `grants` maps line code → scope → reach. `teams` are the actor's teams per line, `subtree` those teams with
    all teams below them. Only the system actor has no user.
    """

    user_id: UUID | None
    name: str
    grants: Grants = field(default_factory=dict)
    teams: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    subtree: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    token_id: UUID | None = None
    is_system: bool = False
    language: Language = "en"

    @property
    def lines(self) -> tuple[str, ...]:
        """Codes of the lines the actor belongs to, sorted."""
        return tuple(sorted(self.grants))

    def reach(self, scope: str) -> Mapping[str, Reach]:
        """Line → reach for every line where the actor holds the scope."""
        return {line: scopes[scope] for line, scopes in self.grants.items() if scope in scopes}

    def may(self, scope: str, line: str | None = None) -> bool:
        """Whether the actor holds the scope in this line (or, without a line, in any)."""
        if self.is_system:
            return True
        if line is None:
            return any(scope in scopes for scopes in self.grants.values())
        return scope in self.grants.get(line, _NOTHING)

    def reaches_as_far(self, scope: str, other: str) -> bool:
        """Whether the scope reaches at least as far as the other in every line where the other is held."""
        if self.is_system:
            return True
        wanted = self.reach(other)
        held = self.reach(scope)
        return all(held.get(line, 0) >= reach for line, reach in wanted.items()) and bool(wanted or held)

    def reaches_everything(self, scope: str) -> bool:
        """Whether the scope is held across all lines of the deployment (reach `all`)."""
        return self.is_system or any(r is Reach.ALL for r in self.reach(scope).values())


def system(lines: tuple[str, ...] = (), name: str = "system") -> Actor:
    """The product itself: migrations, demo data, scheduled work. May do everything in the lines named."""
    return Actor(user_id=None, name=name, grants={line: {} for line in lines}, is_system=True)

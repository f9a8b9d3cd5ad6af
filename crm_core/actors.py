"""Who acts, and how far his permissions reach in each business line; pure values, built by the room `access`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
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


@dataclass(frozen=True)
class Actor:
    """A person, key or the system itself, with what it may do in which business line (业务线).

    `grants` maps line code → scope → reach. `teams` are the actor's teams per line, `subtree` those teams with
    all teams below them. Only the system actor has no user.

    An actor is a value and may be shared by requests at the same time; what is worked out from it is kept with it.
    """

    user_id: UUID | None
    name: str
    grants: Grants = field(default_factory=dict)
    teams: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    subtree: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    token_id: UUID | None = None
    is_system: bool = False
    language: Language = "en"

    @cached_property
    def shape(self) -> bytes:
        """Everything of the actor that decides which SQL reads for him, without the ids that are bound to it.

        Two actors have the same shape exactly when they are both people, or both not, read the same language, and hold
        the same scopes with the same reach in the same lines. 32 bytes, cheap to hash and to compare.
        """
        grants = sorted(
            (line, sorted((scope, int(reach)) for scope, reach in scopes.items()))
            for line, scopes in self.grants.items()
        )
        decides = repr((self.is_system, self.user_id is None, self.language, grants))
        return hashlib.blake2b(decides.encode(), digest_size=32).digest()

    @cached_property
    def _narrowed(self) -> dict[str, Actor]:
        return {}

    def narrowed(self, line: str) -> Actor | None:
        """The actor with this line only, nothing if it is none of his; a scope over all lines reaches it whole."""
        known = self._narrowed.get(line)
        if known is not None or line not in self.grants:
            return known
        scopes = {scope: min(reach, Reach.LINE) for scope, reach in self.grants[line].items()}
        nobody: frozenset[UUID] = frozenset()
        self._narrowed[line] = replace(
            self,
            grants={line: scopes},
            teams={line: self.teams.get(line, nobody)},
            subtree={line: self.subtree.get(line, nobody)},
        )
        return self._narrowed[line]

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

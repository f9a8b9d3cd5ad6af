"""Lifecycles: the states of a kind of record, declared as a table with the moves between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Move:
    """One way from some states to another.

    Attributes:
        name: what is done, an imperative: `submit`.
        source: the states it may start from.
        target: the state it ends in.
        scope: the permission it takes, or None when no permission beyond seeing the record is needed.
        description: one sentence for the reader of the API.
    """

    name: str
    source: frozenset[str] | tuple[str, ...]
    target: str
    scope: str | None
    description: str


class IllegalMove(Exception):
    """The record's state does not allow this move."""

    def __init__(self, lifecycle: str, state: str, move: str, allowed: tuple[str, ...]) -> None:
        """Keep what the caller needs to word the refusal.

        Args:
            lifecycle: name of the lifecycle.
            state: the state the record is in.
            move: the move that was asked for.
            allowed: names of the moves the state allows, in the order of the declaration.
        """
        super().__init__(lifecycle, state, move, allowed)
        self.lifecycle = lifecycle
        self.state = state
        self.move = move
        self.allowed = allowed

    def __str__(self) -> str:
        may = ", ".join(self.allowed) or "nothing"
        return f"{self.lifecycle}: '{self.move}' is not possible in state '{self.state}'; possible: {may}"


@dataclass(frozen=True, eq=False)
class Lifecycle:
    """The states of one kind of record and the moves between them.

    Attributes:
        name: of the lifecycle, a noun: `visit`.
        initial: the state a new record is in.
        states: every state with a sentence on what it means, in the order to show them.
        moves: every move, in the order to show them. One name may stand on several rows as long as no state is the
            source of two of them.
    """

    name: str
    initial: str
    states: Mapping[str, str]
    moves: tuple[Move, ...]

    def __post_init__(self) -> None:
        """Refuse a table that cannot be meant.

        Raises:
            ValueError: unknown or unreachable states, a move without source, or the same move twice from one state;
                all problems at once.
        """
        object.__setattr__(self, "states", MappingProxyType(dict(self.states)))
        object.__setattr__(self, "moves", tuple(self.moves))
        if problems := [*self._unknown_states(), *self._unclear_moves()] or self._unreachable_states():
            raise ValueError(f"lifecycle '{self.name}': " + "; ".join(problems))

    def move(self, state: str, name: str) -> str:
        """The state the record is in after the move.

        Raises:
            IllegalMove: the state does not allow it.
            ValueError: the lifecycle has no such state.
        """
        moves = self.moves_from(state)
        for move in moves:
            if move.name == name:
                return move.target
        raise IllegalMove(self.name, state, name, tuple(move.name for move in moves))

    def allows(self, state: str, name: str) -> bool:
        """Whether a record in this state may make the move.

        Raises:
            ValueError: the lifecycle has no such state.
        """
        return any(move.name == name for move in self.moves_from(state))

    def moves_from(self, state: str) -> tuple[Move, ...]:
        """The moves a state allows, in the order of the declaration.

        Raises:
            ValueError: the lifecycle has no such state.
        """
        if state not in self.states:
            raise ValueError(f"lifecycle '{self.name}' has no state '{state}'")
        return tuple(move for move in self.moves if state in move.source)

    def as_markdown(self) -> str:
        """The lifecycle as two Markdown tables, states and moves, for generated documentation."""
        return "\n\n".join(
            (
                f"### {self.name}",
                _table(("State", "Meaning"), (self._state_row(state) for state in self.states)),
                _table(("Move", "From", "To", "Scope", "Meaning"), map(self._move_row, self.moves)),
            )
        )

    def _state_row(self, state: str) -> tuple[str, ...]:
        remarks = ["initial"] if state == self.initial else []
        remarks += [] if self.moves_from(state) else ["final"]
        shown = f"`{state}`" + (f" ({', '.join(remarks)})" if remarks else "")
        return shown, self.states[state]

    def _move_row(self, move: Move) -> tuple[str, ...]:
        source = ", ".join(f"`{state}`" for state in self.states if state in move.source)
        scope = f"`{move.scope}`" if move.scope else ""
        return f"`{move.name}`", source, f"`{move.target}`", scope, move.description

    def _unknown_states(self) -> list[str]:
        named = [
            self.initial,
            *(state for move in self.moves for state in (*sorted(move.source), move.target)),
        ]
        return [f"unknown state '{state}'" for state in dict.fromkeys(named) if state not in self.states]

    def _unclear_moves(self) -> list[str]:
        problems: list[str] = []
        seen: set[tuple[str, str]] = set()
        for move in self.moves:
            if not move.source:
                problems.append(f"move '{move.name}' has no source")
            for state in sorted(move.source):
                if (state, move.name) in seen:
                    problems.append(f"move '{move.name}' stands twice for state '{state}'")
                seen.add((state, move.name))
        return problems

    def _unreachable_states(self) -> list[str]:
        reached: set[str] = set()
        waiting = [self.initial]
        while waiting:
            state = waiting.pop()
            reached.add(state)
            waiting += [move.target for move in self.moves_from(state) if move.target not in reached]
        return [f"state '{state}' cannot be reached" for state in self.states if state not in reached]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

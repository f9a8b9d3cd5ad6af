"""Counts what became of the rows of an import, and says it as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from crm_core.errors import Json, Language, Message, UserError
from crm_core.imports.outcomes import WORDING, Problem, Severity

HIDDEN = frozenset({"IDENTITY_NUMBER_INVALID", "IDENTITY_NUMBER_WRONG"})
"""Problems whose value is an identity number; it is not kept."""
LONGEST_VALUE = 200


class Effect(StrEnum):
    """What bringing a row in did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    HELD = "held"


@dataclass
class Tally:
    """Numbers of rows by what became of them, and of reasons by code (one row may have several)."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    held: int = 0
    rejected: int = 0
    reasons: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("skipped", "rejected", "blanked", "warnings")}
    )

    COUNTS = ("read", "created", "updated", "unchanged", "skipped", "held", "rejected")

    @classmethod
    def stored(cls, run: Any) -> Self:
        """The tally a run has come to."""
        tally = cls(**{name: getattr(run, name) for name in cls.COUNTS})
        for name, found in (run.tallies or {}).items():
            tally.reasons[name] = Counter(found)
        return tally

    def columns(self) -> dict[str, Any]:
        """The tally as columns of a run."""
        counts = {name: getattr(self, name) for name in self.COUNTS}
        return counts | {"tallies": {name: dict(found) for name, found in self.reasons.items()}}

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        for name in self.COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, found in other.reasons.items():
            self.reasons[name].update(found)

    def note(self, kind: str, codes: Iterable[str]) -> None:
        """Count reasons of one kind."""
        self.reasons[kind].update(codes)


def stored_problem(problem: Problem) -> dict[str, Json]:
    """A problem of a cell as findings keep it: code and parameters, no words; identity numbers are left out."""
    value = "" if problem.code in HIDDEN else problem.value[:LONGEST_VALUE]
    return {
        "code": problem.code,
        "column": problem.column,
        "value": value,
        "params": dict(problem.params),
        "severity": problem.severity.value,
    }


def stored_error(error: UserError, column: str) -> dict[str, Json]:
    """A refusal of a command as findings keep it."""
    return {
        "code": error.code,
        "column": column,
        "value": "",
        "params": {**error.params, "field": column},
        "severity": Severity.ERROR.value,
    }


def words(problem: Mapping[str, Any], messages: Mapping[str, Message], language: Language) -> str:
    """A stored problem in words."""
    code, params = str(problem["code"]), dict(problem["params"])
    if code in WORDING:
        return Problem(code, problem["column"], problem["value"], params).message(language)
    return messages[code].words(params, language) if code in messages else f"{code} {params}"


@dataclass
class Pairs:
    """Candidate pairs of duplicates (疑似重复): which two, and by what; at most `limit` are listed."""

    limit: int = 10_000
    found: dict[tuple[UUID | int, UUID | int], set[str]] = field(default_factory=dict)
    more: bool = False

    def add(self, kind: str, one: Any, other: Any) -> None:
        """Note that two share a key of this kind."""
        pair = (one, other) if one < other else (other, one)
        if pair not in self.found and len(self.found) >= self.limit:
            self.more = True
            return
        self.found.setdefault(pair, set()).add(kind)

    def by_kind(self) -> dict[str, int]:
        """Pairs by kind of key; a pair may count for several."""
        counts = Counter(kind for kinds in self.found.values() for kind in kinds)
        return dict(sorted(counts.items()))

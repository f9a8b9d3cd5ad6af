"""Look-ups that mostly find nothing: asked together with the next one, and presumed empty until then."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Select, literal_column, select, true
from sqlalchemy.sql import visitors

from crm_core.db.writer import LookUpSelect

Rows: TypeAlias = Sequence[Sequence[Any]]
_RENAMED = "presumed_"


@dataclass(frozen=True, slots=True)
class Presumption:
    """A look-up that was put off, for it is presumed to find nothing."""

    key: Hashable
    make: Callable[[], LookUpSelect]
    bound: Mapping[str, Any]

    def is_of(self, key: Hashable, bound: Mapping[str, Any]) -> bool:
        """Whether it is this look-up."""
        return self.key == key and self.bound == bound


class Mistaken(BaseException):
    """What was presumed empty is not; whatever was done upon it is to be done again, knowing what was found.

    No `Exception`, so that nothing of what is to be done again keeps it.
    """

    def __init__(self, presumption: Presumption, rows: Rows) -> None:
        """`rows` were found."""
        super().__init__("a presumption was wrong")
        self.presumption, self.rows = presumption, rows


def joined(presumption: Presumption, make: Callable[[], LookUpSelect]) -> Select[Any]:
    """One statement for a presumption and another look-up, as `parted` takes it apart; it keeps no order of rows."""
    one = select(literal_column("1").label("one")).subquery("one")
    first = _marked(_renamed(presumption.make())).subquery("first_asked")
    second = _marked(make()).subquery("second_asked")
    return select(first, second).select_from(one.outerjoin(first, true()).outerjoin(second, true()))


def values_of(presumption: Presumption, bound: Mapping[str, Any]) -> dict[str, Any]:
    """The values of both, by their names in the joined statement."""
    return {**bound, **{_RENAMED + name: value for name, value in presumption.bound.items()}}


def parted(presumption: Presumption, rows: Rows, width: int) -> Rows:
    """The rows of the other look-up, which has so many columns; `Mistaken` when the presumption was."""
    own = [row[: -width - 2] for row in rows if row[-width - 2] is not None]
    if own:
        raise Mistaken(presumption, list(dict.fromkeys(map(tuple, own))))
    return [row[-width - 1 : -1] for row in rows if row[-1] is not None]


def _marked(statement: LookUpSelect) -> Select[Any]:
    """Its rows with a mark, which rows of an outer join that found nothing do not have."""
    inner = statement.subquery()
    return select(inner, literal_column("1").label("is_there"))


def _renamed(statement: LookUpSelect) -> LookUpSelect:
    """The same with other names for its values, which may be those of the other look-up."""

    def rename(bound: BindParameter[Any]) -> None:
        if not bound.unique:
            bound.key = _RENAMED + str(bound.key)

    return visitors.cloned_traverse(statement, {}, {"bindparam": rename})

"""Posts, rungs and standards of a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true

from crm_core.db.unit import Unit
from crm_core.graphql.access import Access, whole_lines
from crm_telecom_elite.ladder.climbing import Ladder, Rung
from crm_telecom_elite.ladder.models import EliteStandard, EliteStep, EliteStepLetter
from crm_telecom_elite.rates.models import EliteTeamKind


def standard_visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """Standards show pay: those of lines whose pay the caller sees as a whole."""
    if access.everything(scope):
        return true()
    step = EliteStep.__table__
    return t.c.step_id.in_(select(step.c.id).where(whole_lines(step, access, scope)))  # type: ignore[no-any-return]


def rungs_in(line: str, kind: EliteTeamKind | str) -> Select[Any]:
    """The rungs of a line for a kind of team, lowest first: id, grade, letter, rank."""
    t = EliteStep.__table__
    columns = (t.c.id, t.c.grade, t.c.letter, t.c.rank)
    return select(*columns).where(t.c.line == line, t.c.team_kind == str(kind)).order_by(t.c.rank)


async def rungs_of(session: Unit, line: str, kind: EliteTeamKind | str) -> Sequence[Rung]:
    """The rungs of a line for a kind of team, lowest first."""
    rows = (await session.execute(rungs_in(line, kind))).all()
    return [Rung(key, grade, EliteStepLetter(letter), rank) for key, grade, letter, rank in rows]


async def ladder_of(session: Unit, line: str, kind: EliteTeamKind | str) -> Ladder:
    """The pay ladder of a line for a kind of team (薪等薪级)."""
    return Ladder(await rungs_of(session, line, kind))


def standards_of(step_ids: Sequence[UUID]) -> Select[Any]:
    """The standards of these rungs: step, from, salary and bonus in fen; of each the earliest first."""
    t = EliteStandard.__table__
    columns = (t.c.step_id, t.c.valid_from, t.c.salary, t.c.bonus)
    return select(*columns).where(t.c.step_id.in_(step_ids)).order_by(t.c.step_id, t.c.valid_from)

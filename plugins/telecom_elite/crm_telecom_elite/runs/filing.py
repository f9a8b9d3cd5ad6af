"""Makes the statements of a closed run as files, and shows that a run computed again is the same (薪酬单归档、复算)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, insert, select

from crm_core import ids
from crm_core.db.unit import Unit
from crm_core.errors import Json
from crm_core.jobs.context import GaveUp, JobContext
from crm_core.papers import Paper, keep
from crm_core.registry import Job
from crm_core.work import Services
from crm_telecom_elite.runs.arithmetic import compute
from crm_telecom_elite.runs.commands import STATEMENTS_JOB, OfRun
from crm_telecom_elite.runs.inputs import Line, Pool, TeamInputs, TeamResult, digest_of
from crm_telecom_elite.runs.models import (
    ElitePayLine,
    ElitePool,
    EliteRun,
    EliteRunInput,
    EliteRunState,
    EliteStatement,
    EliteStatementFile,
)
from crm_telecom_elite.runs.pages import PDF, XLSX, Page, PageLine, sheet, workbook

AT_ONCE: Final = 50
"""Statements made in one transaction."""
_S, _F, _L = EliteStatement.__table__, EliteStatementFile.__table__, ElitePayLine.__table__
_P, _I, _R = ElitePool.__table__, EliteRunInput.__table__, EliteRun.__table__


# -- files


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as he stood in the run's inputs."""

    name: str
    staff_number: str
    teams: Sequence[str]


def people_in(inputs: Sequence[Mapping[str, Any]]) -> Mapping[str, Person]:
    """Everybody the inputs of a run name, by id, with the teams he sat in."""
    found: dict[str, Person] = {}
    for team in inputs:
        for member in team["members"]:
            known = found.get(member["id"])
            teams = [*(known.teams if known else ()), *([team["team_name"]] if member["postings"] else [])]
            found[member["id"]] = Person(member["name"], member["staff_number"], teams)
    return found


def page_of(run: Any, statement: Any, person: Person, lines: Sequence[Any], zone: tzinfo) -> Page:
    """The page of a statement, from what is frozen and stored of the run, in the time zone of its line."""
    return Page(
        month=run.month,
        name=person.name,
        staff_number=person.staff_number,
        teams=person.teams,
        lines=[PageLine(one.kind, one.amount, one.rule, one.about, one.derivation) for one in lines],
        total=statement.total,
        payable=statement.payable,
        carried_over=statement.carried_over,
        run_digest=run.digest,
        confirmed_at=statement.confirmed_at.astimezone(zone),
        by_time=statement.confirmed_by_id is None,
        approved_at=run.approved_at.astimezone(zone),
        approved_by=run.approved_by_name,
        closed_at=run.closed_at.astimezone(zone),
    )


async def file_statements(services: Services, context: JobContext, about: OfRun) -> Json:
    """Make what is missing; begun again it goes on behind the last statements that were filed."""
    database = services.database
    run = (await database.fetch(select(_R).where(_R.c.id == about.run)))[0]
    if run.state != EliteRunState.CLOSED:
        raise GaveUp("the run is not closed (核算未关闭)")
    inputs = [row[0] for row in await database.fetch(_inputs(run.id))]
    people, zone = people_in(inputs), services.calendar(run.line).zone
    total = len(await database.fetch(select(_S.c.id).where(_S.c.run_id == run.id)))
    done = total - len(await database.fetch(_unfiled(run.id, None)))
    while True:
        statements = await database.fetch(_unfiled(run.id, AT_ONCE))
        if not statements:
            return {"statements": total}
        lines = await _lines_of(services, run.id, [row.member_id for row in statements])
        pages = [
            page_of(run, row, people[row.member_id.hex], lines[row.member_id], zone) for row in statements
        ]
        papers = await asyncio.to_thread(_kept, services, pages)
        done += len(statements)
        rows = [
            row for one, made in zip(statements, papers, strict=True) for row in _rows(services, one, made)
        ]
        await database.attempt(partial(_filed, context, rows, (done, total)))
        await context.progress(done, total)


def _inputs(run_id: UUID) -> Select[Any]:
    return select(_I.c.inputs).where(_I.c.run_id == run_id).order_by(_I.c.elite_team_id)


def _unfiled(run_id: UUID, most: int | None) -> Select[Any]:
    filed = select(1).where(_F.c.statement_id == _S.c.id).exists()
    return select(_S).where(_S.c.run_id == run_id, ~filed).order_by(_S.c.id).limit(most)


async def _lines_of(services: Services, run_id: UUID, members: Sequence[UUID]) -> Mapping[UUID, list[Any]]:
    wanted = select(_L).where(_L.c.run_id == run_id, _L.c.member_id.in_(members))
    found: dict[UUID, list[Any]] = {}
    for row in await services.database.fetch(wanted.order_by(_L.c.member_id, _L.c.position)):
        found.setdefault(row.member_id, []).append(row)
    return found


def _kept(services: Services, pages: Sequence[Page]) -> list[list[tuple[str, str, Paper]]]:
    now = services.clock()
    return [
        [
            (page.title, XLSX, keep(services.store, workbook(page), now)),
            (page.title, PDF, keep(services.store, sheet(page), now)),
        ]
        for page in pages
    ]


def _rows(
    services: Services, statement: Any, papers: Sequence[tuple[str, str, Paper]]
) -> Sequence[dict[str, Any]]:
    return [
        {
            "id": ids.uuid7(), "created_at": services.clock(), "line": statement.line, "statement_id": statement.id,
            "owner_id": statement.owner_id, "title": title, "path": paper.path, "sha256": paper.sha256,
            "size": paper.size, "media_type": kind,
        }
        for title, kind, paper in papers
    ]  # fmt: skip


async def _filed(
    context: JobContext, rows: Sequence[dict[str, Any]], place: tuple[int, int], session: Unit
) -> None:
    await session.execute(insert(_F), list(rows))
    await context.progress(*place, within=session)


JOB: Final = Job(STATEMENTS_JOB, file_statements, OfRun, unique=lambda about: about.run.hex)


# -- computed again


async def reproduces(services: Services, run_id: UUID) -> bool:
    """Whether a run computed again from its frozen inputs gives its stored lines and pools, byte by byte.

    Inputs, lines and pools as they are stored are compared with the digests taken when they were written.
    """
    database = services.database
    run = (await database.fetch(select(_R.c.digest).where(_R.c.id == run_id)))[0]
    frozen = await database.fetch(select(_I).where(_I.c.run_id == run_id).order_by(_I.c.elite_team_id))
    for one in frozen:
        if digest_of(one.inputs) != one.digest:
            return False
        again = compute(TeamInputs.model_validate(one.inputs))
        if again.digest() != one.lines_digest or await _stored(services, one) != one.lines_digest:
            return False
    return bool(digest_of([[one.elite_team_id.hex, one.lines_digest] for one in frozen]) == run.digest)


async def _stored(services: Services, frozen: Any) -> str:
    """The digest of a team's lines and pool as they stand in the database."""
    fetch = services.database.fetch
    mine = (_L.c.run_id == frozen.run_id, _L.c.elite_team_id == frozen.elite_team_id)
    rows = await fetch(select(_L).where(*mine).order_by(_L.c.member_id, _L.c.position))
    order = {key["id"]: place for place, key in enumerate(frozen.inputs["members"])}
    lines = [
        Line(
            member_id=row.member_id.hex, position=row.position, kind=row.kind, amount=row.amount, rule=row.rule,
            about=row.about, derivation=tuple(row.derivation),
        )
        for row in rows
    ]  # fmt: skip
    lines.sort(key=lambda line: (order.get(line.member_id, len(order)), line.position))
    own = (_P.c.run_id == frozen.run_id, _P.c.elite_team_id == frozen.elite_team_id)
    pools = await fetch(select(_P).where(*own))
    if len(pools) != 1:
        return ""
    pool = pools[0]
    kept = Pool(
        received=pool.received, base=pool.base, pool=pool.pool, users=pool.users, derivation=tuple(pool.derivation),
        brought_in=pool.brought_in, left_over=pool.left_over,
    )  # fmt: skip
    return TeamResult(pool=kept, lines=tuple(lines), problems=()).digest()

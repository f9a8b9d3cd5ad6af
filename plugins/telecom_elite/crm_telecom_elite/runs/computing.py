"""The job that computes a run: freezes what goes in, then team by team lines, pool and digest in one transaction each."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, select

from crm_core import ids
from crm_core.actors import system
from crm_core.commands import Options, Outcome
from crm_core.db.unit import Unit
from crm_core.errors import Json
from crm_core.jobs.context import GaveUp, JobContext
from crm_core.money import yuan
from crm_core.registry import Job
from crm_core.work import Services, perform
from crm_telecom_elite.runs.arithmetic import compute
from crm_telecom_elite.runs.commands import COMPUTE_JOB, FinishEliteRun, OfRun
from crm_telecom_elite.runs.freezing import Frozen, freeze
from crm_telecom_elite.runs.inputs import TeamInputs, TeamResult, inputs_digest, inputs_json
from crm_telecom_elite.runs.models import ElitePayLine, ElitePool, EliteRun, EliteRunInput, EliteRunState
from crm_telecom_elite.teams.models import EliteTeam

_R = EliteRun.__table__
_STOPPED: Final = "the run is no longer being computed (核算已退回或重新计算)"


async def run(services: Services, context: JobContext, about: OfRun) -> Json:
    """Compute every team that is not yet; begun again it goes on behind the last team that was committed."""
    frozen = await services.database.attempt(partial(_frozen, context, about.run))
    done = {row[0] for row in await services.database.fetch(_done(about.run))}
    teams = frozen.teams
    for place, inputs in enumerate(teams, 1):
        if UUID(inputs.team_id) not in done:
            result = compute(inputs)
            write = partial(_write, services, context, about.run, inputs, result, (place, len(teams)))
            await services.database.attempt(write)
        await context.progress(place, len(teams), inputs.team_name)
    command = FinishEliteRun(id=about.run, teams=len(teams), unassigned=yuan(frozen.unassigned))
    outcome = await _finished(services, context, command)
    if outcome.errors:
        raise GaveUp(", ".join(error.code for error in outcome.errors))
    return {"teams": len(teams)}


async def _finished(services: Services, context: JobContext, command: FinishEliteRun) -> Outcome:
    """Said by the job itself: nobody has the permission to say for it that all teams are there."""
    line = context.line
    assert line is not None, "a run is of a line"
    actor = system((line,), name="telecom_elite")
    outcome, _ = await perform(services, actor, command.kind, command, Options(line=line, channel="job"))
    return outcome


def _done(run_id: UUID) -> Any:
    t = EliteRunInput.__table__
    return select(t.c.elite_team_id).where(t.c.run_id == run_id)


async def _frozen(context: JobContext, run_id: UUID, session: Unit) -> Frozen:
    row = await _computing(context, run_id, session)
    return await freeze(session, row.line, row.month)


async def _computing(context: JobContext, run_id: UUID, session: Unit) -> Any:
    """The run, which this very job computes; nobody puts it back while this transaction writes."""
    wanted = select(_R.c.line, _R.c.month, _R.c.state, _R.c.job_id).where(_R.c.id == run_id)
    row = (await session.execute(wanted.with_for_update())).first()
    if row is None or row.state != EliteRunState.COMPUTING or row.job_id != context.claim.id:
        raise GaveUp(_STOPPED)
    return row


async def _write(
    services: Services,
    context: JobContext,
    run_id: UUID,
    inputs: TeamInputs,
    result: TeamResult,
    place: tuple[int, int],
    session: Unit,
) -> None:
    """Inputs, pool and lines of one team, with the job's progress."""
    await _computing(context, run_id, session)
    team_id, now = UUID(inputs.team_id), services.clock()
    shared = {"run_id": run_id, "elite_team_id": team_id, "created_at": now}
    team = EliteTeam.__table__
    core = (await session.execute(select(team.c.team_id).where(team.c.id == team_id))).scalar_one()
    frozen = {
        **shared, "id": ids.uuid7(), "inputs": inputs_json(inputs), "digest": inputs_digest(inputs),
        "lines_digest": result.digest(), "problems": [one.as_json() for one in result.problems],
    }  # fmt: skip
    await session.execute(insert(EliteRunInput.__table__), [frozen])
    pool = {**shared, "id": ids.uuid7(), "line": inputs.line, "team_id": core, **_pool(result)}
    await session.execute(insert(ElitePool.__table__), [pool])
    owners = {one.id: UUID(one.owner_id) if one.owner_id else None for one in inputs.members}
    lines = [
        {
            **shared, "id": ids.uuid7(), "line": inputs.line, "member_id": UUID(one.member_id),
            "owner_id": owners[one.member_id], "position": one.position, "kind": one.kind, "amount": one.amount,
            "rule": one.rule, "about": one.about, "derivation": list(one.derivation),
        }
        for one in result.lines
    ]  # fmt: skip
    if lines:
        await session.execute(insert(ElitePayLine.__table__), lines)
    await context.progress(*place, inputs.team_name, within=session)


def _pool(result: TeamResult) -> dict[str, Any]:
    pool = result.pool
    return {
        "received": pool.received, "base": pool.base, "pool": pool.pool, "users": pool.users,
        "brought_in": pool.brought_in, "left_over": pool.left_over, "derivation": list(pool.derivation),
    }  # fmt: skip


JOB: Final = Job(COMPUTE_JOB, run, OfRun, unique=None)

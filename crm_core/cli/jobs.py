"""`crm jobs`: what runs in the background, trying it again, cancelling it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Row, select

from crm_core import ids
from crm_core.cli.deployment import in_deployment, performed, settings_of
from crm_core.errors import ConfigurationError
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.jobs.running import work_off
from crm_core.jobs.scheduling import entries, fire_due, states
from crm_core.work import Services

app = typer.Typer(help="Jobs in the background.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Id of the job (job_…).")]
_J: Final = QueuedJob.__table__


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[JobState | None, typer.Option(help="In this state alone.")] = None,
    name: Annotated[str | None, typer.Option(help="Of this name alone.")] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
) -> None:
    """Jobs, newest first: state, attempts, progress, and why they failed."""
    wanted = select(_J).order_by(_J.c.id.desc()).limit(most)
    if state is not None:
        wanted = wanted.where(_J.c.state == state.value)
    if name is not None:
        wanted = wanted.where(_J.c.name == name)

    async def work(services: Services) -> None:
        for row in await services.database.fetch(wanted):
            typer.echo(_line(row))

    in_deployment(settings_of(context), work)


@app.command()
def retry(context: typer.Context, job: Id) -> None:
    """Try a job again at once that failed, is dead or was cancelled."""
    _perform(context, "job.retry", job)
    typer.echo(f"{job} waits")


@app.command()
def cancel(context: typer.Context, job: Id) -> None:
    """Cancel a job: one that waits at once, one that runs at its next progress."""
    _perform(context, "job.cancel", job)
    typer.echo(f"{job} is cancelled, or stops at its next progress")


@app.command()
def run(context: typer.Context) -> None:
    """Fire schedules and run every job that is due, once; for cron, where no process does it."""

    async def work(services: Services) -> int:
        await fire_due(services)
        return await work_off(services)

    typer.echo(f"Ran {in_deployment(settings_of(context), work)}")


@app.command()
def schedules(context: typer.Context) -> None:
    """Every schedule: its local times, when it fires next, and when it fired last."""

    async def work(services: Services) -> None:
        known = {(row.name, row.line): row for row in await states(services)}
        zones = {code: line.time_zone for code, line in services.settings.lines.items()}
        for entry in entries(services.registry, zones):
            row, schedule = known.get(entry.key), entry.schedule
            where = f"{entry.line}, {entry.time_zone}" if entry.line else entry.time_zone
            when = _shown(entry.after(services.clock()) if row is None else row.next_at)
            last = f", fired {_shown(row.fired_at)}" if row is not None and row.fired_at else ""
            typer.echo(f"{schedule.name}: {schedule.cron} ({where}) → {schedule.job}, next {when}{last}")

    in_deployment(settings_of(context), work)


def _perform(context: typer.Context, kind: str, job: str) -> None:
    try:
        key = ids.read_as("job", job)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None

    async def work(services: Services) -> Any:
        return await performed(services, kind, {"id": key})

    in_deployment(settings_of(context), work)


def _line(row: Row[Any]) -> str:
    parts = [ids.show("job", row.id), row.name, row.state, f"attempt {row.attempts} of {row.most_attempts}"]
    if row.progress_done is not None:
        parts.append(f"{row.progress_done} of {row.progress_total or '?'}")
    if row.progress_words:
        parts.append(row.progress_words)
    if row.state in {JobState.WAITING, JobState.FAILED}:
        parts.append(f"next {_shown(row.next_at)}")
    if row.last_error:
        parts.append(row.last_error)
    return "  ".join(parts)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

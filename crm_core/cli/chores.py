"""`crm chores`: work done by the clock, for deployments that leave it to cron."""

from __future__ import annotations

from datetime import datetime

import typer

from crm_core.chores import run_due, states
from crm_core.cli.deployment import in_deployment, settings_of
from crm_core.logs import logger
from crm_core.work import Services

app = typer.Typer(help="Work done by the clock.", no_args_is_help=True)


@app.command()
def run(context: typer.Context) -> None:
    """Run what is due, once; for cron where `chore_seconds` is 0. Ends with 1 when something failed."""
    settings = settings_of(context)

    async def work(services: Services) -> bool:
        done = await run_due(services, services.clock(), logger(settings.log_level))
        failed = {row.name: row.last_error for row in await states(services) if row.last_error}
        for name in done:
            typer.echo(f"{name}: {failed.get(name) or 'done'}")
        return any(name in failed for name in done)

    if in_deployment(settings, work):
        raise typer.Exit(1)


@app.command("list")
def list_(context: typer.Context) -> None:
    """Every chore: how often, when next, who holds it until when, and what went wrong the last time."""

    async def work(services: Services) -> None:
        known = {row.name: row for row in await states(services)}
        for chore in services.registry.chores:
            row = known.get(chore.name)
            when = _shown(row.next_at) if row else "at once"
            held = f", held until {_shown(row.held_until)}" if row and row.held_until else ""
            wrong = f", last time: {row.last_error}" if row and row.last_error else ""
            typer.echo(f"{chore.name}: every {chore.every}, next {when}{held}{wrong}")

    in_deployment(settings_of(context), work)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

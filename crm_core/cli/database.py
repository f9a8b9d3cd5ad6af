"""`crm db`: bring the database up to date, check it, write a revision."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crm_core import migrate
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.loader import load
from crm_core.registry import Registry
from crm_core.settings import Settings

app = typer.Typer(help="The database: upgrade, check, write a revision.", no_args_is_help=True)


@app.command()
def upgrade(context: typer.Context) -> None:
    """Bring every distribution's tables to their newest revision, and lines and roles in step with the settings."""
    settings = settings_of(context)
    report = asyncio.run(migrate.upgrade(settings, load(settings)))
    console = Console(soft_wrap=True)
    for owner, revision in report.at.items():
        console.print(f"[green]✓[/green] {owner} at {revision or 'nothing'}")
    for plugin, reason in report.failed.items():
        console.print(f"[red]✗[/red] {plugin} failed and is quarantined: ", end="")
        console.print(reason, markup=False)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def check(context: typer.Context) -> None:
    """Say whether the database has every revision and every table is as the models say; 1 if not."""
    settings = settings_of(context)
    problems = asyncio.run(_problems(settings, load(settings)))
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    typer.echo("The database is up to date and without drift.")


async def _problems(settings: Settings, registry: Registry) -> list[str]:
    database = open_database(settings)
    try:
        lacking = await migrate.behind(database, registry)
        failed = await migrate.failures(database)
    finally:
        await database.dispose()
    found = [f"{owner} is behind: {what}; run `crm db upgrade`" for owner, what in lacking.items()]
    found += [f"{plugin}: its migration failed: {reason}" for plugin, reason in failed.items()]
    if not found:
        drifted = await migrate.drift(settings, registry)
        found = [f"{owner} has drifted: {one}" for owner, several in drifted.items() for one in several]
    return found


@app.command()
def revision(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="What the revision does, in a few words.")],
    owner: Annotated[str, typer.Option(help="`core` or the name of a plugin.")] = "core",
    folder: Annotated[
        Path | None, typer.Option(help="Where to write it; default: the owner's folder.")
    ] = None,
) -> None:
    """Write a revision from the difference between the models and the (up-to-date) database, for you to read."""
    settings = settings_of(context)
    registry = load(settings)
    if owner not in {line.owner for line in registry.migrations}:
        raise typer.BadParameter(f"{owner} has no revisions", param_hint="--owner")
    typer.echo(asyncio.run(migrate.revise(settings, registry, owner, message, folder)))

"""`crm plugins`: which plugins are installed, enabled and fit."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crm_core import migrate
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.errors import Fault
from crm_core.loader import installed, load
from crm_core.registry import PluginState
from crm_core.settings import Settings

app = typer.Typer(help="Plugins of this deployment.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `list` a word of its own, though it is the only one yet."""


@app.command("list")
def list_plugins(context: typer.Context) -> None:
    """List installed plugins, the lines that enable them, and why one is quarantined; 1 if any is."""
    settings = settings_of(context)
    states = states_of(settings, asyncio.run(_failures(settings)))
    table = Table("plugin", "version", "state", "lines", "reason")
    for state in states:
        shown = state.state if state.lines else "not enabled"
        table.add_row(state.name, state.version, shown, ", ".join(state.lines), Text(state.reason))
    Console().print(table)
    if any(state.state == "quarantined" for state in states):
        raise typer.Exit(1)


def states_of(settings: Settings, failed: dict[str, str]) -> list[PluginState]:
    """Every enabled plugin as it would load now, then those installed but not enabled."""
    enabled = list(load(settings, broken=failed).plugins)
    names = {state.name for state in enabled}
    others = [PluginState(c.name, c.version, "loaded") for c in installed() if c.name not in names]
    return enabled + others


async def _failures(settings: Settings) -> dict[str, str]:
    """Failed migrations, as far as the database can be asked."""
    database = open_database(settings)
    try:
        return await migrate.failures(database)
    except Fault:
        return {}
    finally:
        await database.dispose()

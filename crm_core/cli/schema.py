"""`crm schema`: print the GraphQL schema, compare it with an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crm_core.cli.deployment import settings_of
from crm_core.loader import installed, load
from crm_core.schema import changes, core_registry, full_registry, sdl

app = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)

Core = Annotated[bool, typer.Option("--core", help="The core alone, without plugins.")]
Configured = Annotated[bool, typer.Option("--configured", help="With the plugins that crm.toml enables.")]


@app.command()
def export(context: typer.Context, *, core: Core = False, configured: Configured = False) -> None:
    """Print the schema; by default with every installed plugin."""
    typer.echo(_text(context, core=core, configured=configured), nl=False)


@app.command()
def check(
    context: typer.Context,
    against: Annotated[Path, typer.Option(help="The earlier schema, a file.", exists=True, dir_okay=False)],
    *,
    core: Core = False,
    configured: Configured = False,
) -> None:
    """Name what a client of the earlier schema would notice; 1 if something would break him."""
    found = changes(against.read_text(encoding="utf-8"), _text(context, core=core, configured=configured))
    console = Console(soft_wrap=True)
    for change in found:
        console.print(f"{change.severity} {change.kind}: {change.description}", markup=False)
    if any(change.severity == "breaking" for change in found):
        raise typer.Exit(1)
    console.print("Nothing breaks.")


def _text(context: typer.Context, *, core: bool, configured: bool) -> str:
    if core:
        return sdl(core_registry())
    return sdl(load(settings_of(context)) if configured else full_registry(installed()))

"""The command `crm`: one file per noun; wrong settings and refusals are said in words, never as tracebacks.

Exit codes: 0 done; 1 refused, or something found to be wrong; 2 wrong usage or settings; 3 database out of reach.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from crm_core import __version__
from crm_core.cli import (
    approvals,
    chores,
    database,
    demo,
    docs,
    doctor,
    events,
    jobs,
    notices,
    plugins,
    schema,
    serve,
    tokens,
    users,
    webhooks,
    worker,
)
from crm_core.cli.deployment import RefusedInWords
from crm_core.errors import ConfigurationError, Fault

REFUSED: Final = 1
MISUSED: Final = 2
OUT_OF_REACH: Final = 3


def main(arguments: list[str] | None = None) -> None:
    """Run `crm` with these arguments (default: the process's own) and exit."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run `crm`; the exit code."""
    try:
        done = commands()(arguments, standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else MISUSED
    except ConfigurationError as error:
        return _said(str(error), MISUSED)
    except RefusedInWords as refused:
        return _said(str(refused), REFUSED)
    except Fault as fault:
        return _said(str(fault), OUT_OF_REACH if fault.code.startswith("DATABASE_") else REFUSED)
    return int(done or 0)


def _said(words: str, code: int) -> int:
    Console(stderr=True, soft_wrap=True).print(f"[red]✗[/red] {_escaped(words)}")
    return code


def _escaped(words: str) -> str:
    return words.replace("[", "\\[")


def commands() -> typer.Typer:
    """All subcommands."""
    app = typer.Typer(
        name="crm",
        help="A headless CRM core: one GraphQL schema, commands, approvals, audit.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    app.callback()(_options)
    for register in (serve.register, worker.register, demo.register, doctor.register):
        register(app)
    for name, part in _NOUNS.items():
        app.add_typer(part, name=name)
    if importlib.util.find_spec("crm_core.cli.imports") is not None:
        module = importlib.import_module("crm_core.cli.imports")
        app.add_typer(module.app, name="import")
    return app


_NOUNS: Final[dict[str, typer.Typer]] = {
    "approvals": approvals.app,
    "db": database.app,
    "plugins": plugins.app,
    "schema": schema.app,
    "token": tokens.app,
    "users": users.app,
    "chores": chores.app,
    "events": events.app,
    "jobs": jobs.app,
    "notices": notices.app,
    "docs": docs.app,
    "webhooks": webhooks.app,
}


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # the form typer asks for
    if wanted:
        print(__version__)
        raise typer.Exit


def _options(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file; default: CRM_CONFIG, else crm.toml.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = config

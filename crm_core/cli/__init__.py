"""The command `crm`: one file per noun; wrong settings and refusals are said in words, never as tracebacks.

Exit codes: 0 done; 1 refused, or something found to be wrong; 2 wrong usage or settings; 3 database out of reach.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from crm_core import __version__
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
        done = commands(sys.argv[1:] if arguments is None else arguments)(arguments, standalone_mode=True)
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
    from rich.console import Console  # noqa: PLC0415  # a process that serves needs none of it

    Console(stderr=True, soft_wrap=True).print(f"[red]✗[/red] {_escaped(words)}")
    return code


def _escaped(words: str) -> str:
    return words.replace("[", "\\[")


def commands(asked: Sequence[str] = ()) -> typer.Typer:
    """The subcommand that the words of a command line ask for; all, if it is none of ours.

    A process that serves holds no more than it needs: what was loaded once stays as long as it runs.
    """
    app = typer.Typer(
        name="crm",
        help="A headless CRM core: one GraphQL schema, commands, approvals, audit.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    app.callback()(_options)
    every = (*_VERBS, *_NOUNS, _IMPORT)
    named = _named(asked)
    chosen = (named,) if named in every else every
    for name in _VERBS:
        if name in chosen:
            _module(name).register(app)
    for name in _NOUNS:
        if name in chosen:
            app.add_typer(_module(_ELSEWHERE.get(name, name)).app, name=name)
    if _IMPORT in chosen and importlib.util.find_spec("crm_core.cli.imports") is not None:
        app.add_typer(_module("imports").app, name=_IMPORT)
    return app


def _named(asked: Sequence[str]) -> str | None:
    """The first word that is neither an option nor the value of one."""
    words = iter(asked)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _module(name: str) -> Any:
    return importlib.import_module(f"crm_core.cli.{name}")


_VERBS: Final = ("serve", "worker", "demo", "doctor")
_NOUNS: Final = (
    "approvals",
    "db",
    "plugins",
    "schema",
    "token",
    "users",
    "chores",
    "events",
    "jobs",
    "notices",
    "docs",
    "webhooks",
)
_IMPORT: Final = "import"
_ELSEWHERE: Final = {"db": "database", "token": "tokens"}
"""Files of nouns that are not named as these."""


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

"""`crm demo`: a demo company to look at."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from crm_core.cli import serve
from crm_core.demo import prepare

QUERIES: Final = (
    '{ customers(first: 3, where: { search: "huaxin" }) { totalCount nodes { id name city } } }',
    "{ interactions(first: 3) { nodes { kind subject occurredAt performer { name } customer { name phones { number } } } } }",
    "{ approvals(first: 3, where: { state: { eq: PENDING } }) { nodes { id kind line requester { name } reason } } }",
)


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo company lives.")] = Path("demo"),
    *,
    serving: Annotated[bool, typer.Option("--serve", help="Serve it until stopped.")] = False,
) -> None:
    """Load a demo company of three lines into an SQLite file, unless it is there; then show how to ask it."""
    begun = time.monotonic()
    console = Console(stderr=True, soft_wrap=True)
    made = uvloop.run(prepare(folder, os.environ, say=lambda words: console.print(f"… {words}")))
    console.print(f"[green]✓[/green] The demo company is ready ({time.monotonic() - begun:.0f} s).")
    host = "localhost" if made.settings.host in ("127.0.0.1", "0.0.0.0", "::") else made.settings.host  # noqa: S104
    print(f"URL http://{host}:{made.settings.port}/graphql")
    print(f"TOKEN {made.token}")
    print("\nThree queries to paste (put the token into the page's field):")
    for query in QUERIES:
        print(f"\n  {query}")
    print(flush=True)
    if serving:
        serve.run(made.settings)

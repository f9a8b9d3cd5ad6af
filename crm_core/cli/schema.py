"""`crm schema`: print the GraphQL schema, compare it with an earlier one, persist documents that clients ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crm_core.cli.deployment import settings_of
from crm_core.errors import ConfigurationError
from crm_core.graphql.manifests import manifest_text
from crm_core.loader import installed, load
from crm_core.schema import changes, core_registry, full_registry, operations, sdl

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


@app.command()
def persist(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files with operations and fragments (.graphql).")],
    out: Annotated[Path, typer.Option(help="The manifest to write.")] = Path("documents.json"),
) -> None:
    """Check operations against the configured schema and write the manifest for `persisted_documents`."""
    settings = settings_of(context)
    texts = {str(file): _read(file) for file in files}
    found = operations(texts, load(settings), settings.limits)
    try:
        out.write_text(manifest_text(found), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{out}: cannot be written: {error.strerror} (无法写入清单)") from None
    typer.echo(f"{out}: {len(found)} operations")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {error.start} (不是 UTF-8 文件)") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror} (无法读取文件)") from None


def _text(context: typer.Context, *, core: bool, configured: bool) -> str:
    if core:
        return sdl(core_registry())
    return sdl(load(settings_of(context)) if configured else full_registry(installed()))

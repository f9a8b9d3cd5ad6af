"""`crm schema`: print the GraphQL schema, compare it with an earlier one, persist documents that clients ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import inspect

from crm_core import ids
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.errors import ConfigurationError
from crm_core.event_schemas import asyncapi, schemas
from crm_core.graphql.manifests import manifest_text
from crm_core.loader import installed, load
from crm_core.registry import Registry
from crm_core.schema import changes, core_registry, full_registry, operations, sdl
from crm_core.settings import Settings
from crm_core.webhooks.documents import unfit_documents

app = typer.Typer(help="The GraphQL schema.", no_args_is_help=True)

Core = Annotated[bool, typer.Option("--core", help="The core alone, without plugins.")]
Configured = Annotated[bool, typer.Option("--configured", help="With the plugins that crm.toml enables.")]


@app.command()
def export(
    context: typer.Context,
    to: Annotated[
        Path | None,
        typer.Option(help="Write schema.graphql, asyncapi.yaml and events/*.json into this folder instead."),
    ] = None,
    *,
    core: Core = False,
    configured: Configured = False,
) -> None:
    """Print the schema; by default with every installed plugin."""
    registry = _registry(context, core=core, configured=configured)
    if to is None:
        typer.echo(sdl(registry), nl=False)
        return
    files = {"schema.graphql": sdl(registry), "asyncapi.yaml": asyncapi(registry)}
    files |= {f"events/{kind}.json": _json(schema) for kind, schema in schemas(registry).items()}
    for name, text in files.items():
        _write(to / name, text)
    typer.echo(f"{to}: {len(files)} files")


@app.command()
def events(context: typer.Context, *, core: Core = False, configured: Configured = False) -> None:
    """Print the JSON Schema of every kind of event, by kind; by default with every installed plugin."""
    typer.echo(_json(schemas(_registry(context, core=core, configured=configured))), nl=False)


@app.command("asyncapi")
def asyncapi_(context: typer.Context, *, core: Core = False, configured: Configured = False) -> None:
    """Print the AsyncAPI document of all events; by default with every installed plugin."""
    typer.echo(asyncapi(_registry(context, core=core, configured=configured)), nl=False)


@app.command()
def check(
    context: typer.Context,
    against: Annotated[Path, typer.Option(help="The earlier schema, a file.", exists=True, dir_okay=False)],
    *,
    core: Core = False,
    configured: Configured = False,
) -> None:
    """Name what a client of the earlier schema would notice; 1 if something would break him.

    With `--configured` the documents of webhooks, which stand in the database, are checked too.
    """
    unfit = asyncio.run(_unfit_documents(settings_of(context))) if configured else {}
    found = changes(against.read_text(encoding="utf-8"), _text(context, core=core, configured=configured))
    console = Console(soft_wrap=True)
    for change in found:
        console.print(f"{change.severity} {change.kind}: {change.description}", markup=False)
    for endpoint, problems in unfit.items():
        console.print(f"breaking {endpoint}: {'; '.join(problems)}", markup=False)
    if unfit or any(change.severity == "breaking" for change in found):
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


async def _unfit_documents(settings: Settings) -> dict[str, Sequence[str]]:
    """Webhook endpoints whose stored document the configured schema does not answer, by their shown ids."""
    database = open_database(settings)
    try:
        async with database.connection() as connection:
            known = await connection.run_sync(lambda it: inspect(it).has_table("webhook_endpoints"))
        if not known:
            return {}  # a database of before
        found = await unfit_documents(load(settings), settings.limits, database)
        return {ids.show("whe", key): problems for key, problems in found.items()}
    finally:
        await database.dispose()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {error.start} (不是 UTF-8 文件)") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror} (无法读取文件)") from None


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror} (无法写入)") from None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _text(context: typer.Context, *, core: bool, configured: bool) -> str:
    return sdl(_registry(context, core=core, configured=configured))


def _registry(context: typer.Context, *, core: bool, configured: bool) -> Registry:
    if core:
        return core_registry()
    return load(settings_of(context)) if configured else full_registry(installed())

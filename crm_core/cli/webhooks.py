"""`crm webhooks`: set up sources of incoming webhooks from a file, and try what a request would do."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from crm_core import ids
from crm_core.cli.deployment import (
    RefusedInWords,
    in_deployment,
    performed,
    settings_of,
    terminal_language,
    user_of,
)
from crm_core.errors import ConfigurationError, Language, UserError, worded
from crm_core.incoming import mapping as mappings
from crm_core.incoming.doing import Done, Stopped
from crm_core.incoming.handler import IncomingMessage
from crm_core.incoming.processing import Rehearsal, read_message, rehearse
from crm_core.incoming.queries import source_named
from crm_core.incoming.source_file import BadFile, SourceEntry, read_mapping, read_sources
from crm_core.settings import Settings
from crm_core.work import Services

app = typer.Typer(help="Incoming webhooks: sources, and trials of their mappings.", no_args_is_help=True)

T = TypeVar("T")
_TYPES: Final = {
    ".json": "application/json",
    ".xml": "application/xml",
    ".form": "application/x-www-form-urlencoded",
    ".txt": "text/plain",
}
_MADE: Final = frozenset({"GITHUB", "HMAC", "STATIC_TOKEN"})
Line = Annotated[str | None, typer.Option(help="Business line; default: the only one, or the file's.")]


# -- setting up


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML file with `sources`.", exists=True, dir_okay=False)],
    line: Line = None,
) -> None:
    """Set up the sources of a file, or bring those known by name in step with it; a secret made is shown once."""
    entries = _read(lambda: read_sources(file.read_text("utf-8")))
    settings = settings_of(context)

    async def work(services: Services) -> list[str]:
        return [
            await imported(services, one, _line(settings, one.line or line), os.environ) for one in entries
        ]

    for text in in_deployment(settings, work):
        typer.echo(text)


async def imported(services: Services, entry: SourceEntry, line: str, environ: Mapping[str, str]) -> str:
    """Set up one source or update it; what to tell about it. Refusals and missing variables are said in words."""
    actor = await user_of(services, entry.actor)
    rows = await services.database.fetch(source_named(line, entry.name))
    if not rows:
        return await _created(services, entry, line, actor.id, environ)
    if rows[0].verifier != entry.verifier:
        raise ConfigurationError(
            f"{entry.name}: the verifier of a source cannot be changed; make another source (不能更改验签方式)"
        )
    body = {"id": ids.show("ins", rows[0].id), "actor_id": actor.id, **entry.settings()}
    await performed(services, "incoming.update", body, line=line)
    return f"{entry.name}: updated (已更新), POST /hooks/{rows[0].path_key}"


async def _created(
    services: Services, entry: SourceEntry, line: str, actor: Any, environ: Mapping[str, str]
) -> str:
    secret, made = _secret(entry, environ)
    head = {"name": entry.name, "verifier": entry.verifier, "secret": secret, "actor_id": actor}
    await performed(services, "incoming.create", {**head, **entry.settings()}, line=line)
    (row,) = await services.database.fetch(source_named(line, entry.name))
    shown = f"\n  secret, shown only now (密钥仅显示一次): {made}" if made else ""
    return f"{entry.name}: POST /hooks/{row.path_key}{shown}"


def _secret(entry: SourceEntry, environ: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """The secret of the variables the file names, or one made here (the second value)."""
    named = {k: v for k, v in entry.secret_from.model_dump().items() if v is not None}
    missing = [name for name in named.values() if not environ.get(name)]
    if missing:
        raise ConfigurationError(f"{entry.name}: set {', '.join(missing)} (请设置环境变量)")
    if named:
        return {key: environ[name] for key, name in named.items()}, None
    if entry.verifier == "STANDARD_WEBHOOKS":
        made = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    elif entry.verifier in _MADE:
        made = secrets.token_hex(32)
    else:
        raise ConfigurationError(f"{entry.name}: secret_from names no variables (未指定密钥的环境变量)")
    return {"secret": made}, made


# -- trying


@app.command("try")
def try_file(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    file: Annotated[Path, typer.Argument(help="Body of a request.", exists=True, dir_okay=False)],
    mapping: Annotated[
        Path | None, typer.Option(help="Mapping to try in place of the source's; YAML.", exists=True)
    ] = None,
    line: Line = None,
    content_type: Annotated[
        str | None, typer.Option(help="Content type; default: by the file's name.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option(help="Header of the request, `name: value`.")] = None,
) -> None:
    """Show the commands a request would perform, and perform them as a dry run: nothing is kept."""
    settings = settings_of(context)
    wanted = _read(lambda: read_mapping(mapping.read_text("utf-8")).of(source)) if mapping else None
    kind = content_type or _TYPES.get(file.suffix.lower(), "")
    headers = dict(_header(one) for one in header or ())

    async def work(services: Services) -> bool:
        code = _line(settings, line)
        rows = await services.database.fetch(source_named(code, source))
        if not rows:
            raise ConfigurationError(f"No source {source} in line {code} (该业务线没有此来源)")
        message = _message(services, rows[0], file.read_bytes(), kind, headers)
        tried = await _tried(services, rows[0], message, wanted)
        return _show(tried, services, terminal_language(os.environ))

    if not in_deployment(settings, work):
        raise typer.Exit(1)


async def _tried(
    services: Services, row: Any, message: IncomingMessage, wanted: mappings.Steps | None
) -> Rehearsal:
    steps = wanted if wanted is not None else row.mapping
    if steps is not None:
        found = list(mappings.check(steps, services.registry, row.line))
        if found:
            raise RefusedInWords(_worded(found, services, terminal_language(os.environ)))
    handler = row.handler if wanted is None else None
    return await rehearse(services, row.actor_id, message, handler, steps)


def _message(
    services: Services, row: Any, body: bytes, content_type: str, headers: Mapping[str, str]
) -> IncomingMessage:
    shown = ids.show("inr", ids.uuid7())
    try:
        return read_message(shown, row.name, row.line, services.clock(), content_type, headers, {}, body)
    except Stopped as stopped:
        raise RefusedInWords(_worded(stopped.refusals, services, terminal_language(os.environ))) from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise typer.BadParameter("write `name: value`", param_hint="--header")
    return name.strip().lower(), value.strip()


def _show(tried: Rehearsal, services: Services, language: Language) -> bool:
    """Print the steps; whether all went well."""
    console = Console(soft_wrap=True)
    for done, command in tried.steps:
        console.print(f"[bold]{escape(done.step)}[/bold] {escape(_came_to(done))}")
        if command is not None:
            body = command.model_dump(mode="json", exclude_unset=True, by_alias=True)
            hidden = {k: "***" if k in command.sensitive else v for k, v in body.items()}
            console.print(escape(json.dumps(hidden, ensure_ascii=False, indent=2)), highlight=False)
    stopped = tried.stopped
    if stopped is None:
        console.print("Dry run: nothing was written (试运行，未写入任何数据)")
        return True
    place = " ".join(one for one in (stopped.step, stopped.command) if one)
    console.print(f"[red]✗[/red] {escape(place)}\n{escape(_worded(stopped.refusals, services, language))}")
    return False


def _came_to(done: Done) -> str:
    what = done.command or f"find {done.type or ''}".strip()
    if done.skipped:
        return f"{what}: left out (跳过)" + (f", waits for {done.approval}" if done.approval else "")
    if done.approval:
        return f"{what}: would wait for signatures (需审批)"
    if done.command:
        return f"{what}: → {done.type} × {len(done.ids)}"
    return f"{what}: → {', '.join(done.ids) or 'nothing (未找到)'}"


# -- words


def _worded(found: Iterable[UserError], services: Services, language: Language) -> str:
    messages = services.registry.messages
    return "\n".join(f"{e.field + ': ' if e.field else ''}{worded(e, messages, language)}" for e in found)


def _line(settings: Settings, line: str | None) -> str:
    if line is None and len(settings.lines) == 1:
        return next(iter(settings.lines))
    if line not in settings.lines:
        known = ", ".join(sorted(settings.lines)) or "none"
        raise typer.BadParameter(f"name one of the business lines: {known}", param_hint="--line")
    return str(line)


def _read(what: Callable[[], T]) -> T:
    try:
        return what()
    except BadFile as bad:
        raise RefusedInWords(str(bad)) from None

"""`crm approvals`: sign-off policies as files – look them over, bring them in, write them out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.access.models import User
from crm_core.actors import system
from crm_core.approvals.known import known_of
from crm_core.approvals.policies import definition_of, roles_of
from crm_core.approvals.policy import begins, ends, problems
from crm_core.approvals.policy_file import (
    LARGEST,
    TOO_LARGE,
    FilePolicy,
    FileProblem,
    PolicyFile,
    read,
    write,
)
from crm_core.approvals.queries import last_editions
from crm_core.approvals.stages import PolicyDefinition
from crm_core.cli.deployment import in_deployment, settings_of, terminal_language
from crm_core.commands import Options
from crm_core.errors import ConfigurationError, worded
from crm_core.loader import installed, load
from crm_core.registry import Registry
from crm_core.schema import full_registry
from crm_core.work import Services, perform

app = typer.Typer(help="Sign-off policies as files (审批规则文件).", no_args_is_help=True)
SET = "approval_policy.set"

Line = Annotated[
    str | None, typer.Option("--line", help="Line of policies that name none; default: the only one.")
]


@app.command()
def lint(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="YAML files of policies.", exists=True, dir_okay=False)],
    line: Line = None,
    *,
    database: Annotated[
        bool, typer.Option("--database", help="Also look up roles, users and policies in the database.")
    ] = False,
) -> None:
    """Say what is wrong with files of policies, each with its place; 1 if there is an error.

    Without --database all that the rooms and plugins say of themselves is checked: commands, fields, values.
    """
    settings = settings_of(context)
    if database:
        found = in_deployment(settings, lambda services: _looked_over(services, files, line))
    elif settings.lines:
        found = _lint(files, _Setting(load(settings), tuple(settings.lines)), line)
    else:
        found = _lint(files, _Setting(full_registry(installed())), line)
    if _said(found):
        raise typer.Exit(1)


@app.command("import")
def import_policies(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML file of policies.", exists=True, dir_okay=False)],
    line: Line = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
) -> None:
    """Set the policies of a file, by the same command as everybody's; what is as it was gets no new edition."""
    outcomes = in_deployment(
        settings_of(context), lambda services: _imported(services, file, line, dry_run=dry_run)
    )
    if outcomes is None:
        raise typer.Exit(1)
    if dry_run:
        typer.echo("Dry run: nothing was written; this is what would be (试运行，未写入任何数据)")
    for outcome in outcomes:
        typer.echo(outcome.words)
    if any(outcome.refused for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def export(
    context: typer.Context,
    line: Annotated[str | None, typer.Option("--line", help="Only this line.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only the policy of this name.")] = None,
) -> None:
    """Print the newest edition of every policy as a file; importing it changes nothing."""
    typer.echo(
        in_deployment(settings_of(context), lambda services: _exported(services, line, name)), nl=False
    )


# -- looking over


@dataclass(frozen=True)
class _Setting:
    """What files are held against. `lines` empty: any line is taken; `users` None: no database was asked."""

    registry: Registry
    lines: tuple[str, ...] = ()
    roles: Mapping[str, frozenset[str]] | None = None
    users: Mapping[str, UUID] | None = None
    policies: Mapping[str, Sequence[PolicyDefinition]] = field(default_factory=dict)
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """One policy of one file, in one line."""

    file: Path
    policy: FilePolicy
    line: str | None


_Found = list[tuple[Path, FileProblem]]


async def _looked_over(services: Services, files: Sequence[Path], line: str | None) -> _Found:
    return _lint(files, await _setting(services), line)


async def _setting(services: Services) -> _Setting:
    """The deployment as it is in the database now; policies begin and end at their moments."""
    lines = tuple(services.settings.lines)
    async with _session(services) as session:
        rows = await session.execute(select(User.login, User.id).where(User.disabled_at.is_(None)))
        users = {row.login: row.id for row in rows}
        roles = await roles_of(session)
        policies = {one: [definition_of(p) for p in await last_editions(session, one)] for one in lines}
    zones = {one: services.calendar(one).zone for one in lines}
    return _Setting(services.registry, lines, roles, users, policies, zones, services.clock())


@asynccontextmanager
async def _session(services: Services) -> AsyncIterator[AsyncSession]:
    async with services.database.connection() as connection, AsyncSession(bind=connection) as session:
        yield session


def _lint(files: Sequence[Path], setting: _Setting, line: str | None) -> _Found:
    read_files = [(file, _read(file, setting)) for file in files]
    found = [(file, problem) for file, content in read_files for problem in content.problems]
    places = [place for file, content in read_files for place in _places(file, content, setting, line)]
    found += _wrong_lines(places, setting)
    for one in dict.fromkeys(place.line for place in places):
        found += _of_line(one, [place for place in places if place.line == one], setting)
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda one: (files.index(one[0]), one[1].line, one[1].column))


def _read(file: Path, setting: _Setting) -> PolicyFile:
    try:
        with file.open("rb") as source:
            content = source.read(LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror} (无法读取文件)") from None
    if len(content) > LARGEST:
        return TOO_LARGE
    try:
        return read(content.decode("utf-8-sig"), setting.users)
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file}: not UTF-8 at byte {error.start} (不是 UTF-8 文件)") from None


def _places(file: Path, content: PolicyFile, setting: _Setting, line: str | None) -> Iterator[_Place]:
    only = setting.lines[0] if len(setting.lines) == 1 else None
    for policy in content.policies:
        for one in policy.lines or (line or only,):
            yield _Place(file, policy, one)


def _wrong_lines(places: Sequence[_Place], setting: _Setting) -> _Found:
    found: _Found = []
    for place in places:
        if place.line is not None and setting.lines and place.line not in setting.lines:
            found.append(
                _at(place, "", "POLICY_LINE", f"there is no line {place.line}", f"没有业务线 {place.line}")
            )
    seen: dict[tuple[str | None, str], Path] = {}
    for place in places:
        name = place.policy.definition.name
        first = seen.setdefault((place.line, name), place.file)
        if first != place.file:
            found.append(
                _at(
                    place, "name", "POLICY_DUPLICATE",
                    f"{first} has a policy {name} of the line too", f"{first} 中该业务线已有规则“{name}”",
                )
            )  # fmt: skip
    return found


def _at(place: _Place, path: str, code: str, english: str, chinese: str) -> tuple[Path, FileProblem]:
    return place.file, FileProblem(*place.policy.at(path), code, english, chinese)


def _of_line(
    line: str | None, places: Sequence[_Place], setting: _Setting
) -> Iterator[tuple[Path, FileProblem]]:
    """What is wrong with the policies of a line, beside one another and those of the database."""
    if line is not None and setting.lines and line not in setting.lines:
        return
    stored = {p.name: p for p in setting.policies.get(line or "", ())}
    together = stored | {p.policy.definition.name: p.policy.definition for p in places}
    known = known_of(
        setting.registry,
        line if setting.lines else None,
        roles=setting.roles,
        users=None if setting.users is None else frozenset(setting.users.values()),
        now=setting.now,
        zone=setting.zones.get(line or ""),
    )
    for place in places:
        definition = place.policy.definition
        others = [other for name, other in together.items() if name != definition.name]
        for one in problems(definition, replace(known, policies=others)):
            mark = place.policy.at(one.path)
            yield place.file, FileProblem(*mark, one.code, one.text_en, one.text_zh, one.severity)


def _said(found: _Found) -> bool:
    """Print everything found; whether there is an error among it."""
    chinese = terminal_language(os.environ) == "zh-CN"
    for file, one in found:
        words = one.text_zh if chinese else one.text_en
        typer.echo(f"{file}:{one.line}:{one.column}: {one.severity} {one.code} {words}")
    return any(one.severity == "error" for _, one in found)


# -- bringing in


@dataclass(frozen=True, slots=True)
class _Outcome:
    words: str
    refused: bool = False


async def _imported(
    services: Services, file: Path, line: str | None, *, dry_run: bool
) -> list[_Outcome] | None:
    """What became of each policy; None when the file is refused as a whole (its errors are printed)."""
    setting = await _setting(services)
    if _said(_lint([file], setting, line)):
        return None
    places = [*_places(file, _read(file, setting), setting, line)]
    if any(place.line is None for place in places):
        raise ConfigurationError("Name the line: `line:` in the file, or --line (请指明业务线)")
    return [await _set(services, setting, place, dry_run=dry_run) for place in places]


async def _set(services: Services, setting: _Setting, place: _Place, *, dry_run: bool) -> _Outcome:
    line, definition = place.line or "", place.policy.definition
    zone = setting.zones[line]
    known = next((p for p in setting.policies[line] if p.name == definition.name), None)
    if known is not None and _same(definition, known, zone, services.clock()):
        return _Outcome(f"unchanged {line} {definition.name}")
    actor = system(tuple(services.registry.lines), name="crm")
    options = Options(line=line, channel="cli", dry_run=dry_run)
    outcome, _ = await perform(services, actor, SET, _body(definition, zone), options)
    if outcome.errors:
        words = (worded(e, services.registry.messages, terminal_language(os.environ)) for e in outcome.errors)
        return _Outcome(f"refused   {line} {definition.name}: {'; '.join(words)}", refused=True)
    return _Outcome(f"{'created  ' if known is None else 'changed  '} {line} {definition.name}")


def _same(definition: PolicyDefinition, known: PolicyDefinition, zone: ZoneInfo, now: datetime) -> bool:
    """Whether a stored edition is what the file says; one that says nothing of its beginning has begun already."""
    if definition.valid_from is None:
        begun = (begins(known, zone) or now) <= now
    else:
        begun = begins(definition, zone) == begins(known, zone)
    return begun and ends(definition, zone) == ends(known, zone) and _timeless(definition) == _timeless(known)


def _timeless(definition: PolicyDefinition) -> PolicyDefinition:
    return definition.model_copy(update={"valid_from": None, "valid_to": None})


def _body(definition: PolicyDefinition, zone: ZoneInfo) -> dict[str, Any]:
    """Everything of the definition, so that nothing of an edition before remains."""
    body = definition.model_dump(mode="json", by_alias=False)
    body.pop("commands" if definition.document is not None else "document")
    return {**body, "valid_from": begins(definition, zone), "valid_to": ends(definition, zone)}


# -- writing out


async def _exported(services: Services, line: str | None, name: str | None) -> str:
    setting = await _setting(services)
    if line is not None and line not in setting.lines:
        raise ConfigurationError(f"There is no line {line} (没有该业务线)")
    now = services.clock()
    wanted = [
        (_shown(definition, setting.zones[one], now), (one,))
        for one in setting.lines
        if line in (None, one)
        for definition in sorted(setting.policies[one], key=lambda p: (p.priority, p.name))
        if name in (None, definition.name)
    ]
    if name is not None and not wanted:
        raise ConfigurationError(f"There is no policy {name} (没有该审批规则)")
    async with _session(services) as session:
        logins = {row.id: row.login for row in await session.execute(select(User.id, User.login))}
    return write(wanted, logins)


def _shown(definition: PolicyDefinition, zone: ZoneInfo, now: datetime) -> PolicyDefinition:
    """With days where it begins or ends with a day; what has begun already need not say when."""
    first, last = begins(definition, zone), ends(definition, zone)
    return definition.model_copy(
        update={
            "valid_from": None if first is None or first <= now else _day(first, zone),
            "valid_to": None if last is None else _day(last, zone, end=True),
        }
    )


def _day(moment: datetime, zone: ZoneInfo, *, end: bool = False) -> datetime | date:
    local = moment.astimezone(zone)
    if local.time() != time.min:
        return moment.astimezone(UTC)
    return local.date() - timedelta(days=1) if end else local.date()

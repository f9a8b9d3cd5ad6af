"""`crm import`: bring customers and interactions of another system in from CSV and XLSX files."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor, system
from crm_core.app import services_of
from crm_core.cli.deployment import RefusedInWords, settings_of, terminal_language, user_of
from crm_core.db.session import open_database
from crm_core.errors import Language, worded
from crm_core.imports import mapping as mappings
from crm_core.imports import reading
from crm_core.imports.files import FileShape, UnreadableFile
from crm_core.imports.mapping import Mapping, MappingProblem, Subject
from crm_core.imports.models import OnError, UpdateBy
from crm_core.imports.request import Report, Request, Summary
from crm_core.imports.runner import run_import
from crm_core.imports.tally import words
from crm_core.settings import Settings
from crm_core.work import Services

app = typer.Typer(help="Import customers and interactions from CSV and XLSX files.", no_args_is_help=True)
T = TypeVar("T")


class ErrorChoice(StrEnum):
    """What wrong rows do."""

    REJECT_ALL = "reject-all"
    REJECT_ROWS = "reject-rows"


class MatchChoice(StrEnum):
    """By what a customer without a number of the source is found."""

    EXTERNAL_ID = "external-id"
    PHONE = "phone"
    CREDIT_CODE = "credit-code"


File = Annotated[Path, typer.Argument(help="CSV (UTF-8 or GB18030) or XLSX.", exists=True, dir_okay=False)]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", help="Mapping of headers to fields, as `inspect` writes it.")
]
SheetName = Annotated[str | None, typer.Option(help="Sheet of a workbook; default: the first with content.")]
Line = Annotated[str | None, typer.Option(help="Business line; default: the only one.")]
Source = Annotated[str, typer.Option(help="Name of the other system; its numbers are unique per source.")]
As = Annotated[str | None, typer.Option("--as", help="Login of the user who imports; default: the system.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")]
Errors = Annotated[
    ErrorChoice, typer.Option(help="reject-all: one wrong row refuses the file; reject-rows: only that row.")
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Leave a wrong field blank; refuse only who cannot be reached.")
]
Match = Annotated[
    MatchChoice, typer.Option(help="By what a customer who has no number of this source yet is found.")
]
AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="Day of the export; later days are wrong. Default: today."),
]
SummaryFile = Annotated[Path | None, typer.Option(help="Write the summary here as JSON.")]
Rejects = Annotated[
    Path | None, typer.Option(help="Where refused rows go; default: NAME.rejects.csv in the current folder.")
]


@app.command()
def inspect(
    file: File,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="Write the mapping here, to be edited.")
    ] = None,
    subject: Annotated[
        Subject | None, typer.Option(help="What its rows are; default: told by the header.")
    ] = None,
    sheet: SheetName = None,
) -> None:
    """Show how a file would be read, and which column is which field."""
    shape = _read(lambda: reading.inspect(file, sheet))
    suggested = _read(lambda: _suggested(shape, subject))
    _show(shape, suggested)
    if mapping is not None:
        suggested.save(mapping)
        typer.echo(f"Mapping written to {mapping} (字段映射已保存)")


@app.command()
def customers(
    context: typer.Context,
    file: File,
    mapping: MappingFile = None,
    line: Line = None,
    source: Source = "import",
    user: As = None,
    on_error: Errors = ErrorChoice.REJECT_ALL,
    update_existing_by: Match = MatchChoice.EXTERNAL_ID,
    as_of: AsOf = None,
    sheet: SheetName = None,
    summary_json: SummaryFile = None,
    rejects: Rejects = None,
    *,
    dry_run: DryRun = False,
    lenient: Lenient = False,
) -> None:
    """Import customers. The same file again changes nothing; an interrupted import goes on where it stopped."""
    settings = settings_of(context)
    request = _request(settings, Subject.CUSTOMERS, file, mapping, line, as_of, rejects)
    request = _with(request, source, on_error, sheet, dry_run=dry_run, lenient=lenient, by=update_existing_by)
    _run(settings, request, user, summary_json)


@app.command()
def interactions(
    context: typer.Context,
    file: File,
    mapping: MappingFile = None,
    line: Line = None,
    source: Source = "import",
    user: As = None,
    on_error: Errors = ErrorChoice.REJECT_ALL,
    as_of: AsOf = None,
    sheet: SheetName = None,
    summary_json: SummaryFile = None,
    rejects: Rejects = None,
    *,
    dry_run: DryRun = False,
    lenient: Lenient = False,
) -> None:
    """Import interactions of customers who came in from the same source before."""
    settings = settings_of(context)
    request = _request(settings, Subject.INTERACTIONS, file, mapping, line, as_of, rejects)
    request = _with(request, source, on_error, sheet, dry_run=dry_run, lenient=lenient)
    _run(settings, request, user, summary_json)


# -- what is asked for


def _request(
    settings: Settings,
    subject: Subject,
    file: Path,
    mapping: Path | None,
    line: str | None,
    as_of: datetime | None,
    rejects: Path | None,
) -> Request:
    code = _line(settings, line)
    target = rejects or Path(f"{file.stem}.rejects.csv")
    if target.resolve() == file.resolve():
        raise typer.BadParameter("the rejects file must not be the file imported", param_hint="--rejects")
    return Request(
        subject=subject,
        file=file,
        line=code,
        as_of=as_of.date() if as_of else _today(settings, code),
        mapping=_read(lambda: mappings.load(mapping)) if mapping else None,
        rejects=target,
    )


def _with(
    request: Request,
    source: str,
    on_error: ErrorChoice,
    sheet: str | None,
    *,
    dry_run: bool,
    lenient: bool,
    by: MatchChoice = MatchChoice.EXTERNAL_ID,
) -> Request:
    return Request(
        subject=request.subject,
        file=request.file,
        line=request.line,
        as_of=request.as_of,
        mapping=request.mapping,
        rejects=request.rejects,
        source=source,
        on_error=OnError[on_error.name],
        sheet=sheet,
        dry_run=dry_run,
        lenient=lenient,
        update_existing_by=UpdateBy[by.name],
    )


def _line(settings: Settings, line: str | None) -> str:
    if line is None and len(settings.lines) == 1:
        return next(iter(settings.lines))
    if line not in settings.lines:
        known = ", ".join(sorted(settings.lines)) or "none"
        raise typer.BadParameter(f"name one of the business lines: {known}", param_hint="--line")
    return str(line)


def _today(settings: Settings, line: str) -> date:
    return datetime.now(ZoneInfo(settings.lines[line].time_zone)).date()


def _suggested(shape: FileShape, subject: Subject | None) -> Mapping:
    if subject is not None:
        return mappings.suggest(shape.header, subject)
    try:
        return mappings.suggest(shape.header, Subject.INTERACTIONS)
    except MappingProblem:
        return mappings.suggest(shape.header, Subject.CUSTOMERS)


def _read(what: Callable[[], T]) -> T:
    """The result, or the reason in the terminal's language why the file or mapping cannot be used."""
    try:
        return what()
    except (UnreadableFile, MappingProblem) as error:
        raise RefusedInWords(error.message(terminal_language(os.environ))) from None


# -- carrying out


def _run(settings: Settings, request: Request, user: str | None, summary_json: Path | None) -> None:
    language = terminal_language(os.environ)

    async def work(services: Services) -> tuple[Summary, Services]:
        actor = await _actor(services, user)
        with _bar() as progress:
            return await run_import(services, actor, request, _reporting(progress)), services

    summary, services = _read(lambda: asyncio.run(_in_deployment(settings, work)))
    if summary_json is not None:
        text = json.dumps(summary.as_json(), ensure_ascii=False, indent=2)
        summary_json.write_text(text + "\n", encoding="utf-8")
    _print(summary, services, language)
    if summary.state == "refused":
        raise typer.Exit(1)


async def _in_deployment(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    database = open_database(settings, inline=True)
    try:
        return await work(await services_of(settings, database))
    finally:
        await database.dispose()


async def _actor(services: Services, login: str | None) -> Actor:
    if login is None:
        return system(tuple(services.registry.lines), name="crm import")
    user = await user_of(services, login)
    return await actor_of(services.database.fetch, services.registry, user.id)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


_PHASES = {"check": "检查 check", "rehearse": "试导 rehearse", "import": "导入 import"}


def _reporting(progress: Progress) -> Report:
    tasks = {}

    def report(phase: str, done: int, total: int | None) -> None:
        if phase not in tasks:
            tasks[phase] = progress.add_task(_PHASES[phase], total=total)
        progress.update(tasks[phase], completed=done, total=total)

    return report


# -- saying what came of it


_COUNTS = {
    "read": "已读 read",
    "created": "新建 created",
    "updated": "更新 updated",
    "unchanged": "未变 unchanged",
    "skipped": "跳过 skipped",
    "held": "待审批 held",
    "rejected": "拒绝 rejected",
}
_STATES = {
    "done": "Import finished (导入完成)",
    "dry_run": "Dry run: nothing was written; this is what would be (试运行，未写入任何数据)",
    "refused": "Nothing was imported; this is what would have been (未导入任何数据)",
    "held": "The import waits for signatures, then a job carries it out (导入待审批，批准后由后台任务自动执行)",
}


def _print(summary: Summary, services: Services, language: Language) -> None:
    console = Console(soft_wrap=True)
    console.print(_STATES[summary.state])
    for error in summary.errors:
        console.print(f"[red]✗[/red] {escape(worded(error, services.registry.messages, language))}")
    if summary.approval is not None:
        console.print(f"Approval (审批): {ids.show('apr', summary.approval)}")
    if summary.run is not None:
        console.print(f"Run (导入批次): {ids.show('imp', summary.run)}")
    if summary.resumed_after is not None:
        console.print(f"Resumed after row {summary.resumed_after} (从第 {summary.resumed_after} 行之后继续)")
    if summary.tally.read:
        console.print(_table(summary, services, language))
    if summary.unknown_columns:
        console.print(f"Unknown columns (未知列): {escape(', '.join(summary.unknown_columns))}")
    if summary.pairs.found:
        more = " or more" if summary.pairs.more else ""
        kinds = ", ".join(f"{kind} {count}" for kind, count in summary.pairs.by_kind().items())
        console.print(f"Possible duplicates (疑似重复): {len(summary.pairs.found)}{more} pairs ({kinds})")
    if summary.rejects is not None:
        console.print(
            f"Refused rows, to be corrected and imported again (拒绝文件): {escape(str(summary.rejects))}"
        )


def _table(summary: Summary, services: Services, language: Language) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    reasons = {"skipped": ("skipped",), "rejected": ("rejected",)}
    for name, title in _COUNTS.items():
        table.add_row(title, str(getattr(summary.tally, name)))
        for kind in reasons.get(name, ()):
            for code, count in summary.tally.reasons[kind].most_common():
                table.add_row(f"  {_reason(code, services, language)}", str(count))
    for kind, title in (("blanked", "留空 fields left blank"), ("warnings", "提示 warnings")):
        found = summary.tally.reasons[kind]
        if found:
            table.add_row(title, str(found.total()))
            for code, count in found.most_common():
                table.add_row(f"  {_reason(code, services, language)}", str(count))
    return table


def _reason(code: str, services: Services, language: Language) -> str:
    """A reason in general words: the message with its parameters left open."""
    if code in _SKIPS:
        return _SKIPS[code]
    problem = {"code": code, "column": "", "value": "…", "params": _OPEN, "severity": "ERROR"}
    return escape(f"{code} {words(problem, services.registry.messages, language).lstrip(': ')}")


_SKIPS = {"BLANK": "空行 blank", "TOTALS": "合计行 totals row", "DUPLICATE": "完全重复 exact duplicate"}
_OPEN = dict.fromkeys(("because", "reason", "as_of", "first_row", "first_visit", "kind"), "…")


def _show(shape: FileShape, mapping: Mapping) -> None:
    console = Console(soft_wrap=True)
    how = [shape.format.value.upper(), shape.encoding or "", f"sheet {shape.sheet}" if shape.sheet else ""]
    if shape.delimiter:
        how.append(f"delimiter {shape.delimiter!r}")
    console.print(f"{', '.join(part for part in how if part)}; {mapping.subject.value}")
    table = Table("列 column", "字段 field")
    for name in shape.header:
        table.add_row(escape(name), mapping.columns.get(name, "[yellow]未知 unknown[/yellow]"))
    console.print(table)

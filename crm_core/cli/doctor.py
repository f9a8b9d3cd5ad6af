"""`crm doctor`: what is wrong with a deployment and how to mend it; with `--slow`, with one document."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from sqlalchemy import Select, func, select

from crm_core import migrate
from crm_core.access.models import ApiToken, Role, RoleGrant, User
from crm_core.app import keyring_of
from crm_core.cli.deployment import settings_of
from crm_core.cli.slow import Question, examine, variables_of
from crm_core.db.session import Database, open_database
from crm_core.deadlines import ChineseDays
from crm_core.errors import ConfigurationError, Fault, Unavailable
from crm_core.graphql.page import installed_assets
from crm_core.keyring import Keyring
from crm_core.loader import load
from crm_core.registry import Registry
from crm_core.settings import Settings

Severity = Literal["error", "warning", "hint"]
FORESIGHT: Final = timedelta(days=60)
COLOURS: Final = {"error": "red", "warning": "yellow", "hint": "cyan"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: how bad it is, what it is and what to do, in both languages."""

    severity: Severity
    what: str
    what_zh: str
    remedy: str
    remedy_zh: str


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    *,
    slow: Annotated[
        Path | None,
        typer.Option("--slow", help="Show how this GraphQL document is answered: cost, SQL, plan."),
    ] = None,
    variables: Annotated[
        str | None, typer.Option("--variables", help="With --slow: its variables, JSON or @file.")
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="With --slow: which operation of the document.")
    ] = None,
    login: Annotated[
        str | None, typer.Option("--as", help="With --slow: as this user; default: the system itself.")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="With --slow: show bound values, which may be personal data.")
    ] = False,
) -> None:
    """Say what is wrong with this deployment and how to mend it; 1 if anything keeps it from working.

    With --slow, say how one document is answered instead; 1 if it reads a table of more than 10,000 rows whole.
    """
    console = Console(soft_wrap=True)
    if slow is not None:
        question = Question(slow, variables_of(variables), operation, login, values)
        if not examine(settings_of(context), question, console):
            raise typer.Exit(1)
        return
    if variables or operation or login or values:
        raise typer.BadParameter(
            "--variables, --operation, --as and --values belong to --slow (须与 --slow 同用)"
        )
    found = examined(lambda: settings_of(context), datetime.now(UTC).date())
    for finding in found:
        _show(console, finding)
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(1)
    console.print("[green]✓[/green] Nothing stands in the way. 未发现妨碍运行的问题。")


def examined(read_settings: Callable[[], Settings], today: date) -> list[Finding]:
    """Everything found, worst first; what cannot be examined because of an earlier finding is left out."""
    try:
        settings = read_settings()
    except ConfigurationError as error:
        return [_settings_wrong(error)]
    found = [*_of_settings(settings, today)]
    try:
        registry = load(settings)
    except ConfigurationError as error:
        found.append(_settings_wrong(error))
    else:
        found += asyncio.run(_of_database(settings, registry))
    order = list(COLOURS)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _show(console: Console, finding: Finding) -> None:
    console.print(f"[{COLOURS[finding.severity]}]{finding.severity.upper()}[/] ", end="")
    for text in (finding.what, f"  {finding.what_zh}", f"  → {finding.remedy}", f"  → {finding.remedy_zh}"):
        console.print(text, markup=False, highlight=False)


def _settings_wrong(error: ConfigurationError) -> Finding:
    return Finding(
        "error", f"The settings are wrong: {error}", "配置有误（见上）。",
        "Correct the key named; docs/reference/settings.md lists all.", "请修改所指的配置项，参见 docs/reference/settings.md。",
    )  # fmt: skip


# -- settings, files, calendar


def _of_settings(settings: Settings, today: date) -> Iterator[Finding]:
    yield from _keys(settings)
    yield from _lines(settings)
    yield from _store(settings.store)
    yield from _processes(settings)
    yield from _page(settings)
    yield from _calendar(today)


def _keys(settings: Settings) -> Iterator[Finding]:
    if not settings.keys.get_secret_value() and not settings.index_key.get_secret_value():
        fresh = f"CRM_KEYS={Keyring.generate_text()}\n    CRM_INDEX_KEY={Keyring.generate_index_text()}"
        yield Finding(
            "error", "The keys for identity numbers are missing.", "缺少证件号码加密密钥。",
            f"Keep these two where secrets are kept, and never lose them:\n    {fresh}", "请妥善保管上面两项并写入环境变量，切勿丢失。",
        )  # fmt: skip
        return
    try:
        keyring_of(settings)
    except ConfigurationError as error:
        yield Finding(
            "error", str(error), "密钥配置不正确。",
            "Restore the keys this database was made with.", "请恢复该数据库原来的密钥。",
        )  # fmt: skip


def _lines(settings: Settings) -> Iterator[Finding]:
    if not settings.lines:
        yield Finding(
            "error", "No business line is declared.", "没有声明业务线。",
            'Add to crm.toml: [lines.main] name = "Main line", then run `crm db upgrade`.',
            '在 crm.toml 中加入 [lines.main] name = "主业务线"，然后运行 crm db upgrade。',
        )  # fmt: skip


def _store(folder: Path) -> Iterator[Finding]:
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return
    except OSError as error:
        reason = error.strerror or str(error)
    yield Finding(
        "error", f"The file store {folder} cannot be written: {reason}.", f"文件存储目录 {folder} 不可写。",
        "Set CRM_STORE to a folder the server may write to.", "请将 CRM_STORE 设为可写目录。",
    )  # fmt: skip


def _processes(settings: Settings) -> Iterator[Finding]:
    if settings.workers > 1 and settings.database_url.startswith("sqlite"):
        yield Finding(
            "error", f"{settings.workers} workers on SQLite, which serves one process.", "SQLite 只支持单进程，却配置了多个工作进程。",
            "Set CRM_WORKERS=1, or use PostgreSQL.", "请设 CRM_WORKERS=1，或改用 PostgreSQL。",
        )  # fmt: skip
    if settings.host not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(
            "hint", f"The server listens on {settings.host} without TLS.", f"服务在 {settings.host} 上以明文监听。",
            "Put a proxy with TLS before it; keep /metrics from strangers.", "请在前面部署 TLS 代理，并限制 /metrics 的访问。",
        )  # fmt: skip


def _page(settings: Settings) -> Iterator[Finding]:
    folder = settings.graphiql_assets or Path(sys.prefix) / "share" / "crm" / "graphiql"
    if not installed_assets(folder):
        yield Finding(
            "hint", "GraphiQL is not installed; a plain query page is served.", "未安装 GraphiQL，将提供简易查询页面。",
            "Run `make graphiql` where npm is at hand.", "在有 npm 的环境运行 make graphiql。",
        )  # fmt: skip


def _calendar(today: date) -> Iterator[Finding]:
    if ChineseDays().is_working_day(today + FORESIGHT) is None:
        yield Finding(
            "warning", f"Official working days are not known for {today + FORESIGHT}; such deadlines are provisional.",
            f"尚无 {today + FORESIGHT} 的法定工作日数据，相关期限为暂定。",
            "Upgrade the package chinesecalendar when next year's days are published.", "待下一年安排公布后升级 chinesecalendar。",
        )  # fmt: skip


# -- database and plugins


async def _of_database(settings: Settings, registry: Registry) -> list[Finding]:
    database = open_database(settings)
    try:
        failed = await migrate.failures(database)
        registry = load(settings, broken=failed)
        return [*_plugins(registry), *await _within(database, registry)]
    except Fault as fault:
        return [*_plugins(registry), _out_of_reach(fault)]
    finally:
        await database.dispose()


def _plugins(registry: Registry) -> Iterator[Finding]:
    for plugin in registry.plugins:
        if plugin.state == "quarantined":
            lines = ", ".join(plugin.lines)
            yield Finding(
                "error", f"Plugin {plugin.name} is quarantined: {plugin.reason}. Writes of {lines} are refused.",
                f"插件 {plugin.name} 已被隔离，业务线 {lines} 不接受写入。",
                f"Mend or upgrade the plugin, or take it out of {lines} in crm.toml; then `crm db upgrade`.",
                "修复或升级该插件，或从 crm.toml 中移除，然后运行 crm db upgrade。",
            )  # fmt: skip


def _out_of_reach(fault: Fault) -> Finding:
    if isinstance(fault, Unavailable):
        return Finding(
            "error", f"The database is out of reach: {_root(fault)}", "无法连接数据库。",
            "Check CRM_DATABASE_URL, and that the server runs and lets you in.", "请检查 CRM_DATABASE_URL 以及数据库服务。",
        )  # fmt: skip
    return Finding(
        "error", str(fault), "数据库被占用。", "Stop the process that holds it.", "请停止占用数据库的进程。"
    )


def _root(fault: Fault) -> str:
    return str(fault.__cause__ or fault).split("\n")[0][:200]


async def _within(database: Database, registry: Registry) -> list[Finding]:
    lacking = await migrate.behind(database, registry)
    if lacking:
        words = "; ".join(f"{owner} is {what}" for owner, what in lacking.items())
        return [
            Finding(
                "error",
                f"The database is behind: {words}.",
                "数据库版本落后。",
                "Run `crm db upgrade`.",
                "请运行 crm db upgrade。",
            )
        ]
    questions: list[Callable[[Database], Awaitable[list[Finding]]]] = [_administrators, _tokens]
    return [finding for question in questions for finding in await question(database)]


async def _administrators(database: Database) -> list[Finding]:
    statement = (
        select(func.count())
        .select_from(RoleGrant)
        .join(Role, Role.id == RoleGrant.role_id)
        .join(User, User.id == RoleGrant.user_id)
        .where(Role.name == "administrator", User.disabled_at.is_(None))
    )
    if await _count(database, statement):
        return []
    nobody = Finding(
        "error", "Nobody is administrator.", "没有系统管理员。",
        "Run `crm users create LOGIN --role administrator`, then `crm token create --user LOGIN`.",
        "运行 crm users create 登录名 --role administrator，再运行 crm token create --user 登录名。",
    )  # fmt: skip
    return [nobody]


async def _tokens(database: Database) -> list[Finding]:
    forever = (
        select(func.count())
        .select_from(ApiToken)
        .where(ApiToken.expires_at.is_(None), ApiToken.revoked_at.is_(None))
    )
    count = await _count(database, forever)
    if not count:
        return []
    eternal = Finding(
        "hint", f"{count} API token(s) never expire.", f"{count} 个访问令牌永不过期。",
        "Give new ones `--expires 90d` and revoke the old.", "新令牌请加 --expires 90d，并撤销旧令牌。",
    )  # fmt: skip
    return [eternal]


async def _count(database: Database, statement: Select[int]) -> int:
    return int((await database.fetch(statement))[0][0])

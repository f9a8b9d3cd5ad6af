"""What every subcommand starts from: the deployment's settings, and its services while they are needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from sqlalchemy import select

from crm_core import settings as configuration
from crm_core.access.models import User
from crm_core.actors import system
from crm_core.app import services_of
from crm_core.commands import Options, Outcome
from crm_core.db.session import open_database
from crm_core.errors import ConfigurationError, Language, worded
from crm_core.settings import Settings
from crm_core.work import Services, perform

T = TypeVar("T")


class RefusedInWords(Exception):
    """A command was refused; the text is for the person at the terminal."""


def settings_of(context: typer.Context) -> Settings:
    """The settings of `--config`, else of `CRM_CONFIG` or `crm.toml`, and of the environment."""
    path: Path | None = context.find_root().obj
    return configuration.load(path, os.environ)


def in_deployment(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    """Run `work` with the deployment's services; the database must be migrated and within reach."""

    async def run() -> T:
        async with opened(settings) as services:
            return await work(services)

    return asyncio.run(run())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """The deployment's services, its database closed afterwards."""
    database = open_database(settings)
    try:
        yield await services_of(settings, database)
    finally:
        await database.dispose()


async def performed(
    services: Services, kind: str, body: Mapping[str, Any], *, line: str | None = None
) -> Outcome:
    """A command performed as the system; raises `RefusedInWords` when it is refused."""
    actor = system(tuple(services.registry.lines), name="crm")
    options = Options(line=line, channel="cli")
    outcome, _ = await perform(services, actor, kind, body, options)
    if outcome.errors:
        messages = services.registry.messages
        raise RefusedInWords(
            "\n".join(worded(e, messages, terminal_language(os.environ)) for e in outcome.errors)
        )
    return outcome


async def user_of(services: Services, login: str) -> Any:
    """The row of the user with this login; `ConfigurationError` when there is none."""
    table = User.__table__
    rows = await services.database.fetch(select(table).where(table.c.login == login))
    if not rows:
        raise ConfigurationError(f"No user {login}; `crm users create {login}` makes one (没有该用户)")
    return rows[0]


def terminal_language(environ: Mapping[str, str]) -> Language:
    """The language of the terminal: Chinese where the locale says so."""
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh-CN" if locale.lower().startswith("zh") else "en"

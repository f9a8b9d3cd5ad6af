"""`crm worker`: what goes on in the background, without serving anything."""

from __future__ import annotations

import asyncio
import logging.config
import signal

import typer
import uvloop

from crm_core.app import House, services_of, spare_the_collector, utc_now
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.errors import Fault
from crm_core.logs import library_config, logger
from crm_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("worker")(worker)


def worker(context: typer.Context) -> None:
    """Pass events on, send what is due and do the work of the clock, until stopped; besides or instead of a server."""
    settings = settings_of(context)
    logging.config.dictConfig(library_config(settings.log_level))
    uvloop.run(work(settings))


async def work(settings: Settings) -> None:
    """Work in the background until SIGTERM or SIGINT; what is under way then is brought to its end.

    Raises `Behind` for a database that lacks revisions; one that is away is waited for.
    """
    await _refuse_if_behind(settings)
    stop, loop, log = asyncio.Event(), asyncio.get_running_loop(), logger(settings.log_level)
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    house = House(settings, None, utc_now, log, spare_the_collector)
    try:
        log.info("working")
        await house.work(stop)
    finally:
        await house.database.dispose()
    log.info("stopped")


async def _refuse_if_behind(settings: Settings) -> None:
    database = open_database(settings)
    try:
        await services_of(settings, database)
    except Fault as fault:
        typer.echo(f"The database is out of reach; it is tried again: {fault}", err=True)
    finally:
        await database.dispose()

"""`crm serve`: the GraphQL server."""

from __future__ import annotations

import asyncio
import logging.config
import os
from typing import Annotated

import typer
import uvicorn

from crm_core.app import at_the_signal, create_app, services_of, spare_the_collector
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.errors import ConfigurationError, Fault
from crm_core.logs import library_config
from crm_core.schema import refuse_invalid_documents
from crm_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("serve")(serve)


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Server processes; more than one needs PostgreSQL.")
    ] = None,
) -> None:
    """Serve GraphQL at /graphql, with /livez, /readyz and /metrics, and do the work of the background."""
    given = {"host": host, "port": port, "workers": workers}
    settings = settings_of(context).model_copy(update={k: v for k, v in given.items() if v is not None})
    asyncio.run(_refuse_if_unfit(settings))
    run(settings, config=context.find_root().obj)


def run(settings: Settings, *, config: object = None) -> None:
    """Serve these settings until stopped; several workers read them anew from `config` and the environment."""
    logging.config.dictConfig(library_config(settings.log_level))
    several = settings.workers > 1
    if several and config is not None:
        os.environ["CRM_CONFIG"] = str(config)
    uvicorn.run(
        "crm_core.app:from_environment"
        if several
        else create_app(settings, settled=spare_the_collector, ending=at_the_signal),
        factory=several,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=settings.limits.body_bytes,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=20,
    )


async def _refuse_if_unfit(settings: Settings) -> None:
    """Say what is wrong before any process starts; a database that is away is waited for by the server."""
    database = open_database(settings)
    if settings.workers > 1 and database.dialect == "sqlite":
        raise ConfigurationError(
            "Setting workers: SQLite serves one process; use PostgreSQL (SQLite 只支持单进程)"
        )
    try:
        services = await services_of(settings, database)
        if settings.persisted_documents or settings.only_persisted:
            refuse_invalid_documents(settings, services.registry)
    except Fault as fault:
        typer.echo(f"The database is out of reach; serving anyway, it is tried again: {fault}", err=True)
    finally:
        await database.dispose()

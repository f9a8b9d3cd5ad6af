"""`crm serve`: the GraphQL server."""

from __future__ import annotations

import asyncio
import logging.config
import os
from contextlib import suppress
from typing import Annotated, Any, Final

import typer
import uvicorn

from crm_core.app import at_the_signal, create_app, services_of, spare_the_collector
from crm_core.cli.deployment import settings_of
from crm_core.db.session import open_database
from crm_core.errors import ConfigurationError, Fault
from crm_core.logs import library_config
from crm_core.schema import refuse_invalid_documents
from crm_core.settings import Settings

NOT_STARTED: Final = 3
"""Exit code where the port cannot be had, as uvicorn's own."""


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
    run(settings, config=context.find_root().obj)


def run(settings: Settings, *, config: object = None) -> None:
    """Serve these settings until stopped; several workers read them anew from `config` and the environment.

    Raises `ConfigurationError` for what cannot be served, before anything listens; a database that is away is waited for.
    """
    logging.config.dictConfig(library_config(settings.log_level))
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": "httptools",
        "ws": "websockets-sansio",
        "ws_max_size": settings.limits.body_bytes,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 20,
    }
    if settings.workers == 1:
        _run_here(settings, options)
        return
    asyncio.run(_refuse_if_unfit(settings))  # a worker that ends is started again, and again
    if config is not None:
        os.environ["CRM_CONFIG"] = str(config)
    uvicorn.run("crm_core.app:from_environment", factory=True, workers=settings.workers, **options)


def _run_here(settings: Settings, options: dict[str, Any]) -> None:
    """Serve in this process. What is put together to see whether it is fit is what serves then."""
    app = create_app(settings, settled=spare_the_collector, ending=at_the_signal)
    server = uvicorn.Server(uvicorn.Config(app, **options))
    server.config.load()

    async def until_stopped() -> None:
        try:
            await app.state.house.open()
        except ConfigurationError:
            await app.state.house.database.dispose()
            raise
        await server.serve()

    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(until_stopped())
    if not server.started:
        raise typer.Exit(NOT_STARTED)


async def _refuse_if_unfit(settings: Settings) -> None:
    """Say what is wrong before any process starts."""
    database = open_database(settings)
    if database.dialect == "sqlite":
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

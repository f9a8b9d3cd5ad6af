"""`crm events sink`: streams recorded events into NATS JetStream."""

from __future__ import annotations

import asyncio
import importlib
import logging.config
import signal
from typing import Annotated

import typer

from crm_core.cli.deployment import opened, settings_of
from crm_core.errors import ConfigurationError
from crm_core.jobs.addresses import addressed
from crm_core.logs import library_config, logger
from crm_core.settings import Settings


def sink(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="nats://host:port, several parted by commas.")],
    stream: Annotated[
        str, typer.Option(help="Name of the stream; it is made if there is none.")
    ] = "CRM_EVENTS",
    subject: Annotated[
        str, typer.Option(help="Beginning of the subjects; line and kind follow.")
    ] = "crm.events",
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope of what is shown of an event; may be repeated.")
    ] = None,
    *,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="A new stream gets all events, not those from now on alone.")
    ] = False,
) -> None:
    """Stream events into NATS JetStream until stopped: in order, each once, with its id as the message's id.

    Each message has the form of a webhook's body, and goes to SUBJECT.LINE.KIND. A server that is away is waited for.
    """
    settings = settings_of(context)
    logging.config.dictConfig(library_config(settings.log_level))
    servers, _ = addressed(address)
    asyncio.run(
        stream_events(settings, servers, stream, subject, frozenset(scope or ()), from_start=from_start)
    )


async def stream_events(
    settings: Settings,
    servers: list[str],
    stream: str,
    subject: str,
    scopes: frozenset[str],
    *,
    from_start: bool,
) -> None:
    """Stream events until SIGTERM or SIGINT. Raises `ConfigurationError` for a scope that is none."""
    sinking = importlib.import_module(
        "crm_core.webhooks.nats_sink"
    )  # only who streams needs the client of NATS
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    async with opened(settings) as services:
        unknown = sorted(scopes - services.registry.scopes.keys())
        if unknown:
            raise ConfigurationError(f"No scope {unknown[0]} (没有该权限)")
        where = sinking.Sink(servers, stream, subject, scopes | {"event.read"}, from_start)
        await sinking.run(services, where, stop, logger(settings.log_level))

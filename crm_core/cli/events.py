"""`crm events`: how far the feed and its receivers are, and what they could not take in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from crm_core import ids
from crm_core.cli.deployment import RefusedInWords, in_deployment, settings_of
from crm_core.cli.events_sink import sink
from crm_core.errors import ConfigurationError
from crm_core.outbox import feeding
from crm_core.outbox.relay import last_position, unnumbered
from crm_core.registry import Receiver
from crm_core.work import Services

app = typer.Typer(help="Recorded events and who takes them in.", no_args_is_help=True)
app.command()(sink)

Name = Annotated[str | None, typer.Option("--receiver", help="Of this receiver alone.")]
Most = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")]


@app.command()
def status(context: typer.Context) -> None:
    """How many events have no position yet, and how far behind every receiver is; 1 when one cannot go on."""

    async def work(services: Services) -> bool:
        last = await last_position(services)
        typer.echo(f"position {last}, without one: {await unnumbered(services)}")
        rows = await feeding.cursors(services)
        for row in rows:
            wrong = f", failed {row.attempts} times: {row.last_error}" if row.last_error else ""
            until = f", next {_shown(row.next_at)}" if row.next_at else ""
            typer.echo(f"{row.receiver}: at {row.position}, {last - row.position} behind{wrong}{until}")
        return any(row.last_error for row in rows)

    if in_deployment(settings_of(context), work):
        raise typer.Exit(1)


@app.command()
def failures(context: typer.Context, receiver: Name = None, most: Most = 100) -> None:
    """What receivers could not take in and was passed over, latest first; 1 if there is any."""

    async def work(services: Services) -> bool:
        rows = await feeding.failures(services, receiver, most)
        for row in rows:
            event = ids.show("evt", row.event_id)
            typer.echo(
                f"{row.receiver}  {event}  {row.kind} of {row.subject_ref}  {_shown(row.failed_at)}  {row.error}"
            )
        return bool(rows)

    if in_deployment(settings_of(context), work):
        raise typer.Exit(1)


@app.command()
def retry(
    context: typer.Context,
    receiver: Annotated[str, typer.Argument(help="Name of the receiver.")],
    event: Annotated[str | None, typer.Option(help="This event alone (evt_…).")] = None,
    most: Most = 100,
) -> None:
    """Give a receiver again what it could not take in, oldest first; stops at what fails again."""
    key = _event_id(event)

    async def work(services: Services) -> int:
        try:
            return await feeding.retry(services, _receiver(services, receiver), key, most)
        except feeding.ReceiverFailed as failed:
            raise RefusedInWords(f"It failed again: {failed} (重试失败)") from None

    typer.echo(f"Taken in: {in_deployment(settings_of(context), work)}")


def _event_id(shown: str | None) -> UUID | None:
    try:
        return None if shown is None else ids.read_as("evt", shown)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _receiver(services: Services, name: str) -> Receiver:
    known = {receiver.name: receiver for receiver in services.registry.receivers}
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise ConfigurationError(f"No receiver {name}; there are: {there} (没有该接收方)")
    return known[name]


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

"""`crm notices`: send what is due, and try whether a user can be reached."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from crm_core import ids
from crm_core.cli.deployment import RefusedInWords, in_deployment, settings_of, user_of
from crm_core.errors import ConfigurationError
from crm_core.notices import delivering
from crm_core.notices.hooks import TEST
from crm_core.notices.notifier import NoticeMessage, Notifier, Unsent
from crm_core.notices.planning import address_of
from crm_core.notices.queries import people
from crm_core.notices.settings import settings_of as notices_settings
from crm_core.notices.wording import worded
from crm_core.work import Services

app = typer.Typer(help="Notices to users by mail and chat bots.", no_args_is_help=True)


@app.command()
def send(
    context: typer.Context,
    most: Annotated[int, typer.Option(min=1, help="Most deliveries to try.")] = 1_000,
) -> None:
    """Send the deliveries that are due now; for cron, where no server does it."""

    async def work(services: Services) -> int:
        return await delivering.deliver(services, services.registry.notifiers, datetime.now(UTC), most)

    typer.echo(f"Tried {in_deployment(settings_of(context), work)}")


@app.command()
def test(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="Login of the user.")],
    channel: Annotated[str, typer.Argument(help="The channel, e.g. mail or bot.")],
) -> None:
    """Send a test notice to a user at once, without keeping it."""
    address = in_deployment(settings_of(context), lambda services: tested(services, user, channel))
    typer.echo(f"Sent to {address}")


async def tested(services: Services, login: str, channel: str) -> str:
    """Send a test notice; where it went. `ConfigurationError`: no such user or channel; `RefusedInWords`: not taken."""
    user, notifier = await user_of(services, login), services.registry.notifiers.get(channel)
    if notifier is None:
        known = ", ".join(sorted(services.registry.notifiers))
        raise ConfigurationError(f"No channel {channel}; there are {known} (没有该通知渠道)")
    message = await _message(services, user, notifier)
    try:
        await notifier.send(services, message)
    except Unsent as unsent:
        raise RefusedInWords(f"Not sent to {message.address}: {unsent}") from None
    return message.address


async def _message(services: Services, user: Any, notifier: Notifier) -> NoticeMessage:
    async with services.database.transaction() as session:
        person = (await people(session, [user.id])).get(user.id)
    preference = person.preferences.get(notifier.name) if person else None
    address = address_of(services, notifier, preference, person.email) if person else None
    if not address:
        raise RefusedInWords(f"{user.login} is disabled or has no address for {notifier.name} (没有地址)")
    settings = notices_settings(services)
    language = (preference.language if preference else None) or settings.language
    facts = {"name": user.name}
    title, body = worded(services.registry.messages, TEST, facts, language)
    return NoticeMessage(
        id=ids.show("ntd", ids.uuid7()),
        created_at=services.clock(),
        user_id=user.id,
        address=address,
        kind=TEST,
        title=title,
        body=body,
        language=language,
        facts=facts,
        url=settings.link("/"),
    )

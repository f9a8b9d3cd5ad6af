"""`crm token`: API tokens; a token is shown once, when it is made."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from crm_core.access.queries import secret_hash, show_token
from crm_core.cli.deployment import in_deployment, performed, settings_of, user_of
from crm_core.work import Services

app = typer.Typer(help="API tokens.", no_args_is_help=True)


@app.command()
def create(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="Login of the user whose rights it has.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "crm token create",
    lines: Annotated[str | None, typer.Option(help="Only these business lines, comma between.")] = None,
    scopes: Annotated[str | None, typer.Option(help="Only these permissions, comma between.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="`90d`, `2026-12-31` or RFC 3339; default: never.")
    ] = None,
) -> None:
    """Make a token and print it; it is kept nowhere and cannot be shown again."""
    moment = moment_of(expires, datetime.now(UTC)) if expires else None
    token = in_deployment(
        settings_of(context),
        lambda services: created(
            services, user, name, lines=_listed(lines), scopes=_listed(scopes), expires_at=moment
        ),
    )
    typer.echo(f"TOKEN {token}")


@app.command()
def revoke(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(help="Id of the token, `tok_…`, or the token itself.")],
) -> None:
    """Revoke a token; it stops working within seconds."""
    shown = re.sub(r"^crm_([0-9a-f]{32})_.*$", r"tok_\1", token_id)
    in_deployment(settings_of(context), lambda services: performed(services, "token.revoke", {"id": shown}))
    typer.echo(f"Revoked {shown}")


async def created(
    services: Services,
    login: str,
    name: str,
    *,
    lines: list[str] | None = None,
    scopes: list[str] | None = None,
    expires_at: datetime | None = None,
) -> str:
    """A new token of this user, as it is handed out."""
    user, secret = await user_of(services, login), secrets.token_hex(32)
    body = {
        "user_id": user.id,
        "name": name,
        "secret_hash": secret_hash(secret),
        "lines": lines,
        "scopes": scopes,
        "expires_at": expires_at,
    }
    outcome = await performed(services, "token.create", body)
    return show_token(outcome.ids[0], secret)


def moment_of(text: str, now: datetime) -> datetime:
    """The moment meant by `90d` (from now), a day (its end, UTC) or RFC 3339."""
    if days := re.fullmatch(r"(\d{1,5})d", text):
        return now + timedelta(days=int(days[1]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write 90d, 2026-12-31 or 2026-12-31T09:00:00+08:00") from None
    if len(text) == len("2026-12-31"):
        return moment.replace(tzinfo=UTC) + timedelta(days=1)
    if moment.tzinfo is None:
        raise typer.BadParameter("a time needs its zone, e.g. +08:00")
    return moment


def _listed(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None

"""`crm users`: the first users of a deployment, through the same commands as everybody's."""

from __future__ import annotations

from typing import Annotated

import typer

from crm_core import ids
from crm_core.cli.deployment import RefusedInWords, in_deployment, performed, settings_of, user_of
from crm_core.work import Services

app = typer.Typer(help="Users and their roles.", no_args_is_help=True)


@app.command()
def create(
    context: typer.Context,
    login: Annotated[str, typer.Argument(help="Sign-in name.")],
    name: Annotated[str | None, typer.Option(help="The person's name; default: the login.")] = None,
    role: Annotated[str | None, typer.Option(help="Role to give at once, e.g. administrator.")] = None,
    line: Annotated[str | None, typer.Option(help="Line the role is for; default: all lines.")] = None,
) -> None:
    """Make a user; the first administrator: `crm users create alice --role administrator`."""

    async def work(services: Services) -> str:
        outcome = await performed(services, "user.create", {"login": login, "name": name or login})
        if role:
            try:
                await granted(services, login, role, line)
            except RefusedInWords:
                typer.echo(f"{login} was made without a role; next: crm users grant {login} ROLE", err=True)
                raise
        return ids.show("usr", outcome.ids[0])

    typer.echo(in_deployment(settings_of(context), work))


@app.command()
def grant(
    context: typer.Context,
    login: Annotated[str, typer.Argument(help="Sign-in name.")],
    role: Annotated[str, typer.Argument(help="Name of the role.")],
    line: Annotated[str | None, typer.Option(help="Line; default: all lines.")] = None,
) -> None:
    """Give a user a role."""
    in_deployment(settings_of(context), lambda services: granted(services, login, role, line))
    typer.echo(f"{login} is {role} in {line or 'all lines'}")


async def granted(services: Services, login: str, role: str, line: str | None = None) -> None:
    """Give the user of this login the role in a line, or in all."""
    user = await user_of(services, login)
    await performed(services, "role.grant", {"user_id": user.id, "role": role, "line": line})

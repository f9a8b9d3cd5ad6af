"""What begins today (到期生效): postings and assigned customers that were said beforehand take effect on their day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import Field
from sqlalchemy import Select

from crm_core.actors import system
from crm_core.commands import Command, Options, Perform
from crm_core.registry import Chore
from crm_core.work import Services, Work, perform
from crm_telecom_elite.members import queries
from crm_telecom_elite.members.commands import MemberId
from crm_telecom_elite.members.events import EliteMemberMoved
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.members.posting import settle
from crm_telecom_elite.scopes import MEMBER_WRITE
from crm_telecom_elite.teams import queries as team_queries
from crm_telecom_elite.teams.commands import SettleEliteCustomer

MOST_AT_ONCE: Final = 500
"""How many of a line are looked after in one round; the rest follow in the next."""


class SettleEliteMember(Command):
    """Let a member follow the posting whose first day has come (任职生效); done by itself."""

    kind = "elite_member.settle"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")


async def settle_member(work: Work, command: SettleEliteMember) -> EliteMember:
    """The member where his posting of today puts him; without one he stays as he is."""
    member: EliteMember = work.subject
    posting = await work.session.scalar(queries.posting_on(member.id, work.day()))
    if posting is not None and member.state in queries.EMPLOYED:
        await settle(work, member, posting)
        work.record(EliteMemberMoved.of(member, move="settle"))
    return member


async def _look_after(services: Services) -> None:
    """Each member and customer in a transaction of his own; done twice it changes nothing more."""
    for line in sorted(services.registry.lines_of("telecom_elite")):
        day = services.day(line, services.clock())
        for key in await _ids(services, queries.unsettled(line, day, MOST_AT_ONCE)):
            await _perform(services, line, SettleEliteMember(id=key))
        for key in await _ids(services, team_queries.unsettled(line, day, MOST_AT_ONCE)):
            await _perform(services, line, SettleEliteCustomer(id=key))


async def _ids(services: Services, statement: Select[Any]) -> list[UUID]:
    return [row.id for row in await services.database.fetch(statement)]


async def _perform(services: Services, line: str, command: Command) -> None:
    actor = system(tuple(services.registry.lines))
    await perform(services, actor, command.kind, command, Options(line=line, channel="clock"))


COMMANDS: dict[type[Command], Perform] = {SettleEliteMember: settle_member}
CHORES: Sequence[Chore] = (Chore("telecom_elite.settle", timedelta(hours=1), _look_after),)

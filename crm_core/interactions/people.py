"""Who takes part in an interaction, who performs it, which team it counts for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import delete

from crm_core import errors, ids
from crm_core.access.commands import TeamId, UserId
from crm_core.access.models import Team, User
from crm_core.commands import Part, invalid
from crm_core.contacts.commands import ContactId
from crm_core.contacts.models import Contact
from crm_core.errors import Refused
from crm_core.interactions.models import Interaction, Participant
from crm_core.interactions.refusals import OTHER_CUSTOMER, OTHER_LINE, WHO_REQUIRED, ZONE_MISSING
from crm_core.work import Work

Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4_000)]
Long = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]


def _with_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise invalid(ZONE_MISSING)
    return moment


Moment = Annotated[datetime, AfterValidator(_with_zone)]
"""A moment in an input; one without a time zone is refused."""


class ParticipantInput(Part):
    """Who took part: a colleague, a contact of the customer, or a person by name (参与人)."""

    user_id: UserId | None = Field(None, description="A colleague (员工).")
    contact_id: ContactId | None = Field(None, description="A contact of the customer (联系人).")
    name: Short | None = Field(
        None, min_length=1, max_length=120, description="A person not on file, by name (姓名)."
    )


async def performer_of(work: Work, given: UUID | None, path: str = "performerId") -> UUID | None:
    """Who performs it: the colleague named, else the actor himself."""
    if given is None:
        return work.actor.user_id
    return (await work.get(User, given, path)).id


async def team_of(work: Work, given: UUID | None, default: UUID | None, path: str = "teamId") -> UUID | None:
    """The team it counts for: the one named, which must be of the line acted in, else the default."""
    if given is None:
        return default
    team = await work.get(Team, given, path)
    if team.line != work.acting_line:
        raise Refused(OTHER_LINE(path, line=team.line))
    return team.id


async def set_participants(work: Work, row: Interaction, given: Sequence[ParticipantInput]) -> None:
    """Replace who took part; refuses contacts of other customers or lines."""
    await work.session.execute(delete(Participant).where(Participant.interaction_id == row.id))
    await add_participants(work, row, given)


async def add_participants(work: Work, row: Interaction, given: Sequence[ParticipantInput]) -> None:
    """Note who took part; refuses contacts of other customers or lines."""
    for position, one in enumerate(given):
        path = f"participants.{position}"
        if sum(who is not None for who in (one.user_id, one.contact_id, one.name)) != 1:
            raise Refused(WHO_REQUIRED(path))
        if one.user_id is not None:
            await work.get(User, one.user_id, f"{path}.userId")
        if one.contact_id is not None:
            await _refuse_stranger(work, row, one.contact_id, f"{path}.contactId")
        work.add(
            Participant(
                interaction_id=row.id, user_id=one.user_id, contact_id=one.contact_id, name=one.name or ""
            )
        )


async def _refuse_stranger(work: Work, row: Interaction, contact_id: UUID, path: str) -> None:
    contact = await work.get(Contact, contact_id, path)
    if contact.line not in (None, row.line):
        raise Refused(errors.NOT_FOUND(path, type="Contact", id=ids.show("con", contact_id)))
    if contact.customer_id != row.customer_id:
        raise Refused(OTHER_CUSTOMER(path))


__all__ = [
    "Long", "Moment", "ParticipantInput", "Short", "TeamId", "UserId", "Words", "add_participants", "performer_of",
    "set_participants", "team_of",
]  # fmt: skip

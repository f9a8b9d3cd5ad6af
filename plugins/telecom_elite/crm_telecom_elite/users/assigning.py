"""Commands that say whose a user is from a day on: one, several, or all that a member has (用户归属)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_core import errors, ids
from crm_core.access.offboarding import SUCCESSOR_IS_LEAVER
from crm_core.actors import Reach
from crm_core.commands import Command, Perform
from crm_core.errors import Refused, raise_if
from crm_core.work import Work
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.scopes import USER_WRITE
from crm_telecom_elite.setwise import write_alike
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users.entering import Posting, postings, reached
from crm_telecom_elite.users.events import EliteUserAssigned
from crm_telecom_elite.users.inputs import (
    ASSIGNED_LATER,
    CENTRE_ONLY,
    NOT_POSTED,
    ONE_HOLDER,
    EliteTeamId,
    EliteUserId,
    MemberId,
)
from crm_telecom_elite.users.models import EliteAssignment, EliteUser
from crm_telecom_elite.users.queries import assignments_of, held_from, users_held_from


class _Assignment(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = USER_WRITE
    returns: ClassVar[str | list[str]] = "EliteUser"
    valid_from: date = Field(description="The first day it holds (生效日期).")
    member_id: MemberId | None = Field(None, description="Who has them then, with his team (成员).")
    elite_team_id: EliteTeamId | None = Field(
        None, description="Or: the team that has them as a whole (团队)."
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is to have users: a member, or a team as a whole; whose account sees them, and where he sits when."""

    member_id: UUID | None
    owner_id: UUID | None
    seats: Sequence[Posting]

    @classmethod
    def whole(cls, team: EliteTeam, owner_id: UUID | None = None) -> Holder:
        """A team as a whole, at any time."""
        return cls(None, owner_id, [Posting(date.min, None, team.id, team.team_id, team.kind)])

    def sits(self, day: date) -> bool:
        """Whether he has a team on a day."""
        return any(one.holds(day) for one in self.seats)

    def seat(self, day: date) -> Posting:
        """His team on a day; refused where he has none."""
        found = next((one for one in self.seats if one.holds(day)), None)
        if found is None:
            raise Refused(NOT_POSTED("validFrom", day=day.isoformat()))
        return found


# -- one


class AssignEliteUser(_Assignment):
    """Give a user to another member, or to a team as a whole, from a day on (变更用户归属).

    What is received from that day on is theirs; what was received before stays with who had him.
    """

    kind = "elite_user.assign"
    subject = "id"
    id: EliteUserId = Field(description="The user.")


async def assign_user(work: Work, command: AssignEliteUser) -> EliteUser:
    """The user; whoever takes over sees him at once. Both must be within reach of who assigns."""
    user: EliteUser = work.subject
    holder = await _holder(work, command)
    latest = (await assignments(work, [user.id]))[-1]
    if command.valid_from < latest.valid_from:
        raise Refused(ASSIGNED_LATER("validFrom", day=latest.valid_from.isoformat()))
    await give(work, [(user, latest)], holder, command.valid_from)
    return user


async def _holder(work: Work, command: _Assignment) -> Holder:
    """Who is to have users, as far as the actor reaches; refuses who sits in no team on the first day."""
    if (command.member_id is None) == (command.elite_team_id is None):
        raise Refused(ONE_HOLDER("memberId"))
    if command.elite_team_id is not None:
        return await _team(work, command.elite_team_id)
    assert command.member_id is not None, "one of both is given"
    holder = await _member(work, command.member_id)
    holder.seat(command.valid_from)
    return holder


async def _team(work: Work, key: UUID) -> Holder:
    refuse_other_than_centre(work, "eliteTeamId")
    team = await work.get(EliteTeam, key, "eliteTeamId")
    if team.line != work.acting_line:
        raise Refused(errors.WRONG_LINE("eliteTeamId", given=work.acting_line, line=team.line))
    return Holder.whole(team)


async def _member(work: Work, key: UUID) -> Holder:
    member = (await reached(work, EliteMember, [key], USER_WRITE)).get(key)
    if member is None or member.line != work.acting_line:
        raise Refused(errors.NOT_FOUND("memberId", type="EliteMember", id=ids.show("elm", key)))
    return Holder(key, member.owner_id, (await postings(work, [key])).get(key, ()))


# -- several


class AssignEliteUsers(_Assignment):
    """Give several users to another member, or to a team as a whole, from a day on; all or none (批量变更用户归属)."""

    kind = "elite_user.assign_many"
    bulk_of = "elite_user.assign"
    returns: ClassVar[str | list[str]] = ["EliteUser"]
    ids: list[EliteUserId] = Field(min_length=1, description="The users; at most 100 by default (用户).")


async def assign_users(work: Work, command: AssignEliteUsers) -> list[EliteUser]:
    """The users in the order given, each once; refuses naming each one that cannot be assigned."""
    most = work.services.settings.limits.bulk_max
    if len(command.ids) > most:
        raise Refused(errors.TOO_MANY("ids", limit=most, given=len(command.ids)))
    holder = await _holder(work, command)
    found = await reached(work, EliteUser, command.ids, USER_WRITE, lock=True)
    raise_if(
        errors.NOT_FOUND(f"ids.{place}", type="EliteUser", id=ids.show("elu", key))
        for place, key in enumerate(command.ids)
        if key not in found or found[key].line != work.acting_line
    )
    latest = {row.user_id: row for row in await assignments(work, command.ids)}
    raise_if(
        ASSIGNED_LATER(f"ids.{place}", day=latest[key].valid_from.isoformat())
        for place, key in enumerate(command.ids)
        if command.valid_from < latest[key].valid_from
    )
    users = [found[key] for key in dict.fromkeys(command.ids)]
    await give(work, [(user, latest[user.id]) for user in users], holder, command.valid_from)
    return users


# -- all


class HandOverEliteUsers(_Assignment):
    """Give all users that a member has to another, or to a team as a whole, from a day on (用户整体交接).

    One that he is to have from a later day on goes with them. What was received before stays with who had each; who
    developed them stays as it was.
    """

    kind = "elite_user.hand_over"
    bulk_of = "elite_user.assign"
    returns: ClassVar[str | list[str]] = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="Who has them now (原归属成员).")


async def hand_over(work: Work, command: HandOverEliteUsers) -> EliteMember:
    """The member who had them; refuses when some of them are out of reach of who hands over."""
    member: EliteMember = work.subject
    if command.member_id == member.id:
        raise Refused(SUCCESSOR_IS_LEAVER("memberId"))
    holder = await _holder(work, command)
    held = await held_by(work, [member.id], command.valid_from)
    users = [user.id for user, _ in held]
    if held and len(await reached(work, EliteUser, users, USER_WRITE)) < len(set(users)):
        raise Refused(CENTRE_ONLY("id", scope=USER_WRITE))
    await give(work, held, holder, command.valid_from)
    return member


async def held_by(work: Work, members: Sequence[UUID], day: date) -> list[tuple[EliteUser, EliteAssignment]]:
    """What these members have on a day or later: each assignment with its user, both locked."""
    dialect = work.services.database.dialect
    users = {user.id: user for user in await work.session.scalars(users_held_from(members, day, dialect))}
    rows = await work.session.scalars(held_from(members, day, dialect))
    return [(users[row.user_id], row) for row in rows]


# -- what all of them do


async def assignments(work: Work, users: Iterable[UUID]) -> list[EliteAssignment]:
    """All assignments of these users, the earliest first."""
    found = await work.session.scalars(assignments_of(users, work.services.database.dialect))
    return list(found.all())


async def give(
    work: Work, held: Sequence[tuple[EliteUser, EliteAssignment]], holder: Holder, day: date
) -> None:
    """Let these assignments be another's from a day on; who has the last one of a user sees him at once."""
    followed: dict[tuple[UUID, UUID | None] | None, dict[UUID, EliteUser]] = {}
    for user, row in held:
        is_last, first = row.valid_to is None, max(day, row.valid_from)
        seat = holder.seat(first)
        _pass_on(work, row, holder, seat, day)
        work.record(
            EliteUserAssigned.of(
                user,
                team=ids.show("elt", seat.elite_team_id),
                member=ids.show("elm", holder.member_id) if holder.member_id else None,
                valid_from=first,
            )
        )
        sees = (seat.team_id, holder.owner_id) if is_last else None
        followed.setdefault(sees, {})[user.id] = user
    await _follow(work, followed)


def _pass_on(work: Work, row: EliteAssignment, holder: Holder, seat: Posting, day: date) -> None:
    """End the assignment and begin another up to where it ended; one of that day or later is changed."""
    if row.valid_from >= day:
        row.elite_team_id, row.member_id = seat.elite_team_id, holder.member_id
        return
    work.add(
        EliteAssignment(
            user_id=row.user_id,
            elite_team_id=seat.elite_team_id,
            member_id=holder.member_id,
            valid_from=day,
            valid_to=row.valid_to,
        )
    )
    row.valid_to = day


async def _follow(work: Work, followed: dict[tuple[UUID, UUID | None] | None, dict[UUID, EliteUser]]) -> None:
    """Write who sees them, a statement for each team; each user once, however many of his assignments changed."""
    done: set[UUID] = set()
    for sees, users in sorted(followed.items(), key=lambda one: one[0] is None):
        these = [user for key, user in users.items() if key not in done]
        done |= users.keys()
        values = {} if sees is None else {"team_id": sees[0], "owner_id": sees[1]}
        await write_alike(work, these, **values)


def refuse_other_than_centre(work: Work, path: str) -> None:
    """Refuse whose reach is not the line."""
    actor = work.actor
    if not actor.is_system and actor.reach(USER_WRITE).get(work.acting_line, Reach.OWN) < Reach.LINE:
        raise Refused(CENTRE_ONLY(path, scope=USER_WRITE))


COMMANDS: dict[type[Command], Perform] = {
    AssignEliteUser: assign_user,
    AssignEliteUsers: assign_users,
    HandOverEliteUsers: hand_over,
}

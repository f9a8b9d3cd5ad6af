"""Gives the users a leaver has to his successor (发展用户交接), like an assignment of each from today on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import select

from crm_core.registry import Handover
from crm_core.work import Work
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.members.queries import memberships_of
from crm_telecom_elite.setwise import write_alike
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users.assigning import Holder, give, held_by
from crm_telecom_elite.users.entering import postings
from crm_telecom_elite.users.events import EliteUserUpdated
from crm_telecom_elite.users.models import EliteAssignment, EliteUser


async def hand_over_users(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """The users of the leaver in the line; how many.

    They become the successor's where he is a member who sits in a team today; one that the leaver is to have from a
    day on which the successor sits in none, and all where he sits in none today, become their team's as a whole, and
    the successor sees them.
    """
    if line is None:
        return 0
    his = select(EliteMember.id).where(EliteMember.line == line, EliteMember.owner_id == leaver)
    day = work.day()
    held = await held_by(work, (await work.session.scalars(his)).all(), day)
    heir = await _member(work, successor, day)
    theirs = held
    if heir is not None:
        await give(work, [one for one in held if heir.sits(_since(one[1], day))], heir, day)
        theirs = [one for one in held if not heir.sits(_since(one[1], day))]
    await _to_teams(work, theirs, successor, day)
    return len({user.id for user, _ in held}) + await _seen(work, leaver, successor, line)


def _since(row: EliteAssignment, day: date) -> date:
    """The first day an assignment that is given from a day on is another's."""
    return max(day, row.valid_from)


async def _member(work: Work, successor: UUID, day: date) -> Holder | None:
    member = await work.session.scalar(memberships_of(work.acting_line, successor))
    if member is None:
        return None
    seats = (await postings(work, [member.id])).get(member.id, [])
    heir = Holder(member.id, successor, seats)
    return heir if heir.sits(day) else None


async def _to_teams(
    work: Work, held: Sequence[tuple[EliteUser, EliteAssignment]], successor: UUID, day: date
) -> None:
    of_team: dict[UUID, list[tuple[EliteUser, EliteAssignment]]] = {}
    for user, row in held:
        of_team.setdefault(row.elite_team_id, []).append((user, row))
    teams = await work.session.scalars(select(EliteTeam).where(EliteTeam.id.in_(list(of_team))))
    for team in sorted(teams, key=lambda team: team.id):
        await give(work, of_team[team.id], Holder.whole(team, successor), day)


async def _seen(work: Work, leaver: UUID, successor: UUID, line: str) -> int:
    """Users that no member has, and whom the leaver saw as somebody's successor."""
    seen = select(EliteUser).where(EliteUser.line == line, EliteUser.owner_id == leaver)
    users = (await work.session.scalars(seen.order_by(EliteUser.id).with_for_update())).all()
    for user in users:
        work.record(EliteUserUpdated.of(user))
    await write_alike(work, users, owner_id=successor)
    return len(users)


HANDOVERS = (Handover("elite_users", hand_over_users),)

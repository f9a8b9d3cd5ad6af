"""Commands on developed users: enter, correct, give to another team or member, approve as legacy, end."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from crm_core import errors, ids
from crm_core.actors import Reach
from crm_core.commands import Command, Perform, omitted
from crm_core.customers.inputs import CustomerId
from crm_core.customers.models import Customer
from crm_core.errors import Refused, raise_if
from crm_core.work import Work
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.rates.queries import rates_of
from crm_telecom_elite.scopes import USER_WRITE
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users.entering import commission_months, entered, postings, reached
from crm_telecom_elite.users.events import (
    EliteUserAssigned,
    EliteUserEnded,
    EliteUserLegacyApproved,
    EliteUserUpdated,
)
from crm_telecom_elite.users.inputs import (
    ASSIGNED_LATER,
    CENTRE_ONLY,
    ENDS_BEFORE,
    FIT_FOR_NO_LIST,
    MOST_USERS,
    NOT_POSTED,
    NUMBER_KNOWN,
    ONE_HOLDER,
    EliteTeamId,
    EliteUserId,
    MemberId,
    NewEliteUser,
    UserNumber,
)
from crm_telecom_elite.users.models import EliteAssignment, EliteUser
from crm_telecom_elite.users.queries import assignments_of, numbered


class CreateEliteUser(NewEliteUser, Command):
    """Enter a developed user (发展用户建档). The team is the one his developer sat in on the day of activation."""

    kind = "elite_user.create"
    scope = USER_WRITE
    returns = "EliteUser"


async def create_user(work: Work, command: CreateEliteUser) -> EliteUser:
    """The new user with the months that earn commission (MO-042), and his first assignment."""
    return (await entered(work, [("", command)]))[0]


class CreateEliteUsers(Command):
    """Enter many developed users at once (批量发展用户建档): all of them, or none and what is wrong with each."""

    kind = "elite_user.create_many"
    scope = USER_WRITE
    returns = ["EliteUser"]  # noqa: RUF012  # read, never changed
    users: list[NewEliteUser] = Field(min_length=1, max_length=MOST_USERS, description="The users (用户).")

    def records(self) -> int:
        """As many as are given."""
        return len(self.users)


async def create_users(work: Work, command: CreateEliteUsers) -> list[EliteUser]:
    """The new users in the order given."""
    return await entered(work, [(f"users.{place}", one) for place, one in enumerate(command.users)])


class UpdateEliteUser(Command):
    """Correct a developed user; what is left out stays (发展用户更正). Another day of activation gives other months."""

    kind = "elite_user.update"
    scope = USER_WRITE
    returns = "EliteUser"
    subject = "id"
    id: EliteUserId = Field(description="The user.")
    number: UserNumber = omitted(description="Number by which billing knows him (用户号码).")
    customer_id: CustomerId | None = omitted(description="The customer he belongs to (集团客户).")
    activated_on: date = omitted(description="Day of activation; the Centre corrects it (激活日期, MO-042).")
    group_user: bool = omitted(description="Whether he counts as a group user (CDMA集团用户, MO-072).")


async def update_user(work: Work, command: UpdateEliteUser) -> EliteUser:
    """The corrected user. The day of activation decides on commission: the Centre alone changes it."""
    user: EliteUser = work.subject
    given = command.given()
    if given.get("number", user.number) != user.number:
        await _refuse_known(work, command.number)
    if given.get("customer_id") is not None:
        await work.get(Customer, given["customer_id"], "customerId")
    if given.get("activated_on", user.activated_on) != user.activated_on:
        _refuse_other_than_centre(work, "activatedOn")
        await _activate(work, user, command.activated_on)
    for column in given.keys() & {"number", "customer_id", "group_user"}:
        setattr(user, column, given[column])
    work.record(EliteUserUpdated.of(user))
    return user


async def _activate(work: Work, user: EliteUser, day: date) -> None:
    """The day of activation corrected, and with it his months and the beginning of his first assignment."""
    first = (await _assignments(work, user))[0]
    if first.valid_to is not None and day >= first.valid_to:
        raise Refused(ASSIGNED_LATER("activatedOn", day=first.valid_to.isoformat()))
    kind = await work.session.scalar(select(EliteTeam.kind).where(EliteTeam.id == first.elite_team_id))
    assert kind is not None, "a foreign key holds it"
    rates = await rates_of(work.session, user.line)
    user.first_month, user.last_month = commission_months(rates, kind, day)
    if first.valid_from == user.activated_on:
        first.valid_from = day
    user.activated_on = day


class AssignEliteUser(Command):
    """Give a user to another member, or to a team as a whole, from a day on (变更用户归属).

    What is received from that day on is theirs; what was received before stays with who had him.
    """

    kind = "elite_user.assign"
    scope = USER_WRITE
    returns = "EliteUser"
    subject = "id"
    id: EliteUserId = Field(description="The user.")
    valid_from: date = Field(description="The first day it holds (生效日期).")
    member_id: MemberId | None = Field(None, description="Who has him then, with his team (成员).")
    elite_team_id: EliteTeamId | None = Field(
        None, description="Or: the team that has him as a whole (团队)."
    )


async def assign_user(work: Work, command: AssignEliteUser) -> EliteUser:
    """The user; whoever takes over sees him at once. Both must be within reach of who assigns."""
    user: EliteUser = work.subject
    if (command.member_id is None) == (command.elite_team_id is None):
        raise Refused(ONE_HOLDER("memberId"))
    team_id, elite_team_id, owner_id = await _holder(work, command)
    await _reassign(work, user, command, elite_team_id)
    user.team_id, user.owner_id = team_id, owner_id
    work.record(
        EliteUserAssigned.of(
            user,
            team=ids.show("elt", elite_team_id),
            member=ids.show("elm", command.member_id) if command.member_id else None,
            valid_from=command.valid_from,
        )
    )
    return user


async def _holder(work: Work, command: AssignEliteUser) -> tuple[UUID, UUID, UUID | None]:
    """Team of the line, team of the elite and account of who is to have the user."""
    if command.member_id is not None:
        return await _of_member(work, command.member_id, command.valid_from)
    _refuse_other_than_centre(work, "eliteTeamId")
    assert command.elite_team_id is not None, "one of both is given"
    team = await work.get(EliteTeam, command.elite_team_id, "eliteTeamId")
    if team.line != work.acting_line:
        raise Refused(errors.WRONG_LINE("eliteTeamId", given=work.acting_line, line=team.line))
    return team.team_id, team.id, None


async def _of_member(work: Work, key: UUID, day: date) -> tuple[UUID, UUID, UUID | None]:
    member = (await reached(work, EliteMember, [key], USER_WRITE)).get(key)
    if member is None or member.line != work.acting_line:
        raise Refused(errors.NOT_FOUND("memberId", type="EliteMember", id=ids.show("elm", key)))
    his = (await postings(work, [key])).get(key, [])
    posting = next((one for one in his if one.holds(day)), None)
    if posting is None:
        raise Refused(NOT_POSTED("validFrom", day=day.isoformat()))
    return posting.team_id, posting.elite_team_id, member.owner_id


async def _reassign(work: Work, user: EliteUser, command: AssignEliteUser, elite_team_id: UUID) -> None:
    """End the assignment that holds and begin another; one of the same day is changed."""
    latest = (await _assignments(work, user))[-1]
    if command.valid_from < latest.valid_from:
        raise Refused(ASSIGNED_LATER("validFrom", day=latest.valid_from.isoformat()))
    if command.valid_from == latest.valid_from:
        latest.elite_team_id, latest.member_id = elite_team_id, command.member_id
        return
    latest.valid_to = command.valid_from
    work.add(
        EliteAssignment(
            user_id=user.id,
            elite_team_id=elite_team_id,
            member_id=command.member_id,
            valid_from=command.valid_from,
        )
    )


async def _assignments(work: Work, user: EliteUser) -> list[EliteAssignment]:
    found = await work.session.scalars(assignments_of([user.id], work.services.database.dialect))
    return list(found.all())


class ApproveLegacyUsers(Command):
    """Put users developed before the elite on the approved list (原发展用户列入提成基数, MO-038); the Centre does it.

    What is received from them earns commission from that day on, within their own first months.
    """

    kind = "elite_user.approve_legacy"
    scope = USER_WRITE
    returns = ["EliteUser"]  # noqa: RUF012  # read, never changed
    ids: list[EliteUserId] = Field(min_length=1, max_length=MOST_USERS, description="The users (用户).")
    approved_on: date = Field(description="From which day on (列入日期).")

    def records(self) -> int:
        """As many as are given."""
        return len(set(self.ids))


async def approve_legacy(work: Work, command: ApproveLegacyUsers) -> list[EliteUser]:
    """The users on the list; refuses all if one is no legacy user of the line."""
    _refuse_other_than_centre(work, "ids")
    found = await reached(work, EliteUser, command.ids, USER_WRITE)
    raise_if(
        errors.NOT_FOUND(f"ids.{place}", type="EliteUser", id=ids.show("elu", key))
        for place, key in enumerate(command.ids)
        if key not in found or found[key].line != work.acting_line
    )
    raise_if(
        FIT_FOR_NO_LIST(f"ids.{place}", number=found[key].number)
        for place, key in enumerate(command.ids)
        if not found[key].legacy
    )
    listed = [found[key] for key in dict.fromkeys(command.ids)]
    for user in listed:
        user.legacy_approved_on = command.approved_on
        work.record(EliteUserLegacyApproved.of(user))
    return listed


class EndEliteUser(Command):
    """Note that a user left the operator (用户离网). What is still received for his bills counts as before."""

    kind = "elite_user.end"
    scope = USER_WRITE
    returns = "EliteUser"
    subject = "id"
    id: EliteUserId = Field(description="The user.")
    ended_on: date = Field(description="His last day (离网日期).")


async def end_user(work: Work, command: EndEliteUser) -> EliteUser:
    """The user with his last day."""
    user: EliteUser = work.subject
    if command.ended_on < user.activated_on:
        raise Refused(ENDS_BEFORE("endedOn", day=user.activated_on.isoformat()))
    user.ended_on = command.ended_on
    work.record(EliteUserEnded.of(user))
    return user


async def _refuse_known(work: Work, number: str) -> None:
    line = work.acting_line
    if (await work.session.execute(numbered(line, [number], work.services.database.dialect))).first():
        raise Refused(NUMBER_KNOWN("number", number=number, line=line))


def _refuse_other_than_centre(work: Work, path: str) -> None:
    actor = work.actor
    if not actor.is_system and actor.reach(USER_WRITE).get(work.acting_line, Reach.OWN) < Reach.LINE:
        raise Refused(CENTRE_ONLY(path, scope=USER_WRITE))


COMMANDS: dict[type[Command], Perform] = {
    CreateEliteUser: create_user,
    CreateEliteUsers: create_users,
    UpdateEliteUser: update_user,
    AssignEliteUser: assign_user,
    ApproveLegacyUsers: approve_legacy,
    EndEliteUser: end_user,
}

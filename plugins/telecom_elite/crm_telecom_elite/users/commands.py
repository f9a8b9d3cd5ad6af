"""Commands on developed users: enter, correct, approve as legacy, end; those that give them away are of `assigning`."""

from __future__ import annotations

from datetime import date

from pydantic import Field
from sqlalchemy import select

from crm_core import errors, ids
from crm_core.commands import Command, Perform, omitted
from crm_core.customers.inputs import CustomerId
from crm_core.customers.models import Customer
from crm_core.errors import Refused, raise_if
from crm_core.work import Work
from crm_telecom_elite.rates.queries import rates_of
from crm_telecom_elite.scopes import USER_WRITE
from crm_telecom_elite.teams.models import EliteTeam
from crm_telecom_elite.users import assigning
from crm_telecom_elite.users.assigning import assignments, refuse_other_than_centre
from crm_telecom_elite.users.entering import commission_months, entered, reached
from crm_telecom_elite.users.events import (
    EliteUserEnded,
    EliteUserLegacyApproved,
    EliteUserUpdated,
)
from crm_telecom_elite.users.inputs import (
    ASSIGNED_LATER,
    ENDS_BEFORE,
    FIT_FOR_NO_LIST,
    MOST_USERS,
    NUMBER_KNOWN,
    EliteUserId,
    NewEliteUser,
    UserNumber,
)
from crm_telecom_elite.users.models import EliteUser
from crm_telecom_elite.users.queries import numbered


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
        refuse_other_than_centre(work, "activatedOn")
        await _activate(work, user, command.activated_on)
    for column in given.keys() & {"number", "customer_id", "group_user"}:
        setattr(user, column, given[column])
    work.record(EliteUserUpdated.of(user))
    return user


async def _activate(work: Work, user: EliteUser, day: date) -> None:
    """The day of activation corrected, and with it his months and the beginning of his first assignment."""
    first = (await assignments(work, [user.id]))[0]
    if first.valid_to is not None and day >= first.valid_to:
        raise Refused(ASSIGNED_LATER("activatedOn", day=first.valid_to.isoformat()))
    kind = await work.session.scalar(select(EliteTeam.kind).where(EliteTeam.id == first.elite_team_id))
    assert kind is not None, "a foreign key holds it"
    rates = await rates_of(work.session, user.line)
    user.first_month, user.last_month = commission_months(rates, kind, day)
    if first.valid_from == user.activated_on:
        first.valid_from = day
    user.activated_on = day


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
    refuse_other_than_centre(work, "ids")
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


COMMANDS: dict[type[Command], Perform] = {
    CreateEliteUser: create_user,
    CreateEliteUsers: create_users,
    UpdateEliteUser: update_user,
    **assigning.COMMANDS,
    ApproveLegacyUsers: approve_legacy,
    EndEliteUser: end_user,
}

"""Commands on contact plans: planning contacts with a customer, and the short report after each (接触计划)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import delete, select

from crm_core import errors, ids
from crm_core.access.commands import UserId
from crm_core.access.models import User
from crm_core.commands import Command, Part, Perform, omitted
from crm_core.contacts.commands import ContactId
from crm_core.customers.inputs import CustomerId
from crm_core.customers.models import Customer
from crm_core.errors import Message, Refused
from crm_core.interactions.commands import CompleteInteraction, LogInteraction
from crm_core.interactions.models import Interaction, InteractionReport, InteractionStatus
from crm_core.interactions.people import Long, Moment, ParticipantInput, Words
from crm_core.interactions.queries import customer_line
from crm_core.interactions.refusals import CONTENT_REQUIRED, IN_FUTURE
from crm_core.interactions.reports import send_reports
from crm_core.interactions.tasks import InteractionId
from crm_core.moves import moved
from crm_core.notices.notifying import notify
from crm_core.registry import NoticeKind
from crm_core.work import Work
from crm_telecom_elite.plans.events import (
    EliteContactPlanCreated,
    EliteContactPlanUpdated,
    ElitePlannedContactAdded,
    ElitePlannedContactCancelled,
    ElitePlannedContactHeld,
    ElitePlannedContactReminded,
    ElitePlannedContactReported,
    ElitePlannedContactUpdated,
)
from crm_telecom_elite.plans.inputs import (
    PLAN_EXISTS,
    ContactPlanId,
    Goal,
    Noted,
    PlannedContactId,
    Said,
    Year,
    refuse_stranger,
    user_of,
)
from crm_telecom_elite.plans.models import (
    CONTACT_LIFE,
    EliteContactPlan,
    EliteContactPlanRecipient,
    EliteContactState,
    ElitePlannedContact,
    EliteWay,
)
from crm_telecom_elite.plans.queries import figure_for, of_customer, report_missing
from crm_telecom_elite.scopes import PLAN_WRITE

RULE = "MO-520"
MOST_REMINDED = 500
OUTSIDE_YEAR = Message(
    "TELECOM_ELITE_CONTACT_OUTSIDE_YEAR",
    "{day} is not in {year}, the year of the plan.",
    "{day} 不在计划年度 {year} 内。",
    rule=RULE,
)
OTHER_CONTACT = Message(
    "TELECOM_ELITE_INTERACTION_DOES_NOT_FIT",
    "That interaction is another customer's or line's, was called off, or fulfilled another planned contact.",
    "该互动属于其他客户或业务线、已取消，或已对应其他计划接触。",
    rule=RULE,
)
NOT_OPEN = Message(
    "TELECOM_ELITE_CONTACT_NOT_OPEN",
    "Only a contact that is still planned can be changed; this one is {state}.",
    "只有未进行的计划接触可以修改；当前状态为 {state}。",
    rule=RULE,
)
MESSAGES = (OUTSIDE_YEAR, OTHER_CONTACT, NOT_OPEN)

MISSING = "telecom_elite.report_missing"
REPORTED = "telecom_elite.contact_reported"
NOTICES = (
    NoticeKind(
        MISSING,
        "{count} 次客户接触缺简报",
        "{count} contact(s) without report",
        "以下接触事后未提交简报：\n{customers}",
        "These contacts lack their short report:\n{customers}",
    ),
    NoticeKind(
        REPORTED,
        "客户接触简报：{customer}",
        "Contact report: {customer}",
        "{who} 提交了与 {customer} 接触的简报，请在系统内查阅。",
        "{who} reported on a contact with {customer}; read it in your short reports.",
    ),
)
KINDS = {EliteWay.LETTER: "letter", EliteWay.PHONE: "call", EliteWay.MEETING: "meeting"}
"""The kind of interaction that each way of contact is."""


class ElitePlannedContactInput(Part):
    """A contact that is to take place (计划接触)."""

    way: EliteWay = Field(description="Letter, telephone, meeting (接触方式).")
    due_on: date = Field(description="By when (计划日期).")
    purpose: Noted = Field("", description="What it is to reach (接触目的).")
    contact_id: ContactId | None = Field(
        None, description="With whom of the customer (客户方人员); name the key person, MO-521."
    )
    owner_id: UserId | None = Field(None, description="Who of us; default: the plan's owner (我方责任人).")


# -- the plan


class CreateContactPlan(Command):
    """Make the contact plan of a customer for a year (制订客户接触计划, MO-520)."""

    kind = "elite_contact_plan.create"
    scope = PLAN_WRITE
    returns = "EliteContactPlan"
    customer_id: CustomerId = Field(description="The customer (客户).")
    year: Year = Field(description="For which year (年度).")
    goal: Goal = Field(description="What contacts are to reach (目标描述).")
    owner_id: UserId | None = Field(
        None, description="Who is responsible; default: the customer's owner in the line (责任人)."
    )
    report_to: list[UserId] = Field(
        default_factory=list,
        max_length=50,
        description="Who gets every short report, besides the holders of the reporting roles (简报接收人).",
    )
    contacts: list[ElitePlannedContactInput] = Field(
        default_factory=list, max_length=100, description="Contacts planned (计划接触)."
    )


async def create_contact_plan(work: Work, command: CreateContactPlan) -> EliteContactPlan:
    """The plan with its contacts; refuses a second one for customer and year in the line acted in."""
    line = await customer_line(work, command.customer_id, "customerId", PLAN_WRITE)
    await _refuse_second(work, command.customer_id, command.year)
    owner = line.owner_id or work.actor.user_id
    if command.owner_id is not None:
        owner = await user_of(work, command.owner_id)
    plan = work.add(
        EliteContactPlan(
            line=work.acting_line,
            customer_id=command.customer_id,
            owner_id=owner,
            year=command.year,
            begins_on=date(command.year, 1, 1),
            ends_on=date(command.year, 12, 31),
            goal=command.goal,
        )
    )
    work.record(EliteContactPlanCreated.of(plan))
    await _add_recipients(work, plan, command.report_to)
    days = await _report_days(work, plan.customer_id)
    for position, one in enumerate(command.contacts):
        await _add_contact(work, plan, one, days, f"contacts.{position}.")
    return plan


async def _refuse_second(work: Work, customer_id: UUID, year: int) -> None:
    found = await work.session.scalar(
        select(EliteContactPlan.id).where(
            EliteContactPlan.line == work.acting_line,
            EliteContactPlan.customer_id == customer_id,
            EliteContactPlan.year == year,
        )
    )
    if found is not None:
        raise Refused(PLAN_EXISTS("year", rule=RULE, year=year, plan=ids.show("ecp", found)))


async def _add_recipients(work: Work, plan: EliteContactPlan, given: Sequence[UUID]) -> None:
    for position, one in enumerate(dict.fromkeys(given)):
        user = await work.get(User, one, f"reportTo.{position}")
        work.add(EliteContactPlanRecipient(plan_id=plan.id, user_id=user.id))


async def _add_contact(
    work: Work, plan: EliteContactPlan, given: ElitePlannedContactInput, days: int, path: str = ""
) -> ElitePlannedContact:
    await refuse_stranger(work, plan.customer_id, given.contact_id, f"{path}contactId")
    _refuse_outside(plan, given.due_on, f"{path}dueOn")
    owner = plan.owner_id if given.owner_id is None else await user_of(work, given.owner_id, f"{path}ownerId")
    row = work.add(
        ElitePlannedContact(
            line=plan.line,
            plan_id=plan.id,
            customer_id=plan.customer_id,
            contact_id=given.contact_id,
            owner_id=owner,
            way=given.way.value,
            purpose=given.purpose,
            due_on=given.due_on,
            state=CONTACT_LIFE.initial,
            report_due_on=_report_due(work, given.due_on, days),
        )
    )
    work.record(ElitePlannedContactAdded.of(row))
    return row


def _refuse_outside(plan: EliteContactPlan, day: date, path: str) -> None:
    if not plan.begins_on <= day <= plan.ends_on:
        raise Refused(OUTSIDE_YEAR(path, day=day.isoformat(), year=plan.year))


async def _report_days(work: Work, customer_id: UUID) -> int:
    return await figure_for(work, "contact_report_days", customer_id, work.day())


def _report_due(work: Work, day: date, days: int) -> date:
    """So many working days after a contact; the day itself where none."""
    return work.services.calendar(work.acting_line).add_working_days(day, days).date if days else day


class UpdateContactPlan(Command):
    """Change a contact plan; what is left out stays, `reportTo` replaces all (修改接触计划)."""

    kind = "elite_contact_plan.update"
    scope = PLAN_WRITE
    returns = "EliteContactPlan"
    subject = "id"
    id: ContactPlanId = Field(description="The plan.")
    goal: Goal = omitted(description="What contacts are to reach (目标描述).")
    owner_id: UserId = omitted(description="Who is responsible (责任人).")
    report_to: list[UserId] = omitted(max_length=50, description="Who gets every short report (简报接收人).")


async def update_contact_plan(work: Work, command: UpdateContactPlan) -> EliteContactPlan:
    """The changed plan; contacts planned already keep who of us they are with."""
    plan: EliteContactPlan = work.subject
    given = command.given()
    plan.goal = given.get("goal", plan.goal)
    if "owner_id" in given:
        plan.owner_id = await user_of(work, command.owner_id)
    if "report_to" in given:
        table = EliteContactPlanRecipient.__table__
        await work.session.execute(delete(table).where(table.c.plan_id == plan.id))
        await _add_recipients(work, plan, command.report_to)
    work.record(EliteContactPlanUpdated.of(plan))
    return plan


# -- its contacts


class AddPlannedContact(ElitePlannedContactInput, Command):
    """Plan a further contact with the customer of a plan (增加计划接触)."""

    kind = "elite_planned_contact.add"
    scope = PLAN_WRITE
    returns = "ElitePlannedContact"
    plan_id: ContactPlanId = Field(description="The plan.")


async def add_planned_contact(work: Work, command: AddPlannedContact) -> ElitePlannedContact:
    """The planned contact; its day lies in the year of the plan."""
    plan = await _plan(work, command.plan_id)
    return await _add_contact(work, plan, command, await _report_days(work, plan.customer_id))


async def _plan(work: Work, key: UUID) -> EliteContactPlan:
    """A plan of the line acted in that the actor may change."""
    plan = await work.find(EliteContactPlan, key, scope=PLAN_WRITE)
    if plan is None or plan.line != work.acting_line:
        raise Refused(errors.NOT_FOUND("planId", type="EliteContactPlan", id=ids.show("ecp", key)))
    return plan


class _OnContact(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = PLAN_WRITE
    returns: ClassVar[str | list[str]] = "ElitePlannedContact"
    subject: ClassVar[str | None] = "id"
    id: PlannedContactId = Field(description="The planned contact.")


class UpdatePlannedContact(_OnContact):
    """Change a contact that is still planned; what is left out stays (修改计划接触)."""

    kind = "elite_planned_contact.update"
    way: EliteWay = omitted(description="Letter, telephone, meeting (接触方式).")
    due_on: date = omitted(description="By when (计划日期).")
    purpose: Noted = omitted(description="What it is to reach (接触目的).")
    contact_id: ContactId | None = omitted(description="With whom of the customer (客户方人员).")
    owner_id: UserId = omitted(description="Who of us (我方责任人).")


async def update_planned_contact(work: Work, command: UpdatePlannedContact) -> ElitePlannedContact:
    """The changed contact."""
    row: ElitePlannedContact = work.subject
    if row.state != EliteContactState.PLANNED:
        raise Refused(NOT_OPEN("id", state=row.state))
    given = command.given()
    if "contact_id" in given:
        await refuse_stranger(work, row.customer_id, command.contact_id, "contactId")
    if "owner_id" in given:
        await user_of(work, command.owner_id)
    if "due_on" in given:
        _refuse_outside(await work.session.get_one(EliteContactPlan, row.plan_id), command.due_on, "dueOn")
        days = await _report_days(work, row.customer_id)
        row.report_due_on, row.reminded_at = _report_due(work, command.due_on, days), None
    for name in given.keys() - {"id"}:
        setattr(row, name, getattr(given[name], "value", given[name]))
    work.record(ElitePlannedContactUpdated.of(row))
    return row


class HoldPlannedContact(_OnContact):
    """Note that a planned contact took place; its short report is then due (登记已接触, MO-520)."""

    kind = "elite_planned_contact.hold"
    held_at: Moment | None = Field(None, description="When it took place; default: now (接触时间).")


async def hold_planned_contact(work: Work, command: HoldPlannedContact) -> ElitePlannedContact:
    """The contact held, with the last day for its report: so many working days after it took place."""
    row: ElitePlannedContact = work.subject
    row.state = moved(CONTACT_LIFE, row.state, "hold", rule=RULE)
    row.held_at = _past(work, command.held_at, "heldAt") or work.now
    days = await _report_days(work, row.customer_id)
    row.report_due_on, row.reminded_at = _report_due(work, work.day(row.held_at), days), None
    work.record(ElitePlannedContactHeld.of(row))
    return row


def _past(work: Work, moment: datetime | None, path: str) -> datetime | None:
    if moment is not None and moment > work.now:
        raise Refused(IN_FUTURE(path, moment=moment.isoformat()))
    return moment


class CancelPlannedContact(_OnContact):
    """Call a planned contact off; give the reason (取消计划接触)."""

    kind = "elite_planned_contact.cancel"
    why: Said = Field(description="Why (取消原因).")


async def cancel_planned_contact(work: Work, command: CancelPlannedContact) -> ElitePlannedContact:
    """The contact, called off; refused once it took place, for then its report is owed."""
    row: ElitePlannedContact = work.subject
    row.state = moved(CONTACT_LIFE, row.state, "cancel", rule=RULE)
    row.cancel_reason = command.why
    work.record(ElitePlannedContactCancelled.of(row))
    return row


# -- the report


class ReportPlannedContact(_OnContact):
    """Hand in the short report on a planned contact (提交接触简报, MO-520).

    It becomes an interaction of the customer. Name an `interactionId` where there is one: planned, it is completed; done
    already, its own report is sent on. The report goes to the holders of the reporting roles, the plan's recipients and
    `reportTo`.
    """

    kind = "elite_planned_contact.report"
    content: Long = Field("", description="The short report: what was said and found (简报内容).")
    occurred_at: Moment | None = Field(
        None, description="When it took place; default: as noted, else now (接触时间)."
    )
    next_step: Words = Field("", max_length=2000, description="What follows (下一步).")
    next_on: date | None = Field(None, description="Day of the next contact (下次联系日期).")
    interaction_id: InteractionId | None = Field(
        None, description="The interaction that it was, where there is one (已有互动)."
    )
    report_to: list[UserId] = Field(
        default_factory=list, max_length=50, description="Others who need to know (抄送)."
    )


async def report_planned_contact(work: Work, command: ReportPlannedContact) -> ElitePlannedContact:
    """The contact with its interaction; whoever got the report is told."""
    row: ElitePlannedContact = work.subject
    state = moved(CONTACT_LIFE, row.state, "report", rule=RULE)
    others = list(dict.fromkeys([*await _recipients(work, row.plan_id), *command.report_to]))
    if command.interaction_id is None:
        held = await _logged(work, row, command, others)
    else:
        held = await _of_interaction(work, row, command, others)
    await work.flush()
    row.state, row.interaction_id = state, held.id
    row.held_at, row.reported_at = held.occurred_at, work.now
    work.record(ElitePlannedContactReported.of(row))
    await _tell(work, row, held)
    return row


async def _recipients(work: Work, plan_id: UUID) -> Sequence[UUID]:
    found = select(EliteContactPlanRecipient.user_id).where(EliteContactPlanRecipient.plan_id == plan_id)
    return (await work.session.scalars(found.order_by(EliteContactPlanRecipient.id))).all()


async def _logged(
    work: Work, row: ElitePlannedContact, command: ReportPlannedContact, others: Sequence[UUID]
) -> Interaction:
    """The contact as an interaction of the customer, performed by who of us it was planned with."""
    met = [ParticipantInput(contact_id=row.contact_id)] if row.contact_id is not None else []
    made: Interaction = await work.run(
        LogInteraction(
            customer_id=row.customer_id,
            interaction_kind=KINDS[EliteWay(row.way)],
            occurred_at=command.occurred_at or row.held_at,
            subject_text=row.purpose[:200],
            content=command.content,
            performer_id=row.owner_id,
            participants=met,
            next_step=command.next_step,
            next_on=command.next_on,
            report_to=list(others),
        )
    )
    return made


async def _of_interaction(
    work: Work, row: ElitePlannedContact, command: ReportPlannedContact, others: Sequence[UUID]
) -> Interaction:
    """The interaction named: completed with this report, or done already, and then its own report sent on."""
    found = await _fitting(work, row, command)
    if found.status == InteractionStatus.PLANNED:
        said = {name: value for name, value in command.given().items() if name in {"next_step", "next_on"}}
        when = {"id": found.id, "occurred_at": command.occurred_at or row.held_at, "content": command.content}
        completing = CompleteInteraction.model_validate({**when, **said, "report_to": list(others)})
        completed: Interaction = await work.run(completing)
        return completed
    if not found.content:
        raise Refused(CONTENT_REQUIRED("interactionId"))
    known = set(await _reported_to(work, found))
    await send_reports(work, found, [one for one in others if one not in known], holders=())
    return found


async def _fitting(work: Work, row: ElitePlannedContact, command: ReportPlannedContact) -> Interaction:
    assert command.interaction_id is not None
    found = await work.get(Interaction, command.interaction_id, "interactionId", lock=True)
    taken = select(ElitePlannedContact.id).where(ElitePlannedContact.interaction_id == found.id)
    fits = (found.line, found.customer_id) == (row.line, row.customer_id)
    cancelled = found.status == InteractionStatus.CANCELLED
    if not fits or cancelled or await work.session.scalar(taken) is not None:
        raise Refused(OTHER_CONTACT("interactionId"))
    return found


async def _reported_to(work: Work, held: Interaction) -> Sequence[UUID]:
    found = select(InteractionReport.user_id).where(InteractionReport.interaction_id == held.id)
    return (await work.session.scalars(found)).all()


async def _tell(work: Work, row: ElitePlannedContact, held: Interaction) -> None:
    """Whoever got the report is told that it is there; what it says stays in the system."""
    await work.flush()
    customer = await work.session.get_one(Customer, row.customer_id)
    await notify(
        work,
        await _reported_to(work, held),
        REPORTED,
        {"customer": customer.name, "who": work.actor.name},
        subject=("ElitePlannedContact", row.id),
    )


class RemindReports(Command):
    """Remind those responsible of short reports that are missing, each contact once (催报接触简报, MO-520).

    At most 500 contacts at a time; the schedule does it every working morning.
    """

    kind: ClassVar[str] = "elite_planned_contact.remind"
    scope: ClassVar[str] = PLAN_WRITE
    returns: ClassVar[str | list[str]] = ["ElitePlannedContact"]


async def remind_reports(work: Work, command: RemindReports) -> Sequence[ElitePlannedContact]:
    """The contacts whose owners were reminded now."""
    t = ElitePlannedContact.__table__
    late = (
        select(ElitePlannedContact)
        .where(
            t.c.line == work.acting_line,
            report_missing(t, work.day()),
            t.c.reminded_at.is_(None),
            of_customer(t, work.access, command.scope),
        )
        .order_by(t.c.report_due_on, t.c.id)
        .limit(MOST_REMINDED)
    )
    rows = (await work.session.scalars(late)).all()
    for row in rows:
        row.reminded_at = work.now
        work.record(ElitePlannedContactReminded.of(row))
    await _remind(work, rows)
    return rows


async def _remind(work: Work, rows: Sequence[ElitePlannedContact]) -> None:
    """One notice to each owner, or where he is gone to the owner of the plan, naming the customers."""
    heirs = await _heirs(work, rows)
    customers = {row.customer_id for row in rows}
    found = select(Customer.id, Customer.name).where(Customer.id.in_(customers))
    names: dict[UUID, str] = {row.id: row.name for row in (await work.session.execute(found)).all()}
    owed: dict[UUID, list[ElitePlannedContact]] = {}
    for row in rows:
        owner = heirs.get(row.id, row.owner_id)
        if owner is not None:
            owed.setdefault(owner, []).append(row)
    own = {user: _facts(mine, names) for user, mine in owed.items()}
    await notify(work, own, MISSING, {}, own=own)


async def _heirs(work: Work, rows: Sequence[ElitePlannedContact]) -> dict[UUID, UUID | None]:
    """Contacts of who is gone, with the owner of their plan."""
    c, p = ElitePlannedContact, EliteContactPlan
    gone = (
        select(c.id, p.owner_id)
        .join(p, p.id == c.plan_id)
        .join(User, User.id == c.owner_id)
        .where(c.id.in_([row.id for row in rows]), User.disabled_at.is_not(None))
    )
    return {row.id: row.owner_id for row in await work.session.execute(gone)}


def _facts(rows: Sequence[ElitePlannedContact], names: dict[UUID, str]) -> dict[str, str]:
    shown = dict.fromkeys(names[row.customer_id] for row in rows)
    return {"count": str(len(rows)), "customers": "、".join(list(shown)[:20])}


COMMANDS: dict[type[Command], Perform] = {
    CreateContactPlan: create_contact_plan,
    UpdateContactPlan: update_contact_plan,
    AddPlannedContact: add_planned_contact,
    UpdatePlannedContact: update_planned_contact,
    HoldPlannedContact: hold_planned_contact,
    CancelPlannedContact: cancel_planned_contact,
    ReportPlannedContact: report_planned_contact,
    RemindReports: remind_reports,
}

"""A customer's place in a line: joining it, grade and the salesman's file, periodic review."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import select

from crm_core import money
from crm_core.access.models import User
from crm_core.commands import Command, Perform, omitted
from crm_core.customers.assigning import belonging
from crm_core.customers.events import CustomerJoinedLine, CustomerLineUpdated, CustomerReviewed
from crm_core.customers.inputs import LINE_COLUMNS, CustomerId, LineFields, TeamId, UserId, columns
from crm_core.customers.line_records import in_acting_line, note, refuse_without, shown
from crm_core.customers.models import Customer, CustomerLine, CustomerStage, LineChangeKind
from crm_core.customers.stages import BLACKLIST
from crm_core.errors import Message, Refused
from crm_core.work import Work

ALREADY_IN_LINE = Message(
    "CUSTOMER_ALREADY_IN_LINE",
    "The customer already belongs to line {line}.",
    "该客户已属于业务线 {line}。",
)
MESSAGES = (ALREADY_IN_LINE,)


async def new_row(
    work: Work, customer: Customer, given: Mapping[str, Any], stage: CustomerStage | None
) -> CustomerLine:
    """A row for the line acted in, with its owner and team chosen; still to be put in (`put_in`)."""
    owner, team = await belonging(work, given)
    if stage is CustomerStage.BLACKLISTED:
        refuse_without(work, BLACKLIST)
    row = CustomerLine(
        customer_id=customer.id,
        line=work.acting_line,
        owner_id=owner,
        team_id=team,
        stage=(stage or CustomerStage.PROSPECT).value,
        collected_by_id=work.actor.user_id,
        review_due_at=next_review(work),
        **line_values(given),
    )
    if row.department is None and work.actor.user_id is not None:
        collector = await work.session.get(User, work.actor.user_id)
        row.department = (collector and collector.department) or None
    return row


async def put_in(work: Work, row: CustomerLine) -> None:
    """Write the row and begin its history; the customer must have been written."""
    work.add(row)
    await work.flush()
    note(work, row, LineChangeKind.JOINED, None, row.line)


def line_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields of a line as columns; money becomes fen."""
    values = columns(dict(given), LINE_COLUMNS)
    if values.get("deposit") is not None:
        values["deposit"] = money.fen(values["deposit"])
    return values


def next_review(work: Work) -> datetime:
    """When an archive reviewed now is due again."""
    days: int = work.settings_of("customers").review_interval_days
    return work.now + timedelta(days=days)


class JoinLine(LineFields):
    """Let a customer known in one line join the line acted in (客户加入业务线)."""

    kind = "customer.join_line"
    subject = "id"
    id: CustomerId = Field(description="The customer; you must see it in some line.")
    owner_id: UserId | None = omitted(description="Who owns it in this line; default: you (归属人).")
    team_id: TeamId | None = omitted(description="Team in this line; default: the owner's only one (团队).")
    stage: CustomerStage = omitted(description="Stage in this line; default PROSPECT (客户阶段).")


async def join_line(work: Work, command: JoinLine) -> Customer:
    """The customer with its new row; refuses a line it already belongs to."""
    customer: Customer = work.subject
    taken = select(CustomerLine.id).where(
        CustomerLine.customer_id == customer.id, CustomerLine.line == work.acting_line
    )
    if await work.session.scalar(taken) is not None:
        raise Refused(ALREADY_IN_LINE("line", line=work.acting_line))
    row = await new_row(work, customer, command.given(), command.stage)
    await put_in(work, row)
    work.record(CustomerJoinedLine.of(customer, **summary(row)))
    return customer


def summary(row: CustomerLine) -> dict[str, Any]:
    """A new row as events tell it."""
    return {
        "line": row.line,
        "owner": shown("usr", row.owner_id),
        "team": shown("tea", row.team_id),
        "grade": row.grade,
        "stage": row.stage,
    }


class SetLine(LineFields):
    """Change grade, interest or the salesman's file of a customer in a line; what is left out stays (业务线资料)."""

    kind = "customer.set_line"
    subject = "id"
    id: CustomerId = Field(description="The customer.")


async def set_line(work: Work, command: SetLine) -> Customer:
    """The customer with its changed row; a new grade is kept in its history."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    values = line_values(command.given())
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        if name == "grade":
            note(work, row, LineChangeKind.GRADE, row.grade, values[name])
        setattr(row, name, values[name])
    if changed:
        work.touch(row)
        work.record(CustomerLineUpdated.of(customer, line=row.line, changed=sorted(changed)))
    return customer


class ReviewCustomer(Command):
    """Record the periodic check of a customer's archive and files in a line (档案定期整理复核, CS-011, CS-022)."""

    kind = "customer.review"
    scope = "customer.write"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")
    accurate: bool = Field(True, description="Whether the archive is accurate (准确性).")
    complete: bool = Field(True, description="Whether it is complete (完整性).")
    current: bool = Field(True, description="Whether it is up to date (时效性).")
    findings: str | None = Field(None, max_length=2000, description="What was found (复核意见).")


async def review_customer(work: Work, command: ReviewCustomer) -> Customer:
    """The reviewed customer; the next check is due after the interval of the settings."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    row.reviewed_at, row.reviewed_by_id, row.review_due_at = work.now, work.actor.user_id, next_review(work)
    row.review_accurate, row.review_complete, row.review_current = (
        command.accurate,
        command.complete,
        command.current,
    )
    row.review_findings = command.findings
    passed = [name for name in ("accurate", "complete", "current") if getattr(command, name)]
    note(work, row, LineChangeKind.REVIEW, None, " ".join(passed).upper() or None)
    work.touch(row)
    verdict = {"accurate": command.accurate, "complete": command.complete, "current": command.current}
    work.record(CustomerReviewed.of(customer, line=row.line, **verdict))
    return customer


COMMANDS: Mapping[type[Command], Perform] = {
    JoinLine: join_line,
    SetLine: set_line,
    ReviewCustomer: review_customer,
}

"""Gives a leaver's customers to his successor (客户交接), like an assignment of each."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from crm_core.customers.assigning import assign, teams_of
from crm_core.customers.models import Customer, CustomerLine
from crm_core.registry import Handover
from crm_core.work import Work


async def hand_over_customers(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """The customers he owns in the line, and the successor's team if he has exactly one there; how many."""
    if line is None:
        return 0
    owned = (CustomerLine.line == line, CustomerLine.owner_id == leaver)
    rows = (
        await work.session.scalars(
            select(CustomerLine).where(*owned).order_by(CustomerLine.customer_id).with_for_update()
        )
    ).all()
    if not rows:
        return 0
    its = select(CustomerLine.customer_id).where(*owned)
    found = await work.session.scalars(
        select(Customer).where(Customer.id.in_(its)).order_by(Customer.id).with_for_update()
    )
    customers = {customer.id: customer for customer in found.all()}
    teams = list(await teams_of(work, successor))
    wanted = {"owner_id": successor}
    if len(teams) == 1:
        wanted["team_id"] = teams[0]
    for row in rows:
        assign(work, customers[row.customer_id], row, wanted)
    return len(rows)


HANDOVERS = (Handover("customers", hand_over_customers),)

"""Which vehicles a caller may see, and which one carries a number."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select, true

from crm_auto_dealer.vehicles.models import Vehicle
from crm_core.customers.queries import reached_in
from crm_core.graphql.access import Access


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """The dealer's cars for everyone of the line; a customer's car with the customer, in the car's own line."""
    if access.everything(scope):
        return true()
    customers = reached_in(access, scope, t.c.line, t.c.customer_id)
    return and_(t.c.line.in_(access.lines(scope)), or_(t.c.customer_id.is_(None), customers))


def with_vin(line: str, vin: str) -> Select[Vehicle]:
    """The vehicle of this line with this VIN."""
    return select(Vehicle).where(Vehicle.line == line, Vehicle.vin == vin)

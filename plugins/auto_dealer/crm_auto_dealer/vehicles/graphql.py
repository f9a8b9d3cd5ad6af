"""The GraphQL type of vehicles, its root fields, and the vehicles of a customer."""

from __future__ import annotations

from datetime import datetime

from crm_auto_dealer.scopes import VEHICLE_READ
from crm_auto_dealer.vehicles.models import Vehicle, VehicleState, VehicleUse
from crm_auto_dealer.vehicles.queries import visible
from crm_core.graphql import (
    ObjectType,
    connection,
    field,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.fields import YUAN

VEHICLE = ObjectType(
    name="Vehicle",
    table=Vehicle.__table__,
    model=Vehicle,
    prefix="veh",
    description="A vehicle of the dealer or of a customer (车辆).",
    rule=visible,
    scope=VEHICLE_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("veh"),
        field("vin", str, "VIN, 17 characters (车辆识别代号).", nullable=False, filter=True),
        field("model", str, "Model (车型).", nullable=False),
        field("colour", str, "Colour (颜色).", nullable=False),
        field("plate", str, "Number plate (车牌号).", filter=True),
        field("use", VehicleUse, "What it is for (用途).", nullable=False, filter=True),
        field("state", VehicleState, "State (状态).", nullable=False, filter=True),
        field("listPrice", YUAN, "List price, yuan (指导价)."),
        relation(
            "customer",
            "Customer",
            "Whose it is; null for the dealer's own (车主).",
            on=lambda v, c, _a: c.c.id == v.c.customer_id,
            filter=True,
        ),
        relation(
            "consentFor",
            "User",
            "Who may use it as transport (代步使用人, AD-041).",
            on=lambda v, u, _a: u.c.id == v.c.consent_for_id,
        ),
        relation(
            "consentBy",
            "User",
            "Who consented to that (批准人, AD-041).",
            on=lambda v, u, _a: u.c.id == v.c.consent_by_id,
        ),
        field("consentUntil", datetime, "Until when the consent holds (同意期限, AD-041)."),
    ),
)

TYPES = (VEHICLE,)
QUERIES = (
    query_connection("vehicles", "Vehicle", "Vehicles of your lines (车辆)."),
    query_one("vehicle", "Vehicle", "A vehicle by id."),
)
FIELDS = {
    "Customer": (
        connection(
            "vehicles",
            "Vehicle",
            "Vehicles the customer has (客户车辆).",
            on=lambda c, v, _a: v.c.customer_id == c.c.id,
            scope=VEHICLE_READ,
        ),
    )
}

"""The plugin's permissions and the roles of a car dealer that hold them."""

from __future__ import annotations

from crm_core.actors import Reach
from crm_core.registry import RoleTemplate, Scope

VEHICLE_READ = "auto_dealer.vehicle_read"
VEHICLE_WRITE = "auto_dealer.vehicle_write"
PERSONAL_USE = "auto_dealer.personal_use"
TEST_DRIVE_READ = "auto_dealer.test_drive_read"
TEST_DRIVE_WRITE = "auto_dealer.test_drive_write"
ORDER_READ = "auto_dealer.order_read"
ORDER_WRITE = "auto_dealer.order_write"
ORDER_SIGN = "auto_dealer.order_sign"
APPROVAL_SIGN = "approval.sign"
"""Of the core: without it nobody signs."""

SCOPES = (
    Scope(VEHICLE_READ, "See vehicles (查看车辆)"),
    Scope(VEHICLE_WRITE, "Enter and change vehicles (维护车辆)"),
    Scope(PERSONAL_USE, "Consent to the personal use of a dealer's car (批准车辆代步, AD-041)"),
    Scope(TEST_DRIVE_READ, "See test drives (查看试驾)"),
    Scope(TEST_DRIVE_WRITE, "Book, carry out and record test drives (办理试驾)"),
    Scope(ORDER_READ, "See order cards; a consultant's reach is his own (查看订单, AD-053)"),
    Scope(ORDER_WRITE, "Draft order cards and ask for changes (填写订单)"),
    Scope(
        ORDER_SIGN,
        "Be asked to sign order cards and their changes, which takes approval.sign too; cancel those in effect"
        " (订单签字, AD-050, AD-051)",
    ),
)

_READ = ("customer.read", "contact.read", "interaction.read", TEST_DRIVE_READ, ORDER_READ)
_WRITE = ("customer.write", "contact.write", "interaction.write", TEST_DRIVE_WRITE, ORDER_WRITE)

_ASKS = {"approval.read": Reach.OWN, "approval.request": Reach.OWN}
"""Signers of the core's roles have these from there."""


def _reaching(reach: Reach, *scopes: str) -> dict[str, Reach]:
    return dict.fromkeys((VEHICLE_READ, *scopes), reach)


ROLES = (
    RoleTemplate("sales", "销售顾问 Sales consultant", _reaching(Reach.OWN, *_READ, *_WRITE)),
    RoleTemplate(
        "team_leader", "销售组长 Sales team leader", _reaching(Reach.TEAM, *_READ, *_WRITE, ORDER_SIGN)
    ),
    RoleTemplate(
        "sales_manager",
        "销售经理 Sales manager",
        _reaching(Reach.LINE, *_READ, *_WRITE, VEHICLE_WRITE, ORDER_SIGN),
    ),
    RoleTemplate(
        "sales_assistant",
        "销售助理 Sales assistant",
        # registering records the purchase with the customer (CS-001)
        _reaching(Reach.LINE, *_READ, "customer.write", VEHICLE_WRITE, APPROVAL_SIGN) | _ASKS,
    ),
    RoleTemplate(
        "department_manager",
        "部门经理 Department manager",
        _reaching(Reach.LINE, *_READ, VEHICLE_WRITE, PERSONAL_USE, APPROVAL_SIGN) | _ASKS,
    ),
)

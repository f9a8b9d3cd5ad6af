"""When a policy applies: typed comparisons of a command's fields, without evaluation of any text."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from pydantic import Field

from crm_core.approvals.policy import ApprovalCondition, ApprovalTest, matches, problems
from crm_core.commands import Command, Money, omitted


class Colour(StrEnum):
    """A colour."""

    RED = "RED"
    BLUE = "BLUE"


class Order(Command):
    """A made-up command."""

    kind = "order.create"
    scope = "x"
    returns = "Order"
    title: str = Field(max_length=10)
    amount: Money
    day: date | None = None
    colour: Colour = Colour.RED
    note: str | None = omitted()


ORDER = Order(title="Audi", amount=Decimal("1000.50"), day=date(2025, 11, 3), note=None)


def compared(field: str, op: str, value: Any) -> ApprovalTest:
    return ApprovalTest.model_validate({"field": field, "op": op, "value": value})


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("amount", "GT", "1000", True),
        ("amount", "GT", "1000.50", False),
        ("amount", "GTE", "1000.5", True),
        ("amount", "LT", "999", False),
        ("amount", "LTE", "1000.50", True),
        ("amount", "EQ", 1000, False),
        ("amount", "IN", ["1", "1000.50"], True),
        ("title", "EQ", "Audi", True),
        ("title", "NE", "Audi", False),
        ("title", "IN", [], False),
        ("day", "LT", "2025-11-04", True),
        ("day", "IS_NULL", False, True),
        ("colour", "EQ", "RED", True),
        ("colour", "GIVEN", True, False),
        ("note", "GIVEN", True, True),
        ("note", "IS_NULL", True, True),
        ("note", "EQ", "x", False),
        ("note", "NE", "x", True),
    ],
)
def test_a_field_is_compared_in_its_own_type(field: str, op: str, value: Any, expected: bool) -> None:  # noqa: FBT001
    assert matches(ApprovalCondition(all=[compared(field, op, value)]), ORDER) is expected


def test_all_must_hold_and_one_of_any() -> None:
    yes, no = compared("amount", "GT", "1"), compared("amount", "GT", "9999")
    assert matches(ApprovalCondition(), ORDER)
    assert matches(ApprovalCondition(all=[yes], any=[no, yes]), ORDER)
    assert not matches(ApprovalCondition(all=[yes], any=[no]), ORDER)
    assert not matches(ApprovalCondition(all=[yes, no], any=[yes]), ORDER)


def test_a_test_that_no_longer_fits_the_command_holds_it() -> None:
    assert matches(
        ApprovalCondition(all=[compared("gone", "EQ", "1"), compared("amount", "GT", "dear")]), ORDER
    )


def test_what_does_not_fit_is_found_when_the_policy_is_set() -> None:
    wrong = ApprovalCondition(
        all=[
            compared("gone", "EQ", "1"),
            compared("amount", "GT", "dear"),
            compared("title", "GT", "a"),
            compared("colour", "EQ", "GREEN"),
        ],
        any=[compared("day", "LT", "yesterday"), compared("amount", "LT", "5")],
    )
    assert [path for path, _ in problems(wrong, Order)] == ["all.0", "all.1", "all.2", "all.3", "any.0"]

"""Stages of a customer in a line (客户阶段) and the moves between them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from crm_core import errors
from crm_core.commands import Command, Perform
from crm_core.customers.events import CustomerStageMoved
from crm_core.customers.inputs import CustomerId
from crm_core.customers.line_records import in_acting_line, note, refuse_without
from crm_core.customers.models import Customer, CustomerLine, CustomerStage, LineChangeKind
from crm_core.errors import Refused
from crm_core.lifecycle import Lifecycle, Move
from crm_core.work import Work

BLACKLIST = "customer.blacklist"
_ACTIVE = (CustomerStage.PROSPECT.value, CustomerStage.CUSTOMER.value)
_PAST = (CustomerStage.DORMANT.value, CustomerStage.LOST.value)

STAGES = Lifecycle(
    name="customer",
    initial=CustomerStage.PROSPECT.value,
    states={
        "PROSPECT": "May become a customer (潜在客户): knows us, has not traded with us yet (CS-001).",
        "CUSTOMER": "Trades or cooperates with us (客户, CS-001).",
        "DORMANT": "Has not been heard of for long (休眠客户).",
        "LOST": "Went to somebody else (流失客户).",
        "BLACKLISTED": "Not to be dealt with (黑名单).",
    },
    moves=(
        Move("win", ("PROSPECT", *_PAST), "CUSTOMER", None, "The customer trades with us (成交)."),
        Move("rest", _ACTIVE, "DORMANT", None, "Nothing was heard for long (转为休眠)."),
        Move("lose", (*_ACTIVE, "DORMANT"), "LOST", None, "The customer went elsewhere (流失)."),
        Move("revive", _PAST, "PROSPECT", None, "The customer shows interest again (激活)."),
        Move("blacklist", (*_ACTIVE, *_PAST), "BLACKLISTED", BLACKLIST, "Put on the blacklist (列入黑名单)."),
        Move("pardon", ("BLACKLISTED",), "PROSPECT", BLACKLIST, "Taken off the blacklist (移出黑名单)."),
    ),
)


class MoveStage(Command):
    """Move a customer to another stage in a line (客户阶段变更). The blacklist needs `customer.blacklist` and a reason."""

    kind = "customer.move_stage"
    scope = "customer.write"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")
    stage: CustomerStage = Field(description="The stage to come to (目标阶段).")


async def move_stage(work: Work, command: MoveStage) -> Customer:
    """The moved customer; staying where it is changes nothing."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    before = row.stage
    if before == command.stage.value:
        return customer
    move = _move(before, command.stage)
    if move.scope is not None:
        refuse_without(work, move.scope)
        if not (work.options.reason or "").strip():
            raise Refused(errors.REQUIRED("reason"))
    set_stage(work, row, command.stage)
    work.touch(row)
    work.record(CustomerStageMoved.of(customer, line=row.line, before_stage=before, after_stage=row.stage))
    return customer


def _move(state: str, target: CustomerStage) -> Move:
    moves = STAGES.moves_from(state)
    for move in moves:
        if move.target == target.value:
            return move
    allowed = ", ".join(move.target for move in moves)
    raise Refused(
        errors.ILLEGAL_MOVE("stage", what="customer", move=target.value, state=state, allowed=allowed)
    )


def set_stage(work: Work, row: CustomerLine, stage: CustomerStage) -> None:
    """Put the row into a stage and keep that in its history."""
    note(work, row, LineChangeKind.STAGE, row.stage, stage.value)
    row.stage = stage.value


def win(work: Work, row: CustomerLine) -> bool:
    """Let a trade make the row's customer a CUSTOMER wherever the lifecycle has the move `win` (成交, CS-001).

    Whoever was a prospect, dormant or lost moves on; one on the blacklist stays there. Tells whether the row moved; the
    caller announces it in the one event it records of the customer.
    """
    if not STAGES.allows(row.stage, "win"):
        return False
    set_stage(work, row, CustomerStage(STAGES.move(row.stage, "win")))
    work.touch(row)
    return True


COMMANDS: Mapping[type[Command], Perform] = {MoveStage: move_stage}

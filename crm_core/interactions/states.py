"""Lifecycles of interactions and tasks."""

from __future__ import annotations

from typing import Any

from crm_core import errors
from crm_core.errors import Refused
from crm_core.lifecycle import IllegalMove, Lifecycle, Move

_WRITE = "interaction.write"

INTERACTION = Lifecycle(
    "interaction",
    "PLANNED",
    {
        "PLANNED": "It is going to take place (已计划).",
        "DONE": "It took place (已完成).",
        "CANCELLED": "It was called off (已取消).",
    },
    (
        Move("complete", ("PLANNED",), "DONE", _WRITE, "It took place; what was said is recorded."),
        Move("cancel", ("PLANNED",), "CANCELLED", _WRITE, "It will not take place."),
        Move("replan", ("PLANNED",), "PLANNED", _WRITE, "Time, performer or plan change."),
        Move("amend", ("PLANNED",), "PLANNED", _WRITE, "Words or next step change."),
        Move(
            "amend",
            ("DONE",),
            "DONE",
            _WRITE,
            "Words or next step change; the audit trail keeps the original.",
        ),
        Move("submit_report", ("DONE",), "DONE", _WRITE, "The report of a visit goes to the superior."),
        Move(
            "review_report",
            ("DONE",),
            "DONE",
            "interaction.review",
            "The superior accepts or returns the report.",
        ),
    ),
)

TASK = Lifecycle(
    "task",
    "OPEN",
    {"OPEN": "To be done (待办).", "DONE": "Done (已完成).", "CANCELLED": "Called off (已取消)."},
    (
        Move("complete", ("OPEN",), "DONE", _WRITE, "It is done."),
        Move("cancel", ("OPEN",), "CANCELLED", _WRITE, "It need not be done."),
        Move("update", ("OPEN",), "OPEN", _WRITE, "Words, day or assignee change."),
    ),
)


def move(lifecycle: Lifecycle, record: Any, name: str) -> None:
    """Put the record into the state the move leads to; refused when its state does not allow it."""
    try:
        record.status = lifecycle.move(record.status, name)
    except IllegalMove as wrong:
        allowed = ", ".join(wrong.allowed) or "-"
        refusal = errors.ILLEGAL_MOVE(what=lifecycle.name, move=name, state=wrong.state, allowed=allowed)
        raise Refused(refusal) from None

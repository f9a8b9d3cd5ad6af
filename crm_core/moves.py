"""Moves a record along its lifecycle, or refuses in business words."""

from __future__ import annotations

from crm_core import errors
from crm_core.errors import Refused
from crm_core.lifecycle import IllegalMove, Lifecycle


def moved(lifecycle: Lifecycle, state: str, move: str, *, path: str = "id", rule: str | None = None) -> str:
    """The state after the move; refused as ILLEGAL_MOVE at `path`, naming `rule`, when the state does not allow it."""
    try:
        return lifecycle.move(state, move)
    except IllegalMove as illegal:
        allowed = ", ".join(illegal.allowed) or "-"
        raise Refused(
            errors.ILLEGAL_MOVE(path, rule=rule, what=lifecycle.name, move=move, state=state, allowed=allowed)
        ) from None

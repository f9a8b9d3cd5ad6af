"""All commands of this room, and what they refuse."""

from __future__ import annotations

from crm_core.commands import Command, Perform
from crm_telecom_elite.plans import acting, contacting, deciding, earning, handing_over, inputs

COMMANDS: dict[type[Command], Perform] = {
    **contacting.COMMANDS,
    **acting.COMMANDS,
    **earning.COMMANDS,
    **deciding.COMMANDS,
    **handing_over.COMMANDS,
}
MESSAGES = (
    *inputs.MESSAGES,
    *contacting.MESSAGES,
    *earning.MESSAGES,
    *deciding.MESSAGES,
    *handing_over.MESSAGES,
)

"""What this room answers when asked."""

from crm_telecom_elite.members import (
    commands,
    entering,
    events,
    graphql,
    models,
    moving,
    posting,
    settling,
    trainings,
)
from crm_telecom_elite.parts import Part

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands={
        **commands.COMMANDS,
        **entering.COMMANDS,
        **moving.COMMANDS,
        **settling.COMMANDS,
        **trainings.COMMANDS,
    },
    chores=settling.CHORES,
    events=events.EVENTS,
    messages=(
        *commands.MESSAGES,
        *entering.MESSAGES,
        *moving.MESSAGES,
        *posting.MESSAGES,
        *trainings.MESSAGES,
    ),
)

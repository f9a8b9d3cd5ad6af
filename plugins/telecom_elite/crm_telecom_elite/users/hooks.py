"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.users import commands, events, graphql, handing_over, inputs, models

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    events=events.EVENTS,
    messages=inputs.MESSAGES,
    handovers=handing_over.HANDOVERS,
)

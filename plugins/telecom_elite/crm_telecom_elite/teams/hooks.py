"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.teams import commands, events, graphql, headcount, models

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    events=events.EVENTS,
    messages=(*commands.MESSAGES, *headcount.MESSAGES),
)

"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.rates import commands, events, graphql, models

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    events=events.EVENTS,
    messages=commands.MESSAGES,
    seeds=(commands.seed,),
)

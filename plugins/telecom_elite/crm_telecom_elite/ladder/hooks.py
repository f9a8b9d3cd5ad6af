"""What this room answers when asked."""

from crm_telecom_elite.ladder import commands, events, graphql, models, seeding
from crm_telecom_elite.parts import Part

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    events=events.EVENTS,
    messages=commands.MESSAGES,
    seeds=(seeding.seed,),
)

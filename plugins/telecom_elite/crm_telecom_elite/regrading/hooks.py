"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.regrading import commands, events, graphql, models, signing

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    checks=commands.CHECKS,
    events=events.EVENTS,
    messages=(*commands.MESSAGES, *signing.MESSAGES),
    documents=signing.DOCUMENTS,
    policies=signing.POLICIES,
)

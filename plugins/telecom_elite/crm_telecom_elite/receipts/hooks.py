"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.receipts import carrying, commands, events, graphql, incoming, inputs, models, settled

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    events=events.EVENTS,
    messages=(*inputs.MESSAGES, *settled.MESSAGES),
    checks=settled.CHECKS,
    jobs=carrying.JOBS,
    handlers=incoming.HANDLERS,
)

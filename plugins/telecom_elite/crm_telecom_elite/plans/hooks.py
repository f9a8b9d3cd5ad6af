"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.plans import commands, contacting, events, graphql, handing_over, models, reminding

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS,
    events=events.EVENTS,
    messages=commands.MESSAGES,
    timeline=graphql.TIMELINE,
    jobs=reminding.JOBS,
    schedules=reminding.SCHEDULES,
    notices=contacting.NOTICES,
    handovers=handing_over.HANDOVERS,
)

"""What this room answers when asked."""

from crm_telecom_elite.parts import Part
from crm_telecom_elite.runs import (
    commands,
    computing,
    confirming,
    distributing,
    events,
    filing,
    following,
    graphql,
    models,
    writing_off,
)

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands={
        **commands.COMMANDS,
        **confirming.COMMANDS,
        **distributing.COMMANDS,
        **following.COMMANDS,
        **writing_off.COMMANDS,
    },
    events=events.EVENTS,
    messages=(*commands.MESSAGES, *confirming.MESSAGES, *distributing.MESSAGES, *writing_off.MESSAGES),
    documents=distributing.DOCUMENTS,
    policies=(*distributing.POLICIES, *writing_off.POLICIES),
    jobs=(computing.JOB, filing.JOB),
    chores=confirming.CHORES,
    notices=(commands.TO_CONFIRM, *confirming.NOTICES),
)

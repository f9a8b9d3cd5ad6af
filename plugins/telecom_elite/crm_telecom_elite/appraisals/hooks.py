"""What this room answers when asked; confirming and correcting are answered where regrades follow from them."""

from crm_telecom_elite.appraisals import (
    commands,
    confirming,
    events,
    graphql,
    models,
    quotas,
    rating,
    reach,
    tasks,
)
from crm_telecom_elite.parts import Part

PART = Part(
    tables=models.TABLES,
    types=graphql.TYPES,
    fields=graphql.FIELDS,
    queries=graphql.QUERIES,
    commands=commands.COMMANDS | tasks.COMMANDS | quotas.COMMANDS,
    events=events.EVENTS,
    messages=(
        *commands.MESSAGES,
        *confirming.MESSAGES,
        *quotas.MESSAGES,
        *rating.MESSAGES,
        *reach.MESSAGES,
        *tasks.MESSAGES,
    ),
)

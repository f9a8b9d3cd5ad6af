"""The fields that every record of this plugin has."""

from __future__ import annotations

from datetime import datetime

from crm_core.graphql import Id, field
from crm_core.graphql.fields import Field


def record_fields(prefix: str) -> tuple[Field, ...]:
    """Id, line, moments and version of a record whose ids begin with `prefix`."""
    return (
        field("id", Id(prefix), "Id.", nullable=False, filter=True),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("createdAt", datetime, "When it was entered.", nullable=False),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
    )

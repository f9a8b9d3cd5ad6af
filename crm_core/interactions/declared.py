"""Fields that several types of this room share."""

from __future__ import annotations

from datetime import datetime

from pydantic.alias_generators import to_snake

from crm_core.graphql import Id, field, relation
from crm_core.graphql.fields import Field

READ = "interaction.read"


def common(prefix: str) -> tuple[Field, ...]:
    """What every record of this room shows of itself."""
    return (
        field("id", Id(prefix), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was made.", nullable=False),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
    )


def user(name: str, description: str, *, filter: bool = False) -> Field:
    """The colleague whose id stands in the column `<name>_id`."""
    column = f"{to_snake(name)}_id"
    return relation(name, "User", description, on=lambda t, u, _a: u.c.id == t.c[column], filter=filter)


def words(name: str, description: str) -> Field:
    """A text, empty when nothing was said."""
    return field(name, str, description, nullable=False)


CUSTOMER = relation(
    "customer", "Customer", "The customer (客户).", on=lambda t, c, _a: c.c.id == t.c.customer_id, filter=True
)
TEAM = relation(
    "team", "Team", "The team it counts for (团队).", on=lambda t, x, _a: x.c.id == t.c.team_id, filter=True
)

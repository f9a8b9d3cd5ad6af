"""Figures of contact cards that a deployer may change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ContactsSettings(BaseModel):
    """Settings of the room `contacts`."""

    model_config = ConfigDict(extra="forbid")

    card_check_days: int = Field(
        180, ge=1, description="Days after which a relationship card is to be judged again (CS-052)."
    )
    decision_roles: list[str] = Field(
        [],
        description="Roles in the purchase decision that may be given (购买决策角色, CS-055); empty: any words.",
    )

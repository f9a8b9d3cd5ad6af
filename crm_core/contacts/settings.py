"""Figures of contact cards that a deployer may change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ContactsSettings(BaseModel):
    """Settings of the room `contacts`."""

    model_config = ConfigDict(extra="forbid")

    card_check_days: int = Field(
        180, ge=1, description="Days after which a relationship card is to be judged again (CS-052)."
    )

"""The figures a dealer may set, in the table `[auto_dealer]` of `crm.toml`."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

SLOT = timedelta(minutes=15)
"""The grid in which cars are taken. Fixed, so that a change of settings never opens a gap between old and new rows."""


class AutoDealerSettings(BaseModel):
    """Settings of the car dealer's plugin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slot_minutes: int = Field(
        15,
        ge=15,
        le=240,
        multiple_of=15,
        description="Test drives begin and end on multiples of so many minutes; a multiple of 15 (试驾时段).",
    )
    longest_drive_minutes: int = Field(
        120, ge=15, le=1440, description="Longest test drive, minutes (试驾最长时间)."
    )
    order_backdating_days: int = Field(
        0,
        ge=0,
        le=365,
        description="How many calendar days back an order may be dated; 0: today only (订单日期可追溯天数, AD-050).",
    )
    allow_self_signing: bool = Field(
        default=False,
        description="Whether a sales manager or team leader signs orders of his own (允许签署本人订单, AD-050).",
    )

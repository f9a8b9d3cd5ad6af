"""What a deployment sets once, in the table `[telecom_elite]` of `crm.toml`. Figures of the rules are dated rows instead."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TelecomEliteSettings(BaseModel):
    """Settings of the elite teams' plugin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    receipt_rows: int = Field(
        1_000,
        ge=1,
        le=5_000,
        description="Receipts of a file that are recorded in one transaction (每批行数).",
    )
    most_problems: int = Field(
        100,
        ge=1,
        le=1_000,
        description="Refused rows of a file that are kept with what is wrong (错误明细上限).",
    )
    confirm_days: int = Field(
        5,
        ge=0,
        le=60,
        description="Working days members have to confirm their pay; after them it counts as confirmed (确认期限).",
    )
    recruit_within_establishment: bool = Field(
        default=True,
        description="Whether a proposal beyond the establishment is refused, or only marked (编制内招聘).",
    )
    run_by_two: bool = Field(
        default=True,
        description="Whether who computed a pay run may not approve it (核算与审批分离).",
    )

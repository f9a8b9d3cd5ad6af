"""Settings of approvals: the links by which people sign out of a mail or chat, and what may be attached."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

MOST_ATTACHMENTS: Final = 10


class ApprovalsSettings(BaseModel):
    """Settings of approvals (审批)."""

    model_config = ConfigDict(extra="forbid")

    link_hours: int = Field(
        72, ge=1, le=2_160, description="Hours after which a link to sign is dead (审批链接有效小时数)."
    )
    link_channels: list[str] = Field(
        ["mail"],
        description="Channels whose notices carry a link to sign; who reads the message can sign with it, so never a "
        "group chat; empty: no links (携带审批链接的渠道).",
    )
    attachments: int = Field(
        MOST_ATTACHMENTS,
        ge=0,
        le=MOST_ATTACHMENTS,
        description="Most papers given with one verb (附件数量上限).",
    )
    job_rows: int = Field(
        200,
        ge=1,
        description="An approved change of more records than this is performed by a job, not in the transaction of the "
        "last signature (后台执行的记录数).",
    )
    attachment_bytes: int = Field(20_971_520, ge=1, description="Largest attachment, bytes (附件大小上限).")

"""Settings of interactions: the figures of the rules."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from crm_core.interactions.models import Channel

CHECKLIST = [
    "拜访计划与目标 Plan and target",
    "拜访技巧 Visit skills",
    "当月销售政策与促销活动 This month's sales policy and promotions",
    "仪容仪表 Appearance",
    "企业宣传资料 Company brochures",
    "个人名片 Business cards",
    "笔记本和笔 Notebook and pen",
    "客户信息一览表 Customer information list",
    "宣传品和馈赠礼品 Publicity items and gifts",
]
"""What is prepared before a visit (拜访前的准备, CS-111)."""


class InteractionSettings(BaseModel):
    """Settings of interactions (`[interactions]`)."""

    model_config = ConfigDict(extra="forbid")

    visit_record_days: int = Field(
        1, ge=0, description="Days after the visit within which its record is due, else it is late (CS-117)."
    )
    preparations: list[str] = Field(CHECKLIST, description="Checklist before a visit (拜访准备清单, CS-111).")
    guidance_minutes: int = Field(
        60,
        ge=0,
        description="Minutes set aside on each visit to guide the customer, at least (指导时间, CS-116).",
    )
    guidance_minutes_most: int = Field(
        120,
        ge=0,
        description="Minutes on guidance beyond which a visit is marked outside its target, never refused (CS-116).",
    )
    report_roles: list[str] = Field(
        ["regional_director", "marketing_gm"],
        description="Roles whose holders in the line get the short report on each contact (CS-119).",
    )
    callback_channels: list[Channel] = Field(
        [Channel.PHONE, Channel.EMAIL, Channel.FACE_TO_FACE],
        min_length=1,
        description="Channels that meet a callback plan which names none, from when it is set (CS-128).",
    )
    sms_callback_limit: int = Field(
        3, ge=1, description="So many callbacks by SMS alone, one after another, void the card (CS-131)."
    )
    problem_task_days: int = Field(
        3, ge=0, description="Days until the task from a problem found by a callback is due (CS-128)."
    )

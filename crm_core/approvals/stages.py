"""A sign-off policy as typed values: what it holds, who signs in which order, by when (审批规则). No database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, TypeAdapter, model_validator

from crm_core.access.commands import UserId
from crm_core.approvals.conditions import ApprovalCondition
from crm_core.approvals.words import ApprovalEmpty, ApprovalRule, ApprovalSame, ApprovalSelf
from crm_core.commands import Part, invalid
from crm_core.errors import Message

BAD_SLOT = Message(
    "APPROVAL_SLOT",
    "Name exactly one of role, user, manager, owner, field, resolver; within belongs to a role.",
    "请在角色、指定人员、上级、归属人、字段、插件解析中填写且仅填写一项；范围仅用于角色。",
)
BAD_QUORUM = Message(
    "APPROVAL_QUORUM",
    "Write quorum with the rule QUORUM, percent with RATIO, and neither otherwise.",
    "规则 QUORUM 须填写人数，RATIO 须填写百分比，其他规则均不填写。",
)
BAD_DEADLINE = Message(
    "APPROVAL_DEADLINE",
    "Write one of working days, working hours and days; a role exactly when it goes to a ROLE.",
    "请填写工作日、工作小时、自然日其中之一；仅在转给角色时填写角色。",
)
BAD_TARGET = Message(
    "POLICY_TARGET", "Name either commands or one document.", "请填写命令或单据类型其中之一。"
)
BAD_STAGES = Message(
    "POLICY_STAGES",
    "Write stages; or forbid, then without stages.",
    "请填写审批环节；或填写禁止，此时不填写环节。",
)
BAD_VALIDITY = Message(
    "POLICY_VALIDITY",
    "Write validDays together with validFor, and only for commands that are signed.",
    "有效天数与适用范围须同时填写，且仅用于需要签署的命令。",
)
MESSAGES = (BAD_SLOT, BAD_QUORUM, BAD_DEADLINE, BAD_TARGET, BAD_STAGES, BAD_VALIDITY)

Hours = Annotated[Decimal, Field(gt=0, le=1_000, max_digits=7, decimal_places=2)]
RoleName = Annotated[str, StringConstraints(min_length=1, max_length=60)]


class ApprovalWithin(StrEnum):
    """Whose holders of a role are asked (范围): those of the LINE, or of the requester's TEAM or the nearest above."""

    LINE = "LINE"
    TEAM = "TEAM"


class ApprovalOverdue(StrEnum):
    """What happens when a stage is overdue (超时处理): nothing, a superior or a role gets it, approve or reject."""

    NOTHING = "NOTHING"
    MANAGER = "MANAGER"
    ROLE = "ROLE"
    APPROVE = "APPROVE"
    REJECT = "REJECT"


class ApprovalSlot(Part):
    """Who is asked (审批人): exactly one of role, userId, manager, owner, field, resolver."""

    name: str = Field("", max_length=120, description="Title of the place (席位名称).")
    role: RoleName | None = Field(None, description="Name of the role asked (角色).")
    within: ApprovalWithin = Field(
        ApprovalWithin.LINE, description="With a role: its holders in the LINE or near the TEAM (范围)."
    )
    user_id: UserId | None = Field(None, description="The user asked (指定人员).")
    manager: int | None = Field(
        None, ge=1, le=10, description="So many levels above who asks; 1: his superior (第几级上级)."
    )
    owner: bool = Field(False, description="The owner of the record (归属人).")
    field: str | None = Field(
        None, max_length=120, description="A field that holds a user: record.x or command.x (字段指定)."
    )
    resolver: str | None = Field(None, max_length=120, description="Name of a plugin's resolver (插件解析).")
    rule: ApprovalRule = Field(
        ApprovalRule.ANY,
        description="Of several persons: ANY one (或签), ALL (会签), QUORUM (人数), RATIO (票签), SEQUENTIAL (依次).",
    )
    quorum: int | None = Field(None, ge=1, le=1_000, description="With QUORUM: how many sign (人数).")
    percent: int | None = Field(None, ge=1, le=100, description="With RATIO: percent that sign (百分比).")

    @model_validator(mode="after")
    def _one_of(self) -> ApprovalSlot:
        ways = (self.role, self.user_id, self.manager, self.owner or None, self.field, self.resolver)
        if sum(way is not None for way in ways) != 1:
            raise invalid(BAD_SLOT)
        if self.within is not ApprovalWithin.LINE and self.role is None:
            raise invalid(BAD_SLOT)
        _check_rule(self.rule, self.quorum, self.percent)
        return self


def _check_rule(rule: ApprovalRule, quorum: int | None, percent: int | None) -> None:
    if (quorum is not None) != (rule is ApprovalRule.QUORUM):
        raise invalid(BAD_QUORUM)
    if (percent is not None) != (rule is ApprovalRule.RATIO):
        raise invalid(BAD_QUORUM)


class ApprovalDeadline(Part):
    """By when a stage must be signed (审批期限), mostly in working time of the line's calendar; reminders; what then."""

    working_days: int | None = Field(None, ge=1, le=366, description="Working days (工作日).")
    working_hours: Hours | None = Field(None, description="Working hours (工作小时).")
    days: int | None = Field(None, ge=1, le=366, description="Days, whether people work or not (自然日).")
    remind_before_hours: Hours | None = Field(
        None, description="Remind so many working hours before it is due (到期前提醒)."
    )
    remind_every_hours: Hours | None = Field(
        None, description="Remind again every so many working hours once it is overdue (逾期催办间隔)."
    )
    then: ApprovalOverdue = Field(
        ApprovalOverdue.NOTHING, description="What happens when it is overdue (超时处理)."
    )
    role: RoleName | None = Field(None, description="With ROLE: who is asked then (升级角色).")

    @model_validator(mode="after")
    def _one_of(self) -> ApprovalDeadline:
        ways = (self.working_days, self.working_hours, self.days)
        if sum(way is not None for way in ways) != 1:
            raise invalid(BAD_DEADLINE)
        if (self.role is not None) != (self.then is ApprovalOverdue.ROLE):
            raise invalid(BAD_DEADLINE)
        return self


class ApprovalStage(Part):
    """People who are asked at the same time (审批环节); the next stage is asked when this one is satisfied."""

    name: str = Field("", max_length=120, description="Title of the stage (环节名称).")
    rule: ApprovalRule = Field(
        ApprovalRule.ALL,
        description="Which slots must sign: ALL (会签), ANY one (或签), QUORUM, RATIO (票签), SEQUENTIAL (依次).",
    )
    quorum: int | None = Field(None, ge=1, le=20, description="With QUORUM: how many slots (人数).")
    percent: int | None = Field(None, ge=1, le=100, description="With RATIO: percent of the slots (百分比).")
    slots: list[ApprovalSlot] = Field(min_length=1, max_length=20, description="Who is asked (审批人).")
    copies: list[ApprovalSlot] = Field(
        default_factory=list, max_length=20, description="Who is told when the stage begins (抄送)."
    )
    when: ApprovalCondition | None = Field(
        None, description="The stage is left out when this does not hold, e.g. below an amount (环节条件)."
    )
    empty: ApprovalEmpty = Field(
        ApprovalEmpty.REFUSE, description="What happens when there is nobody to ask (无审批人时)."
    )
    deadline: ApprovalDeadline | None = Field(None, description="By when it must be signed (审批期限).")

    @model_validator(mode="after")
    def _rule_has_its_number(self) -> ApprovalStage:
        _check_rule(self.rule, self.quorum, self.percent)
        return self


STAGES: TypeAdapter[list[ApprovalStage]] = TypeAdapter(list[ApprovalStage])


def _moment_or_day(value: Any) -> Any:
    """Text of a day stays a day: `2026-01-01` is not midnight somewhere."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value) if len(value) == len("2026-01-01") else datetime.fromisoformat(value)
    except ValueError:
        return value


def _with_zone(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("a moment needs its zone, e.g. 2026-01-01T09:00:00+08:00")
    return value.astimezone(UTC) if isinstance(value, datetime) else value


MomentOrDay: TypeAlias = Annotated[
    datetime | date, Field(union_mode="smart"), BeforeValidator(_with_zone), BeforeValidator(_moment_or_day)
]
"""A moment with its zone, or a day; a day begins at midnight of the line's zone."""


class PolicyDefinition(Part):
    """A whole sign-off policy (审批规则): what it holds and when, who signs in which order, and its time of effect."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)] = Field(
        description="Its name, unique in the line (名称)."
    )
    title: str = Field("", max_length=200, description="Title for people (标题).")
    commands: list[Annotated[str, StringConstraints(min_length=1, max_length=80)]] = Field(
        default_factory=list, max_length=100, description="Kinds of the commands it holds (命令)."
    )
    document: str | None = Field(
        None, min_length=1, max_length=80, description="Or: the type of the record that is signed (单据类型)."
    )
    condition: ApprovalCondition = Field(
        default_factory=ApprovalCondition, description="Only what meets it; empty: all (触发条件)."
    )
    self_approval: ApprovalSelf = Field(
        ApprovalSelf.FORBID, description="Whether who asks may sign (自批规则)."
    )
    same_signer: ApprovalSame = Field(
        ApprovalSame.SIGN, description="Whether who signed already signs again (重复审批人)."
    )
    withdraw_days: int | None = Field(
        None, ge=0, le=3_650, description="Days after approval in which it may be taken back (可撤回天数)."
    )
    lock: bool = Field(True, description="Of a document: whether it is locked while it waits (审批中锁定).")
    stages: list[ApprovalStage] = Field(
        default_factory=list, max_length=20, description="Who signs, in order (审批环节)."
    )
    forbid: bool = Field(False, description="Nobody signs: what meets the condition is refused (禁止).")
    valid_days: int | None = Field(
        None,
        ge=1,
        le=366,
        description="Who got it signed may do the same again on so many days, the day of approval included (有效天数).",
    )
    valid_for: list[Annotated[str, StringConstraints(min_length=1, max_length=120)]] = Field(
        default_factory=list,
        max_length=20,
        description="With validDays: the command's fields that must be as they were signed (适用范围).",
    )
    priority: int = Field(
        100, ge=0, le=10_000, description="Of several that apply the lowest number counts (优先级)."
    )
    enabled: bool = Field(True, description="Whether it is in force (启用).")
    valid_from: MomentOrDay | None = Field(None, description="From when on; default: at once (生效时间).")
    valid_to: MomentOrDay | None = Field(None, description="Until when; a day: to its end (失效时间).")

    @model_validator(mode="after")
    def _one_target(self) -> PolicyDefinition:
        if bool(self.commands) == (self.document is not None):
            raise invalid(BAD_TARGET)
        return self

    @model_validator(mode="after")
    def _signed_or_forbidden(self) -> PolicyDefinition:
        if bool(self.stages) == self.forbid:
            raise invalid(BAD_STAGES)
        if (self.valid_days is not None) != bool(self.valid_for):
            raise invalid(BAD_VALIDITY)
        if self.valid_for and (self.forbid or self.document is not None):
            raise invalid(BAD_VALIDITY)
        return self

"""Input forms of commands on developed users, and why they are refused."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_core.commands import Part, Ref
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Message

MOST_USERS = 1_000
"""Users of one bulk command."""

EliteUserId = Annotated[UUID, Ref("EliteUser", "elu")]
MemberId = Annotated[UUID, Ref("EliteMember", "elm")]
EliteTeamId = Annotated[UUID, Ref("EliteTeam", "elt")]
UserNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]

NUMBER_KNOWN = Message(
    "TELECOM_ELITE_USER_KNOWN",
    "There is already a user {number} in line {line}.",
    "业务线 {line} 已有用户 {number}。",
)
NUMBER_TWICE = Message(
    "TELECOM_ELITE_USER_TWICE",
    "The user {number} is given twice.",
    "用户 {number} 重复。",
)
NOT_POSTED = Message(
    "TELECOM_ELITE_NOT_POSTED",
    "The member was in no team on {day}. One he developed before he came is a legacy user.",
    "该成员在 {day} 不在任何团队；其加入前发展的用户应标为原发展用户。",
    rule="MO-038",
)
NOT_LEGACY = Message(
    "TELECOM_ELITE_NOT_LEGACY",
    "The user was developed on {day}, when his developer was already in the elite: he is no legacy user.",
    "该用户于 {day} 发展，其时发展人已在精英团队，不属于原发展用户。",
    rule="MO-038",
)
FIT_FOR_NO_LIST = Message(
    "TELECOM_ELITE_NO_LEGACY_USER",
    "{number} is no legacy user; he earns commission without any list.",
    "{number} 不是原发展用户，无须列入名单。",
    rule="MO-038",
)
CENTRE_ONLY = Message(
    "TELECOM_ELITE_USERS_CENTRE_ONLY",
    "Only the Centre does this: the permission {scope} must reach the whole line.",
    "仅营销中心可以操作：权限 {scope} 须覆盖整个业务线。",
)
OF_ANOTHER_TEAM = Message(
    "TELECOM_ELITE_CUSTOMER_OF_ANOTHER_TEAM",
    "On {day} the customer is assigned to another team, {team}.",
    "{day} 该客户由营销中心指定给其他团队（{team}）。",
    rule="MO-006",
)
ONE_HOLDER = Message(
    "TELECOM_ELITE_ONE_HOLDER",
    "Give memberId, or for a team as a whole eliteTeamId: one of them.",
    "memberId 与 eliteTeamId 须且只须填写一个。",
)
ASSIGNED_LATER = Message(
    "TELECOM_ELITE_ASSIGNED_LATER",
    "The user is assigned anew from {day} on; what was before stays as it was.",
    "该用户自 {day} 起已另行归属，此前的归属不再变更。",
)
ENDS_BEFORE = Message(
    "TELECOM_ELITE_ENDS_BEFORE",
    "A user does not end before he was activated on {day}.",
    "离网日期不得早于激活日期 {day}。",
)
MESSAGES = (
    NUMBER_KNOWN,
    NUMBER_TWICE,
    NOT_POSTED,
    NOT_LEGACY,
    FIT_FOR_NO_LIST,
    CENTRE_ONLY,
    OF_ANOTHER_TEAM,
    ONE_HOLDER,
    ASSIGNED_LATER,
    ENDS_BEFORE,
)


class NewEliteUser(Part):
    """A developed user to be entered (发展用户)."""

    number: UserNumber = Field(description="Number or account by which billing knows him (用户号码).")
    member_id: MemberId = Field(description="Who developed him (发展人).")
    activated_on: date = Field(
        description="Day of activation; its month is billing month 1 (激活日期, MO-042)."
    )
    customer_id: CustomerId | None = Field(None, description="The customer he belongs to (集团客户).")
    group_user: bool = Field(
        default=True, description="Whether he counts as a group user for targets (CDMA集团用户, MO-072)."
    )
    legacy: bool = Field(
        default=False, description="Developed before his developer joined the elite (原发展用户, MO-038)."
    )

"""The GraphQL type of changes of step and post, and those of a member."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_

from crm_core.approvals.queries import READ as APPROVAL_READ
from crm_core.graphql import (
    ObjectType,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_telecom_elite.regrading.models import EliteRegrade, EliteRegradeKind, EliteRegradeState
from crm_telecom_elite.regrading.queries import pay_seen, visible
from crm_telecom_elite.scopes import APPRAISAL_READ


def _requests(t: Any, approval: Any, _access: Any) -> ColumnElement[bool]:
    found: ColumnElement[bool] = and_(approval.c.subject_id == t.c.id, approval.c.document == "EliteRegrade")
    return found


ELITE_REGRADE = ObjectType(
    name="EliteRegrade",
    table=EliteRegrade.__table__,
    model=EliteRegrade,
    prefix="erg",
    description="A proposed change of a member's step or post, or of his contract (调级调岗申请, MO-011 to MO-013).",
    rule=visible,
    scope=APPRAISAL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("erg"),
        field("kind", EliteRegradeKind, "What is proposed; a termination is never more than that (类型).", nullable=False, filter=True),
        field("state", EliteRegradeState, "State (状态).", nullable=False, filter=True),
        field("rule", str, "The rule it follows from (依据条款).", nullable=False),
        field("cause", list[str], "Ids of the appraisals it follows from (依据的考核).", nullable=False),
        field("derivation", dict, "How it follows: label, labelZh, formula, value, rule (计算过程).", nullable=False),
        field("reason", str, "Why it was applied for (申请理由).", nullable=False),
        field("qualified", bool, "Result of the qualification review; null: none yet, or none needed (任职资格评审)."),
        field("decision", str, "What was decided, or why it was withdrawn (决定).", nullable=False),
        field("effectiveOn", date, "From when on it holds (生效日期).", filter=True),
        relation("member", "EliteMember", "The member (成员).", on=lambda r, m, _a: m.c.id == r.c.member_id, filter=True),
        relation("fromStep", "EliteStep", "From which rung; for who may see his pay (原薪级).", on=lambda r, s, a: (s.c.id == r.c.from_step_id) & pay_seen(r, a)),
        relation("toStep", "EliteStep", "To which rung; for who may see his pay (新薪级).", on=lambda r, s, a: (s.c.id == r.c.to_step_id) & pay_seen(r, a)),
        relation("toPost", "ElitePost", "To which post (新岗位).", on=lambda r, p, _a: p.c.id == r.c.to_post_id),
        relation("decidedBy", "User", "Who decided (决定人).", on=lambda r, u, _a: u.c.id == r.c.decided_by_id),
        listing(
            "approvals", "Approval", "Its requests for signatures, latest first (审批).",
            on=_requests, order=lambda a: [a.c.id.desc()], scope=APPROVAL_READ,
        ),
    ),
)  # fmt: skip

TYPES = (ELITE_REGRADE,)
QUERIES = (
    query_connection("eliteRegrades", "EliteRegrade", "Changes of step and post you may see (调级调岗)."),
    query_one("eliteRegrade", "EliteRegrade", "A change of step or post by id."),
)
FIELDS = {
    "EliteMember": (
        connection(
            "regrades",
            "EliteRegrade",
            "His changes of step and post (调级调岗).",
            on=lambda m, r, _a: r.c.member_id == m.c.id,
            scope=APPRAISAL_READ,
        ),
    )
}

"""Changes of step and post as documents: who signs them, and what the last signature does (调级调岗审批, MO-013)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from crm_core.approvals.signatures import signatures
from crm_core.errors import Message, Refused
from crm_core.moves import moved
from crm_core.registry import Document, PolicyTemplate
from crm_core.work import Work
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.members.posting import post
from crm_telecom_elite.members.queries import posting_on
from crm_telecom_elite.months import day_after, month_of
from crm_telecom_elite.regrading.commands import needs_review
from crm_telecom_elite.regrading.events import (
    EliteRegradeApproved,
    EliteRegradeChanged,
    EliteRegradeRejected,
)
from crm_telecom_elite.regrading.models import REGRADE_LIFE, EliteRegrade, EliteRegradeKind
from crm_telecom_elite.regrading.proposing import propose
from crm_telecom_elite.scopes import REGRADE

UNREVIEWED = Message(
    "TELECOM_ELITE_UNREVIEWED",
    "A higher grade takes a qualification review; record it first (eliteRegradeReviewQualification).",
    "晋升到上一薪等须先通过任职资格评审，请先登记评审结果。",
    rule="MO-055",
)
UNDECIDED = Message(
    "TELECOM_ELITE_UNDECIDED",
    "HR records its decision and the legal ground first (eliteRegradeDecide).",
    "须先由人力资源部登记决定及法律依据。",
    rule="MO-077",
)
MOVED_ON = Message(
    "TELECOM_ELITE_MOVED_ON",
    "The member no longer stands on the rung this change starts from; withdraw it.",
    "该成员的薪级已变动，请撤回本次调级。",
    rule="MO-013",
)
UNSIGNED = Message(
    "TELECOM_ELITE_REGRADE_UNSIGNED",
    "Nobody has signed this change; without a person's signature it has no effect.",
    "该调级调岗尚无人签字，未经签字不生效。",
    rule="MO-013",
)
MESSAGES = (UNREVIEWED, UNDECIDED, MOVED_ON, UNSIGNED)

TITLES: Final[Mapping[str, str]] = {
    EliteRegradeKind.STEP_UP: "晋级",
    EliteRegradeKind.STEP_DOWN: "降级",
    EliteRegradeKind.POST_CHANGE: "调岗",
    EliteRegradeKind.TERMINATION: "解除劳动合同建议",
}
LEADERS_TOO: Final = [EliteRegradeKind.POST_CHANGE.value, EliteRegradeKind.TERMINATION.value]
"""What the company leader signs after HR unless a line's own policy says otherwise (MO-013)."""

POLICIES: Final[Sequence[PolicyTemplate]] = (
    PolicyTemplate(
        "elite regrade",
        "EliteRegrade",
        "elite_hr",
        "调级调岗审批",
        enabled=True,
        stages=(
            {"name": "人力资源部审批", "slots": [{"role": "elite_hr"}]},
            {
                "name": "公司领导审批",
                "slots": [{"role": "elite_leader"}],
                "when": {"all": [{"field": "record.kind", "op": "IN", "value": LEADERS_TOO}]},
            },
        ),
    ),
)


async def told(work: Work, row: EliteRegrade, state: str) -> None:
    """Handed in by the department, signed by HR and the leader where required; with the last signature it holds."""
    if state == "PENDING":
        await _submitted(work, row)
    elif state == "APPROVED":
        await _approved(work, row)
    elif state == "REJECTED":
        row.state = moved(REGRADE_LIFE, row.state, "reject", rule="MO-013")
        row.decided_by_id = work.actor.user_id
        work.record(EliteRegradeRejected.of(row))
        await propose(work, [row.member_id])
    elif state in ("WITHDRAWN", "TERMINATED"):
        row.state = moved(REGRADE_LIFE, row.state, "call_back", rule="MO-013")
        work.record(EliteRegradeChanged.of(row))


async def _submitted(work: Work, row: EliteRegrade) -> None:
    if await needs_review(work, row) and not row.qualified:
        raise Refused(UNREVIEWED("record"))
    if row.kind == EliteRegradeKind.TERMINATION and not row.decision:
        raise Refused(UNDECIDED("record"))
    row.state = moved(REGRADE_LIFE, row.state, "submit", rule="MO-011")
    work.record(EliteRegradeChanged.of(row))


async def _approved(work: Work, row: EliteRegrade) -> None:
    """Post the member from the day on; of a termination nothing but the decision stands (MO-077). Deadlines sign nothing."""
    given = await signatures(work, "EliteRegrade", row.id)
    if all(one.user is None for one in given):
        raise Refused(UNSIGNED("id"))
    row.state = moved(REGRADE_LIFE, row.state, "approve", rule="MO-013")
    row.effective_on = row.effective_on or next_month(work.day())
    if row.kind != EliteRegradeKind.TERMINATION:
        row.decided_by_id = work.actor.user_id
        await _post(work, row, row.effective_on)
    work.record(EliteRegradeApproved.of(row))
    await propose(work, [row.member_id])


async def _post(work: Work, row: EliteRegrade, day: date) -> None:
    member = await work.session.get(EliteMember, row.member_id)
    assert member is not None  # the row refers to him
    held = await work.session.scalar(posting_on(member.id, day))
    if held is not None and held.step_id != row.from_step_id:
        raise Refused(MOVED_ON("id"))
    await post(
        work,
        member,
        step=row.to_step_id,
        post=row.to_post_id,
        from_=day,
        reason=row.kind,
        rule=row.rule,
        path="id",
    )


def next_month(day: date) -> date:
    """The first day of the month after that of this day."""
    return day_after(month_of(day))


DOCUMENTS: Final[Sequence[Document]] = (
    Document("EliteRegrade", REGRADE, told, lambda row: f"{TITLES[row.kind]}申请"),
)

"""Commands on changes of step and post: apply for a post, schedule, review, decide, withdraw. Signing is `signing`'s."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import ids
from crm_core.commands import Command, Perform, Ref
from crm_core.errors import Message, Refused, UserError
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.appraisals.commands import EliteMemberId
from crm_telecom_elite.appraisals.confirming import (
    ConfirmEliteAppraisals,
    CorrectEliteAppraisal,
    confirming,
    correcting,
)
from crm_telecom_elite.appraisals.models import EliteAppraisal
from crm_telecom_elite.ladder.commands import PostId, StepId
from crm_telecom_elite.ladder.models import ElitePost, EliteStep
from crm_telecom_elite.members.models import EliteMember, ElitePosting
from crm_telecom_elite.members.posting import NOT_POSTED, STEP_OF_OTHER_KIND
from crm_telecom_elite.members.queries import posting_on
from crm_telecom_elite.regrading.events import (
    EliteRegradeChanged,
    EliteRegradeProposed,
    EliteRegradeRejected,
    EliteRegradeWithdrawn,
)
from crm_telecom_elite.regrading.models import OPEN, REGRADE_LIFE, EliteRegrade, EliteRegradeKind
from crm_telecom_elite.regrading.proposing import after_appraisals, propose
from crm_telecom_elite.regrading.queries import standing
from crm_telecom_elite.scopes import MEMBER_WRITE, REGRADE

BY_RESULTS = Message(
    "TELECOM_ELITE_BY_RESULTS",
    "Within one series steps follow from appraisals; another step is applied for with a post of another series only.",
    "同一系列内的调级以考核结果为依据，只有跨系列调岗才能申请调整薪级。",
    rule="MO-011",
)
SAME_POST = Message(
    "TELECOM_ELITE_SAME_POST", "{name} holds this post already.", "{name} 已在该岗位。", rule="MO-012"
)
OPEN_ALREADY = Message(
    "TELECOM_ELITE_REGRADE_OPEN",
    "A change of {name} is not decided yet; it is decided or withdrawn first.",
    "{name} 已有未办结的调级调岗，请先办结或撤回。",
    rule="MO-013",
)
NO_REVIEW = Message(
    "TELECOM_ELITE_NO_REVIEW",
    "Only a promotion into a higher grade takes a qualification review.",
    "只有晋升到上一薪等才需任职资格评审。",
    rule="MO-055",
)
NO_DECISION = Message(
    "TELECOM_ELITE_NO_DECISION",
    "Only the end of a contract is decided like this.",
    "只有解除劳动合同的建议需要此项决定。",
    rule="MO-077",
)
USED = Message(
    "TELECOM_ELITE_APPRAISAL_USED",
    "The appraisal led to a change of step ({regrade}); withdraw that before correcting it.",
    "该考核结果已用于调级（{regrade}），更正前须先撤回该调级。",
    rule="MO-065",
)
MESSAGES = (BY_RESULTS, SAME_POST, OPEN_ALREADY, NO_REVIEW, NO_DECISION, USED)

RegradeId = Annotated[UUID, Ref("EliteRegrade", "erg")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class ApplyForElitePost(Command):
    """Apply for another post of a member, as his department (申请调岗). `approvalSubmit` hands it in (MO-012, MO-013)."""

    kind = "elite_regrade.apply_for_post"
    scope = REGRADE
    returns = "EliteRegrade"
    subject = "member_id"
    subject_type = "EliteMember"
    member_id: EliteMemberId = Field(description="The member (成员).")
    post_id: PostId = Field(description="The post he is to have (岗位).")
    step_id: StepId | None = Field(
        None, description="Rung he is to stand on; only with a post of another series (薪级, MO-010, MO-011)."
    )
    effective_on: date | None = Field(
        None, description="From when on; left out: the first day of the month after the approval (生效日期)."
    )
    reason: Reason = Field(description="Why he fits it (理由).")


async def apply_for_post(work: Work, command: ApplyForElitePost) -> EliteRegrade:
    """The application; refuses the post he has, and another step within the series."""
    member: EliteMember = work.subject
    present = await _present(work, member)
    await _refuse_open(work, member)
    if command.post_id == present.post_id:
        raise Refused(SAME_POST("postId", name=member.name))
    wanted = await work.get(ElitePost, command.post_id, "postId")
    held = await work.get(ElitePost, present.post_id, "memberId")
    step = command.step_id or present.step_id
    if (
        command.step_id is not None
    ):  # refused whichever it is: the answer tells nobody on which rung he stands
        if wanted.series == held.series:
            raise Refused(BY_RESULTS("stepId"))
        await _refuse_other_ladder(work, present, step)
    row = work.add(
        EliteRegrade(
            line=member.line,
            member_id=member.id,
            owner_id=member.owner_id,
            team_id=member.team_id,
            kind=EliteRegradeKind.POST_CHANGE,
            state=REGRADE_LIFE.initial,
            rule="MO-012",
            from_step_id=present.step_id,
            to_step_id=step,
            to_post_id=wanted.id,
            cause=[],
            derivation=[],
            reason=command.reason,
            effective_on=command.effective_on,
        )
    )
    work.record(EliteRegradeProposed.of(row))
    return row


async def _present(work: Work, member: EliteMember) -> ElitePosting:
    day = work.day()
    found: ElitePosting | None = await work.session.scalar(posting_on(member.id, day))
    if found is None:
        raise Refused(NOT_POSTED("memberId", name=member.name, day=day.isoformat()))
    return found


async def _refuse_open(work: Work, member: EliteMember) -> None:
    rows = await work.session.execute(standing([member.id]))
    if any(state in OPEN for _, state, _ in rows.all()):
        raise Refused(OPEN_ALREADY("memberId", name=member.name))


async def _refuse_other_ladder(work: Work, present: ElitePosting, step_id: UUID) -> None:
    """A rung of the ladder he stands on."""
    step = await work.get(EliteStep, step_id, "stepId")
    held = await work.get(EliteStep, present.step_id, "stepId")
    if step.team_kind != held.team_kind:
        given = {"grade": step.grade, "letter": step.letter, "step_kind": step.team_kind}
        raise Refused(STEP_OF_OTHER_KIND("stepId", **given, team="-", team_kind=held.team_kind))


class ScheduleEliteRegrade(Command):
    """Say from which day on a change is to hold (确定生效日). Otherwise: the first of the month after its approval."""

    kind = "elite_regrade.schedule"
    scope = REGRADE
    returns = "EliteRegrade"
    subject = "id"
    id: RegradeId = Field(description="The change (调级调岗).")
    effective_on: date = Field(description="The first day (生效日期).")


async def schedule(work: Work, command: ScheduleEliteRegrade) -> EliteRegrade:
    """The change with its day."""
    row: EliteRegrade = work.subject
    row.state = moved(REGRADE_LIFE, row.state, "schedule")
    row.effective_on = command.effective_on
    work.record(EliteRegradeChanged.of(row))
    return row


class ReviewEliteQualification(Command):
    """Record whether a member is qualified for the higher grade (任职资格评审). Who is not stays where he is (MO-055)."""

    kind = "elite_regrade.review_qualification"
    scope = REGRADE
    returns = "EliteRegrade"
    subject = "id"
    id: RegradeId = Field(description="The promotion (晋级).")
    qualified: bool = Field(description="Whether he passed (是否通过).")
    note: Reason = Field(description="What the review found (评审意见).")


async def review_qualification(work: Work, command: ReviewEliteQualification) -> EliteRegrade:
    """The promotion, ready to be handed in; or refused: then what his later results call for is proposed anew."""
    row: EliteRegrade = work.subject
    if not await needs_review(work, row):
        raise Refused(NO_REVIEW("id"))
    move = "review_qualification" if command.qualified else "fail_review"
    row.state = moved(REGRADE_LIFE, row.state, move, rule="MO-055")
    row.qualified = command.qualified
    return await _decided(work, row, command.note, stays=command.qualified)


class DecideEliteTermination(Command):
    """Record, as HR, whether a contract is to end (解除劳动合同决定).

    Nothing ends by it: a decision to end it is handed in for signatures (`approvalSubmit`), and after them a person
    terminates the membership (`eliteMemberTerminate`).
    """

    kind = "elite_regrade.decide"
    scope = MEMBER_WRITE
    returns = "EliteRegrade"
    subject = "id"
    id: RegradeId = Field(description="The proposal (解除建议).")
    terminate: bool = Field(description="Whether it is to end (是否解除).")
    decision: Reason = Field(description="The decision and its legal ground (决定及法律依据).")


async def decide(work: Work, command: DecideEliteTermination) -> EliteRegrade:
    """The proposal with the decision; refused where the contract is to go on (MO-077)."""
    row: EliteRegrade = work.subject
    if row.kind != EliteRegradeKind.TERMINATION:
        raise Refused(NO_DECISION("id"))
    row.state = moved(REGRADE_LIFE, row.state, "decide" if command.terminate else "keep", rule="MO-077")
    return await _decided(work, row, command.decision, stays=command.terminate)


async def _decided(work: Work, row: EliteRegrade, decision: str, *, stays: bool) -> EliteRegrade:
    row.decision, row.decided_by_id = decision, work.actor.user_id
    work.record((EliteRegradeChanged if stays else EliteRegradeRejected).of(row))
    if not stays:
        await propose(work, [row.member_id])
    return row


class WithdrawEliteRegrade(Command):
    """Take a change back that was not handed in, with a reason (撤回调级调岗). Its results count again."""

    kind = "elite_regrade.withdraw"
    scope = REGRADE
    returns = "EliteRegrade"
    subject = "id"
    id: RegradeId = Field(description="The change (调级调岗).")
    reason: Reason = Field(description="Why (理由).")


async def withdraw(work: Work, command: WithdrawEliteRegrade) -> EliteRegrade:
    """The withdrawn change; the next appraisal that is confirmed or corrected proposes anew."""
    row: EliteRegrade = work.subject
    row.state = moved(REGRADE_LIFE, row.state, "withdraw")
    row.decision, row.decided_by_id = command.reason, work.actor.user_id
    work.record(EliteRegradeWithdrawn.of(row))
    return row


async def needs_review(work: Work, row: EliteRegrade) -> bool:
    """Whether it is a promotion into another grade (MO-055, MO-076)."""
    if row.kind != EliteRegradeKind.STEP_UP:
        return False
    t = EliteStep.__table__
    rows = await work.session.scalars(select(t.c.grade).where(t.c.id.in_([row.from_step_id, row.to_step_id])))
    return len(set(rows)) > 1


async def unused(work: Work, _command: CorrectEliteAppraisal) -> list[UserError]:
    """Refuse to correct an appraisal that a change of step, not withdrawn, was made of (MO-065)."""
    row: EliteAppraisal = work.subject
    if row.member_id is None:
        return []
    shown, t = ids.show("ela", row.id), EliteRegrade.__table__
    held = standing([row.member_id]).with_only_columns(t.c.id, t.c.cause)
    made = [key for key, cause in (await work.session.execute(held)).all() if shown in cause]
    return [USED("id", regrade=ids.show("erg", key)) for key in made]


COMMANDS: dict[type[Command], Perform] = {
    ConfirmEliteAppraisals: confirming(after_appraisals),
    CorrectEliteAppraisal: correcting(after_appraisals),
    ApplyForElitePost: apply_for_post,
    ScheduleEliteRegrade: schedule,
    ReviewEliteQualification: review_qualification,
    DecideEliteTermination: decide,
    WithdrawEliteRegrade: withdraw,
}
CHECKS = {CorrectEliteAppraisal.kind: [unused]}

"""Visits: their plan made in advance, their report to the superior, cadences and sales meetings (拜访)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from sqlalchemy import select

from crm_core.commands import Command, Part, Perform, omitted
from crm_core.customers.models import CustomerGrade
from crm_core.errors import Refused, UserError, raise_if
from crm_core.interactions import states
from crm_core.interactions.events import (
    CadenceSet,
    SalesMeetingRecorded,
    VisitReportReviewed,
    VisitReportSubmitted,
)
from crm_core.interactions.models import (
    AlternativeWay,
    Cadence,
    Interaction,
    ReviewResult,
    SalesMeeting,
    Visit,
    VisitOccasion,
    VisitPurpose,
)
from crm_core.interactions.people import Long, Short, TeamId, Words, team_of
from crm_core.interactions.queries import kind_of, visit_of, visits_between
from crm_core.interactions.refusals import (
    NOT_A_VISIT,
    OWN_REPORT,
    PERIOD_REVERSED,
    PLAN_AFTER_VISIT,
    REPORT_ACCEPTED,
    REPORT_MISSING,
    UNKNOWN_PREPARATION,
    VISIT_NEEDS_PLAN,
    VISIT_PLAN_INCOMPLETE,
    VISIT_RECORD_INCOMPLETE,
)
from crm_core.interactions.tasks import InteractionId
from crm_core.work import Work


class VisitPlanInput(Part):
    """The plan of a visit, made in advance (探望计划, CS-106, CS-110, CS-111, CS-113)."""

    purposes: list[VisitPurpose] = Field(
        default_factory=list, max_length=5, description="Purposes (拜访目的, CS-110)."
    )
    target: Words = Field("", max_length=2000, description="What is to be reached (拜访目标).")
    occasion: VisitOccasion = Field(
        VisitOccasion.IRREGULAR, description="Regular or irregular visit (定期/不定期, CS-107)."
    )
    alternative_way: AlternativeWay | None = Field(
        None, description="Another way to a large or hard-to-visit customer (其他拜访方式, CS-113)."
    )
    preparations: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Items of the checklist already done (准备事项, CS-111).",
    )
    guidance_minutes: int | None = Field(
        None,
        ge=0,
        le=1440,
        description="Minutes set aside to guide the customer; default: by the settings (CS-116).",
    )


def plan_problems(work: Work, plan: VisitPlanInput | None) -> Iterator[UserError]:
    """What a visit plan lacks: purpose, target; and preparations not on the checklist (CS-106, CS-111)."""
    if plan is None or not plan.purposes:
        yield VISIT_PLAN_INCOMPLETE("visit.purposes")
    if plan is None or not plan.target:
        yield VISIT_PLAN_INCOMPLETE("visit.target")
    known = work.settings_of("interactions").preparations
    for position, item in enumerate(plan.preparations if plan else ()):
        if item not in known:
            yield UNKNOWN_PREPARATION(f"visit.preparations.{position}", item=item)


def add_plan(work: Work, row: Interaction, plan: VisitPlanInput) -> Visit:
    """Keep the plan with the checklist of today's settings."""
    settings = work.settings_of("interactions")
    visit = work.add(
        Visit(interaction_id=row.id, checklist=list(settings.preparations), purposes=[], preparations=[])
    )
    change_plan(visit, plan)
    if visit.guidance_planned is None:
        visit.guidance_planned = settings.guidance_minutes
    visit.guidance_most = settings.guidance_minutes_most
    return visit


def change_plan(visit: Visit, plan: VisitPlanInput) -> None:
    """Write what the plan says; what it leaves out stays."""
    given = {name: getattr(plan, name) for name in plan.model_fields_set}
    planned = given.pop("guidance_minutes", visit.guidance_planned)
    visit.guidance_planned = planned
    for column, value in given.items():
        setattr(visit, column, _plain(value))


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, StrEnum) else value


async def refuse_unplanned(work: Work, row: Interaction) -> None:
    """A visit takes place only by a plan with purpose and target made before it (CS-106)."""
    visit = await visit_of(work, row)
    if visit is None or not visit.purposes or not visit.target:
        raise Refused(VISIT_NEEDS_PLAN("id"))
    if row.occurred_at <= visit.created_at and work.options.channel != "import":
        raise Refused(PLAN_AFTER_VISIT("occurredAt", planned=visit.created_at.isoformat()))


# -- the report


class _VisitCommand(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "interaction.write"
    returns: ClassVar[str | list[str]] = "Interaction"
    subject: ClassVar[str | None] = "id"
    id: InteractionId = Field(description="The visit.")


class SubmitReport(_VisitCommand):
    """Hand in the report of a visit to the superior, also again after it was returned (提交探望报告, CS-106, CS-117)."""

    kind = "interaction.submit_report"
    content: Long = omitted(description="What was done and said; default: as recorded (拜访内容, CS-117).")
    feedback: Words = omitted(description="The customer's feedback (客户反馈, CS-117).")
    host_name: Short = omitted(max_length=120, description="Whom you met (接待人姓名, CS-112).")
    host_title: Short = omitted(max_length=120, description="His post (接待人职务, CS-112).")
    decision_power: Words = omitted(
        max_length=500, description="His say on future cooperation (决策权, CS-112)."
    )
    needs: Words = omitted(description="The customer's own view of needs and problems (需求与问题, CS-112).")
    attitude: Words = omitted(description="The customer's attitude (态度, CS-112).")
    demands: Words = omitted(description="Demands and suggestions (要求和建议, CS-112).")
    prospects: Words = omitted(description="Back-up customers in the local market (后备客户, CS-114).")
    competitors: Words = omitted(
        description="Competitors' customer relations: service, process, staff (竞争对手情况, CS-114)."
    )
    guidance: Words = omitted(description="Guidance given on site (现场指导, CS-114).")
    guidance_minutes: int | None = omitted(
        ge=0, le=1440, description="Minutes spent on guidance (指导时间, CS-116)."
    )
    credit_change: Words = omitted(max_length=2000, description="Changes in credit (信用异动, CS-114).")
    credit_change_cause: Words = omitted(max_length=2000, description="Their causes (异动原因, CS-114).")
    company_topics: Words = omitted(
        max_length=2000, description="Company information given (企业信息, CS-115)."
    )
    activity_topics: Words = omitted(
        max_length=2000, description="Activity information given (活动信息, CS-115)."
    )
    product_topics: Words = omitted(
        max_length=2000, description="Product information given (产品信息, CS-115)."
    )
    competitor_topics: Words = omitted(
        max_length=2000, description="Competitor information given (竞争对手信息, CS-115)."
    )
    objections: Words = omitted(description="Objections and how they were handled (异议处理, CS-115).")
    gifts: Words = omitted(max_length=1000, description="Gifts given (赠送礼品, CS-115).")


async def submit_report(work: Work, command: SubmitReport) -> Interaction:
    """The visit with its report; the first submission tells whether it was late. Refused once accepted."""
    row: Interaction = work.subject
    visit = await _visit(work, row, "submit_report")
    if visit.review_result == ReviewResult.ACCEPTED:
        raise Refused(REPORT_ACCEPTED("id"))
    given = command.given()
    row.content = given.pop("content", row.content)
    for column in given.keys() - {"id"}:
        setattr(visit, column, given[column])
    raise_if(_missing(row, visit))
    if visit.submitted_at is None:
        visit.is_late = is_late(work, row)
    visit.submitted_at, visit.submitted_by_id = work.now, work.actor.user_id
    visit.review_result = None
    work.record(VisitReportSubmitted.of(row, late=visit.is_late))
    return row


async def _visit(work: Work, row: Interaction, move: str) -> Visit:
    states.move(states.INTERACTION, row, move)
    visit = await visit_of(work, row)
    if visit is None:
        if not row.is_visit:
            raise Refused(NOT_A_VISIT("id", kind=row.kind))
        visit = work.add(Visit(interaction_id=row.id, checklist=[], purposes=[], preparations=[]))
    return visit


def _missing(row: Interaction, visit: Visit) -> Iterator[UserError]:
    if not row.content:
        yield VISIT_RECORD_INCOMPLETE("content")
    if not visit.feedback:
        yield VISIT_RECORD_INCOMPLETE("feedback")


def is_late(work: Work, row: Interaction) -> bool:
    """Whether a visit record handed in now comes after the days the settings allow (CS-117)."""
    days = work.settings_of("interactions").visit_record_days
    return work.now > row.occurred_at + timedelta(days=days)


class ReviewReport(_VisitCommand):
    """Accept or return the report of a visit, as the superior (审核探望报告, CS-106)."""

    kind = "interaction.review_report"
    scope = "interaction.review"
    result: ReviewResult = Field(description="Accepted or returned (审核结果).")
    comment: Words = Field("", max_length=2000, description="Remark for the visitor (审核意见).")


async def review_report(work: Work, command: ReviewReport) -> Interaction:
    """The visit with the superior's decision; refused for one's own report, without report, or once accepted."""
    row: Interaction = work.subject
    visit = await _visit(work, row, "review_report")
    if visit.submitted_at is None or visit.review_result == ReviewResult.RETURNED:
        raise Refused(REPORT_MISSING("id"))
    if visit.review_result == ReviewResult.ACCEPTED:
        raise Refused(REPORT_ACCEPTED("id"))
    if work.actor.user_id in {row.performer_id, visit.submitted_by_id} - {None}:
        raise Refused(OWN_REPORT("id"))
    visit.review_result, visit.review_comment = command.result.value, command.comment
    visit.reviewed_at, visit.reviewed_by_id = work.now, work.actor.user_id
    work.record(VisitReportReviewed.of(row, result=command.result.value))
    return row


# -- cadences and meetings


class SetCadence(Command):
    """Set how often, and in which form, customers of a grade are contacted from a day on (设定拜访频率, CS-109)."""

    kind: ClassVar[str] = "cadence.set"
    scope: ClassVar[str] = "interaction.manage"
    returns: ClassVar[str | list[str]] = "Cadence"
    grade: CustomerGrade = Field(description="Grade of the customers (客户等级).")
    interaction_kind: str = Field(
        "visit", alias="kind", max_length=40, description="Kind of interaction that counts (互动方式)."
    )
    form: Short = Field("", description="Form, e.g. 上门拜访, 座谈会 (形式).")
    every_days: int = Field(ge=1, le=3650, description="At least once in so many days (间隔天数).")
    valid_from: date = Field(description="First day it holds; earlier settings hold until then (生效日期).")


async def set_cadence(work: Work, command: SetCadence) -> Cadence:
    """The cadence of this grade, known kind and day, new or changed; earlier ones stay as history."""
    kind = kind_of(work, command.interaction_kind).name
    own = {
        "line": work.acting_line,
        "grade": command.grade.value,
        "kind": kind,
        "valid_from": command.valid_from,
    }
    cadence = await work.session.scalar(select(Cadence).filter_by(**own))
    if cadence is None:
        cadence = work.add(Cadence(**own, form=command.form, every_days=command.every_days))
    else:
        cadence.form, cadence.every_days = command.form, command.every_days
    work.record(CadenceSet.of(cadence))
    return cadence


class RecordMeeting(Command):
    """Record a sales meeting on the visits of a period, with the next sales plan (记录销售会议, CS-118)."""

    kind: ClassVar[str] = "sales_meeting.record"
    scope: ClassVar[str] = "interaction.manage"
    returns: ClassVar[str | list[str]] = "SalesMeeting"
    team_id: TeamId | None = Field(None, description="The team that met; null: the whole line (团队).")
    held_on: date = Field(description="Day of the meeting (会议日期).")
    period_from: date = Field(description="First day of the visits discussed (期间起).")
    period_to: date = Field(description="Last day of the visits discussed (期间止).")
    summary: Long = Field(min_length=1, description="Summary and analysis of the visits (拜访总结和分析).")
    next_plan: Long = Field(min_length=1, description="The next sales plan (下一步销售计划).")


async def record_meeting(work: Work, command: RecordMeeting) -> SalesMeeting:
    """The meeting, with the visits of the period counted."""
    if command.period_to < command.period_from:
        raise Refused(PERIOD_REVERSED("periodTo", rule="CS-118"))
    team_id = await team_of(work, command.team_id, None)
    visits, customers = await visits_between(work, team_id, command.period_from, command.period_to)
    meeting = work.add(
        SalesMeeting(
            **command.model_dump(by_alias=False, exclude={"team_id"}),
            line=work.acting_line,
            team_id=team_id,
            chair_id=work.actor.user_id,
            visits=visits,
            customers_visited=customers,
        )
    )
    work.record(SalesMeetingRecorded.of(meeting))
    return meeting


COMMANDS: dict[type[Command], Perform] = {
    SubmitReport: submit_report,
    ReviewReport: review_report,
    SetCadence: set_cadence,
    RecordMeeting: record_meeting,
}

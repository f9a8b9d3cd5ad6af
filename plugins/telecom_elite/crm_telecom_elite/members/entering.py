"""Commands from the entry to the end of the probation: entering, exam, coaching, start, confirmation."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from pydantic import Field

from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused, UserError, raise_if
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.ladder.commands import PostId, StepId
from crm_telecom_elite.members.commands import MemberId, refuse_future
from crm_telecom_elite.members.events import EliteMemberEntered, EliteMemberMoved
from crm_telecom_elite.members.models import (
    MEMBER_LIFE,
    EliteMember,
    EliteMemberState,
    EliteOrigin,
    ElitePosting,
    EliteTerm,
    EliteTraining,
)
from crm_telecom_elite.members.posting import refuse_unfit, settle
from crm_telecom_elite.members.queries import EMPLOYED
from crm_telecom_elite.members.terms import MONTHS, terms
from crm_telecom_elite.months import term_end
from crm_telecom_elite.rates.queries import Rates, rates_of
from crm_telecom_elite.scopes import MEMBER_WRITE
from crm_telecom_elite.teams.models import EliteTeam

ORIGINAL_PAY_MISSING = Message(
    "TELECOM_ELITE_ORIGINAL_PAY_MISSING",
    "{name} comes from the establishment: his original salary and bonus must be known before he enters.",
    "{name} 为联通在编人员，入职前须先登记其原工资和原奖金。",
    rule="MO-036",
)
BEFORE_MEDICAL = Message(
    "TELECOM_ELITE_BEFORE_MEDICAL",
    "The entry cannot be before the medical check of {day}.",
    "入职日期不得早于体检日期 {day}。",
    rule="MO-020",
)
BEFORE_ENTRY = Message(
    "TELECOM_ELITE_BEFORE_ENTRY",
    "{name} entered on {day}; nothing of his membership is earlier.",
    "{name} 于 {day} 入职，不得早于该日。",
)
CLASSROOM_LENGTH = Message(
    "TELECOM_ELITE_CLASSROOM_LENGTH",
    "The classroom phase takes {least} to {most} week(s), from {start} to {end} it does not.",
    "岗前集中学习为 {least} 至 {most} 周，{start} 至 {end} 不符合要求。",
    rule="MO-023",
)
EXAM_MISSING = Message(
    "TELECOM_ELITE_EXAM_MISSING",
    "{name} has not passed the exam of the training.",
    "{name} 尚未通过岗前培训考试。",
    rule="MO-023",
)
EXAM_BEFORE_TRAINING = Message(
    "TELECOM_ELITE_EXAM_BEFORE_TRAINING",
    "The exam follows the training, which lasts until {day}.",
    "考试须在培训结束（{day}）之后进行。",
    rule="MO-023",
)
COACHING_MISSING = Message(
    "TELECOM_ELITE_COACHING_MISSING",
    "{name} has not worked on site with a senior colleague.",
    "{name} 尚未跟随老员工进行现场工作。",
    rule="MO-023",
)
COACHING_SHORT = Message(
    "TELECOM_ELITE_COACHING_SHORT",
    "Working on site with a colleague takes {months} months, from {since} to {day} at least.",
    "跟随老员工现场工作为期 {months} 个月，自 {since} 至少至 {day}。",
    rule="MO-023",
)
ONE_COACH = Message(
    "TELECOM_ELITE_ONE_COACH",
    "Name one coach: coachId of a member, or coachName of somebody else.",
    "请指明一名辅导员工：成员填写 coachId，其他员工填写 coachName。",
    rule="MO-023",
)
COACH_UNFIT = Message(
    "TELECOM_ELITE_COACH_UNFIT",
    "{name} is no senior colleague: a coach is another member at work, past training.",
    "{name} 不能担任辅导员工：须为已上岗的其他成员。",
    rule="MO-023",
)
IN_PROBATION = Message(
    "TELECOM_ELITE_IN_PROBATION",
    "The probation lasts until {day}.",
    "试用期至 {day} 届满。",
    rule="MO-021",
)
MESSAGES = (
    ORIGINAL_PAY_MISSING,
    BEFORE_MEDICAL,
    BEFORE_ENTRY,
    CLASSROOM_LENGTH,
    EXAM_MISSING,
    EXAM_BEFORE_TRAINING,
    COACHING_MISSING,
    COACHING_SHORT,
    ONE_COACH,
    COACH_UNFIT,
    IN_PROBATION,
)

_WEEK: Final = 7
_WEEKEND: Final = 2
_LEARNING = (EliteMemberState.IN_TRAINING, EliteMemberState.EXAM_PASSED, EliteMemberState.COACHING)


class EnterEliteMember(Command):
    """Let a candidate enter with contract, post and step (入职); pay packages follow from where he comes from."""

    kind = "elite_member.enter"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The candidate.")
    entered_on: date = Field(description="First day (入职日期).")
    step_id: StepId = Field(description="Grade and step by his qualification (薪等薪级).")
    post_id: PostId | None = Field(None, description="His post, where not the one proposed (岗位).")
    grading: str = Field(
        "", max_length=500, description="Why this grade: education, experience, skills (定级依据)."
    )


async def enter(work: Work, command: EnterEliteMember) -> EliteMember:
    """The member in training, with posting, packages, probation and contract (MO-010, MO-020, MO-021, MO-030)."""
    member: EliteMember = work.subject
    state = moved(MEMBER_LIFE, member.state, "enter", rule="MO-001")
    refuse_future(work, command.entered_on, "enteredOn")
    _refuse_unready(member, command.entered_on)
    team = await work.get(EliteTeam, member.elite_team_id, "teamId")
    rates = await rates_of(work.session, work.acting_line)
    posting = ElitePosting(
        member_id=member.id,
        elite_team_id=team.id,
        post_id=command.post_id or member.post_id,
        step_id=command.step_id,
        valid_from=command.entered_on,
        reason="ENTRY",
        rule="MO-010",
    )
    await refuse_unfit(work, posting)
    member.state, member.entered_on = state, command.entered_on
    _contract(member, team, rates)
    await settle(work, member, work.add(posting))
    _pay(work, member, team, rates)
    work.record(EliteMemberEntered.of(member, grading=command.grading))
    return member


def _refuse_unready(member: EliteMember, day: date) -> None:
    if member.medical_on is not None and day < member.medical_on:
        raise Refused(BEFORE_MEDICAL("enteredOn", day=member.medical_on.isoformat()))
    known = member.original_salary is not None and member.original_bonus is not None
    if member.origin == EliteOrigin.TRANSFEREE and not known:
        raise Refused(ORIGINAL_PAY_MISSING("id", name=member.name))


def _contract(member: EliteMember, team: EliteTeam, rates: Rates) -> None:
    """Probation and contract by the figures of the day of entry (MO-021)."""
    entered = _entered(member)
    member.probation_until = term_end(entered, rates.whole("probation_months", team.kind, entered))
    member.contract_until = term_end(entered, rates.whole("contract_months", team.kind, entered))


def _pay(work: Work, member: EliteMember, team: EliteTeam, rates: Rates) -> None:
    """His pay packages by the figures of the day of entry (MO-030)."""
    entered, origin = _entered(member), EliteOrigin(member.origin)
    months = rates.whole(MONTHS[origin], team.kind, entered) if origin in MONTHS else 0
    for term in terms(origin, entered, months):
        work.add(
            EliteTerm(
                member_id=member.id,
                package=term.package,
                valid_from=term.start,
                valid_to=term.end,
                rule=term.rule,
            )
        )


def _entered(member: EliteMember) -> date:
    assert member.entered_on is not None, "who is employed has entered"
    return member.entered_on


def refuse_before_entry(member: EliteMember, day: date, path: str) -> None:
    """Refuse, naming `path`, a day before the member's entry."""
    if member.entered_on is not None and day < member.entered_on:
        raise Refused(BEFORE_ENTRY(path, name=member.name, day=member.entered_on.isoformat()))


class PassEliteExam(Command):
    """Record the classroom phase before taking up the post, and that its exam was passed (岗前培训考试通过)."""

    kind = "elite_member.pass_exam"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    trained_from: date = Field(description="First day of the classroom phase (培训开始).")
    trained_until: date = Field(description="Its last day (培训结束).")
    passed_on: date = Field(description="The day of the exam (考试日期).")
    score: Decimal | None = Field(None, ge=0, le=1000, description="Score (成绩).")


async def pass_exam(work: Work, command: PassEliteExam) -> EliteMember:
    """The member, who may be coached now; refuses a classroom phase too short or too long (MO-023)."""
    member: EliteMember = work.subject
    state = moved(MEMBER_LIFE, member.state, "pass_exam", rule="MO-023")
    refuse_future(work, command.passed_on, "passedOn")
    refuse_before_entry(member, command.trained_from, "trainedFrom")
    await _refuse_wrong_length(work, member, command)
    if command.passed_on < command.trained_until:
        raise Refused(EXAM_BEFORE_TRAINING("passedOn", day=command.trained_until.isoformat()))
    member.state, member.exam_passed_on = state, command.passed_on
    work.add(
        EliteTraining(
            member_id=member.id,
            kind="ENTRY",
            subject="EXPERTISE",
            level="ELEMENTARY",
            held_on=command.trained_from,
            held_until=command.trained_until,
            passed=True,
            score=command.score,
        )
    )
    work.record(EliteMemberMoved.of(member, move="pass_exam"))
    return member


async def _refuse_wrong_length(work: Work, member: EliteMember, command: PassEliteExam) -> None:
    """A week is seven days, the last one may end with its Friday."""
    rates, kind = await _figures(work, member)
    least, most = (
        rates.whole(name, kind, command.trained_from)
        for name in ("classroom_weeks_least", "classroom_weeks_most")
    )
    days = (command.trained_until - command.trained_from).days + 1
    if not least * _WEEK - _WEEKEND <= days <= most * _WEEK:
        start, end = command.trained_from.isoformat(), command.trained_until.isoformat()
        raise Refused(CLASSROOM_LENGTH("trainedUntil", least=least, most=most, start=start, end=end))


async def _figures(work: Work, member: EliteMember) -> tuple[Rates, str]:
    team = await work.get(EliteTeam, member.elite_team_id, "id")
    return await rates_of(work.session, work.acting_line), team.kind


class CoachEliteMember(Command):
    """Record with whom a member works on site, one to one (一对一辅导)."""

    kind = "elite_member.coach"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    coach_id: MemberId | None = Field(
        None, description="The senior colleague, where he is a member (辅导员工)."
    )
    coach_name: str = Field("", max_length=120, description="His name, where he is none (辅导员工姓名).")
    coached_from: date = Field(description="From which day on (辅导开始).")


async def coach(work: Work, command: CoachEliteMember) -> EliteMember:
    """The member with his coach, one and no more; one who is a member is at work himself (MO-023)."""
    member: EliteMember = work.subject
    state = moved(MEMBER_LIFE, member.state, "coach", rule="MO-023")
    refuse_future(work, command.coached_from, "coachedFrom")
    refuse_before_entry(member, command.coached_from, "coachedFrom")
    if (command.coach_id is None) is not bool(command.coach_name.strip()):
        raise Refused(ONE_COACH("coachId"))
    if command.coach_id is not None:
        await _refuse_unfit_coach(work, member, command.coach_id)
    member.coach_id, member.coach_name = command.coach_id, command.coach_name.strip()
    member.state, member.coaching_from = state, command.coached_from
    work.record(EliteMemberMoved.of(member, move="coach"))
    return member


async def _refuse_unfit_coach(work: Work, member: EliteMember, coach_id: UUID) -> None:
    senior = await work.get(EliteMember, coach_id, "coachId")
    at_work = senior.state in EMPLOYED and senior.state not in _LEARNING
    if not at_work or senior.line != member.line:
        raise Refused(COACH_UNFIT("coachId", name=senior.name))


class StartEliteMember(Command):
    """Let a member take up his post (上岗): training, exam and coaching are behind him."""

    kind = "elite_member.start"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")
    started_on: date = Field(description="First day on the post (上岗日期).")


async def start(work: Work, command: StartEliteMember) -> EliteMember:
    """The member at work in his probation; refuses with everything that is missing (MO-023)."""
    member: EliteMember = work.subject
    if member.state in _LEARNING:
        raise_if(await _missing(work, member, command.started_on))
    state = moved(MEMBER_LIFE, member.state, "start", rule="MO-023")
    refuse_future(work, command.started_on, "startedOn")
    member.state = state
    work.record(EliteMemberMoved.of(member, move="start"))
    return member


async def _missing(work: Work, member: EliteMember, day: date) -> list[UserError]:
    found: list[UserError] = []
    if member.exam_passed_on is None:
        found.append(EXAM_MISSING("id", name=member.name))
    if member.coaching_from is None:
        return [*found, COACHING_MISSING("id", name=member.name)]
    rates, kind = await _figures(work, member)
    months = rates.whole("coaching_months", kind, member.coaching_from)
    ends = term_end(member.coaching_from, months)
    if day <= ends:
        since = member.coaching_from.isoformat()
        found.append(COACHING_SHORT("startedOn", months=months, since=since, day=ends.isoformat()))
    return found


class ConfirmEliteMember(Command):
    """Make a member a regular one after his probation (转正)."""

    kind = "elite_member.confirm"
    scope = MEMBER_WRITE
    returns = "EliteMember"
    subject = "id"
    id: MemberId = Field(description="The member.")


async def confirm(work: Work, command: ConfirmEliteMember) -> EliteMember:
    """The regular member; refuses one still in his probation (MO-021)."""
    member: EliteMember = work.subject
    state = moved(MEMBER_LIFE, member.state, "confirm", rule="MO-021")
    if member.probation_until is not None and work.day() <= member.probation_until:
        raise Refused(IN_PROBATION("id", day=member.probation_until.isoformat()))
    member.state = state
    work.record(EliteMemberMoved.of(member, move="confirm"))
    return member


COMMANDS: dict[type[Command], Perform] = {
    EnterEliteMember: enter,
    PassEliteExam: pass_exam,
    CoachEliteMember: coach,
    StartEliteMember: start,
    ConfirmEliteMember: confirm,
}

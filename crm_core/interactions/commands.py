"""Commands on interactions: plan, log, complete; and the list of all commands of this room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_core.commands import Command, Perform, omitted
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Refused, UserError, raise_if
from crm_core.interactions import callbacks, changing, reports, states, tasks, visits
from crm_core.interactions.callbacks import CallbackInput, judge_card, note_callback
from crm_core.interactions.changing import CancelInteraction, UpdateInteraction
from crm_core.interactions.events import (
    InteractionCompleted,
    InteractionLogged,
    InteractionPlanned,
)
from crm_core.interactions.models import Channel, Direction, Interaction
from crm_core.interactions.people import (
    Long,
    Moment,
    ParticipantInput,
    Short,
    TeamId,
    UserId,
    Words,
    add_participants,
    performer_of,
    set_participants,
    team_of,
)
from crm_core.interactions.queries import customer_line, ground_of, imported, kind_of
from crm_core.interactions.refusals import (
    ALREADY_RECORDED,
    CHANNEL_REQUIRED,
    CONTENT_REQUIRED,
    IN_FUTURE,
    NOT_A_VISIT,
    PLAN_TOO_LATE,
    VISIT_NEEDS_PLAN,
)
from crm_core.interactions.reports import send_reports
from crm_core.interactions.tasks import InteractionId
from crm_core.interactions.visits import (
    VisitPlanInput,
    add_plan,
    plan_problems,
    refuse_unplanned,
)
from crm_core.registry import InteractionKind
from crm_core.work import Work


class _InteractionCommand(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "interaction.write"
    returns: ClassVar[str | list[str]] = "Interaction"


class PlanInteraction(_InteractionCommand):
    """Plan an interaction; a visit with its purpose and target (计划互动, CS-106)."""

    kind = "interaction.plan"
    customer_id: CustomerId = Field(description="The customer (客户).")
    interaction_kind: str = Field(
        alias="kind", max_length=40, description="Kind, e.g. visit, call, meeting (互动方式)."
    )
    planned_at: Moment = Field(description="When it is to take place (计划时间).")
    channel: Channel | None = Field(None, description="Channel; default: the kind's (渠道, CS-127).")
    is_callback: bool = Field(False, description="Whether it is a callback (是否回访).")
    subject_text: Short = Field("", alias="subject", description="What it is about (主题).")
    target: Words = Field(
        "",
        max_length=2000,
        description="What it is to reach (接触目标); of a visit, give it in its plan.",
    )
    performer_id: UserId | None = Field(None, description="Who performs it; default: you (执行人).")
    team_id: TeamId | None = Field(None, description="Team it counts for; default: the customer's (团队).")
    participants: list[ParticipantInput] = Field(
        default_factory=list, max_length=50, description="Who takes part (参与人)."
    )
    visit: VisitPlanInput | None = Field(None, description="Plan of a visit (探望计划).")


async def plan_interaction(work: Work, command: PlanInteraction) -> Interaction:
    """A planned interaction; a visit's plan must lie ahead and name purpose and target."""
    kind = kind_of(work, command.interaction_kind)
    line = await customer_line(work, command.customer_id, "customerId")
    channel = command.channel or kind.channel
    raise_if(_plan_problems(work, command, kind, channel))
    row = work.add(
        Interaction(
            customer_id=command.customer_id,
            line=work.acting_line,
            kind=kind.name,
            channel=channel,
            status=states.INTERACTION.initial,
            direction=Direction.OUTBOUND.value,
            is_visit=kind.plan_required,
            is_callback=command.is_callback,
            subject=command.subject_text,
            target=command.target,
            occurred_at=command.planned_at,
            occurred_on=work.day(command.planned_at),
            planned_at=command.planned_at,
            performer_id=await performer_of(work, command.performer_id),
            team_id=await team_of(work, command.team_id, line.team_id),
        )
    )
    work.record(InteractionPlanned.of(row))
    await work.flush()
    if command.visit is not None:
        add_plan(work, row, command.visit)
    await add_participants(work, row, command.participants)
    return row


def _plan_problems(
    work: Work, command: PlanInteraction, kind: InteractionKind, channel: str | None
) -> Iterator[UserError]:
    if channel is None:
        yield CHANNEL_REQUIRED("channel", kind=kind.name)
    if not kind.plan_required:
        if command.visit is not None:
            yield NOT_A_VISIT("visit", kind=kind.name)
        return
    yield from plan_problems(work, command.visit)
    if command.planned_at <= work.now:
        yield PLAN_TOO_LATE("plannedAt", planned=command.planned_at.isoformat(), now=work.now.isoformat())


class LogInteraction(_InteractionCommand):
    """Record an interaction that took place, with its short report (记录互动, CS-014, CS-119, CS-127)."""

    kind = "interaction.log"
    adds_only = True
    customer_id: CustomerId = Field(description="The customer (客户).")
    interaction_kind: str = Field(
        alias="kind", max_length=40, description="Kind, e.g. call, wechat, showroom_visit (互动方式)."
    )
    occurred_at: Moment | None = Field(None, description="When it took place; default: now (发生时间).")
    channel: Channel | None = Field(None, description="Channel; default: the kind's (渠道, CS-127).")
    direction: Direction = Field(Direction.OUTBOUND, description="Who began it (方向).")
    subject_text: Short = Field("", alias="subject", description="What it was about (主题).")
    content: Long = Field("", description="The short report: what was said and found (内容, CS-119).")
    is_callback: bool = Field(False, description="Whether it was a callback (是否回访).")
    callback: CallbackInput | None = Field(None, description="What the callback found (回访结果).")
    duration_minutes: int | None = Field(None, ge=0, le=10_080, description="How long, minutes (时长).")
    performer_id: UserId | None = Field(None, description="Who performed it; default: you (执行人).")
    team_id: TeamId | None = Field(None, description="Team it counts for; default: the customer's (团队).")
    participants: list[ParticipantInput] = Field(
        default_factory=list, max_length=50, description="Who took part (参与人)."
    )
    next_step: Words = Field("", max_length=2000, description="What follows (下一步).")
    next_on: date | None = Field(None, description="Day of the next contact (下次联系日期).")
    report_to: list[UserId] = Field(
        default_factory=list, max_length=50, description="Others who need to know (抄送, CS-119)."
    )
    consultant_name: Short | None = Field(
        None, max_length=120, description="Consultant as a file names him (销售顾问)."
    )
    source: str | None = Field(
        None, min_length=1, max_length=40, description="System it comes from (来源系统)."
    )
    external_id: str | None = Field(
        None, min_length=1, max_length=120, description="Its id there (外部编号)."
    )


async def log_interaction(work: Work, command: LogInteraction) -> Interaction:
    """A done interaction. A visit is refused without plan (CS-106), any contact without report (CS-119)."""
    kind = kind_of(work, command.interaction_kind)
    ground = await ground_of(work, command.customer_id, "customerId")
    occurred_at = command.occurred_at or work.now
    channel = command.channel or kind.channel
    if work.options.channel != "import":
        raise_if(_log_problems(work, command, kind, channel))
    await _refuse_known(work, command)
    row = work.add(
        Interaction(
            **command.model_dump(by_alias=False, include=_LOGGED),
            line=work.acting_line,
            kind=kind.name,
            channel=channel,
            status="DONE",
            subject=command.subject_text,
            is_visit=kind.plan_required,
            is_callback=command.is_callback or command.callback is not None,
            occurred_at=occurred_at,
            occurred_on=work.day(occurred_at),
            performer_id=await _performer(work, command),
            team_id=await team_of(work, command.team_id, ground.team_id),
        )
    )
    work.record(InteractionLogged.of(row))
    await add_participants(work, row, command.participants)
    await _finish(work, row, command, ground.recipients)
    return row


_LOGGED = {
    "customer_id", "direction", "content", "duration_minutes", "next_step", "next_on",
    "consultant_name", "source", "external_id",
}  # fmt: skip


def _log_problems(
    work: Work, command: LogInteraction, kind: InteractionKind, channel: str | None
) -> Iterator[UserError]:
    if kind.plan_required:
        yield VISIT_NEEDS_PLAN("kind")
    if channel is None:
        yield CHANNEL_REQUIRED("channel", kind=kind.name)
    yield from _done_problems(work, command.occurred_at, command.content)


def _done_problems(work: Work, occurred_at: datetime | None, content: str) -> Iterator[UserError]:
    if not content:
        yield CONTENT_REQUIRED("content")
    if occurred_at is not None and occurred_at > work.now:
        yield IN_FUTURE("occurredAt", moment=occurred_at.isoformat())


async def _performer(work: Work, command: LogInteraction) -> object:
    """Imported history names its consultant in words: nobody of today is put down for it."""
    if work.options.channel == "import" and command.performer_id is None:
        return None
    return await performer_of(work, command.performer_id)


async def _refuse_known(work: Work, command: LogInteraction) -> None:
    if command.source is None or command.external_id is None or work.together is not None:
        return  # an import has looked them all up; the unique key stands behind it
    if await imported(work, command.source, [command.external_id]):
        raise Refused(ALREADY_RECORDED("externalId", source=command.source, external_id=command.external_id))


class CompleteInteraction(_InteractionCommand):
    """Mark a planned interaction as done, with its short report (完成互动, CS-106, CS-119)."""

    kind = "interaction.complete"
    subject = "id"
    id: InteractionId = Field(description="The planned interaction.")
    occurred_at: Moment | None = Field(None, description="When it took place; default: now (发生时间).")
    content: Long = Field("", description="The short report: what was said and found (内容, CS-119).")
    channel: Channel = omitted(description="Channel, when another than planned (渠道, CS-127).")
    duration_minutes: int | None = omitted(ge=0, le=10_080, description="How long, minutes (时长).")
    participants: list[ParticipantInput] = omitted(max_length=50, description="Who took part (参与人).")
    callback: CallbackInput | None = Field(None, description="What the callback found (回访结果).")
    next_step: Words = omitted(max_length=2000, description="What follows (下一步).")
    next_on: date | None = omitted(description="Day of the next contact (下次联系日期).")
    report_to: list[UserId] = Field(
        default_factory=list, max_length=50, description="Others who need to know (抄送, CS-119)."
    )


async def complete_interaction(work: Work, command: CompleteInteraction) -> Interaction:
    """The interaction, done. A visit whose plan is missing or younger than the visit is refused."""
    row: Interaction = work.subject
    states.move(states.INTERACTION, row, "complete")
    raise_if(_done_problems(work, command.occurred_at, command.content))
    row.occurred_at = command.occurred_at or work.now
    row.occurred_on = work.day(row.occurred_at)
    row.content = command.content
    given = command.given()
    for column in given.keys() & {"channel", "duration_minutes", "next_step", "next_on"}:
        setattr(row, column, given[column])
    if row.is_visit:
        await refuse_unplanned(work, row)
    row.is_callback = row.is_callback or command.callback is not None
    work.record(InteractionCompleted.of(row))
    if "participants" in given:
        await set_participants(work, row, command.participants)
    await _finish(work, row, command)
    return row


async def _finish(
    work: Work,
    row: Interaction,
    command: LogInteraction | CompleteInteraction,
    holders: Sequence[UUID] | None = None,
) -> None:
    """What follows from every contact that took place: callback findings, the card, the short reports."""
    await note_callback(work, row, command.callback, row.team_id)
    await judge_card(work, row)
    await send_reports(work, row, command.report_to, holders)


COMMANDS: dict[type[Command], Perform] = {
    PlanInteraction: plan_interaction,
    LogInteraction: log_interaction,
    CompleteInteraction: complete_interaction,
    **changing.COMMANDS,
    **visits.COMMANDS,
    **callbacks.COMMANDS,
    **reports.COMMANDS,
    **tasks.COMMANDS,
}

__all__ = [
    "COMMANDS", "CancelInteraction", "CompleteInteraction", "LogInteraction", "PlanInteraction", "UpdateInteraction",
    "complete_interaction", "log_interaction", "plan_interaction",
]  # fmt: skip

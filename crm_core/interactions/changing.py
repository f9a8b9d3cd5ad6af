"""Changing interactions that are planned or done, and calling planned ones off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import ClassVar

from pydantic import Field

from crm_core.commands import Command, Perform, omitted
from crm_core.errors import Refused, UserError, raise_if
from crm_core.interactions import states
from crm_core.interactions.events import InteractionCancelled, InteractionUpdated
from crm_core.interactions.models import Channel, Interaction, Visit
from crm_core.interactions.people import (
    Long,
    Moment,
    ParticipantInput,
    Short,
    UserId,
    Words,
    performer_of,
    set_participants,
)
from crm_core.interactions.queries import visit_of
from crm_core.interactions.refusals import CONTENT_REQUIRED, NOT_A_VISIT, PLAN_TOO_LATE
from crm_core.interactions.tasks import InteractionId
from crm_core.interactions.visits import VisitPlanInput, change_plan, plan_problems
from crm_core.work import Work


class _ChangingCommand(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "interaction.write"
    returns: ClassVar[str | list[str]] = "Interaction"


class CancelInteraction(_ChangingCommand):
    """Call a planned interaction off; give the reason (取消互动)."""

    kind = "interaction.cancel"
    subject = "id"
    id: InteractionId = Field(description="The planned interaction.")


async def cancel_interaction(work: Work, _command: CancelInteraction) -> Interaction:
    """The interaction, called off."""
    row: Interaction = work.subject
    states.move(states.INTERACTION, row, "cancel")
    work.record(InteractionCancelled.of(row))
    return row


class UpdateInteraction(_ChangingCommand):
    """Change an interaction; what is left out stays. Time, performer, target and visit plan only while planned (修改互动)."""

    kind = "interaction.update"
    subject = "id"
    id: InteractionId = Field(description="The interaction.")
    subject_text: Short = omitted(alias="subject", description="What it is about (主题).")
    content: Long = omitted(description="The short report (内容).")
    next_step: Words = omitted(max_length=2000, description="What follows (下一步).")
    next_on: date | None = omitted(description="Day of the next contact (下次联系日期).")
    participants: list[ParticipantInput] = omitted(max_length=50, description="Who takes part (参与人).")
    target: Words = omitted(max_length=2000, description="What it is to reach (接触目标).")
    planned_at: Moment = omitted(description="When it is to take place (计划时间).")
    performer_id: UserId = omitted(description="Who performs it (执行人).")
    channel: Channel = omitted(description="Channel (渠道).")
    visit: VisitPlanInput = omitted(description="Plan of a visit; what is left out stays (探望计划).")


_REPLANNED = frozenset({"planned_at", "performer_id", "channel", "target", "visit"})
_AMENDED = {"subject_text": "subject", "content": "content", "next_step": "next_step", "next_on": "next_on"}


async def update_interaction(work: Work, command: UpdateInteraction) -> Interaction:
    """The changed interaction; a done one keeps its time, performer, channel, target and plan, and a report in words."""
    row: Interaction = work.subject
    given = command.given()
    states.move(states.INTERACTION, row, "replan" if _REPLANNED & given.keys() else "amend")
    if row.status == "DONE" and given.get("content", row.content) == "" and row.content:
        raise Refused(CONTENT_REQUIRED("content"))
    for name in given.keys() & _AMENDED.keys():
        setattr(row, _AMENDED[name], given[name])
    await _replan(work, row, command)
    if "participants" in given:
        await set_participants(work, row, command.participants)
    work.record(InteractionUpdated.of(row))
    return row


async def _replan(work: Work, row: Interaction, command: UpdateInteraction) -> None:
    given = command.given()
    if "planned_at" in given:
        raise_if(_too_late(work, row, command.planned_at))
        row.planned_at = row.occurred_at = command.planned_at
        row.occurred_on = work.day(command.planned_at)
    if "performer_id" in given:
        row.performer_id = await performer_of(work, command.performer_id)
    if "channel" in given:
        row.channel = command.channel
    if "target" in given:
        row.target = command.target
    if "visit" in given:
        await _change_visit(work, row, command.visit)


def _too_late(work: Work, row: Interaction, planned_at: datetime) -> Iterator[UserError]:
    if row.is_visit and planned_at <= work.now:
        yield PLAN_TOO_LATE("plannedAt", planned=planned_at.isoformat(), now=work.now.isoformat())


async def _change_visit(work: Work, row: Interaction, plan: VisitPlanInput) -> None:
    visit: Visit | None = await visit_of(work, row)
    if visit is None:
        raise Refused(NOT_A_VISIT("visit", kind=row.kind))
    change_plan(visit, plan)
    whole = VisitPlanInput.model_validate(
        {"purposes": visit.purposes, "target": visit.target, "preparations": visit.preparations}
    )
    raise_if(plan_problems(work, whole))


COMMANDS: dict[type[Command], Perform] = {
    CancelInteraction: cancel_interaction,
    UpdateInteraction: update_interaction,
}

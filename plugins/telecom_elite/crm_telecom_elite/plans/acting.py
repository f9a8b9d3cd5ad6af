"""Commands on action plans: the goals of a year and the actions they need (行动计划, MO-522)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import errors, ids
from crm_core.access.commands import UserId
from crm_core.commands import Command, Part, Perform, omitted
from crm_core.errors import Refused
from crm_core.moves import moved
from crm_core.work import Work
from crm_telecom_elite.plans.events import (
    EliteActionAdded,
    EliteActionPlanCreated,
    EliteActionPlanUpdated,
    EliteActionUpdated,
)
from crm_telecom_elite.plans.inputs import (
    PLAN_EXISTS,
    ActionId,
    ActionPlanId,
    Noted,
    Said,
    Year,
    refuse_below_line,
    user_of,
)
from crm_telecom_elite.plans.models import ACTION_LIFE, EliteAction, EliteActionPlan, EliteActionState
from crm_telecom_elite.scopes import PLAN_WRITE

RULE = "MO-522"
Region = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)]
Goals = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
MOVES = {
    EliteActionState.DONE: "done",
    EliteActionState.DROPPED: "drop",
    EliteActionState.OPEN: "reopen",
}
"""The move that leads to a state."""


class EliteActionInput(Part):
    """An action that the goals need (行动)."""

    what: Said = Field(description="What is to be done (行动内容).")
    due_on: date = Field(description="By when (完成期限).")
    owner_id: UserId | None = Field(None, description="Who is responsible; default: you (责任人).")


class CreateActionPlan(Command):
    """Make the action plan of the line, or of a region of it, for a year (制订行动计划, MO-522)."""

    kind = "elite_action_plan.create"
    scope = PLAN_WRITE
    returns = "EliteActionPlan"
    year: Year = Field(description="For which year, as a rule the next (年度).")
    goals: Goals = Field(description="The goals of that year (目标).")
    region: Region = Field("", description="Of which region; empty: the whole line (区域).")
    actions: list[EliteActionInput] = Field(
        default_factory=list, max_length=100, description="Actions they need (必要行动)."
    )


async def create_action_plan(work: Work, command: CreateActionPlan) -> EliteActionPlan:
    """The plan with its actions; made once a year by the marketing centre."""
    refuse_below_line(work)
    await _refuse_second(work, command)
    plan = work.add(
        EliteActionPlan(
            line=work.acting_line,
            region=command.region,
            owner_id=work.actor.user_id,
            year=command.year,
            goals=command.goals,
        )
    )
    work.record(EliteActionPlanCreated.of(plan))
    for position, one in enumerate(command.actions):
        await _add(work, plan, one, f"actions.{position}.")
    return plan


async def _refuse_second(work: Work, command: CreateActionPlan) -> None:
    found = await work.session.scalar(
        select(EliteActionPlan.id).where(
            EliteActionPlan.line == work.acting_line,
            EliteActionPlan.region == command.region,
            EliteActionPlan.year == command.year,
        )
    )
    if found is not None:
        raise Refused(PLAN_EXISTS("year", rule=RULE, year=command.year, plan=ids.show("eap", found)))


async def _add(work: Work, plan: EliteActionPlan, given: EliteActionInput, path: str = "") -> EliteAction:
    row = work.add(
        EliteAction(
            line=plan.line,
            plan_id=plan.id,
            owner_id=await user_of(work, given.owner_id, f"{path}ownerId"),
            what=given.what,
            due_on=given.due_on,
            state=ACTION_LIFE.initial,
        )
    )
    work.record(EliteActionAdded.of(row))
    return row


class UpdateActionPlan(Command):
    """Change the goals of an action plan (修改行动计划)."""

    kind = "elite_action_plan.update"
    scope = PLAN_WRITE
    returns = "EliteActionPlan"
    subject = "id"
    id: ActionPlanId = Field(description="The plan.")
    goals: Goals = Field(description="The goals of the year (目标).")


async def update_action_plan(work: Work, command: UpdateActionPlan) -> EliteActionPlan:
    """The changed plan."""
    plan: EliteActionPlan = work.subject
    refuse_below_line(work)
    plan.goals = command.goals
    work.record(EliteActionPlanUpdated.of(plan))
    return plan


class AddAction(EliteActionInput, Command):
    """Add an action to a plan (增加行动)."""

    kind = "elite_action.add"
    scope = PLAN_WRITE
    returns = "EliteAction"
    plan_id: ActionPlanId = Field(description="The plan.")


async def add_action(work: Work, command: AddAction) -> EliteAction:
    """The action; added by the marketing centre."""
    refuse_below_line(work)
    return await _add(work, await _plan(work, command.plan_id), command)


async def _plan(work: Work, key: UUID) -> EliteActionPlan:
    plan = await work.find(EliteActionPlan, key, scope=PLAN_WRITE)
    if plan is None or plan.line != work.acting_line:
        raise Refused(errors.NOT_FOUND("planId", type="EliteActionPlan", id=ids.show("eap", key)))
    return plan


class UpdateAction(Command):
    """Say how an action stands, or change it; what is left out stays (更新行动).

    Who is responsible says how it stands; what is to be done, by whom and by when is the marketing centre's.
    """

    kind: ClassVar[str] = "elite_action.update"
    scope: ClassVar[str] = PLAN_WRITE
    returns: ClassVar[str | list[str]] = "EliteAction"
    subject: ClassVar[str | None] = "id"
    id: ActionId = Field(description="The action.")
    state: EliteActionState = omitted(description="How it stands (状态).")
    note: Noted = omitted(description="What came of it (说明).")
    what: Said = omitted(description="What is to be done (行动内容).")
    due_on: date = omitted(description="By when (完成期限).")
    owner_id: UserId = omitted(description="Who is responsible (责任人).")


async def update_action(work: Work, command: UpdateAction) -> EliteAction:
    """The changed action; saying the state it is in again changes nothing of it."""
    row: EliteAction = work.subject
    given = command.given()
    if given.keys() & {"what", "due_on", "owner_id"}:
        refuse_below_line(work)
    if "owner_id" in given:
        await user_of(work, command.owner_id)
    if "state" in given and command.state != row.state:
        moved(ACTION_LIFE, row.state, MOVES[command.state], path="state", rule=RULE)
    for name in given.keys() - {"id"}:
        setattr(row, name, getattr(given[name], "value", given[name]))
    work.record(EliteActionUpdated.of(row))
    return row


COMMANDS: dict[type[Command], Perform] = {
    CreateActionPlan: create_action_plan,
    UpdateActionPlan: update_action_plan,
    AddAction: add_action,
    UpdateAction: update_action,
}

"""Callbacks: what they find, the plans they follow, and the card that SMS alone makes void (回访)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from crm_core.commands import Command, Part, Perform, Ref
from crm_core.customers.inputs import CustomerId
from crm_core.customers.models import (
    CardState,
    Customer,
    CustomerLine,
    CustomerLineChange,
    CustomerStage,
    LineChangeKind,
)
from crm_core.errors import Refused, UserError, raise_if
from crm_core.interactions import tasks
from crm_core.interactions.events import CallbackPlanSet, CardRestored, CardVoided
from crm_core.interactions.models import Callback, CallbackPlan, Channel, Interaction
from crm_core.interactions.people import Short, TeamId, UserId, Words, performer_of, team_of
from crm_core.interactions.queries import customer_line, last_callbacks, locked_line
from crm_core.interactions.refusals import (
    CARD_NOT_VOID,
    CARD_STILL_INVALID,
    OLD_CUSTOMERS_CHANNEL,
    PERIOD_REVERSED,
)
from crm_core.work import Work

CALLED_OR_MET = (Channel.PHONE, Channel.FACE_TO_FACE)
"""How old customers are called back (CS-129)."""
CallbackPlanId = Annotated[UUID, Ref("CallbackPlan", "cbp")]


class CallbackInput(Part):
    """What a callback found (回访结果, CS-128, CS-130)."""

    satisfaction: int | None = Field(
        None, ge=1, le=5, description="Satisfaction, 1 lowest to 5 highest (满意度)."
    )
    changed_needs: Words = Field("", description="Changes in the customer's needs (需求变化).")
    product_quality: Words = Field(
        "", description="Opinion on product use and quality (产品质量意见, CS-130)."
    )
    sales_strategy: Words = Field("", description="Suggestions on the sales strategy (销售策略建议, CS-130).")
    problems: Words = Field(
        "", description="Problems found; each callback with problems gives a task (发现的问题)."
    )
    assignee_id: UserId | None = Field(
        None, description="Who solves the problems; default: who called (负责人)."
    )
    due_on: date | None = Field(None, description="Until when; default: by the settings (截止日期).")


async def note_callback(
    work: Work, row: Interaction, found: CallbackInput | None, team_id: UUID | None
) -> None:
    """Keep what the callback found; problems become a task, so that they are solved in time (CS-128)."""
    if found is None:
        return
    work.add(
        Callback(
            interaction_id=row.id,
            satisfaction=found.satisfaction,
            changed_needs=found.changed_needs,
            product_quality=found.product_quality,
            sales_strategy=found.sales_strategy,
            problems=found.problems,
        )
    )
    if found.problems:
        await _give_task(work, row, found, team_id)


async def _give_task(work: Work, row: Interaction, found: CallbackInput, team_id: UUID | None) -> None:
    days = work.settings_of("interactions").problem_task_days
    assignee = row.performer_id
    if found.assignee_id is not None:
        assignee = await performer_of(work, found.assignee_id, "callback.assigneeId")
    tasks.give(
        work,
        title=found.problems[:200],
        note=found.problems,
        due_on=found.due_on or work.day() + timedelta(days=days),
        assignee_id=assignee,
        team_id=team_id,
        customer_id=row.customer_id,
        interaction_id=row.id,
    )


# -- the customer card


async def judge_card(work: Work, row: Interaction) -> None:
    """Void the card of a long-term customer whose last callbacks were all by SMS (CS-131)."""
    if not row.is_callback or row.channel != Channel.SMS:
        return
    await work.flush()
    limit = work.settings_of("interactions").sms_callback_limit
    channels = await last_callbacks(work, row.customer_id, row.line, limit)
    if len(channels) < limit or any(channel != Channel.SMS for channel in channels):
        return
    line = await locked_line(work, row.customer_id, row.line)
    if line is not None and line.stage == CustomerStage.CUSTOMER and line.card_state == CardState.VALID:
        why = f"{limit} callbacks by SMS alone (连续 {limit} 次短信回访, CS-131)"
        customer = await _set_card(work, line, CardState.VOID, why)
        work.record(CardVoided.of(customer, line=line.line))


async def _set_card(work: Work, line: CustomerLine, state: CardState, why: str) -> Customer:
    """Change the card, keep that in the row's history, and count it as a change of the customer too."""
    work.add(
        CustomerLineChange(
            customer_line_id=line.id,
            what=LineChangeKind.CARD.value,
            old=line.card_state,
            new=state.value,
            by_id=work.actor.user_id,
            reason=why,
        )
    )
    line.card_state = state.value
    customer = await work.session.get_one(Customer, line.customer_id)
    work.touch(line)
    work.touch(customer)
    return customer


class RestoreCard(Command):
    """Make a void customer card valid again, after a callback that was not by SMS (恢复客户卡, CS-131)."""

    kind: ClassVar[str] = "customer.restore_card"
    scope: ClassVar[str] = "interaction.review"
    returns: ClassVar[str | list[str]] = "Customer"
    customer_id: CustomerId = Field(description="The customer.")
    why: Short = Field(min_length=1, description="Why the card counts again (原因).")


async def restore_card(work: Work, command: RestoreCard) -> Customer:
    """The customer with a valid card in the line; refused while the last callback is by SMS."""
    line = await customer_line(work, command.customer_id, "customerId", "interaction.review")
    if line.card_state != CardState.VOID:
        raise Refused(CARD_NOT_VOID("customerId"))
    if list(await last_callbacks(work, line.customer_id, line.line, 1)) == [Channel.SMS]:
        raise Refused(CARD_STILL_INVALID("customerId"))
    customer = await _set_card(work, line, CardState.VALID, command.why)
    work.record(CardRestored.of(customer, line=line.line))
    return customer


# -- plans


class SetCallbackPlan(Command):
    """Set a team's plan of regular callbacks; the name tells plans of a team apart (设定回访计划, CS-128, CS-129)."""

    kind: ClassVar[str] = "callback_plan.set"
    scope: ClassVar[str] = "interaction.manage"
    returns: ClassVar[str | list[str]] = "CallbackPlan"
    team_id: TeamId = Field(description="Team or department that calls back (部门).")
    name: Short = Field(min_length=1, max_length=120, description="Name of the plan (计划名称).")
    every_days: int = Field(ge=1, le=3650, description="A callback at least every so many days (间隔天数).")
    channel: Channel | None = Field(
        None, description="The one channel that meets the plan; null: those of the settings (渠道)."
    )
    old_customers: bool = Field(
        False,
        description="Only old customers (stages CUSTOMER and DORMANT), by telephone or on site only; no channel then "
        "(老客户, CS-129).",
    )
    valid_from: date = Field(description="First day of the plan (生效日期).")
    valid_to: date | None = Field(None, description="Last day of the plan; null: open (失效日期).")


async def set_callback_plan(work: Work, command: SetCallbackPlan) -> CallbackPlan:
    """The plan of this team and name, new or changed, with the channels that meet it."""
    raise_if(_contradictions(command))
    team_id = await team_of(work, command.team_id, None)
    own = (
        CallbackPlan.line == work.acting_line,
        CallbackPlan.team_id == team_id,
        CallbackPlan.name == command.name,
    )
    plan = await work.session.scalar(select(CallbackPlan).where(*own))
    values = command.model_dump(by_alias=False, exclude={"team_id", "name"})
    values["channels"] = [channel.value for channel in _fitting(work, command)]
    if plan is None:
        plan = work.add(CallbackPlan(line=work.acting_line, team_id=team_id, name=command.name, **values))
    else:
        for column, value in values.items():
            setattr(plan, column, value)
    work.record(CallbackPlanSet.of(plan))
    return plan


def _contradictions(command: SetCallbackPlan) -> Iterator[UserError]:
    if command.valid_to is not None and command.valid_to < command.valid_from:
        yield PERIOD_REVERSED("validTo", rule="CS-128")
    if command.old_customers and command.channel is not None:
        yield OLD_CUSTOMERS_CHANNEL("channel")


def _fitting(work: Work, command: SetCallbackPlan) -> Sequence[Channel]:
    """Channels that meet the plan: SMS alone is no callback unless plan or settings name it (CS-128, CS-131)."""
    if command.old_customers:
        return CALLED_OR_MET
    if command.channel is not None:
        return (command.channel,)
    channels: list[Channel] = work.settings_of("interactions").callback_channels
    return channels


COMMANDS: dict[type[Command], Perform] = {RestoreCard: restore_card, SetCallbackPlan: set_callback_plan}

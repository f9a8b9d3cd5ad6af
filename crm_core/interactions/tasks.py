"""Tasks: what someone has to do until a day (任务)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from crm_core.commands import Command, Perform, Ref, omitted
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Refused
from crm_core.interactions import states
from crm_core.interactions.events import TaskCancelled, TaskCompleted, TaskCreated, TaskUpdated
from crm_core.interactions.models import Interaction, Task
from crm_core.interactions.people import Short, TeamId, UserId, Words, performer_of, team_of
from crm_core.interactions.queries import customer_line
from crm_core.interactions.refusals import OTHER_CUSTOMER, OTHER_LINE
from crm_core.work import Work

InteractionId = Annotated[UUID, Ref("Interaction", "int")]
TaskId = Annotated[UUID, Ref("Task", "tsk")]


class _TaskCommand(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "interaction.write"
    returns: ClassVar[str | list[str]] = "Task"


class CreateTask(_TaskCommand):
    """Give a task, with or without a customer (新建任务)."""

    kind = "task.create"
    title: Short = Field(min_length=1, description="What is to be done (任务标题).")
    note: Words = Field("", description="Details (说明).")
    due_on: date = Field(description="Day until which it is to be done (截止日期).")
    assignee_id: UserId | None = Field(None, description="Who does it; default: you (负责人).")
    team_id: TeamId | None = Field(None, description="Team it counts for; default: the customer's (团队).")
    customer_id: CustomerId | None = Field(None, description="The customer it is about (客户).")
    interaction_id: InteractionId | None = Field(None, description="The interaction it follows from (互动).")


async def create_task(work: Work, command: CreateTask) -> Task:
    """A new open task; an interaction named brings its customer."""
    customer_id = command.customer_id
    if command.interaction_id is not None:
        customer_id = await _customer_of(work, command.interaction_id, customer_id)
    team = (await customer_line(work, customer_id, "customerId")).team_id if customer_id is not None else None
    return give(
        work,
        title=command.title,
        note=command.note,
        due_on=command.due_on,
        assignee_id=await performer_of(work, command.assignee_id, "assigneeId"),
        team_id=await team_of(work, command.team_id, team),
        customer_id=customer_id,
        interaction_id=command.interaction_id,
    )


async def _customer_of(work: Work, interaction_id: UUID, given: UUID | None) -> UUID:
    interaction = await work.get(Interaction, interaction_id, "interactionId")
    if interaction.line != work.acting_line:
        raise Refused(OTHER_LINE("interactionId", line=interaction.line))
    if given is not None and given != interaction.customer_id:
        raise Refused(OTHER_CUSTOMER("interactionId"))
    return interaction.customer_id


def give(
    work: Work,
    *,
    title: str,
    note: str,
    due_on: date,
    assignee_id: UUID | None,
    team_id: UUID | None = None,
    customer_id: UUID | None = None,
    interaction_id: UUID | None = None,
) -> Task:
    """Add an open task and announce it."""
    task = work.add(
        Task(
            line=work.acting_line,
            title=title,
            note=note,
            due_on=due_on,
            assignee_id=assignee_id,
            creator_id=work.actor.user_id,
            team_id=team_id,
            customer_id=customer_id,
            interaction_id=interaction_id,
            status=states.TASK.initial,
        )
    )
    work.record(TaskCreated.of(task))
    return task


class UpdateTask(_TaskCommand):
    """Change an open task; what is left out stays (修改任务)."""

    kind = "task.update"
    subject = "id"
    id: TaskId = Field(description="The task.")
    title: Short = omitted(min_length=1, description="What is to be done (任务标题).")
    note: Words = omitted(description="Details (说明).")
    due_on: date = omitted(description="Day until which it is to be done (截止日期).")
    assignee_id: UserId = omitted(description="Who does it (负责人).")


async def update_task(work: Work, command: UpdateTask) -> Task:
    """The changed task; refused when it is done or cancelled."""
    task: Task = work.subject
    states.move(states.TASK, task, "update")
    given = command.given()
    if "assignee_id" in given:
        await performer_of(work, command.assignee_id, "assigneeId")
    for column in given.keys() - {"id"}:
        setattr(task, column, given[column])
    work.record(TaskUpdated.of(task))
    return task


class CompleteTask(_TaskCommand):
    """Mark a task as done (完成任务)."""

    kind = "task.complete"
    subject = "id"
    id: TaskId = Field(description="The task.")


async def complete_task(work: Work, _command: CompleteTask) -> Task:
    """The task, done now."""
    task: Task = work.subject
    states.move(states.TASK, task, "complete")
    task.done_at = work.now
    work.record(TaskCompleted.of(task))
    return task


class CancelTask(_TaskCommand):
    """Call a task off (取消任务)."""

    kind = "task.cancel"
    subject = "id"
    id: TaskId = Field(description="The task.")


async def cancel_task(work: Work, _command: CancelTask) -> Task:
    """The task, called off."""
    task: Task = work.subject
    states.move(states.TASK, task, "cancel")
    work.record(TaskCancelled.of(task))
    return task


COMMANDS: dict[type[Command], Perform] = {
    CreateTask: create_task,
    UpdateTask: update_task,
    CompleteTask: complete_task,
    CancelTask: cancel_task,
}

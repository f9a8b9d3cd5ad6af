"""Gives what a leaver still had to do to his successor: planned interactions and open tasks (互动与任务交接)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from crm_core.interactions.events import InteractionUpdated, TaskUpdated
from crm_core.interactions.models import Interaction, InteractionStatus, Task, TaskStatus
from crm_core.registry import Handover
from crm_core.work import Work


async def hand_over_plans(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """The interactions he planned to perform in the line; those done stay his. How many."""
    planned = select(Interaction).where(
        Interaction.line == line,
        Interaction.performer_id == leaver,
        Interaction.status == InteractionStatus.PLANNED.value,
    )
    rows = (await work.session.scalars(planned.order_by(Interaction.id).with_for_update())).all()
    for row in rows:
        row.performer_id = successor
        work.record(InteractionUpdated.of(row))
    return len(rows)


async def hand_over_tasks(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """His open tasks of the line; how many."""
    opened = select(Task).where(
        Task.line == line, Task.assignee_id == leaver, Task.status == TaskStatus.OPEN.value
    )
    tasks = (await work.session.scalars(opened.order_by(Task.id).with_for_update())).all()
    for task in tasks:
        task.assignee_id = successor
        work.record(TaskUpdated.of(task))
    return len(tasks)


HANDOVERS = (Handover("interactions", hand_over_plans), Handover("tasks", hand_over_tasks))

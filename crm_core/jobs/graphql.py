"""GraphQL type of jobs."""

from __future__ import annotations

from datetime import datetime

from crm_core.graphql import Filter, Id, ObjectType, field, query_connection, query_one, relation
from crm_core.jobs.models import JobState, QueuedJob
from crm_core.jobs.queries import READ, own_or_line

_OPEN = (JobState.WAITING.value, JobState.RUNNING.value, JobState.FAILED.value)

JOB = ObjectType(
    name="Job",
    table=QueuedJob.__table__,
    model=QueuedJob,
    prefix="job",
    description="Work done in the background (后台任务).",
    rule=own_or_line,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("job"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was enqueued (入队时间).", nullable=False, filter=True),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("name", str, "Which job, e.g. approvals.perform (任务名).", nullable=False, filter=True),
        field("line", str, "Business line; null: none (业务线).", filter=True),
        relation(
            "requester", "User", "Who asked for it (申请人).", on=lambda j, u, _a: u.c.id == j.c.requester_id
        ),
        field("requesterId", Id("usr"), "Id of who asked for it; null: the system.", filter=True),
        field("state", JobState, "State (状态).", nullable=False, filter=True),
        field("attempts", int, "Attempts begun (次数).", nullable=False),
        field("mostAttempts", int, "Attempts after which it is dead (最多次数).", nullable=False),
        field("nextAt", datetime, "Not begun before (下次时间).", nullable=False, filter=True),
        field("progressDone", int, "How many are done (已完成)."),
        field("progressTotal", int, "Of how many (总数)."),
        field("progressWords", str, "What it is at (进度说明)."),
        field("arguments", dict, "What it is about.", nullable=False),
        field("result", dict, "What came of it (结果)."),
        field("lastError", str, "Why the last attempt failed (失败原因)."),
        field("cancelAskedAt", datetime, "When somebody cancelled it (取消时间)."),
        field("startedAt", datetime, "When it was begun first (开始时间)."),
        field("endedAt", datetime, "When it ended (结束时间).", filter=True),
    ),
    filters=(
        Filter(
            "open",
            bool,
            "Those that have not ended (true) or have (false) (未结束).",
            lambda t, _a, v: t.c.state.in_(_OPEN) if v else t.c.state.not_in(_OPEN),
        ),
    ),
)

TYPES = (JOB,)
QUERIES = (
    query_connection("jobs", "Job", "Your jobs and those of lines you look after, newest first (后台任务)."),
    query_one("job", "Job", "One job by id (后台任务)."),
)

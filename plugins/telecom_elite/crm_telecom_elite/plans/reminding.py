"""The job that reminds those responsible of short reports that are missing (催报, MO-520)."""

from __future__ import annotations

from crm_core.errors import Json
from crm_core.jobs.context import JobContext
from crm_core.registry import Job, Nothing, Schedule
from crm_core.work import Services
from crm_telecom_elite.plans.contacting import MOST_REMINDED, RemindReports

JOB = "telecom_elite.remind_reports"
MOST_STEPS = 200


async def remind(_services: Services, context: JobContext, _about: Nothing) -> Json:
    """How many contacts' owners were reminded; each contact once until it is due anew."""
    reminded = 0
    for step in range(MOST_STEPS):
        outcome = await context.perform(RemindReports.kind, RemindReports(), step=f"{step}")
        reminded += len(outcome.ids)
        await context.progress(reminded, words="contacts")
        if outcome.errors or len(outcome.ids) < MOST_REMINDED:
            break
    return {"reminded": reminded}


JOBS = (Job(JOB, remind),)
SCHEDULES = (Schedule("telecom_elite.remind_reports", "30 8 * * 1-5", JOB, each_line=True),)

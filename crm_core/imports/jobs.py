"""The job of this room. What it brings rows in with is loaded when it first runs: most processes never import anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from crm_core.approvals.large import Performance
from crm_core.errors import Json
from crm_core.imports.commands import SIGNED_JOB
from crm_core.jobs.context import JobContext
from crm_core.registry import Job
from crm_core.work import Services


async def _perform(services: Services, context: JobContext, about: Performance) -> Json:
    from crm_core.imports.carrying import perform  # noqa: PLC0415

    return await perform(services, context, about)


JOBS: Final = (
    Job(SIGNED_JOB, _perform, Performance, timeout=timedelta(hours=12), unique=lambda about: str(about.key)),
)

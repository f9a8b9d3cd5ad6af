"""Which approved changes a job performs instead of the transaction of the last signature, and how it is asked for."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from crm_core.approvals.models import Approval
from crm_core.approvals.settings import ApprovalsSettings
from crm_core.commands import Command
from crm_core.errors import ConfigurationError
from crm_core.jobs.enqueuing import enqueue
from crm_core.work import Work

JOB: Final = "approvals.perform"


class Performance(BaseModel):
    """What a job performs: an approval, in the name of its last signer; `turn` tells one time from another."""

    model_config = ConfigDict(frozen=True)

    approval: UUID
    signer: UUID | None = None
    turn: int = 0

    @property
    def key(self) -> str:
        """Of each time an approval is to be performed there is one job."""
        return f"{self.approval.hex}/{self.turn}"


def job_for(work: Work, command: Command) -> str | None:
    """The job that performs this command once all have signed; None: it is performed with the last signature."""
    if command.signed_job is not None:
        return command.signed_job
    large = command.bulk_of is not None and command.records() > settings_of(work).job_rows
    return JOB if large else None


def settings_of(work: Work) -> ApprovalsSettings:
    """The settings of this room."""
    settings = work.settings_of("approvals")
    if not isinstance(settings, ApprovalsSettings):
        raise ConfigurationError("The settings of approvals are not known")
    return settings


async def put_off(work: Work, approval: Approval, command: Command, job: str) -> None:
    """Have the job perform it after this transaction; what was done of it before an adoption is not done again."""
    about = Performance(
        approval=approval.id, signer=work.actor.user_id, turn=len(approval.chain.get("log", ()))
    )
    approval.job_id = await enqueue(work, job, about, line=approval.line, requester_id=approval.requester_id)
    approval.rows_total = command.records()
    approval.rows_done, approval.refused = approval.rows_done or 0, approval.refused or []

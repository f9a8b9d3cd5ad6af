"""The short report after each contact, and who gets it (联系简报, CS-119)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from crm_core.access.models import User
from crm_core.access.queries import members_of
from crm_core.commands import Command, Perform, Ref
from crm_core.interactions.events import ReportRead, ReportSent
from crm_core.interactions.models import Interaction, InteractionReport
from crm_core.work import Work

ReportId = Annotated[UUID, Ref("InteractionReport", "irp")]


async def send_reports(
    work: Work, row: Interaction, others: Sequence[UUID], holders: Sequence[UUID] | None = None
) -> None:
    """Send the report to the holders of the reporting roles in the line and to others who need to know (CS-119).

    Who performed the contact gets none; an import of history sends none. `holders`, where they are known already.
    """
    if work.options.channel == "import":
        return
    found = await _holders(work) if holders is None else holders
    recipients = dict.fromkeys([*found, *await _known(work, others)])
    text = report_text(row)
    for user_id in recipients:
        if user_id != row.performer_id:
            report = work.add(
                InteractionReport(interaction_id=row.id, line=row.line, user_id=user_id, text=text)
            )
            work.record(ReportSent.of(report))


def report_text(row: Interaction) -> str:
    """The report in words: subject, content, next step."""
    following = " ".join(
        part for part in (row.next_on.isoformat() if row.next_on else "", row.next_step) if part
    )
    return "\n".join(part for part in (row.subject, row.content, following) if part)


async def _holders(work: Work) -> list[UUID]:
    found: list[UUID] = []
    for role in work.settings_of("interactions").report_roles:
        found += (await work.session.scalars(members_of(role, work.acting_line))).all()
    return found


async def _known(work: Work, others: Sequence[UUID]) -> list[UUID]:
    return [(await work.get(User, one, f"reportTo.{position}")).id for position, one in enumerate(others)]


class ReadReport(Command):
    """Mark a short report sent to you as read (联系简报已阅)."""

    kind: ClassVar[str] = "interaction.read_report"
    scope: ClassVar[str] = "interaction.read"
    returns: ClassVar[str | list[str]] = "InteractionReport"
    subject: ClassVar[str | None] = "id"
    id: ReportId = Field(description="The report.")


async def read_report(work: Work, _command: ReadReport) -> InteractionReport:
    """The report with the moment of its first reading; reading again changes nothing."""
    report: InteractionReport = work.subject
    if report.read_at is None:
        report.read_at = work.now
        work.record(ReportRead.of(report))
    return report


COMMANDS: dict[type[Command], Perform] = {ReadReport: read_report}

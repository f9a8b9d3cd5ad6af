"""Papers given with a verb (审批附件): what may be given, and writing it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

from pydantic import Field

from crm_core import errors, ids, papers
from crm_core.approvals.attached import ApprovalAttachment
from crm_core.approvals.models import Approval
from crm_core.approvals.moving import Moved
from crm_core.approvals.settings import MOST_ATTACHMENTS, ApprovalsSettings
from crm_core.approvals.words import Verb
from crm_core.errors import Refused, UserError
from crm_core.papers import Paper, PaperInput
from crm_core.work import Work

SENSITIVE: Final = frozenset({"attachments"})
"""Their content stands in no audit entry and no held command; the rows that are made tell what they were."""

Attachments = Annotated[list[PaperInput], Field(max_length=MOST_ATTACHMENTS)]
GivenAttachments = Annotated[list[PaperInput], Field(min_length=1, max_length=MOST_ATTACHMENTS)]
ATTACHMENTS: Final = "Papers that go with it, at most 10 (附件)."


async def attach(
    work: Work, approval: Approval, verb: str, entry: int, given: Sequence[PaperInput]
) -> tuple[str, ...]:
    """Keep the papers given with a verb, the line `entry` of the history; their ids as shown.

    Raises:
        Refused: TOO_MANY for more than the settings allow; PAPER_UNREADABLE for each that cannot be read.
    """
    if not given:
        return ()
    settings: ApprovalsSettings = work.settings_of("approvals")
    if len(given) > settings.attachments:
        raise Refused(errors.TOO_MANY("attachments", limit=settings.attachments, given=len(given)))
    kept = await _stored(work, given, settings.attachment_bytes)
    assert work.actor.user_id is not None
    rows = [
        ApprovalAttachment(
            approval_id=approval.id, line=approval.line, user_id=work.actor.user_id, verb=verb, entry=entry,
            title=one.title, media_type=one.media_type, path=paper.path, sha256=paper.sha256, size=paper.size,
        )
        for one, paper in zip(given, kept, strict=True)
    ]  # fmt: skip
    return tuple(ids.show("att", work.add(row).id) for row in rows)


async def with_papers(
    work: Work, approval: Approval, moved: Moved, verb: Verb, given: Sequence[PaperInput]
) -> Moved:
    """What a verb did, with the papers that were given with it; refuses as `attach` does."""
    if not given:
        return moved
    line = len(moved.before.log) + 1  # that of the verb itself: the asking comes before the log
    return replace(moved, papers=await attach(work, approval, verb.name, line, given))


async def _stored(work: Work, given: Sequence[PaperInput], most: int) -> list[Paper]:
    """The papers in the store; refuses with everything that is wrong with any of them."""
    kept: list[Paper] = []
    wrong: list[UserError] = []
    for place, one in enumerate(given):
        try:
            kept.append(await _one(work, one, f"attachments.{place}", most))
        except Refused as refused:
            wrong += refused.errors
    errors.raise_if(wrong)
    return kept


async def _one(work: Work, one: PaperInput, at: str, most: int) -> Paper:
    paper = await papers.stored(work.services.store, one, most, work.now, at=at, dry=work.options.dry_run)
    if paper.size > most:
        raise papers.too_large(at, "path", most)
    return paper

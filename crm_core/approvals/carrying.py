"""The job that performs a large approved change: in parts, each a transaction of its own, as who asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Row, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor, system
from crm_core.approvals import held
from crm_core.approvals.commands import ADMINISTER, concluded
from crm_core.approvals.large import JOB, Performance
from crm_core.approvals.models import Approval
from crm_core.approvals.moving import SYSTEM, move
from crm_core.approvals.performing import REQUESTER_GONE, changed_since, in_the_way, not_performed
from crm_core.approvals.words import ApprovalState, Settle
from crm_core.commands import Change, Command, Options
from crm_core.errors import Json, Message, Refused, Unauthenticated, UserError, raise_if
from crm_core.jobs.context import GaveUp, JobContext
from crm_core.jobs.models import QueuedJob
from crm_core.registry import Chore, Job, Registry
from crm_core.work import Services, Work, perform_held, rehearsed

if TYPE_CHECKING:
    from crm_core.db.unit import Unit

PART: Final = 100
"""Records that are changed in one transaction."""
MOST_REASONS: Final = 500
_A, _J = Approval.__table__, QueuedJob.__table__

LEFT_OUT = Message(
    "APPROVAL_ROWS_LEFT_OUT",
    "{left} of {total} records could not be changed; the others are. Ask for those again, or withdraw.",
    "共 {total} 条，其中 {left} 条未能变更，其余已执行。请修改后重新提交，或撤回。",
)
JOB_ENDED = Message(
    "APPROVAL_JOB_ENDED",
    "The job that performed the change was cancelled or failed after {done} of {total} records. Ask for it again, or withdraw.",
    "执行该变更的后台任务被取消或失败，已处理 {done}/{total} 条。请重新提交，或撤回。",
)
MESSAGES = (LEFT_OUT, JOB_ENDED)


class FinishPerformance(Command):
    """The end of a large change, for its audit entry; performed by the job itself, not a mutation."""

    kind: ClassVar[str] = "approval.finish"
    scope: ClassVar[str] = ADMINISTER
    returns: ClassVar[str | list[str]] = "Approval"


@dataclass(frozen=True, slots=True)
class Signed:
    """A change that all have signed, with what is done of it: `rows_done`, and ids of the records (`results`)."""

    approval: UUID
    line: str
    command: Command
    requester_id: UUID
    signer: UUID | None
    options: Options
    results: Sequence[str]
    base: Sequence[Mapping[str, Any]]
    diff: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of a large change: APPROVED, or why not (wholly); `results` None: those that are known already."""

    state: ApprovalState
    reasons: Sequence[UserError] = ()
    conflicts: Sequence[Mapping[str, Any]] = ()
    results: Sequence[str] | None = None


Carry = Callable[[Signed], Awaitable[Ending]]


async def carried_out(services: Services, context: JobContext, about: Performance, carry: Carry) -> Json:
    """Have `carry` perform what was signed, and settle the approval; nothing happens where it is not this job's.

    `carry` is begun again after a crash: what it did stands in the approval, written with it. What it raises makes
    the job fail, and leaves the approval as it is.
    """
    async with AsyncSession(services.database.reads) as session:
        approval = await session.get(Approval, about.approval)
    if approval is None or not _is_mine(approval, context.claim.id):
        return {"state": None}
    ending = await _ending(services, approval, about, carry)
    await settle(services, approval.id, context.claim.id, ending)
    return {"state": ending.state.value}


async def _ending(services: Services, approval: Approval, about: Performance, carry: Carry) -> Ending:
    try:
        signed = _signed(services, approval, about)
    except Refused as refused:
        return Ending(ApprovalState.STALE, refused.errors)
    try:
        return await carry(signed)
    except Unauthenticated:
        return Ending(ApprovalState.NEEDS_ADOPTION, [REQUESTER_GONE()])


def _is_mine(approval: Any, job_id: UUID) -> bool:
    return (approval.state, approval.job_id) == (ApprovalState.PERFORMING.value, job_id)


def _signed(services: Services, approval: Approval, about: Performance) -> Signed:
    options = Options(
        reason=approval.options.get("reason"),
        line=approval.line,
        request_id=approval.options.get("requestId"),
        channel="approval",
    )
    return Signed(
        approval.id, approval.line, held.restored(approval, services.registry, services.keyring),
        approval.requester_id, about.signer, options, approval.result_refs, approval.base, approval.diff,
    )  # fmt: skip


async def requester_of(services: Services, signed: Signed) -> Actor:
    """Who asked for it, with today's rights; `Unauthenticated` if he was disabled."""
    return await actor_of(services.database.fetch, services.registry, signed.requester_id)


async def settle(services: Services, approval_id: UUID, job_id: UUID, ending: Ending) -> None:
    """Write down what came of the change, with its event and notices; once, and only where the job is the approval's."""

    async def do(session: Unit) -> None:
        approval = await session.get(Approval, approval_id, with_for_update=True)
        if approval is None or not _is_mine(approval, job_id):
            return
        actor = system(tuple(services.registry.lines), name=f"job {JOB}")
        work = Work(services, session, actor, Options(line=approval.line, channel="job"))
        work.line, work.subject = approval.line, approval
        approval.reasons = [dict(one.as_json()) for one in ending.reasons]
        approval.conflicts = [dict(one) for one in ending.conflicts]
        if ending.results is not None:
            approval.result_refs = list(ending.results)
        moved = await move(work, approval, Settle(ending.state), SYSTEM)
        concluded(work, approval, moved, approval.comment)
        await work.finish(FinishPerformance())

    await services.database.attempt(do)
    services.stirred()


# -- many records by one command


class _Clash(Refused):
    """Records hold other values than when the change was asked for."""

    def __init__(self, conflicts: Sequence[Mapping[str, Any]]) -> None:
        """With what stood in the way."""
        super().__init__(changed_since(conflicts))
        self.conflicts = conflicts


@dataclass(slots=True)
class _Parts:
    """Performs a bulk command in parts of `PART` records.

    Before the first of them all of it is tried: what stands in the way then, keeps all of it from being performed, as
    it would at once. What changes while it is being performed keeps single records from it.
    """

    services: Services
    context: JobContext
    signed: Signed
    keys: Sequence[UUID] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = list(dict.fromkeys(getattr(self.signed.command, "ids")))  # noqa: B009  # every bulk command has them

    async def run(self) -> Ending:
        """Go on where it stands."""
        done, refused = await self._standing()
        if done == 0 and (ending := await self._in_the_way()) is not None:
            return ending
        while done < len(self.keys):
            await self.context.progress()
            try:
                requester = await requester_of(self.services, self.signed)
            except Unauthenticated:
                gone = [REQUESTER_GONE()]
                return Ending(ApprovalState.NEEDS_ADOPTION, gone, results=self._results(done, refused))
            reached = await self.services.database.attempt(partial(self._part, requester))
            self.services.stirred()
            done, refused = await self._standing()
            if isinstance(reached, Ending):
                return Ending(reached.state, reached.reasons, results=self._results(done, refused))
        return self._end(refused)

    async def _standing(self) -> tuple[int, Sequence[Mapping[str, Any]]]:
        [row] = await self.services.database.fetch(_progress(self.signed.approval))
        return row.rows_done or 0, row.refused or []

    # -- all of it, tried

    async def _in_the_way(self) -> Ending | None:
        """Why nothing of it can be performed; None: nothing stands in the way."""
        requester = await requester_of(self.services, self.signed)
        async with self.services.database.undone() as session:
            return await self._tried(session, requester)

    async def _tried(self, session: Unit, requester: Actor) -> Ending | None:
        signed = self.signed
        work = Work(self.services, session, requester, signed.options)
        approval = await session.get_one(Approval, signed.approval)
        conflicts = await held.conflicts(work, approval)
        if reasons := await in_the_way(work, signed.command, conflicts):
            return Ending(ApprovalState.CONFLICT, reasons, conflicts)
        try:
            await rehearsed(work, signed.command, signed.line)
        except Refused as refused:
            return Ending(not_performed(refused.errors, signed.command), refused.errors)
        return None

    # -- part by part

    async def _part(self, requester: Actor, session: Unit) -> Ending | None:
        """Perform the next part, with how far it came, in one transaction; an ending where the requester may not."""
        row = (await session.execute(_progress(self.signed.approval).with_for_update())).one()
        if not _is_mine(row, self.context.claim.id):
            raise GaveUp("the approval waits for this job no more (该审批已不由本任务执行)")
        actor = system(tuple(self.services.registry.lines), name=f"job {JOB}")
        work = Work(self.services, session, actor, self.signed.options)
        begin, end = row.rows_done or 0, min((row.rows_done or 0) + PART, len(self.keys))
        refused: list[dict[str, Any]] = []
        try:
            await self._performed(work, requester, range(begin, end))
        except Refused as error:
            if not_performed(error.errors, self.signed.command) is ApprovalState.NEEDS_ADOPTION:
                return Ending(ApprovalState.NEEDS_ADOPTION, error.errors)
            refused = await self._one_by_one(work, requester, range(begin, end))
        moved = {"rows_done": end, "refused": [*(row.refused or []), *refused]}
        await session.execute(update(_A).where(_A.c.id == self.signed.approval).values(moved))
        await self.context.progress(end, len(self.keys), within=session)
        return None

    async def _one_by_one(self, work: Work, requester: Actor, positions: range) -> list[dict[str, Any]]:
        """The records of a part that were refused, with why; the others are changed."""
        refused: list[dict[str, Any]] = []
        for position in positions:
            try:
                await self._performed(work, requester, range(position, position + 1))
            except Refused as error:
                reasons = [{**one.as_json(), "field": f"ids.{position}"} for one in error.errors]
                conflicts = error.conflicts if isinstance(error, _Clash) else ()
                refused.append({"row": position, "reasons": reasons, "conflicts": list(conflicts)})
        return refused

    async def _performed(self, work: Work, requester: Actor, positions: range) -> None:
        signed = self.signed
        part = signed.command.model_copy(update={"ids": [self.keys[one] for one in positions]})
        raise_if(await in_the_way(work, part, ()))
        await perform_held(work, requester, part, signed.options, signed.approval, signed.signer, self._judge)

    def _judge(self, changes: Sequence[Change]) -> None:
        """Refuse to write over what was written by somebody else meanwhile."""
        found = held.clashes(self.signed.base, self.signed.diff, changes, self.services.registry)
        if found:
            raise _Clash(found)

    # -- the end

    def _end(self, refused: Sequence[Mapping[str, Any]]) -> Ending:
        results = self._results(len(self.keys), refused)
        if not refused:
            return Ending(ApprovalState.APPROVED, results=results)
        reasons = [UserError(**reason) for row in refused for reason in row["reasons"]]
        told = LEFT_OUT(left=str(len(refused)), total=str(len(self.keys)))
        conflicts = [line for row in refused for line in row["conflicts"]]
        return Ending(ApprovalState.CONFLICT, [told, *reasons[:MOST_REASONS]], conflicts, results)

    def _results(self, done: int, refused: Sequence[Mapping[str, Any]]) -> list[str]:
        return results_of(self.services.registry, self.signed.command, done, refused)


def results_of(
    registry: Registry, command: Command, done: int, refused: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Ids, as shown, of the records that a bulk command has changed when it has dealt with so many."""
    left = {int(row["row"]) for row in refused}
    prefix = registry.types[command.result_type()].prefix or "rec"
    keys = list(dict.fromkeys(getattr(command, "ids", ())))[:done]
    return [ids.show(prefix, key) for position, key in enumerate(keys) if position not in left]


def _progress(approval: UUID) -> Any:
    columns = (_A.c.state, _A.c.job_id, _A.c.rows_done, _A.c.refused)
    return select(*columns).where(_A.c.id == approval)


async def _perform(services: Services, context: JobContext, about: Performance) -> Json:
    async def carry(signed: Signed) -> Ending:
        return await _Parts(services, context, signed).run()

    return await carried_out(services, context, about, carry)


JOBS: Final = (
    Job(JOB, _perform, Performance, timeout=timedelta(hours=6), unique=lambda about: str(about.key)),
)


# -- jobs that did not come to their end


async def look_after(services: Services) -> int:
    """Settle approvals whose job was cancelled or is dead: they are in CONFLICT then; how many."""
    over = or_(_J.c.id.is_(None), _J.c.ended_at.is_not(None))
    left = (
        select(_A.c.id, _A.c.job_id)
        .join(_J, _J.c.id == _A.c.job_id, isouter=True)
        .where(_A.c.state == ApprovalState.PERFORMING.value, over)
    )
    found: Sequence[Row[Any]] = await services.database.fetch(left)
    for row in found:
        await settle(services, row.id, row.job_id, await _left(services, row.id))
    return len(found)


async def _left(services: Services, key: UUID) -> Ending:
    async with AsyncSession(services.database.reads) as session:
        approval = await session.get_one(Approval, key)
    done, total = approval.rows_done or 0, approval.rows_total or 0
    reason, results = JOB_ENDED(done=str(done), total=str(total)), None
    try:
        command = held.restored(approval, services.registry, services.keyring)
    except Refused:
        return Ending(ApprovalState.STALE, [reason])
    if command.bulk_of is not None:
        results = results_of(services.registry, command, done, approval.refused or [])
    return Ending(ApprovalState.CONFLICT, [reason], results=results)


async def _look_after(services: Services) -> None:
    await look_after(services)


CHORES: Final = (Chore("approvals.performing", timedelta(minutes=1), _look_after),)

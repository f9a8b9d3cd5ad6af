"""How a team divides its commission: the manager proposes, the Centre signs; and factors of the bonus (二次分配, MO-044)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import delete, select

from crm_core import errors, ids
from crm_core.approvals.commands import concluded
from crm_core.approvals.models import Approval
from crm_core.approvals.moving import SYSTEM, move
from crm_core.approvals.requests import SubmitRecord
from crm_core.approvals.starting import policy_for
from crm_core.approvals.words import ENDED, Terminate
from crm_core.commands import Command, Part, Perform, Ref
from crm_core.errors import Message, Refused, UserError
from crm_core.registry import Document, PolicyTemplate
from crm_core.work import Work
from crm_telecom_elite import months
from crm_telecom_elite.members.commands import MemberId
from crm_telecom_elite.members.models import EliteMember, ElitePackage
from crm_telecom_elite.months import Month
from crm_telecom_elite.runs import queries
from crm_telecom_elite.runs.events import (
    EliteBonusFactorSet,
    EliteDistributionApproved,
    EliteDistributionProposed,
    EliteDistributionReturned,
)
from crm_telecom_elite.runs.models import (
    EliteBonusFactor,
    EliteDistribution,
    EliteDistributionState,
    EliteShare,
)
from crm_telecom_elite.scopes import DISTRIBUTE, RUN_WRITE
from crm_telecom_elite.teams.commands import EliteTeamId
from crm_telecom_elite.teams.models import EliteTeam

WEIGHTS_WRONG = Message(
    "TELECOM_ELITE_WEIGHTS_WRONG",
    "The contributions add up to {sum} percent, not to 100.",
    "贡献权重合计为 {sum}%，应为 100%。",
    rule="MO-044",
)
TWICE = Message("TELECOM_ELITE_SHARE_TWICE", "{name} is named twice.", "{name} 出现两次。", rule="MO-044")
NOT_IN_TEAM = Message(
    "TELECOM_ELITE_NOT_IN_TEAM",
    "{name} was not in {team} in {month}.",
    "{name} 在 {month} 不在 {team}。",
    rule="MO-044",
)
TAKES_NO_SHARE = Message(
    "TELECOM_ELITE_TAKES_NO_SHARE",
    "{name} has no commission in {month}: package 1 and the first months of who comes from the establishment have none.",
    "{name} 在 {month} 不享受提成（套餐一及联通在编前期无提成）。",
    rule="MO-031",
)
FACTOR_UNEXPLAINED = Message(
    "TELECOM_ELITE_FACTOR_UNEXPLAINED",
    "Say in the remark why a factor differs from that of the appraisal.",
    "指定考核系数时请在备注中说明理由。",
    rule="MO-044",
)
MONTH_AHEAD = Message("TELECOM_ELITE_MONTH_AHEAD", "{month} has not begun.", "{month} 尚未开始。")
RUN_SETTLED = Message(
    "TELECOM_ELITE_RUN_SETTLED",
    "The pay run of {month} is reviewed; what went in no longer changes. It can be reopened until it is approved.",
    "{month} 薪酬核算已复核，输入不得再变更；审批前可退回。",
    rule="MO-044",
)
NOBODY_SIGNS = Message(
    "TELECOM_ELITE_NOBODY_SIGNS",
    "No sign-off policy for distributions is in force in line {line}; enable '{policy}' (approvalPolicySet).",
    "业务线 {line} 没有针对二次分配的有效审批规则，请启用“{policy}”（approvalPolicySet）。",
    rule="MO-044",
)
MESSAGES = (
    WEIGHTS_WRONG, TWICE, NOT_IN_TEAM, TAKES_NO_SHARE, FACTOR_UNEXPLAINED, MONTH_AHEAD, RUN_SETTLED, NOBODY_SIGNS,
)  # fmt: skip
DOCUMENT: Final = "EliteDistribution"
POLICY: Final = "elite distribution"
DistributionId = Annotated[UUID, Ref(DOCUMENT, "eld")]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
_S = EliteDistributionState


class EliteShareInput(Part):
    """A member's part in a distribution (个人份额)."""

    member_id: MemberId = Field(description="The member (成员).")
    weight: Decimal = Field(
        ge=0, le=100, max_digits=9, decimal_places=4, description="Contribution in percent (贡献权重)."
    )
    factor: Decimal | None = Field(
        None,
        ge=0,
        le=10,
        max_digits=6,
        decimal_places=4,
        description="Factor in place of that of his last appraisal; needs a remark (考核系数).",
    )


class ProposeEliteDistribution(Command):
    """Propose how a team divides its commission of a month; it is handed in for the Centre's signature (提交二次分配).

    Contributions add up to 100 percent. Proposing again replaces what was proposed, signed or not, until the pay run
    of the month is reviewed.
    """

    kind = "elite_distribution.propose"
    scope = DISTRIBUTE
    returns = "EliteDistribution"
    team_id: EliteTeamId = Field(description="The team (团队).")
    month: Month = Field(description="The month, e.g. 2025-11 (月份).")
    shares: list[EliteShareInput] = Field(
        min_length=1, max_length=200, description="Who contributed how much (份额)."
    )
    remark: Words = Field("", description="Why it is divided like this (备注).")


async def propose(work: Work, command: ProposeEliteDistribution) -> EliteDistribution:
    """The distribution, handed in; refuses everything that is wrong with it at once (MO-044)."""
    team = await _reached(work, command.team_id, command.scope)
    await refuse_settled(work, command.month)
    members = await _members(work, [share.member_id for share in command.shares])
    packages = await _packages(work, team, command.month)
    errors.raise_if(_wrong(work, command, team, members, packages))
    found = await _distribution(work, team, command)
    await _replace_shares(work, found, command.shares, members)
    await _refuse_without_policy(work, found)
    work.record(EliteDistributionProposed.of(found))
    await work.flush()
    await work.run(SubmitRecord(record=ids.show("eld", found.id)))
    return found


async def _reached(work: Work, team_id: UUID, scope: str) -> EliteTeam:
    """The team, if the scope reaches it: a manager divides his own team's commission only."""
    found: EliteTeam | None = await work.session.scalar(queries.teams_reached(work.access, team_id, scope))
    if found is None:
        shown = ids.show("elt", team_id)
        raise Refused(errors.NOT_FOUND("teamId", type="EliteTeam", id=shown))
    if found.line != work.acting_line:
        raise Refused(errors.WRONG_LINE("teamId", line=found.line, given=work.acting_line))
    return found


async def refuse_settled(work: Work, month: Month, path: str = "month") -> None:
    """Refuse a month that has not begun, and one whose pay run is reviewed; nobody reviews it until this work commits."""
    if month > months.month_of(work.day()):
        raise Refused(MONTH_AHEAD(path, month=month))
    run = await work.session.scalar(queries.run_of(work.acting_line, month).with_for_update(read=True))
    if run is not None and run.state in queries.SHOWN:
        raise Refused(RUN_SETTLED(path, month=month))


async def _members(work: Work, keys: Sequence[UUID]) -> Mapping[UUID, EliteMember]:
    found = select(EliteMember).where(EliteMember.id.in_(keys), EliteMember.line == work.acting_line)
    return {member.id: member for member in await work.session.scalars(found)}


async def _packages(work: Work, team: EliteTeam, month: Month) -> Mapping[UUID, bool]:
    """Members who were in the team in a month: whether on a day there with commission."""
    first, after = months.first_day(month), months.day_after(month)
    postings = (await work.session.execute(queries.postings_in(team.line, first, after))).all()
    terms = (await work.session.execute(queries.terms_in(team.line, after))).all()
    earning = [row for row in terms if row.package == ElitePackage.PACKAGE_2]
    found: dict[UUID, bool] = {}
    for row in postings:
        if row.elite_team_id != team.id:
            continue
        start, end = max(row.valid_from, first), min(row.valid_to or after, after)
        takes = any(
            one.member_id == row.member_id
            and one.valid_from < end
            and (one.valid_to is None or one.valid_to > start)
            for one in earning
        )
        found[row.member_id] = found.get(row.member_id, False) or takes
    return found


def _wrong(
    work: Work,
    command: ProposeEliteDistribution,
    team: EliteTeam,
    members: Mapping[UUID, EliteMember],
    packages: Mapping[UUID, bool],
) -> Iterator[UserError]:
    total = sum(share.weight for share in command.shares)
    if total != 100:  # noqa: PLR2004  # percent
        yield WEIGHTS_WRONG("shares", sum=format(total, "f"))
    seen: set[UUID] = set()
    for place, share in enumerate(command.shares):
        path, member = f"shares.{place}.memberId", members.get(share.member_id)
        if member is None:
            yield errors.NOT_FOUND(path, type="EliteMember", id=ids.show("elm", share.member_id))
        elif share.member_id in seen:
            yield TWICE(path, name=member.name)
        elif share.member_id not in packages:
            yield NOT_IN_TEAM(path, name=member.name, team=team.name, month=command.month)
        elif share.weight and not packages[share.member_id]:
            yield TAKES_NO_SHARE(path, name=member.name, month=command.month)
        seen.add(share.member_id)
    if not command.remark and any(share.factor is not None for share in command.shares):
        yield FACTOR_UNEXPLAINED("remark")


async def _distribution(work: Work, team: EliteTeam, command: ProposeEliteDistribution) -> EliteDistribution:
    """The team's distribution of the month; one that waits for its signature no longer does."""
    known = select(EliteDistribution).where(
        EliteDistribution.elite_team_id == team.id, EliteDistribution.month == command.month
    )
    found = await work.session.scalar(known)
    if found is None:
        return work.add(
            EliteDistribution(
                line=team.line,
                elite_team_id=team.id,
                team_id=team.team_id,
                owner_id=work.actor.user_id,
                month=command.month,
                state=_S.DRAFT.value,
                remark=command.remark,
            )
        )
    await _signing_ended(work, found.id)
    found.owner_id, found.remark, found.state = work.actor.user_id, command.remark, _S.DRAFT.value
    return found


async def _signing_ended(work: Work, key: UUID) -> None:
    waiting = select(Approval).where(
        Approval.document == DOCUMENT,
        Approval.subject_id == key,
        Approval.state.not_in([state.value for state in ENDED]),
    )
    approval = (await work.session.execute(waiting.with_for_update())).scalars().first()
    if approval is not None:
        words = "已重新提交 Proposed anew"
        concluded(
            work, approval, await move(work, approval, Terminate(words), work.actor.user_id or SYSTEM), words
        )


async def _replace_shares(
    work: Work,
    found: EliteDistribution,
    shares: Sequence[EliteShareInput],
    members: Mapping[UUID, EliteMember],
) -> None:
    await work.flush()
    await work.session.execute(delete(EliteShare).where(EliteShare.distribution_id == found.id))
    for share in shares:
        work.add(
            EliteShare(
                line=found.line,
                distribution_id=found.id,
                member_id=share.member_id,
                owner_id=members[share.member_id].owner_id,
                weight=share.weight,
                factor=share.factor,
            )
        )


async def _refuse_without_policy(work: Work, found: EliteDistribution) -> None:
    if await policy_for(work, work.acting_line, DOCUMENT, None, found) is None:
        raise Refused(NOBODY_SIGNS(line=work.acting_line, policy=POLICY))


async def told(work: Work, found: EliteDistribution, state: str) -> None:
    """Handed in, signed, sent back: the distribution follows. Once the run is reviewed it is neither handed in nor signed (MO-044)."""
    if state == "PENDING":
        await refuse_settled(work, found.month, "record")
        found.state = _S.SUBMITTED.value
    elif state == "APPROVED":
        await refuse_settled(work, found.month, "id")
        found.state = _S.APPROVED.value
        work.record(EliteDistributionApproved.of(found))
    elif state in ("RETURNED", "REJECTED", "WITHDRAWN", "TERMINATED"):
        found.state = _S.DRAFT.value
        work.record(EliteDistributionReturned.of(found))


DOCUMENTS: Final[Sequence[Document]] = (
    Document(DOCUMENT, DISTRIBUTE, told, lambda found: f"二次分配 {found.month}"),
)
_SIGNS: Final[Mapping[str, Any]] = {"name": "集团客户营销中心审批", "slots": [{"role": "elite_centre"}]}
POLICIES: Final[Sequence[PolicyTemplate]] = (
    PolicyTemplate(POLICY, DOCUMENT, "elite_centre", "二次分配审批", enabled=True, stages=(_SIGNS,)),
)


# -- bonus of package 1


class SetEliteBonusFactor(Command):
    """Give the department's or a member's part in the bonus of package 1 for a month, in place of the rate (绩效系数)."""

    kind = "elite_bonus_factor.set"
    scope = RUN_WRITE
    returns = "EliteBonusFactor"
    team_id: EliteTeamId = Field(description="The team (团队).")
    member_id: MemberId | None = Field(
        None, description="The member; none: the department's, for all (成员)."
    )
    month: Month = Field(description="The month (月份).")
    factor: Decimal = Field(ge=0, le=10, max_digits=6, decimal_places=4, description="Factor (系数).")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] = Field(
        description="By which result (依据)."
    )


async def set_factor(work: Work, command: SetEliteBonusFactor) -> EliteBonusFactor:
    """The factor of that month; refused once the month's run is reviewed (MO-033)."""
    team = await _reached(work, command.team_id, command.scope)
    await refuse_settled(work, command.month)
    member = await work.get(EliteMember, command.member_id, "memberId") if command.member_id else None
    if member is not None and member.line != work.acting_line:
        raise Refused(errors.WRONG_LINE("memberId", line=member.line, given=work.acting_line))
    if member is not None and member.id not in await _packages(work, team, command.month):
        raise Refused(NOT_IN_TEAM("memberId", name=member.name, team=team.name, month=command.month))
    key = member.id.hex if member is not None else "team"
    t = EliteBonusFactor
    known = select(t).where(t.elite_team_id == team.id, t.member_key == key, t.month == command.month)
    row = await work.session.scalar(known)
    if row is None:
        row = work.add(
            EliteBonusFactor(
                line=team.line,
                elite_team_id=team.id,
                member_id=member.id if member else None,
                member_key=key,
                owner_id=member.owner_id if member else None,
                month=command.month,
                factor=command.factor,
                reason=command.reason,
            )
        )
    else:
        row.factor, row.reason = command.factor, command.reason
    work.record(EliteBonusFactorSet.of(row))
    return row


COMMANDS: dict[type[Command], Perform] = {
    ProposeEliteDistribution: propose,
    SetEliteBonusFactor: set_factor,
}

"""Postings (任职): closes the one a member has and opens the next, from a day on."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from crm_core.access.models import Team, TeamMember
from crm_core.errors import Message, Refused
from crm_core.work import Work
from crm_telecom_elite.ladder.models import ElitePost, ElitePostRole, EliteStep
from crm_telecom_elite.members.events import EliteMemberPosted
from crm_telecom_elite.members.models import EliteMember, ElitePosting
from crm_telecom_elite.members.queries import EMPLOYED, posting_on, postings_from
from crm_telecom_elite.teams.commands import refuse_closed
from crm_telecom_elite.teams.models import EliteTeam

NOT_POSTED = Message(
    "TELECOM_ELITE_NO_POSTING",
    "{name} has no posting on {day}: he was not a member then.",
    "{day} {name} 没有任职：当日并非精英成员。",
)
LATER_POSTED = Message(
    "TELECOM_ELITE_LATER_POSTED",
    "{name} has a posting from {day} on; a change may not begin before it.",
    "{name} 自 {day} 起已有任职，变更不得早于该日。",
)
STEP_OF_OTHER_KIND = Message(
    "TELECOM_ELITE_STEP_OF_OTHER_KIND",
    "{grade} {letter} stands on the ladder of {step_kind} teams, {team} is a {team_kind} team: name a step of its own.",
    "{grade}{letter} 属于 {step_kind} 团队的薪级表，而 {team} 是 {team_kind} 团队，请另选薪级。",
    rule="MO-055",
)
MESSAGES = (NOT_POSTED, LATER_POSTED, STEP_OF_OTHER_KIND)

LEADING = (ElitePostRole.TEAM_MANAGER, ElitePostRole.TEAM_LEADER)
"""Who leads his team."""


async def post(
    work: Work,
    member: EliteMember,
    *,
    from_: date,
    reason: str,
    rule: str = "",
    step: UUID | None = None,
    post: UUID | None = None,
    team: UUID | None = None,
    path: str = "validFrom",
) -> ElitePosting:
    """The posting of a member from a day on, with another step, post or team; what is left out stays as it is.

    One that begins that very day is changed. `reason` is a word of at most 40 letters, e.g. TRANSFER. Where it holds
    already, the member and the team his account belongs to follow at once, else on that day. Refuses, naming `path`,
    a day before the entry or before a later posting, a closed team, and a step of the other kind of team.
    """
    present = await _present(work, member, from_, path)
    wanted = ElitePosting(
        member_id=member.id,
        elite_team_id=team or present.elite_team_id,
        post_id=post or present.post_id,
        step_id=step or present.step_id,
        valid_from=from_,
        valid_to=present.valid_to,
        reason=reason,
        rule=rule,
    )
    await refuse_unfit(work, wanted)
    made = _written(work, present, wanted)
    if from_ <= work.day():
        await settle(work, member, made)
    work.record(EliteMemberPosted.of(member, valid_from=from_, why=reason))
    return made


async def _present(work: Work, member: EliteMember, day: date, path: str) -> ElitePosting:
    found: ElitePosting | None = await work.session.scalar(posting_on(member.id, day))
    later = [one for one in await work.session.scalars(postings_from(member.id, day)) if one is not found]
    if later:
        raise Refused(
            LATER_POSTED(path, name=member.name, day=min(one.valid_from for one in later).isoformat())
        )
    if found is None:
        raise Refused(NOT_POSTED(path, name=member.name, day=day.isoformat()))
    return found


def _written(work: Work, present: ElitePosting, wanted: ElitePosting) -> ElitePosting:
    if present.valid_from < wanted.valid_from:
        present.valid_to = wanted.valid_from
        return work.add(wanted)
    for column in ("elite_team_id", "post_id", "step_id", "reason", "rule"):
        setattr(present, column, getattr(wanted, column))
    return present


async def refuse_unfit(work: Work, posting: ElitePosting) -> None:
    """Refuse a posting into a closed team, and onto a rung of the other kind of team."""
    team = await work.get(EliteTeam, posting.elite_team_id, "teamId")
    step = await work.get(EliteStep, posting.step_id, "stepId")
    refuse_closed(team, posting.valid_from, "teamId")
    if step.team_kind != team.kind:
        given = {"grade": step.grade, "letter": step.letter, "step_kind": step.team_kind}
        raise Refused(STEP_OF_OTHER_KIND("stepId", **given, team=team.name, team_kind=team.kind))


async def settle(work: Work, member: EliteMember, posting: ElitePosting) -> None:
    """Let the member, and the team his account belongs to, follow the posting that holds now."""
    team = await work.get(EliteTeam, posting.elite_team_id, "teamId")
    role = (await work.get(ElitePost, posting.post_id, "postId")).role
    before = member.team_id
    member.elite_team_id, member.post_id, member.team_id = team.id, posting.post_id, team.team_id
    if member.owner_id is None:
        return
    if before is not None and before != team.team_id:
        await take_out(work, before, member.owner_id)
    await _put_in(work, team.team_id, member.owner_id, leads=role in LEADING)


async def settle_account(work: Work, member: EliteMember, user_id: UUID | None) -> None:
    """Give a member another account, or none; who is employed sits in his team by the new one."""
    before, member.owner_id = member.owner_id, user_id
    if member.state not in EMPLOYED or member.team_id is None or before == user_id:
        return
    if before is not None:
        await take_out(work, member.team_id, before)
    if user_id is not None:
        role = (await work.get(ElitePost, member.post_id, "postId")).role
        await _put_in(work, member.team_id, user_id, leads=role in LEADING)


async def take_out(work: Work, team_id: UUID, user_id: UUID) -> None:
    """Take an account out of a team of the line."""
    known = await work.session.get(TeamMember, (team_id, user_id))
    if known is not None:
        await work.session.delete(known)
        await _touch(work, team_id)


async def _put_in(work: Work, team_id: UUID, user_id: UUID, *, leads: bool) -> None:
    known = await work.session.get(TeamMember, (team_id, user_id))
    if known is None:
        work.session.add(TeamMember(team_id=team_id, user_id=user_id, leads=leads))
    elif known.leads != leads:
        known.leads = leads
    else:
        return
    await _touch(work, team_id)


async def _touch(work: Work, team_id: UUID) -> None:
    team = await work.session.get(Team, team_id)
    if team is not None:
        work.touch(team)

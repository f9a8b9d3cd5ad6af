"""Who may appraise whom: the Centre everybody, a manager his own team, nobody himself."""

from __future__ import annotations

from uuid import UUID

from crm_core import errors
from crm_core.actors import Actor, Reach
from crm_core.errors import Message, Refused
from crm_core.work import Work
from crm_telecom_elite.scopes import APPRAISAL_WRITE
from crm_telecom_elite.teams.models import EliteTeam

CENTRE_ONLY = Message(
    "TELECOM_ELITE_CENTRE_ONLY",
    "The department does this, not the team: it takes {scope} for the whole line.",
    "此操作由所在部门（营销中心）办理，需要整条业务线的权限 {scope}。",
    rule="MO-006",
)
OWN_APPRAISAL = Message(
    "TELECOM_ELITE_OWN_APPRAISAL",
    "Nobody appraises himself; the Centre does.",
    "不得考核本人，应由营销中心考核。",
    rule="MO-006",
)
MESSAGES = (CENTRE_ONLY, OWN_APPRAISAL)


def refuse_unless_centre(work: Work) -> None:
    """Refuse who does not appraise for the whole line (MO-006)."""
    if not _whole_line(work.actor, work.acting_line):
        raise Refused(CENTRE_ONLY(scope=APPRAISAL_WRITE))


def refuse_other_team(work: Work, team: EliteTeam, path: str) -> None:
    """Refuse a team that the caller's appraising does not reach (MO-062)."""
    if not reaches(work.actor, team.line, team.team_id):
        raise Refused(errors.FORBIDDEN(path, scope=APPRAISAL_WRITE, line=team.line))


def refuse_own(work: Work, owner_id: UUID | None, path: str) -> None:
    """Refuse what is about the caller himself."""
    if owner_id is not None and owner_id == work.actor.user_id:
        raise Refused(OWN_APPRAISAL(path))


def reaches(actor: Actor, line: str, team_id: UUID) -> bool:
    """Whether somebody appraises this team of the line."""
    reach = actor.reach(APPRAISAL_WRITE).get(line, Reach.OWN)
    teams = (actor.subtree if reach is Reach.SUBTREE else actor.teams).get(line, frozenset())
    return _whole_line(actor, line) or (reach > Reach.OWN and team_id in teams)


def _whole_line(actor: Actor, line: str) -> bool:
    return actor.is_system or actor.reach(APPRAISAL_WRITE).get(line, Reach.OWN) >= Reach.LINE

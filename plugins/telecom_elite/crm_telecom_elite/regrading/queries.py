"""Which regrades a caller may see, and what proposals are made of: results, earlier moves, present rungs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from crm_core.graphql.access import Access
from crm_telecom_elite.appraisals.models import EliteAppraisal, EliteAppraisalState
from crm_telecom_elite.ladder.models import EliteStep
from crm_telecom_elite.members.models import EliteMember, ElitePosting
from crm_telecom_elite.members.queries import EMPLOYED
from crm_telecom_elite.members.queries import visible as of_whom
from crm_telecom_elite.regrading.models import EliteRegrade, EliteRegradeState
from crm_telecom_elite.scopes import APPRAISAL_READ, PAY_READ, REGRADE


def visible(t: Any, access: Access, scope: str) -> ColumnElement[bool]:
    """To read: for whom the member's pay is to be seen, and for who applies for changes. Else as far as the scope goes."""
    if scope != APPRAISAL_READ:
        return of_whom(t, access, scope)
    return or_(of_whom(t, access, PAY_READ), of_whom(t, access, REGRADE))


def pay_seen(t: Any, access: Access) -> ColumnElement[bool]:
    """Whether the rungs of this regrade are shown: they say what the member is paid."""
    return of_whom(t, access, PAY_READ)


def results_of(member_ids: Sequence[UUID]) -> Select[Any]:
    """The confirmed results of these members: member, period, id, result; by period."""
    t = EliteAppraisal.__table__
    return (
        select(t.c.member_id, t.c.period, t.c.id, t.c.result)
        .where(t.c.member_id.in_(member_ids), t.c.state == EliteAppraisalState.CONFIRMED)
        .order_by(t.c.member_id, t.c.period, t.c.id)
    )


def standing(member_ids: Sequence[UUID]) -> Select[Any]:
    """Regrades of these members that stand, whatever was decided: member, state, cause. Not those withdrawn."""
    t = EliteRegrade.__table__
    return select(t.c.member_id, t.c.state, t.c.cause).where(
        t.c.member_id.in_(member_ids), t.c.state != EliteRegradeState.WITHDRAWN
    )


def employed(member_ids: Sequence[UUID]) -> Select[Any]:
    """Those of these members who are employed."""
    t = EliteMember.__table__
    return select(EliteMember).where(t.c.id.in_(member_ids), t.c.state.in_([str(one) for one in EMPLOYED]))


def last_rungs(member_ids: Sequence[UUID]) -> Select[Any]:
    """The rung of each of these members' last posting, be it still to come: member, step, kind of its ladder."""
    posting, step = ElitePosting.__table__, EliteStep.__table__
    return (
        select(posting.c.member_id, step.c.id, step.c.team_kind)
        .join(step, step.c.id == posting.c.step_id)
        .where(posting.c.member_id.in_(member_ids), posting.c.valid_to.is_(None))
    )

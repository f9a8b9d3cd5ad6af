"""The posts and rungs a line begins with: those the rules name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_telecom_elite.ladder.models import (
    ElitePost,
    ElitePostRole,
    ElitePostSeries,
    EliteStep,
    EliteStepLetter,
)
from crm_telecom_elite.rates.models import EliteTeamKind

_S, _R = ElitePostSeries, ElitePostRole

POSTS: Final = (
    ("team_manager", "团队经理", _S.MARKETING, _R.TEAM_MANAGER),
    ("team_leader", "团队组长", _S.MARKETING, _R.TEAM_LEADER),
    ("marketing_manager", "营销经理", _S.MARKETING, _R.MARKETING_MANAGER),
    ("senior_marketing_manager", "高级营销经理", _S.MARKETING, _R.MARKETING_MANAGER),
    ("marketing_consultant", "营销顾问", _S.MARKETING, _R.MARKETING_MANAGER),
    ("senior_marketing_consultant", "高级营销顾问", _S.MARKETING, _R.MARKETING_MANAGER),
    ("product_manager", "产品经理", _S.PRODUCT, _R.PRODUCT_MANAGER),
    ("service_manager", "服务经理", _S.SERVICE, _R.SERVICE_MANAGER),
    ("customer_manager", "客户经理", _S.MARKETING, _R.CUSTOMER_MANAGER),
    ("technical_support", "技术支持人员", _S.SERVICE, _R.TECHNICAL_SUPPORT),
)
"""Code, title, series and role of each post (MO-007)."""

GRADES: Final = {
    EliteTeamKind.HQ: ("营销经理", "营销顾问", "高级营销顾问"),
    EliteTeamKind.REGIONAL: ("营销经理", "高级营销经理"),
}
"""The grades of each kind of team from the lowest up (MO-055, MO-056, MO-076)."""

_APART = 10
"""Between two rungs, so that one may be put between them."""


async def seed(session: AsyncSession, line: str, now: datetime) -> None:
    """Posts the line has not by code, and a ladder for each kind of team that has none."""
    codes = set(await session.scalars(select(ElitePost.code).where(ElitePost.line == line)))
    for code, title, series, role in POSTS:
        if code not in codes:
            session.add(
                ElitePost(line=line, code=code, title=title, series=series, role=role, created_at=now)
            )
    laddered = set(await session.scalars(select(EliteStep.team_kind).where(EliteStep.line == line)))
    session.add_all(step for kind in GRADES if str(kind) not in laddered for step in _steps(line, kind, now))


def _steps(line: str, kind: EliteTeamKind, now: datetime) -> Iterator[EliteStep]:
    rungs = [(grade, letter) for grade in GRADES[kind] for letter in EliteStepLetter]
    for place, (grade, letter) in enumerate(rungs, 1):
        rank = place * _APART
        yield EliteStep(line=line, team_kind=kind, rank=rank, grade=grade, letter=letter, created_at=now)

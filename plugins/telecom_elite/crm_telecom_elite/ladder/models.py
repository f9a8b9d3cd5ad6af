"""The tables of posts and of the pay ladder; all of it is a line's own data (MO-007, MO-010, MO-055, MO-056)."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Date, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_core.db.base import Aggregate, LineCode, Personal, Record
from crm_core.db.types import Fen


class ElitePostSeries(StrEnum):
    """The three series of posts (MO-007): marketing 营销, product 产品, service 服务."""

    MARKETING = "MARKETING"
    PRODUCT = "PRODUCT"
    SERVICE = "SERVICE"


class ElitePostRole(StrEnum):
    """What a post counts as in a team's composition (MO-007 to MO-009)."""

    TEAM_MANAGER = "TEAM_MANAGER"
    """团队经理"""
    TEAM_LEADER = "TEAM_LEADER"
    """团队组长"""
    MARKETING_MANAGER = "MARKETING_MANAGER"
    """营销经理"""
    PRODUCT_MANAGER = "PRODUCT_MANAGER"
    """产品经理"""
    SERVICE_MANAGER = "SERVICE_MANAGER"
    """服务经理"""
    CUSTOMER_MANAGER = "CUSTOMER_MANAGER"
    """客户经理"""
    TECHNICAL_SUPPORT = "TECHNICAL_SUPPORT"
    """技术支持人员"""


class EliteStepLetter(StrEnum):
    """A step within a grade of pay (薪级): A is the lowest, C the highest. Not to be mixed up with results A to C."""

    A = "A"
    B = "B"
    C = "C"


class ElitePost(Aggregate):
    """A post of the elite (岗位), in one of the series, with its entry qualification (任职资格)."""

    __tablename__ = "telecom_elite_posts"
    __table_args__ = (
        UniqueConstraint("line", "code"),
        Index("ix_telecom_elite_posts_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    code: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(120))
    series: Mapped[str] = mapped_column(String(20))
    role: Mapped[str] = mapped_column(String(40))
    company_post: Mapped[str] = mapped_column(String(120), default="")
    """The company's own series and post it corresponds to (对应公司业务系列岗位)."""
    qualification: Mapped[str] = mapped_column(String(2000), default="")


class EliteStep(Aggregate):
    """A rung of the pay ladder (薪等薪级) of one kind of team: `rank` runs upwards over all its grades."""

    __tablename__ = "telecom_elite_steps"
    __table_args__ = (
        UniqueConstraint("line", "team_kind", "rank"),
        UniqueConstraint("line", "team_kind", "grade", "letter"),
        Index("ix_telecom_elite_steps_line_id", "line", "id"),
    )
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    team_kind: Mapped[str] = mapped_column(String(20))
    rank: Mapped[int] = mapped_column(Integer)
    grade: Mapped[str] = mapped_column(String(60))
    """The grade by its Chinese name, e.g. 营销经理 (薪等)."""
    letter: Mapped[str] = mapped_column(String(1))


class EliteStandard(Record):
    """The company's standard pay of a rung from a day on: monthly salary and bonus (岗位工资、绩效奖金标准)."""

    __tablename__ = "telecom_elite_standards"
    __table_args__ = (UniqueConstraint("step_id", "valid_from"),)
    personal: ClassVar[dict[str, Personal]] = {}

    step_id: Mapped[UUID] = mapped_column(ForeignKey("telecom_elite_steps.id"))
    valid_from: Mapped[date] = mapped_column(Date)
    salary: Mapped[int] = mapped_column(Fen)
    bonus: Mapped[int] = mapped_column(Fen)


TABLES = (ElitePost, EliteStep, EliteStandard)

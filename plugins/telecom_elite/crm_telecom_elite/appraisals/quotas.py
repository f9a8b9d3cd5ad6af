"""The command that says how the results of members may be distributed after the result of their team (MO-061)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field
from sqlalchemy import select

from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused
from crm_core.work import Work
from crm_telecom_elite.appraisals.events import EliteResultQuotaSet
from crm_telecom_elite.appraisals.models import EliteResult, EliteResultQuota
from crm_telecom_elite.scopes import RATE_WRITE

TOO_MUCH = Message(
    "TELECOM_ELITE_QUOTA_TOO_MUCH",
    "A and C cannot be more than all members: {least_c} percent C leaves less than {most_a} percent for A.",
    "A 与 C 的比例之和不得超过 100%：C 至少 {least_c}% 时，A 不可能达到 {most_a}%。",
    rule="MO-061",
)
MESSAGES = (TOO_MUCH,)
Percent = Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4)]


class SetEliteResultQuota(Command):
    """Say how members' results may be distributed after a result of the team, from a day on (设置考核结果分布)."""

    kind = "elite_result_quota.set"
    scope = RATE_WRITE
    returns = "EliteResultQuota"
    team_result: EliteResult = Field(description="After which result of the team (团队考核结果).")
    valid_from: date = Field(description="The first day it holds (生效日期).")
    most_a: Percent | None = Field(
        None, description="Percent of members with A, at most; left out: any (A 上限%)."
    )
    least_c: Percent | None = Field(
        None, description="Percent of members with C, at least; left out: none (C 下限%)."
    )


async def set_quota(work: Work, command: SetEliteResultQuota) -> EliteResultQuota:
    """The quota; one of the same day is changed. Appraisals that are confirmed stay as they are."""
    if (command.most_a or 0) + (command.least_c or 0) > 100:  # noqa: PLR2004  # all of them
        raise Refused(TOO_MUCH("leastC", most_a=str(command.most_a), least_c=str(command.least_c)))
    line, result, day = work.acting_line, command.team_result, command.valid_from
    t = EliteResultQuota.__table__
    same = select(EliteResultQuota).where(t.c.line == line, t.c.team_result == result, t.c.valid_from == day)
    row = await work.session.scalar(same) or work.add(
        EliteResultQuota(line=line, team_result=result, valid_from=day)
    )
    row.most_a, row.least_c = command.most_a, command.least_c
    work.record(EliteResultQuotaSet.of(row))
    return row


COMMANDS: dict[type[Command], Perform] = {SetEliteResultQuota: set_quota}

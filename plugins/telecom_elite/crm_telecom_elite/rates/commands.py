"""The command that sets a figure of the rules from a day on, and the seeds a line begins with."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.commands import Command, Perform
from crm_core.errors import Message, Refused
from crm_core.work import Work
from crm_telecom_elite.rates.catalogue import BEGINNING, CATALOGUE, Figure
from crm_telecom_elite.rates.events import EliteRateSet
from crm_telecom_elite.rates.models import EliteRate, EliteTeamKind
from crm_telecom_elite.scopes import RATE_WRITE

RATE_UNKNOWN = Message(
    "TELECOM_ELITE_RATE_UNKNOWN",
    "There is no figure {name} for {kind} teams.",
    "没有适用于 {kind} 团队的参数 {name}。",
)
RATE_WRONG = Message(
    "TELECOM_ELITE_RATE_WRONG",
    "{name} is {kind} from {least} to {most}.",
    "{name} 应为 {least} 至 {most} 之间的{kind_zh}。",
)
MESSAGES = (RATE_UNKNOWN, RATE_WRONG)


class SetEliteRate(Command):
    """Set a figure of the rules for a kind of team from a day on (设置参数). The rows before it stay as they are."""

    kind = "elite_rate.set"
    scope = RATE_WRITE
    returns = "EliteRate"
    name: str = Field(max_length=60, description="Which figure, by its name in docs/telecom-elite.md (参数).")
    team_kind: EliteTeamKind = Field(description="For which kind of team (团队类型).")
    valid_from: date = Field(description="The first day it holds (生效日期).")
    value: Decimal = Field(max_digits=20, decimal_places=10, description="The figure (数值).")
    note: str = Field("", max_length=500, description="Why, or by which document (依据).")


async def set_rate(work: Work, command: SetEliteRate) -> EliteRate:
    """The row; one of the same day is changed. Closed pay runs keep what they were computed with."""
    figure = CATALOGUE.get(command.name)
    if figure is None or command.team_kind not in figure.seeds:
        raise Refused(RATE_UNKNOWN("name", name=command.name, kind=command.team_kind.value))
    _refuse_out_of_bounds(figure, command.value)
    row = await work.session.scalar(
        select(EliteRate).where(
            EliteRate.line == work.acting_line,
            EliteRate.name == command.name,
            EliteRate.team_kind == command.team_kind,
            EliteRate.valid_from == command.valid_from,
        )
    )
    if row is None:
        row = work.add(
            EliteRate(
                line=work.acting_line,
                name=command.name,
                team_kind=command.team_kind,
                valid_from=command.valid_from,
                value=command.value,
                note=command.note,
            )
        )
    else:
        row.value, row.note = command.value, command.note
    work.record(EliteRateSet.of(row))
    return row


def _refuse_out_of_bounds(figure: Figure, value: Decimal) -> None:
    fits = figure.least <= value <= figure.most and not (figure.whole and value % 1)
    if not fits:
        kind, kind_zh = ("a whole number", "整数") if figure.whole else ("a number", "数")
        raise Refused(
            RATE_WRONG(
                "value",
                name=figure.name,
                kind=kind,
                kind_zh=kind_zh,
                least=str(figure.least),
                most=str(figure.most),
            )
        )


async def seed(session: AsyncSession, line: str, now: datetime) -> None:
    """The figures of the rules as rows of the line, those it has none of; they hold from the beginning."""
    there = select(EliteRate.name, EliteRate.team_kind).where(EliteRate.line == line)
    known = {(row.name, row.team_kind) for row in (await session.execute(there)).all()}
    for figure in CATALOGUE.values():
        for kind, value in figure.seeds.items():
            if (figure.name, str(kind)) not in known:
                session.add(
                    EliteRate(
                        line=line, name=figure.name, team_kind=kind, valid_from=BEGINNING, value=value,
                        note=figure.rule, created_at=now,
                    )
                )  # fmt: skip


COMMANDS: dict[type[Command], Perform] = {SetEliteRate: set_rate}

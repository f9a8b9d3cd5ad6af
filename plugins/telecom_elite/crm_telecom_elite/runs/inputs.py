"""All that one team's part of a pay run is computed from: plain frozen values, no database (冻结的核算输入)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from crm_telecom_elite import months
from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.members.models import ElitePackage
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.receipts.earning import Standing

ENGINE = "1"
"""Version of the arithmetic; it rises when the same inputs would give other lines."""

Exact = Annotated[Decimal, PlainSerializer(lambda value: format(value, "f"), when_used="json")]
"""A decimal number that stands in JSON as the digits it was written with."""


class Frozen(BaseModel):
    """A value that does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Frozen):
    """Days from `start` up to, not including, `end`."""

    start: date
    end: date

    def holds(self, day: date) -> bool:
        """Whether the day is one of them."""
        return self.start <= day < self.end


class PostingSpan(Span):
    """Days in a post of this team, on a rung of the ladder (任职)."""

    post: str
    role: ElitePostRole
    step_id: str
    step: str


class TermSpan(Span):
    """Days on a pay package (薪酬套餐)."""

    package: ElitePackage


class StandardFrom(Frozen):
    """Standard pay of a rung from a day on, fen a month."""

    step_id: str
    valid_from: date
    salary: int
    bonus: int


class RateSpan(Span):
    """Days on which a figure of the rules has a value."""

    name: str
    value: Exact


class CarsSpan(Span):
    """Days on which the team's cars are guaranteed, or not (MO-051)."""

    guaranteed: bool


class MemberInputs(Frozen):
    """What one member's lines come from. `seat` counts the teams he sat in before this one in the same month."""

    id: str
    name: str
    staff_number: str = ""
    owner_id: str | None = None
    seat: int = 0
    postings: tuple[PostingSpan, ...] = ()
    terms: tuple[TermSpan, ...] = ()
    original_salary: int | None = None
    original_bonus: int | None = None
    personal_factor: Exact | None = None
    """Given for this month; None: the rate's."""
    carried_over: int = 0
    """Negative rest of the last closed run, fen."""
    carried_from: str | None = None
    written_off: int = 0
    """How much of that rest is not carried on, by decision, fen: no more than stays below nothing after all he is due."""
    set_off: int = 0
    """How much of what was decided is not written off but set off against what he is due, fen."""


class DeveloperTerm(StrEnum):
    """What decides whether a developer's users earn in a month (MO-031, MO-036, MO-037)."""

    PACKAGE_1 = "PACKAGE_1"
    PACKAGE_2 = "PACKAGE_2"
    TRANSFER = "TRANSFER"
    FORMER = "FORMER"
    """Left before; his users stay with the team."""
    NOBODY = "NOBODY"
    """The user is the team's, nobody's in particular."""
    NOT_YET = "NOT_YET"
    """Not a member then."""


class EarnedSum(Frozen):
    """Fees received of one month, of one developer's users, from `start` on under one rate (fen; negative: went back)."""

    month: str
    start: date
    rate: Exact
    coefficient: Exact
    member_id: str | None
    developer: DeveloperTerm
    standing: Standing
    """Whether the user and the bill let it earn (MO-038, MO-042)."""
    amount: int
    users: int


class Weight(Frozen):
    """A member's contribution in percent, and his appraisal's factor with where it is from (`A 2025-10`, `given`)."""

    member_id: str
    weight: Exact
    factor: Exact
    source: str


class DistributionInputs(Frozen):
    """How the commission of a month is divided, as signed (二次分配)."""

    month: str
    weights: tuple[Weight, ...]


class PaidBefore(Frozen):
    """What closed runs paid a member for a month under a rule, corrections among it (fen)."""

    member_id: str
    rule: str
    amount: int


class Past(Frozen):
    """A closed month whose pay by the day is due otherwise now: its inputs as they are known now, and what was paid."""

    inputs: TeamInputs
    paid: tuple[PaidBefore, ...]


class TeamInputs(Frozen):
    """Everything about one team for one month."""

    engine: str = ENGINE
    line: str
    month: str
    team_id: str
    team_name: str
    team_kind: EliteTeamKind
    department_factor: Exact | None = None
    rates: tuple[RateSpan, ...]
    cars: tuple[CarsSpan, ...] = ()
    standards: tuple[StandardFrom, ...] = ()
    members: tuple[MemberInputs, ...] = ()
    earned: tuple[EarnedSum, ...] = ()
    distributions: tuple[DistributionInputs, ...] = ()
    past: tuple[Past, ...] = ()
    brought_in: int = 0
    """Commission that the last closed run left over, fen."""
    brought_from: str | None = None

    @property
    def first(self) -> date:
        """First day of the month."""
        return months.first_day(self.month)

    @property
    def after(self) -> date:
        """The day after its last."""
        return months.day_after(self.month)

    @property
    def days(self) -> int:
        """Calendar days of the month."""
        return (self.after - self.first).days

    def rate(self, name: str, day: date) -> Decimal:
        """A figure on a day of the month.

        Raises:
            KeyError: it is not among the inputs.
        """
        for span in self.rates:
            if span.name == name and span.holds(day):
                return span.value
        raise KeyError(name)

    def bounds(self) -> Sequence[date]:
        """First day, day after the last, and every day between on which anything changes."""
        spans: list[Span] = [*self.rates, *self.cars]
        for member in self.members:
            spans += [*member.postings, *member.terms]
        days = {day for span in spans for day in (span.start, span.end)}
        days |= {standard.valid_from for standard in self.standards}
        return [self.first, *sorted(day for day in days if self.first < day < self.after), self.after]


Past.model_rebuild()


class Step(Frozen):
    """One step of how an amount came about: what, by which formula, from what, under which rule, how rounded (计算过程)."""

    label: str
    label_zh: str
    formula: str = ""
    formula_zh: str = ""
    inputs: dict[str, str] = {}
    value: str
    rule: str
    rounding: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return {
            "label": self.label, "labelZh": self.label_zh, "formula": self.formula, "formulaZh": self.formula_zh,
            "inputs": dict(self.inputs), "value": self.value, "rule": self.rule, "rounding": self.rounding,
        }  # fmt: skip


class Line(Frozen):
    """A line of pay: of whom, for what, how much (fen), why."""

    member_id: str
    position: int
    kind: str
    amount: int
    rule: str
    about: str | None = None
    derivation: tuple[dict[str, Any], ...]


class Pool(Frozen):
    """A team's commission: all that was received, what of it earns, what it comes to (fen).

    `brought_in` came from the last run, `left_over` goes to the next: nobody was on commission.
    """

    received: int
    base: int
    pool: int
    users: int
    derivation: tuple[dict[str, Any], ...]
    brought_in: int = 0
    left_over: int = 0


class Problem(Frozen):
    """What stands in the way of a review, in both languages; about one member or the whole team."""

    code: str
    team: str
    member: str | None = None
    message: str
    message_zh: str
    rule: str
    blocks: bool = True
    """Whether a run with it cannot be reviewed; else it is only said."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return {
            "code": self.code, "team": self.team, "member": self.member, "message": self.message,
            "messageZh": self.message_zh, "rule": self.rule, "blocks": self.blocks,
        }  # fmt: skip


class TeamResult(Frozen):
    """What comes of a team's inputs."""

    pool: Pool
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...]

    def digest(self) -> str:
        """SHA-256 of pool and lines in canonical form; a pool that nothing is left over of is as it always was."""
        return digest_of(
            {
                "pool": self.pool.model_dump(mode="json", exclude_defaults=True),
                "lines": [one.model_dump(mode="json") for one in self.lines],
            }
        )


def canonical(value: object) -> bytes:
    """The one text of a JSON value: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def digest_of(value: object) -> str:
    """SHA-256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def inputs_json(inputs: TeamInputs) -> dict[str, Any]:
    """Inputs as they are kept."""
    return inputs.model_dump(mode="json")


def inputs_digest(inputs: TeamInputs) -> str:
    """SHA-256 of inputs in canonical form."""
    return digest_of(inputs_json(inputs))

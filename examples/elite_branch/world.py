"""What the example knows of its branch: teams, members, users and receipts, as they were told to the instance."""

from __future__ import annotations

import random
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from elite_branch.asking import Instance, Person

LETTERS: Final = ("A", "B", "C")
GRADES: Final = {"HQ": ("营销经理", "营销顾问", "高级营销顾问"), "REGIONAL": ("营销经理", "高级营销经理")}
LEADING: Final = ("team_manager", "team_leader")


def month_of(day: date) -> str:
    """The month of a day, e.g. `2025-11`."""
    return day.isoformat()[:7]


def first_day(month: str) -> date:
    """Its first day."""
    return date(int(month[:4]), int(month[5:]), 1)


def last_day(month: str) -> date:
    """Its last day."""
    day = first_day(month)
    return day.replace(day=monthrange(day.year, day.month)[1])


def later(month: str, months: int) -> str:
    """The month so many months later."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + months
    return f"{number // 12}-{number % 12 + 1:02d}"


def days_of(month: str) -> list[date]:
    """All its days."""
    return [first_day(month) + timedelta(days=at) for at in range(last_day(month).day)]


@dataclass(eq=False)
class Team:
    """A team; without `cars` it gets an allowance."""

    id: str
    name: str
    kind: str
    region: str = ""
    cars: bool = True


@dataclass(eq=False)
class Posting:
    """Team, post and rung of a member from a day on."""

    since: date
    team: Team
    post: str
    step: tuple[str, str]


@dataclass(eq=False)
class Member:
    """A member, as far as his pay depends on it. `skill`: users he develops in a good month, of 40."""

    id: str
    name: str
    account: Person
    origin: str
    entered_on: date
    postings: list[Posting]
    skill: int
    left_on: date | None = None

    def posting(self, day: date) -> Posting | None:
        """Where he sat on a day."""
        if day < self.entered_on or (self.left_on is not None and day > self.left_on):
            return None
        return max(
            (one for one in self.postings if one.since <= day), key=lambda one: one.since, default=None
        )

    def package(self, day: date) -> str:
        """His pay package on a day: recruits and transferees switch on the first of a month after half a year."""
        if self.origin == "DIRECT_SALES" or day >= self.switch:
            return "PACKAGE_2"
        return "PACKAGE_1" if self.origin == "RECRUIT" else "TRANSFER"

    @property
    def switch(self) -> date:
        """The day package 2 begins for who did not begin with it."""
        whole = 6 if self.entered_on.day == 1 else 7
        return first_day(later(month_of(self.entered_on), whole))

    @property
    def probation_until(self) -> date:
        """The last day of his probation; he entered on a day that every month has."""
        return first_day(later(month_of(self.entered_on), 3)).replace(day=self.entered_on.day) - timedelta(
            days=1
        )


@dataclass(eq=False)
class User:
    """A developed user, and whose he is."""

    number: str
    member: Member
    team: Team
    activated_on: date
    fee: int
    legacy: bool = False
    listed_on: date | None = None

    @property
    def months(self) -> tuple[str, str]:
        """The first and the last billing month that earn commission."""
        first = month_of(self.activated_on)
        return first, later(first, 17)


@dataclass(eq=False)
class Receipt:
    """What billing reported, in fen; a correction is earned on the day of what it corrects."""

    number: str
    user: User
    bill_month: str
    received_on: date
    earned_on: date
    pay_month: str
    amount: int
    corrects: str | None = None

    @property
    def yuan(self) -> str:
        """The amount as text."""
        return format(Decimal(self.amount).scaleb(-2), "f")


@dataclass(eq=False)
class Branch:
    """The whole branch. `weights` are distributions by team and month, `results` by member and period.

    `rests` are what the last run could not pay, because it was below nothing; `dismissed` is whose contract was ended.
    """

    at: Instance
    rng: random.Random
    admin: Person
    hr: Person
    centre: Person
    finance: Person
    leader: Person
    billing: Person
    small: bool
    teams: list[Team] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    posts: dict[str, str] = field(default_factory=dict)
    steps: dict[tuple[str, str, str], str] = field(default_factory=dict)
    standards: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    rates: dict[str, list[tuple[date, Decimal]]] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    weights: dict[tuple[str, str], dict[str, Decimal]] = field(default_factory=dict)
    results: dict[tuple[str, str], str] = field(default_factory=dict)
    bonus_factors: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    rests: dict[str, int] = field(default_factory=dict)
    dismissed: Member | None = None

    def sitting(self, team: Team, day: date) -> list[Member]:
        """Who sits in a team on a day."""
        return [one for one in self.members if (found := one.posting(day)) is not None and found.team is team]

    def led_by(self, team: Team, day: date) -> Member:
        """Who leads it."""
        return next(one for one in self.sitting(team, day) if (p := one.posting(day)) and p.post in LEADING)

    @property
    def best(self) -> Member:
        """The first of those who develop the most users."""
        return max(self.members, key=lambda one: one.skill)

    def rate(self, name: str, day: date) -> Decimal:
        """A figure on a day, as it was set here."""
        return next(value for since, value in reversed(self.rates[name]) if since <= day)

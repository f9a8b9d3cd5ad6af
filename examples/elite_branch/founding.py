"""Founds the branch: the people of the office, teams, pay standards, and members on every stretch of their way."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from elite_branch.asking import Person, Wish, hire
from elite_branch.world import (
    GRADES,
    LEADING,
    LETTERS,
    Branch,
    Member,
    Posting,
    Team,
    first_day,
    later,
    month_of,
)

OFFICE: Final = (
    ("hr", "吴人力", "elite_hr"),
    ("centre", "周中心", "elite_centre"),
    ("finance", "郑财务", "elite_finance"),
    ("leader", "王总", "elite_leader"),
    ("billing", "计费系统", "elite_finance"),
)
TEAMS: Final = (
    ("集团客户本部一队", "HQ", "", True),
    ("集团客户本部二队", "HQ", "", False),
    ("宝安一队", "REGIONAL", "宝安", True),
    ("宝安二队", "REGIONAL", "宝安", True),
    ("龙岗一队", "REGIONAL", "龙岗", False),
    ("龙岗二队", "REGIONAL", "龙岗", True),
    ("南山一队", "REGIONAL", "南山", True),
    ("福田一队", "REGIONAL", "福田", True),
)
"""Name, kind, region, and whether cars are guaranteed."""
LONG_AGO: Final = date(2000, 1, 1)
LEFT_OUT_OF_SMALL: Final = (1, 3, 5, 6, 7)
_FAMILY: Final = (
    "陈林黄何罗谢邓许马梁宋唐韩冯于董萧程曹袁傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖"
)
_GIVEN: Final = (
    "晓明",
    "雅芳",
    "启航",
    "海峰",
    "小婷",
    "文",
    "骏",
    "丽",
    "伟",
    "敏",
    "强",
    "静",
    "建国",
    "志远",
)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody to be hired: team, post, origin, months of service before the first month (0: within it), skill."""

    team: int
    post: str
    origin: str
    months: int
    skill: int
    letter: str = "A"


def newcomers(rng: random.Random, *, small: bool) -> Iterator[Newcomer]:
    """Everybody: of the headquarters five to a team, of the regions eight or nine; of a small branch fewer."""
    for place, (_, kind, _, _) in enumerate(TEAMS):
        if small and place in LEFT_OUT_OF_SMALL:
            continue
        yield from _hq(place) if kind == "HQ" else _regional(rng, place, 6 if small else 8 + place % 2)


def _hq(place: int) -> Iterator[Newcomer]:
    yield Newcomer(
        place, "team_manager", "DIRECT_SALES" if place == 0 else "TRANSFEREE", 9 if place == 0 else 3, 3, "B"
    )
    yield Newcomer(place, "marketing_manager", "DIRECT_SALES", 8, 4, "C" if place == 0 else "B")
    yield Newcomer(place, "marketing_manager", "RECRUIT", 5 - place, 3)
    yield Newcomer(place, "product_manager", "DIRECT_SALES", 7, 1)
    yield Newcomer(place, "service_manager", "RECRUIT", 2, 1)


def _regional(rng: random.Random, place: int, size: int) -> Iterator[Newcomer]:
    yield Newcomer(place, "team_leader", "DIRECT_SALES", 9, 29, "B")
    yield Newcomer(place, "customer_manager", "DIRECT_SALES", 8, 42)  # goes up and up
    yield Newcomer(place, "customer_manager", "DIRECT_SALES", 8, 14, "B")  # goes down
    yield Newcomer(place, "service_manager", "RECRUIT", 7, 26)
    for number in range(size - 4):
        origin = ("RECRUIT", "DIRECT_SALES", "RECRUIT", "TRANSFEREE", "RECRUIT")[number % 5]
        months = (4, 6, 0, 3, 1)[number % 5]
        yield Newcomer(place, "customer_manager", origin, months, rng.randint(25, 37))


def found(admin: Person, first: str, seed: int, *, small: bool) -> Branch:
    """The branch with its teams, standards and members, who all entered before the first month or in it."""
    rng = random.Random(seed)  # noqa: S311  # made-up data, the same for the same seed
    login = f"y{seed}"
    hr, centre, finance, leader, billing = hire(
        admin, [(f"{login}.{key}", name, role) for key, name, role in OFFICE], admin.at.line
    )
    branch = Branch(admin.at, rng, admin, hr, centre, finance, leader, billing, small=small)
    _teams(branch)
    _posts_and_steps(branch)
    _figures(branch)
    _members(branch, first, list(newcomers(rng, small=small)), login)
    _customers(branch)
    return branch


def _teams(branch: Branch) -> None:
    for region, target in (
        ("宝安", "720"),
        ("龙岗", "720"),
        ("南山", "360"),
        ("福田", "360"),
        ("", "12000000"),
    ):
        kind = "REGIONAL" if region else "HQ"
        branch.hr.one("eliteEstablishmentSet", teamKind=kind, region=region, year=2026, target=target)
    for place, (name, kind, region, cars) in enumerate(TEAMS):
        if branch.small and place in LEFT_OUT_OF_SMALL:
            continue
        made = branch.centre.one(
            "eliteTeamCreate", "eliteTeam { id }", name=name, teamKind=kind, region=region
        )
        branch.teams.append(Team(made["eliteTeam"]["id"], name, kind, region, cars))
    for team in branch.teams:
        if not team.cars:
            branch.centre.one("eliteTeamSetCars", id=team.id, validFrom="2025-01-01", guaranteed=False)


def _posts_and_steps(branch: Branch) -> None:
    data = branch.hr.ask(
        """{ elitePosts(first: 50) { nodes { id code } }
             eliteSteps(first: 50) { nodes { id teamKind grade letter } } }"""
    )
    branch.posts = {one["code"]: one["id"] for one in data["elitePosts"]["nodes"]}
    branch.steps = {
        (one["teamKind"], one["grade"], one["letter"]): one["id"] for one in data["eliteSteps"]["nodes"]
    }
    wishes = []
    for kind, grades in GRADES.items():
        for place, (grade, letter) in enumerate((grade, letter) for grade in grades for letter in LETTERS):
            salary, bonus = 3_333_00 + 417_00 * place, 1_111_00 + 150_00 * place
            branch.standards[kind, grade, letter] = salary, bonus
            given = {"id": branch.steps[kind, grade, letter], "validFrom": "2025-01-01"}
            given |= {"salary": _yuan(salary), "bonus": _yuan(bonus)}
            wishes.append(Wish("eliteStandardSet", given))
    branch.hr.do(*wishes)


def _yuan(fen: int) -> str:
    return format(Decimal(fen).scaleb(-2), "f")


def _figures(branch: Branch) -> None:
    """The line gives its own factors to appraisals; what the rules say of commission stays as it is at first."""
    branch.rates = {"commission_rate": [(LONG_AGO, Decimal("0.04"))]}
    for result, value in (("a", "1.2"), ("b", "1"), ("c", "0.8")):
        set_rate(branch, f"factor_{result}", value, date(2025, 1, 1), "分公司二次分配办法")


def set_rate(branch: Branch, name: str, value: str, since: date, why: str) -> None:
    """Set a figure for both kinds of team."""
    given: dict[str, Any] = {"name": name, "validFrom": since.isoformat(), "value": value, "note": why}
    branch.hr.do(*(Wish("eliteRateSet", {**given, "teamKind": kind}) for kind in GRADES))
    branch.rates.setdefault(name, []).append((since, Decimal(value)))


# -- people


def _members(branch: Branch, first: str, wanted: Sequence[Newcomer], login: str) -> None:
    names = [f"{_FAMILY[at % len(_FAMILY)]}{_GIVEN[at * 5 % len(_GIVEN)]}" for at in range(len(wanted))]
    roles = ["elite_manager" if one.post in LEADING else "elite_member" for one in wanted]
    logins = [f"{login}.m{at:02d}" for at in range(len(wanted))]
    accounts = hire(branch.admin, list(zip(logins, names, roles, strict=True)), branch.at.line)
    teams = {place: team for team in branch.teams for place, row in enumerate(TEAMS) if row[0] == team.name}
    proposals = [
        Wish(
            "eliteMemberPropose",
            _proposal(branch, one, teams[one.team], account, number),
            "eliteMember { id }",
        )
        for number, (one, account) in enumerate(zip(wanted, accounts, strict=True), 1)
    ]
    made = [payload["eliteMember"]["id"] for payload in branch.hr.do(*proposals)]
    for key, one, account in zip(made, wanted, accounts, strict=True):
        _enter(branch, key, one, account, teams[one.team], first)
    branch.members.sort(key=lambda member: member.id)


def _proposal(branch: Branch, one: Newcomer, team: Team, account: Person, number: int) -> dict[str, Any]:
    given = {"teamId": team.id, "postId": branch.posts[one.post], "name": account.name, "origin": one.origin}
    given |= {"userId": account.id, "staffNumber": f"SZ{number:04d}"}
    if one.origin == "TRANSFEREE":
        given |= {"originalSalary": "4600.00", "originalBonus": "1900.00"}
    return given


def _enter(branch: Branch, key: str, one: Newcomer, account: Person, team: Team, first: str) -> None:
    """From the province's approvals to the end of the probation; what a probation ends after is not waited for."""
    entered = first_day(later(first, -one.months)).replace(day=branch.rng.choice((1, 1, 6, 10, 18)))
    step = (GRADES[team.kind][0], one.letter)
    before = (entered - timedelta(days=10)).isoformat()
    trained = entered + timedelta(days=11)
    coached = trained + timedelta(days=1)
    started = coached + timedelta(days=63)
    letters = [
        Wish("eliteMemberApproveByProvince", {"id": key, "department": department, "approvedOn": before,
                                              "reference": f"粤{department}〔2025〕{len(branch.members) + 1}号"})
        for department in ("HR", "GROUP_CUSTOMER")
    ]  # fmt: skip
    branch.hr.do(
        *letters,
        Wish("eliteMemberPassMedical", {"id": key, "passedOn": before, "hospital": "深圳市人民医院"}),
        Wish("eliteMemberEnter", {"id": key, "enteredOn": entered.isoformat(),
                                  "stepId": branch.steps[team.kind, *step], "grading": "本科，五年客户经验"}),
        Wish("eliteMemberPassExam", {"id": key, "trainedFrom": entered.isoformat(), "trainedUntil": trained.isoformat(),
                                     "passedOn": trained.isoformat(), "score": "88"}),
        Wish("eliteMemberCoach", {"id": key, "coachName": "老员工", "coachedFrom": coached.isoformat()}),
        Wish("eliteMemberStart", {"id": key, "startedOn": started.isoformat()}),
        Wish("eliteMemberConfirm", {"id": key}),
    )  # fmt: skip
    postings = [Posting(entered, team, one.post, step)]
    branch.members.append(Member(key, account.name, account, one.origin, entered, postings, one.skill))


def _customers(branch: Branch) -> None:
    """Key accounts that the Centre assigns to the teams of the headquarters."""
    for number, team in enumerate(one for one in branch.teams if one.kind == "HQ"):
        name = f"粤港实业集团{number + 1}"
        made = branch.centre.one("customerCreate", "customer { id }", name=name, kind="ORGANISATION")
        branch.customers[team.id] = made["customer"]["id"]
        given = {"customerId": branch.customers[team.id], "teamId": team.id, "validFrom": "2025-01-01"}
        branch.centre.do(Wish("eliteCustomerAssign", given))


def grade_who_switches(branch: Branch, month: str) -> None:
    """Transferees whose package 2 begins in the month are graded anew."""
    for member in branch.members:
        if member.origin == "TRANSFEREE" and member.left_on is None and month_of(member.switch) == month:
            team = member.postings[-1].team
            step = (GRADES[team.kind][0], "B")
            branch.hr.one("eliteMemberGrade", id=member.id, stepId=branch.steps[team.kind, *step])
            member.postings.append(Posting(member.switch, team, member.postings[-1].post, step))

"""A month's pay run from opening to closing, and what it says compared with what it should say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from elite_branch import expecting
from elite_branch.asking import Wish, until
from elite_branch.world import Branch, Member, Team, days_of, last_day

KINDS: Final = (
    "SALARY", "BONUS", "COMMISSION", "MANAGER_ALLOWANCE", "CAR_ALLOWANCE", "ADJUSTMENT", "CARRIED_OVER",
)  # fmt: skip
_RUN: Final = "eliteRun { id state }"


def fen(yuan: str) -> int:
    """An amount the instance gave."""
    return int(Decimal(yuan) * 100)


@dataclass
class Outcome:
    """What a closed run says, and what is wrong with it."""

    month: str
    run: str
    pools: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, int]
    total: int
    people: int
    problems: int
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


# -- dividing


def divide(branch: Branch, month: str, but: Team | None = None) -> None:
    """Who leads a team proposes how it divides its commission, the Centre signs; `but` one team waits."""
    for team in branch.teams:
        if team is not but:
            _propose(branch, team, month)
    sign(branch)


def _propose(branch: Branch, team: Team, month: str) -> None:
    takers = [one for one in _there(branch, team, month) if _takes(one, team, month)]
    weights = _weights(branch, takers)
    shares = [{"memberId": key, "weight": format(weight, "f")} for key, weight in weights.items()]
    leader = branch.led_by(team, last_day(month)).account
    leader.one("eliteDistributionPropose", teamId=team.id, month=month, shares=shares, remark="按贡献")
    branch.weights[team.id, month] = weights


def _there(branch: Branch, team: Team, month: str) -> list[Member]:
    days = days_of(month)
    return [one for one in branch.members if any((p := one.posting(day)) and p.team is team for day in days)]


def _takes(member: Member, team: Team, month: str) -> bool:
    """Whether he is on package 2 on a day there."""
    return any(
        member.package(day) == "PACKAGE_2"
        for day in days_of(month)
        if (found := member.posting(day)) is not None and found.team is team
    )


def _weights(branch: Branch, takers: Sequence[Member]) -> dict[str, Decimal]:
    """Contributions with two decimals that add up to 100."""
    raw = [one.skill + branch.rng.randint(1, 12) for one in takers]
    found = {
        one.id: (Decimal(100) * part / sum(raw)).quantize(Decimal("0.01"))
        for one, part in zip(takers, raw, strict=True)
    }
    most = max(found, key=lambda key: found[key])
    found[most] += 100 - sum(found.values())
    return found


def sign(branch: Branch) -> int:
    """The Centre signs all distributions that wait for it; how many they were."""
    text = """{ approvals(first: 50, where: { inbox: MINE, document: { eq: "EliteDistribution" } }) { nodes { id } } }"""
    waiting = branch.centre.ask(text)["approvals"]["nodes"]
    branch.centre.do(*(Wish("approvalApprove", {"id": one["id"], "comment": "同意"}) for one in waiting))
    return len(waiting)


# -- the run


def open_run(branch: Branch, month: str) -> str:
    """An open run."""
    return str(branch.hr.one("eliteRunOpen", _RUN, month=month)["eliteRun"]["id"])


def compute(branch: Branch, run: str) -> dict[str, Any]:
    """The run after its job computed it."""
    branch.hr.one("eliteRunCompute", _RUN, id=run)
    return _after_job(branch, run)


def _after_job(branch: Branch, run: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_done() -> bool:
        text = """query($id: ID!) { eliteRun(id: $id) { state total members problems digest
            job { state progressDone progressTotal lastError } } }"""
        found.update(branch.hr.ask(text, id=run)["eliteRun"])
        if found["job"]["state"] in ("DEAD", "CANCELLED"):
            raise RuntimeError(f"the job of {run} ended: {found['job']['lastError']}")
        return bool(found["job"]["state"] == "DONE")

    until(is_done, f"run {run}")
    return found


def statements(branch: Branch, run: str) -> dict[str, dict[str, Any]]:
    """Statements of a run by member, as human resources see them."""
    text = """query($id: ID!, $after: String) { eliteRun(id: $id) { statements(first: 50, after: $after) {
        nodes { id total payable carriedOver member { id } } pageInfo { hasNextPage endCursor } } } }"""
    return {one["member"]["id"]: one for one in _pages(branch, text, run, "statements")}


def _pages(branch: Branch, text: str, run: str, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = branch.hr.ask(text, id=run, after=after)["eliteRun"][name]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def confirm(branch: Branch, run: str, but: Member | None = None) -> None:
    """Everybody confirms his own statement."""
    for key, one in statements(branch, run).items():
        member = next(m for m in branch.members if m.id == key)
        if member is not but:
            member.account.one("eliteStatementConfirm", id=one["id"])


def finish(branch: Branch, run: str) -> None:
    """Finance approves a confirmed run, human resources close it, a job files the statements."""
    branch.finance.one("eliteRunApprove", _RUN, id=run)
    branch.hr.one("eliteRunClose", _RUN, id=run)
    _after_job(branch, run)


# -- what it says


def outcome(branch: Branch, month: str, run: str, problems: int) -> Outcome:
    """What a closed run says, compared with what was worked out by hand."""
    text = """query($id: ID!, $after: String) { eliteRun(id: $id) { lines(first: 100, after: $after) {
        nodes { kind amount rule about member { id name } team { id } } pageInfo { hasNextPage endCursor } } } }"""
    lines = _pages(branch, text, run, "lines")
    told = branch.hr.ask(
        """query($id: ID!) { eliteRun(id: $id) { state total members reproducible
           pools(first: 50) { nodes { received base pool team { id } } } } }""",
        id=run,
    )["eliteRun"]
    kinds: dict[str, int] = defaultdict(int)
    for line in lines:
        kinds[line["kind"]] += fen(line["amount"])
    pools = {one["team"]["id"]: {name: fen(one[name]) for name in ("received", "base", "pool")}
             for one in told["pools"]["nodes"]}  # fmt: skip
    found = Outcome(month, run, pools, kinds, fen(told["total"]), told["members"], problems)
    if told["reproducible"] is not True:
        found.wrong.append(f"{month}: computed again from its inputs the run is not the same")
    found.wrong += _wrong_pools(branch, month, pools)
    found.wrong += _wrong_sums(month, lines, pools)
    found.wrong += _wrong_lines(branch, month, lines)
    found.wrong += _wrong_totals(branch, run, month, lines, found.total)
    return found


def _wrong_pools(branch: Branch, month: str, pools: Mapping[str, Mapping[str, int]]) -> list[str]:
    wrong = []
    for team in branch.teams:
        by_hand = {
            "received": sum(one.amount for one in expecting.received(branch, team, month)),
            "base": sum(one.amount for one in expecting.base(branch, team, month)),
            "pool": sum(expecting.pools(branch, team, month).values()),
        }
        if pools[team.id] != by_hand:
            wrong.append(f"{month} {team.name}: {dict(pools[team.id])}, by hand {by_hand}")
    return wrong


def _wrong_sums(
    month: str, lines: Sequence[dict[str, Any]], pools: Mapping[str, Mapping[str, int]]
) -> list[str]:
    """Shares of a team add up to its pool, corrections of earlier months among both."""
    shared: dict[str, int] = defaultdict(int)
    for one in lines:
        if one["rule"] == "MO-044":
            shared[one["team"]["id"]] += fen(one["amount"])
    return [
        f"{month} {team}: shares {shared[team]}, pool {pool['pool']}"
        for team, pool in pools.items()
        if shared[team] != pool["pool"]
    ]


def _wrong_lines(branch: Branch, month: str, lines: Sequence[dict[str, Any]]) -> list[str]:
    """Everybody's every line."""
    found: dict[tuple[str, expecting.Line], int] = defaultdict(int)
    for one in lines:
        found[one["member"]["id"], (one["kind"], one["rule"], one["about"] or "")] += fen(one["amount"])
    by_hand = expecting.expected(branch, month)
    due: dict[str, int] = defaultdict(int)
    for (key, _), amount in by_hand.items():
        due[key] += amount
    branch.rests = {key: amount for key, amount in due.items() if amount < 0}
    names = {one.id: one.name for one in branch.members}
    return [
        f"{month} {names[key]} {' '.join(line)}: {found.get((key, line), 0)}, by hand {by_hand.get((key, line), 0)}"
        for key, line in sorted(found.keys() | by_hand.keys())
        if found.get((key, line), 0) != by_hand.get((key, line), 0)
    ]


def _wrong_totals(
    branch: Branch, run: str, month: str, lines: Sequence[dict[str, Any]], total: int
) -> list[str]:
    """A statement is the sum of its lines, and the run that of what is payable."""
    sums: dict[str, int] = defaultdict(int)
    for one in lines:
        sums[one["member"]["id"]] += fen(one["amount"])
    known = statements(branch, run)
    wrong = [
        f"{month} {key}: statement {known[key]['total']}, lines {sum_}"
        for key, sum_ in sums.items()
        if fen(known[key]["total"]) != sum_
    ]
    payable = sum(fen(one["payable"]) for one in known.values())
    return wrong if payable == total else [*wrong, f"{month}: total {total}, statements {payable}"]

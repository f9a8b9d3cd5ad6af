"""A year of a made-up branch against a served instance: every month from new users to closed pay, checked to the fen.

    python examples/elite_year.py                        # serves an instance of its own, in a scratch folder
    python examples/elite_year.py --database postgresql://…       # the same on PostgreSQL
    python examples/elite_year.py --url https://crm.example.com/graphql --token crm_… --line telecom

An instance of your own needs an administrator's token and a line that enables `telecom_elite` and has no teams yet.
Exits with 1 if a figure differs from what the example works out by itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from elite_branch import appraising, billing, founding, paying, telling
from elite_branch.asking import Instance, Person
from elite_branch.paying import Outcome
from elite_branch.serving import LINE, scratch
from elite_branch.world import Branch, Member, Receipt, first_day, last_day, later


@dataclass(frozen=True)
class Happenings:
    """In which month (from 0) something out of the ordinary happens."""

    unsigned: int
    objected: int
    answered: int
    factor: int
    listed: int
    webhook: int
    twice: int
    rate: int
    left: int
    moved: int


YEAR = Happenings(
    unsigned=0, factor=1, objected=2, webhook=3, listed=2, twice=1, rate=4, answered=5, left=6, moved=8
)
SHORT = Happenings(
    unsigned=0, factor=1, objected=1, webhook=1, listed=1, twice=0, rate=1, answered=0, left=1, moved=1
)


def main() -> int:
    """Live through the months; 0: every figure is as it should be."""
    asked = _arguments()
    if asked.url:
        return _year(asked, asked.url, asked.token, asked.line)
    with tempfile.TemporaryDirectory() as folder, scratch(Path(folder), asked.database) as (url, token):
        return _year(asked, url, token, LINE)


def _arguments() -> argparse.Namespace:
    known = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known.add_argument("--url", help="address of GraphQL; default: an instance of its own is served")
    known.add_argument("--token", help="an administrator's token there")
    known.add_argument(
        "--database", help="of the instance that is served: URL of an empty one; default: a file"
    )
    known.add_argument("--line", default=LINE, help="the business line (default: %(default)s)")
    known.add_argument("--first", default="2025-11", help="the first month (default: %(default)s)")
    known.add_argument("--months", type=int, default=12, help="how many (default: %(default)s)")
    known.add_argument(
        "--seed", type=int, default=6, help="other people, users and fees (default: %(default)s)"
    )
    known.add_argument(
        "--small", action="store_true", help="two teams of a few people, and all happenings at once"
    )
    known.add_argument("--out", type=Path, default=Path(), help="folder for a statement (default: here)")
    asked = known.parse_args()
    if asked.url and not asked.token:
        known.error("--url needs --token")
    return asked


def _year(asked: argparse.Namespace, url: str, token: str, line: str) -> int:
    at = Instance(url, line)
    admin = Person(at, "", "administrator", token)
    began = time.monotonic()
    branch = founding.found(admin, asked.first, asked.seed, small=asked.small)
    billing.bring_legacy(branch)
    print(f"{len(branch.teams)} teams, {len(branch.members)} members: {time.monotonic() - began:.1f} s")
    print(telling.head())
    happens = SHORT if asked.small else YEAR
    wrong: list[str] = []
    last: Outcome | None = None
    for number in range(asked.months):
        start = time.monotonic()
        last = _month(branch, later(asked.first, number), number, happens)
        wrong += last.wrong
        print(telling.row(last, time.monotonic() - start), flush=True)
        for note in (*last.notes, *(f"WRONG {one}" for one in last.wrong[:20])):
            print(f"        {note}", flush=True)
    if last is not None:
        _save(branch, last, asked.out)
    print(
        f"{len(branch.users)} users, {len(branch.receipts)} receipts; {time.monotonic() - began:.0f} s, of them:"
    )
    print(*telling.slow(at), sep="\n")
    print("every figure as worked out by hand" if not wrong else f"{len(wrong)} figures differ")
    return 1 if wrong else 0


# -- a month


def _month(branch: Branch, month: str, number: int, happens: Happenings) -> Outcome:
    notes = _changes(branch, month, number, happens)
    founding.grade_who_switches(branch, month)
    billing.develop(branch, month)
    wrong, forgotten = _receipts(branch, month, number, happens, notes)
    wrong += appraising.appraise(branch, month)
    run, problems, more = _pay(branch, month, number, happens, notes, forgotten)
    found = paying.outcome(branch, month, run, problems)
    found.notes += [*notes, *appraising.regrade(branch, month)]
    found.wrong += wrong + more
    return found


def _changes(branch: Branch, month: str, number: int, happens: Happenings) -> list[str]:
    """What is decided before the month's work: rates, lists, who goes where."""
    notes = []
    if number == happens.rate:
        day = first_day(month).replace(day=16)
        founding.set_rate(branch, "commission_rate", "0.045", day, "省公司〔2026〕12号")
        notes.append(f"from {day} on the commission is 4.5 percent")
    if number == happens.factor:
        team = branch.teams[0]
        given = {"teamId": team.id, "month": month, "factor": "1.15", "reason": "部门季度绩效"}
        branch.hr.one("eliteBonusFactorSet", **given)
        branch.bonus_factors[team.id, month] = Decimal("1.15")
        notes.append(f"{team.name}: bonus factor 1.15")
    if number == happens.listed:
        billing.list_legacy(branch, first_day(month))
        notes.append("users developed earlier are put on the list")
    if number == happens.left:
        member, day = _ordinary(branch), first_day(month) + timedelta(days=19)
        appraising.end(branch, member, day)
        notes.append(f"{member.name} leaves on {day}")
    if number == happens.moved:
        member = _ordinary(branch)
        team = next(t for t in branch.teams if t.kind == "REGIONAL" and t is not member.postings[-1].team)
        appraising.transfer(branch, member, team, first_day(month))
        notes.append(f"{member.name} goes to {team.name}")
    return notes


def _ordinary(branch: Branch) -> Member:
    """A customer manager of a region with commission, as there are many."""
    return next(
        one
        for one in reversed(branch.members)
        if one.origin == "DIRECT_SALES" and one.left_on is None and one.postings[-1].post == "customer_manager"
        and 14 < one.skill <= 36  # noqa: PLR2004  # neither the best nor the worst
    )  # fmt: skip


def _receipts(
    branch: Branch, month: str, number: int, happens: Happenings, notes: list[str]
) -> tuple[list[str], list[Receipt]]:
    """Report what was received; what is wrong, and a receipt that was forgotten where somebody will object."""
    given = billing.collect(branch, month)
    forgotten = given[:1] if number == happens.objected else []
    given = given[len(forgotten) :]
    sent = given[: min(400, len(given) // 2)] if number == happens.webhook else []
    filed = given[len(sent) :]
    batches = [(filed, billing.by_file(branch, filed, f"{month}实收.csv"))]
    if sent:
        batches.append((sent, billing.by_webhook(branch, sent, f"billing {month}")))
        notes.append(f"{len(sent)} receipts came by webhook")
    branch.receipts += given
    wrong = [
        f"{month}: of {len(rows)} receipts {batch['recorded']} recorded, {batch['refused']} refused {batch['problems'][:2]}"
        for rows, batch in batches
        if (batch["state"], batch["recorded"], batch["refused"]) != ("DONE", len(rows), 0)
    ]
    if number == happens.twice:
        again = billing.by_file(branch, filed, f"{month}实收.csv")
        if (again["recorded"], again["known"]) != (0, len(filed)):
            wrong.append(f"{month}: the same file again recorded {again['recorded']}")
        notes.append("the same file came again and changed nothing")
    return wrong, forgotten


def _pay(
    branch: Branch, month: str, number: int, happens: Happenings, notes: list[str], forgotten: list[Receipt]
) -> tuple[str, int, list[str]]:
    """From opening to closing; the run, problems of its first computation, what is wrong."""
    wrong: list[str] = []
    late = branch.teams[0] if number == happens.unsigned else None
    paying.divide(branch, month, but=late)
    run = paying.open_run(branch, month)
    problems = len(paying.compute(branch, run)["problems"])
    if late is not None:
        codes = branch.hr.is_refused("eliteRunReview", id=run)
        notes.append(f"{late.name} has no distribution yet: {', '.join(codes)}")
        wrong += [] if codes == ["TELECOM_ELITE_RUN_PROBLEMS"] else [f"{month}: reviewed with a problem"]
        paying.divide(branch, month)
        paying.compute(branch, run)
    branch.hr.one("eliteRunReview", id=run)
    if number == happens.objected:
        _object(branch, month, run, forgotten, notes)
    if number == happens.answered:
        notes.append(_answer(branch, run))
    wrong += _seen(branch, month, run)
    paying.confirm(branch, run)
    paying.finish(branch, run)
    return run, problems, wrong


def _object(branch: Branch, month: str, run: str, forgotten: list[Receipt], notes: list[str]) -> None:
    """A member misses a receipt; the run is put back, the receipt entered, the run computed and reviewed again."""
    member = forgotten[0].user.member
    mine = paying.statements(branch, run)[member.id]
    words = f"少计用户 {forgotten[0].user.number} 一笔"
    member.account.one("eliteStatementObject", id=mine["id"], words=words)
    branch.hr.one("eliteRunReopen", id=run, why="补录实收")
    billing.by_hand(branch, forgotten[0])
    paying.compute(branch, run)
    branch.hr.one("eliteRunReview", id=run)
    notes.append(f"{member.name} objected: {words}; the run was put back and mended")


def _answer(branch: Branch, run: str) -> str:
    """An objection that is answered; the statement stands."""
    member = _ordinary(branch)
    mine = paying.statements(branch, run)[member.id]
    member.account.one("eliteStatementObject", id=mine["id"], words="系数有误")
    branch.hr.one("eliteStatementAnswer", id=mine["id"], words="按最近一次考核结果")
    return f"{member.name} objected and was answered"


def _seen(branch: Branch, month: str, run: str) -> list[str]:
    """A member sees one statement, his own, and the pool of his team alone; who leads a team no more than that."""
    text = """query($id: ID!) { eliteRun(id: $id) { total statements { nodes { member { id } } }
        lines(first: 100) { nodes { member { id } } } pools { nodes { team { id } } } } }"""
    wrong = []
    for team in branch.teams[:2]:
        for member in branch.sitting(team, last_day(month))[:2]:
            found = member.account.ask(text, id=run)["eliteRun"]
            of = {one["member"]["id"] for name in ("statements", "lines") for one in found[name]["nodes"]}
            teams = [one["team"]["id"] for one in found["pools"]["nodes"]]
            now = member.postings[-1].team.id
            if (of, teams, found["total"]) != ({member.id}, [now], None):
                wrong.append(f"{month}: {member.name} sees {found}")
    return wrong


# -- the end


def _save(branch: Branch, last: Outcome, out: Path) -> None:
    """The last statement of the best of a regional team, as he fetches it himself."""
    member = branch.best
    text = """query($m: String!) { eliteStatements(where: { run: { month: { eq: $m } } }) {
        nodes { total payable files { id title mediaType sha256 } } } }"""
    mine = member.account.ask(text, m=last.month)["eliteStatements"]["nodes"][0]
    out.mkdir(parents=True, exist_ok=True)
    for file in mine["files"]:
        path = out / f"{file['title']}.{'pdf' if file['mediaType'] == 'application/pdf' else 'xlsx'}"
        path.write_bytes(member.account.get(file["id"]))
        print(f"{path}: {path.stat().st_size} bytes, payable {mine['payable']} yuan")


if __name__ == "__main__":
    sys.exit(main())

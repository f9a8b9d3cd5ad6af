"""Users that members develop, and what billing reports of them: by file, by webhook, late, corrected, reported twice."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from elite_branch.asking import Wish, until
from elite_branch.world import Branch, Member, Receipt, User, days_of, first_day, last_day, later, month_of

AT_ONCE: Final = 100
"""Users of one command; an instance takes no more unless its deployer says so."""
_COLUMNS: Final = ("流水号", "用户号码", "账期", "收款日期", "金额", "冲正流水号")
_PAYS: Final = 0.35
"""How likely a user pays in a month."""


def develop(branch: Branch, month: str) -> None:
    """Everybody's new users of a month, entered by who leads his team; those of the headquarters pay more."""
    for team in branch.teams:
        new: list[User] = []
        for member in branch.sitting(team, last_day(month)):
            day = max(first_day(month), member.entered_on)
            new += [_new(branch, member, branch.rng.choice(_left(day)), len(branch.users) + len(new) + at)
                    for at in range(_many(branch, member))]  # fmt: skip
        leader = branch.led_by(team, last_day(month)).account
        customer = branch.customers.get(team.id)
        for start in range(0, len(new), AT_ONCE):
            users = [_input(one, customer) for one in new[start : start + AT_ONCE]]
            leader.one("eliteUserCreateMany", users=users)
        branch.users += new


def _many(branch: Branch, member: Member) -> int:
    many = max(0, member.skill + branch.rng.randint(-3, 3))
    return many // 4 if branch.small and member.postings[-1].team.kind != "HQ" else many


def _left(day: date) -> list[date]:
    return [one for one in days_of(month_of(day)) if one >= day]


def _new(branch: Branch, member: Member, day: date, number: int) -> User:
    posting = member.posting(day)
    assert posting is not None, "he sits in a team"
    hq = posting.team.kind == "HQ"
    fee = branch.rng.randint(400_00, 6_000_00) if hq else branch.rng.randint(28_00, 168_00)
    return User(f"133{number:08d}", member, posting.team, day, fee)


def _input(one: User, customer: str | None) -> dict[str, Any]:
    given = {"number": one.number, "memberId": one.member.id, "activatedOn": one.activated_on.isoformat()}
    return {**given, "legacy": one.legacy, "customerId": customer if not one.legacy else None}


def bring_legacy(branch: Branch) -> None:
    """Users whom a member developed before he came, one of them so early that his months end in between."""
    member = branch.best
    team, entered = member.postings[0].team, member.entered_on
    for at in range(8):
        day = entered - timedelta(days=20 + at * 31)
        branch.users.append(User(f"1890000{at:04d}", member, team, day, 90_00 + at * 1_13, legacy=True))
    old = branch.users[-8:]
    branch.centre.one("eliteUserCreateMany", users=[_input(one, None) for one in old])


def list_legacy(branch: Branch, day: date) -> None:
    """The Centre puts some of them on the list of who earns, from a day on."""
    old = [one for one in branch.users if one.legacy][:5]
    text = "query($n: [String!]) { eliteUsers(first: 20, where: { number: { in: $n } }) { nodes { id } } }"
    found = branch.centre.ask(text, n=[one.number for one in old])["eliteUsers"]["nodes"]
    branch.centre.one("eliteUserApproveLegacy", ids=[one["id"] for one in found], approvedOn=day.isoformat())
    for one in old:
        one.listed_on = day


# -- receipts


def collect(branch: Branch, month: str) -> list[Receipt]:
    """What is received in a month, some of it corrected later, some reported only after the month before was settled."""
    found = [
        _paid(branch, one, month, at) for at, one in enumerate(branch.users) if _pays(branch, one, month)
    ]
    known = [one for one in branch.receipts if one.corrects is None and one.amount > 0]
    wrong = branch.rng.sample(known, min(6, len(known)))
    found += [_corrected(one, month, at) for at, one in enumerate(wrong) if not _is_corrected(branch, one)]
    if branch.receipts:
        before = [one for one in branch.users if one.activated_on < first_day(month) and not one.legacy]
        found += [
            _late(branch, one, month, at)
            for at, one in enumerate(branch.rng.sample(before, min(9, len(before))))
        ]
    return found


def _pays(branch: Branch, one: User, month: str) -> bool:
    return one.activated_on <= last_day(month) and (one.legacy or branch.rng.random() < _PAYS)


def _paid(branch: Branch, one: User, month: str, at: int) -> Receipt:
    since = max(first_day(month), one.activated_on)
    day = branch.rng.choice(_left(since))
    bill = month if one.activated_on >= first_day(month) else branch.rng.choice((month, later(month, -1)))
    amount = one.fee + branch.rng.randint(-9_99, 9_99)
    return Receipt(f"R{month}-{at:06d}", one, bill, day, day, month, amount)


def _corrected(one: Receipt, month: str, at: int) -> Receipt:
    """The receipt taken back, in whole or in part."""
    amount = -one.amount if at % 2 else -(one.amount // 3)
    day = first_day(month) + timedelta(days=at)
    return Receipt(
        f"C{month}-{at:06d}", one.user, one.bill_month, day, one.earned_on, month, amount, one.number
    )


def _is_corrected(branch: Branch, one: Receipt) -> bool:
    return any(other.corrects == one.number for other in branch.receipts)


def _late(branch: Branch, one: User, month: str, at: int) -> Receipt:
    """Received on a last day of the month before, and reported when that was settled."""
    before = later(month, -1)
    return Receipt(f"L{month}-{at:06d}", one, before, last_day(before), last_day(before), month, one.fee)


def by_file(branch: Branch, given: Sequence[Receipt], title: str) -> dict[str, Any]:
    """The batch after a job read a file of these receipts, which finance hands in."""
    path = branch.finance.put(_csv(given))
    made = branch.finance.one(
        "eliteReceiptsImport", "eliteReceiptBatch { id }", title=title, mediaType="text/csv", path=path
    )
    return _done(branch, made["eliteReceiptBatch"]["id"])


def _csv(given: Sequence[Receipt]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(_COLUMNS)
    for one in given:
        rows.writerow(
            (
                one.number,
                one.user.number,
                one.bill_month,
                one.received_on.isoformat(),
                one.yuan,
                one.corrects or "",
            )
        )
    return text.getvalue().encode("utf-8-sig")


_BATCH: Final = "{ id state rows recorded known refused amount problems }"


def _done(branch: Branch, key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_read() -> bool:
        text = f"query($id: ID!) {{ eliteReceiptBatch(id: $id) {_BATCH} }}"
        found.update(branch.finance.ask(text, id=key)["eliteReceiptBatch"])
        return found["state"] in ("DONE", "FAILED")

    until(is_read, f"batch {key}")
    return found


def by_webhook(branch: Branch, given: Sequence[Receipt], reference: str) -> dict[str, Any]:
    """The batch after billing sent these receipts itself, to a source set up for it."""
    secret = secrets.token_hex(32)
    admin = replace(branch.admin, line=branch.at.line)
    source = admin.one(
        "incomingCreate", "incomingSource { path }", name=f"billing {reference}", verifier="STATIC_TOKEN",
        secret={"secret": secret}, actorId=branch.billing.id, handler="elite_receipts",
    )["incomingSource"]  # fmt: skip
    body = {"reference": reference, "receipts": [_sent(one) for one in given]}
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    answer = branch.at.http.post(branch.at.root + source["path"], content=json.dumps(body), headers=headers)
    answer.raise_for_status()
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        text = f"query($r: String!) {{ eliteReceiptBatches(where: {{ reference: {{ eq: $r }} }}) {{ nodes {_BATCH} }} }}"
        found[:] = branch.finance.ask(text, r=reference)["eliteReceiptBatches"]["nodes"]
        return bool(found)

    until(is_there, f"webhook {reference}")
    return found[0]


def _sent(one: Receipt) -> dict[str, str]:
    given = {"number": one.number, "userNumber": one.user.number, "billMonth": one.bill_month}
    given |= {"receivedOn": one.received_on.isoformat(), "amount": one.yuan}
    return given | ({"corrects": one.corrects} if one.corrects else {})


def by_hand(branch: Branch, one: Receipt) -> None:
    """A single receipt that finance enters."""
    branch.finance.do(Wish("eliteReceiptsRecord", {"receipts": [_sent(one)]}))
    branch.receipts.append(one)

"""What tests share: users of members, receipts of users, what a month earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

from crm_core.actors import Actor
from crm_core.money import payable
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import rates_of
from crm_telecom_elite.receipts.earning import Earned, earned
from crm_telecom_elite.testing import Branch

BATCH = "eliteReceiptBatch { id reference source state rows recorded known refused amount problems version }"
_NUMBERS = count(1)


def codes(payload: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Codes and fields of refusals."""
    return [(e["code"], e["field"]) for e in payload["userErrors"]]


async def user(branch: Branch, member: str, by: Actor | None = None, **more: Any) -> dict[str, Any]:
    """A new user of a member, activated on 2025-10-10 unless named."""
    given = {"number": f"U{next(_NUMBERS)}", "memberId": member, "activatedOn": "2025-10-10", **more}
    made = await branch.crm.done(
        "eliteUserCreate",
        by or branch.centre,
        input=given,
        select="eliteUser { id number firstMonth lastMonth servedUntil legacy version }",
    )
    found: dict[str, Any] = made["eliteUser"]
    return found


def receipt(user: Mapping[str, Any], amount: str, bill: str = "2025-11", **more: Any) -> dict[str, Any]:
    """A receipt of a user, received on the third of November unless named."""
    return {
        "number": f"R{next(_NUMBERS)}", "userNumber": user["number"], "billMonth": bill,
        "receivedOn": "2025-11-03", "amount": amount, **more,
    }  # fmt: skip


async def record(branch: Branch, *receipts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The batch that recorded these, by the finance department."""
    given = {"receipts": list(receipts), **more}
    made = await branch.crm.done("eliteReceiptsRecord", branch.finance, input=given, select=BATCH)
    found: dict[str, Any] = made["eliteReceiptBatch"]
    return found


async def earnings(branch: Branch, month: str = "2025-11") -> list[Earned]:
    """What the pay of a month counts."""
    async with branch.crm.database.transaction() as session:
        rates = await rates_of(session, branch.line)
        return await earned(session, branch.line, month, rates)


async def commission(branch: Branch, kind: EliteTeamKind, month: str = "2025-11") -> Decimal:
    """The commission of a month in yuan, of a branch whose users all belong to a team of this kind (MO-043)."""
    async with branch.crm.database.transaction() as session:
        rates = await rates_of(session, branch.line)
        found = await earned(session, branch.line, month, rates)
    amount = sum(
        (
            Decimal(one.amount)
            * rates.at("commission_rate", kind, one.since)
            * rates.at("commission_coefficient", kind, one.since)
            for one in found
            if one.counts
        ),
        Decimal(0),
    )
    return Decimal(payable(amount / 100)) / 100


def by_standing(found: Sequence[Earned]) -> dict[str, int]:
    """Fen by whether they count."""
    sums: dict[str, int] = {}
    for one in found:
        sums[one.standing.value] = sums.get(one.standing.value, 0) + one.amount
    return sums

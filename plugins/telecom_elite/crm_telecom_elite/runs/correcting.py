"""Pay of closed months that is due otherwise now: what came to be known later is paid by the next run (补发、扣回)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crm_telecom_elite.runs.dividing import money
from crm_telecom_elite.runs.inputs import MemberInputs, Past, Step, TeamInputs
from crm_telecom_elite.runs.models import EliteLineKind
from crm_telecom_elite.runs.salaries import Amount, by_the_day, team_cars

Key = tuple[str, str]
"""A member's id and a rule: what is paid under it."""


def pay_part(inputs: TeamInputs) -> TeamInputs:
    """What of the inputs pay by the day depends on: two that are equal here pay the same."""
    members = [
        MemberInputs(
            id=one.id, name="", postings=one.postings, terms=one.terms, original_salary=one.original_salary,
            original_bonus=one.original_bonus, personal_factor=one.personal_factor,
        )
        for one in inputs.members
        if one.postings
    ]  # fmt: skip
    nothing = {
        "earned": (),
        "distributions": (),
        "past": (),
        "team_name": "",
        "brought_in": 0,
        "brought_from": None,
    }
    return inputs.model_copy(update={"members": tuple(members), **nothing})


def due(inputs: TeamInputs) -> Mapping[Key, Amount]:
    """What a month pays by the day, by member and rule."""
    amounts = [amount for member in inputs.members for amount in by_the_day(inputs, member)]
    return {(one.member.id, one.rule): one for one in (*amounts, *team_cars(inputs))}


def differences(past: Past) -> Mapping[Key, int]:
    """By how much (fen) what is due for a closed month differs from all that was paid for it."""
    paid = {(one.member_id, one.rule): one.amount for one in past.paid}
    now = due(past.inputs)
    found = {
        key: (now[key].amount if key in now else 0) - paid.get(key, 0)
        for key in sorted(now.keys() | paid.keys())
    }
    return {key: difference for key, difference in found.items() if difference}


def corrections(inputs: TeamInputs) -> Iterator[Amount]:
    """Adjustment lines for closed months, each with what is due now and what was paid."""
    members = {member.id: member for member in inputs.members}
    for past in inputs.past:
        now = due(past.inputs)
        paid = {(one.member_id, one.rule): one.amount for one in past.paid}
        for key, difference in differences(past).items():
            steps = now[key].steps if key in now else ()
            yield Amount(
                members[key[0]],
                EliteLineKind.ADJUSTMENT,
                difference,
                key[1],
                (
                    *steps,
                    _step(past.inputs.month, key, now[key].amount if key in now else 0, paid.get(key, 0)),
                ),
                past.inputs.month,
            )


def _step(month: str, key: Key, amount: int, paid: int) -> Step:
    return Step(
        label=f"Due for {month} now, less what was paid for it",
        label_zh=f"{month} 现应付减已付",
        formula="due − paid",
        formula_zh="现应付 − 已付",
        inputs={"due": money(amount), "paid": money(paid)},
        value=money(amount - paid),
        rule=key[1],
    )

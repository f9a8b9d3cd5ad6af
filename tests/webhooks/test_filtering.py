"""Which events an endpoint gets, compared with a naive loop."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core import ids
from crm_core.loader import load
from crm_core.outbox.events import RecordedEvent
from crm_core.settings import Settings
from crm_core.testing.kit import START
from crm_core.webhooks.filtering import Wanted, WebhookCondition, covers, events_of, unfit_tests, wants

REGISTRY = load(Settings(), candidates=())
KINDS = (
    "customer.created",
    "customer.updated",
    "customer.stage_moved",
    "contact.updated",
    "task.created",
    "made.up",
)
PATTERNS = ("*", "customer.*", "customer.updated", "contact.*", "cust*", "task.created", "other.*")
COLUMNS = ("name", "province", "archive_state")
VALUES = st.sampled_from(["A", "B", "AB", None])
SUBJECTS = {"customer": "Customer", "contact": "Contact", "task": "Task", "made": "Customer"}


def event(
    kind: str, before: dict[str, Any], after: dict[str, Any], data: dict[str, Any] | None = None
) -> RecordedEvent:
    key = UUID(int=1)
    changed = sorted(after) if before else []
    return RecordedEvent(
        key, 1, kind, 1, SUBJECTS[kind.partition(".")[0]], key, ids.show("cus", key), 1, 0, "east", None, "x", None, None,
        START, before, after, changed, data or {},
    )  # fmt: skip


def condition(**tests: list[tuple[str, str, Any]]) -> WebhookCondition:
    return WebhookCondition.model_validate(
        {
            name: [dict(zip(("field", "op", "value"), one, strict=True)) for one in some]
            for name, some in tests.items()
        }
    )


values = st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=3)
tests = st.tuples(
    st.sampled_from(
        [f"{place}.{name}" for place in ("before", "after") for name in ("name", "province", "archiveState")]
    ),
    st.sampled_from(["EQ", "NE", "IN", "NOT_IN", "CONTAINS", "STARTS_WITH", "IS_NULL"]),
    st.sampled_from(["A", "B"]),
).map(
    lambda one: (
        one[0],
        one[1],
        {"IN": [one[2]], "NOT_IN": [one[2]], "IS_NULL": one[2] == "A"}.get(one[1], one[2]),
    )
)
conditions = st.none() | st.fixed_dictionaries(
    {name: st.lists(tests, max_size=2) for name in ("all", "any", "none")}
)


def naive_test(test: tuple[str, str, Any], one: RecordedEvent) -> bool:
    place, _, field = test[0].partition(".")
    name = {"archiveState": "archive_state"}.get(field, field)
    held = dict((one.before if place == "before" else one.after) or {})
    if one.subject_type == "Contact" and name != "name":
        return False
    if name not in held:
        if place == "before" or one.before:
            return False
        held[name] = None
    value, op, wish = held[name], test[1], test[2]
    if op == "IS_NULL":
        return (value is None) == bool(wish)
    if value is None:
        return op in ("NE", "NOT_IN")
    found: dict[str, bool] = {
        "EQ": value == wish, "NE": value != wish, "IN": value in wish, "NOT_IN": value not in wish,
        "CONTAINS": isinstance(wish, str) and wish in value, "STARTS_WITH": isinstance(wish, str) and value.startswith(wish),
    }  # fmt: skip
    return found[op]


def naive(wanted: Wanted, tests_: dict[str, Any] | None, one: RecordedEvent) -> bool:
    reads = {"Customer": "customer.read", "Contact": "contact.read", "Task": "task.read"}[one.subject_type]
    matched = False
    for pattern in wanted.kinds:
        if pattern in ("*", one.kind) or (
            pattern[-1] == "*" and one.kind[: len(pattern) - 1] == pattern[:-1]
        ):
            matched = True
    if one.kind == "made.up" or not matched or reads not in wanted.scopes:
        return False
    if wanted.changed is not None and not [c for c in one.changed_fields if c in wanted.changed]:
        return False
    if tests_ is None:
        return True
    alls = [naive_test(test, one) for test in tests_["all"]]
    anys = [naive_test(test, one) for test in tests_["any"]]
    nones = [naive_test(test, one) for test in tests_["none"]]
    return all(alls) and (not anys or any(anys)) and not any(nones)


@given(
    st.sampled_from(KINDS),
    values,
    values,
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3),
    st.none() | st.sets(st.sampled_from(COLUMNS), min_size=1),
    conditions,
    st.sets(st.sampled_from(["customer.read", "contact.read", "event.read"])),
)
def test_an_event_is_wanted_exactly_when_a_naive_loop_says_so(
    kind: str, before: dict[str, Any], after: dict[str, Any], patterns: list[str], changed: set[str] | None,
    given_tests: dict[str, Any] | None, scopes: set[str],
) -> None:  # fmt: skip
    held = condition(**given_tests) if given_tests is not None else None
    wanted = Wanted(tuple(patterns), frozenset(changed) if changed else None, held, frozenset(scopes))
    one = event(kind, before, after)
    assert wants(REGISTRY, wanted, one) == naive(wanted, given_tests, one)


def test_a_pattern_covers_its_kind_or_its_beginning() -> None:
    assert covers("customer.*", "customer.created")
    assert not covers("customer.*", "customers.created")
    assert not covers("customer", "customer.created")


def test_further_data_is_compared_in_its_own_type() -> None:
    moved = event(
        "customer.stage_moved", {}, {}, {"line": "east", "before_stage": "NEW", "after_stage": "WON"}
    )

    def fits(*test: Any) -> bool:
        held = condition(all=[test])
        return wants(REGISTRY, Wanted(("*",), None, held, frozenset({"customer.read"})), moved)

    assert fits("data.afterStage", "EQ", "WON")
    assert fits("data.after_stage", "IN", ["WON", "LOST"])
    assert not fits("data.after_stage", "EQ", "NEW")
    assert not fits("data.nothing", "EQ", "NEW")


@pytest.mark.parametrize(
    ("field", "op", "value", "code"),
    [
        ("after.nothing", "EQ", "A", "POLICY_UNKNOWN_FIELD"),
        ("name", "EQ", "A", "POLICY_UNKNOWN_FIELD"),
        ("after.address", "EQ", "A", "POLICY_UNKNOWN_FIELD"),
        ("after.name", "GT", "A", "POLICY_ORDER"),
        ("after.archived_at", "GT", "soon", "POLICY_VALUE"),
        ("after.name", "IN", "A", "POLICY_VALUE"),
    ],
)
def test_a_test_that_can_never_hold_is_found(field: str, op: str, value: Any, code: str) -> None:
    events = events_of(REGISTRY, ["customer.*"])
    ((path, unfit),) = unfit_tests(REGISTRY, condition(all=[(field, op, value)]), events)
    assert (path, unfit.code) == ("all.0", code)


def test_moments_and_ids_are_compared_as_such() -> None:
    events = events_of(REGISTRY, ["customer.*"])
    held = condition(
        all=[
            ("after.archived_at", "GT", "2025-01-01T00:00:00+08:00"),
            ("after.parent_id", "EQ", ids.show("cus", UUID(int=5))),
        ]
    )
    assert list(unfit_tests(REGISTRY, held, events)) == []
    one = event(
        "customer.archived",
        {"archived_at": None},
        {"archived_at": "2025-06-01T00:00:00+00:00", "parent_id": str(UUID(int=5))},
    )
    assert wants(REGISTRY, Wanted(("*",), None, held, frozenset({"customer.read"})), one)

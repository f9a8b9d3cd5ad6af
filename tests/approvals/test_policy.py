"""When a policy applies, and what is found wrong with one: typed comparisons, without evaluation of any text."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, ValidationError

from crm_core.access.commands import TeamId, UserId
from crm_core.approvals.conditions import ApprovalCondition, ApprovalTest, Facts, matches
from crm_core.approvals.policy import Known, begins, ends, problems
from crm_core.approvals.stages import ApprovalDeadline, ApprovalSlot, ApprovalStage, PolicyDefinition
from crm_core.commands import Command, Money, Ref, omitted

ALICE, NORTH = UUID(int=1), UUID(int=2)


class Colour(StrEnum):
    """A colour."""

    RED = "RED"
    BLUE = "BLUE"


class Order(Command):
    """A made-up command."""

    kind = "order.create"
    scope = "x"
    returns = "Order"
    title: str = Field(max_length=10)
    amount: Money
    count: int = 1
    day: date | None = None
    colour: Colour = Colour.RED
    note: str | None = omitted()
    tags: list[str] = omitted()
    sponsor_id: UserId | None = omitted()


class ChangeOrder(Command):
    """Another, about a record."""

    kind = "order.change"
    scope = "x"
    returns = "Order"
    subject = "id"
    id: Annotated[UUID, Ref("Order", "ord")]
    amount: Money


ORDER = Order(
    title="Audi", amount=Decimal("1000.50"), day=date(2025, 11, 3), note=None, tags=["new", "fleet"]
)
RECORD: Mapping[str, Any] = {
    "grade": "A",
    "days": 3,
    "gone_at": None,
    "price": Decimal("99.50"),
    "owner_id": ALICE,
}
ACTOR: Mapping[str, Any] = {"roles": ["seller"], "teams": [NORTH], "user_id": ALICE}
COLUMNS: Mapping[str, Any] = {
    "grade": Colour,
    "days": int,
    "price": Decimal,
    "gone_at": datetime,
    "owner_id": UserId,
    "team_id": TeamId,
}
KNOWN = Known(
    commands={"order.create": Order, "order.change": ChangeOrder},
    records={"Order": COLUMNS},
    documents=frozenset({"Order"}),
    owned=frozenset({"Order"}),
    roles={
        "manager": frozenset({"approval.sign"}),
        "seller": frozenset({"order.read"}),
        "administrator": frozenset({"*"}),
    },
    users=frozenset({ALICE}),
    resolvers=frozenset({"dealer.keeper"}),
)


def compared(field: str, op: str, value: Any = None) -> ApprovalTest:
    return ApprovalTest.model_validate({"field": field, "op": op, "value": value})


def met(**groups: list[ApprovalTest]) -> bool:
    return matches(ApprovalCondition(**groups), Facts(ORDER, RECORD, ACTOR))


def policy(**fields: Any) -> PolicyDefinition:
    target = {} if "document" in fields else {"commands": ["order.create"]}
    base = {"name": "big orders", "stages": [{"slots": [{"role": "manager"}]}]}
    return PolicyDefinition.model_validate({**base, **target, **fields})


def found(definition: PolicyDefinition, known: Known = KNOWN) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in problems(definition, known)]


def staged(stage: Mapping[str, Any] | None = None, **slot: Any) -> PolicyDefinition:
    return policy(stages=[{"slots": [slot or {"role": "manager"}], **(stage or {})}])


# -- comparing


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("amount", "GT", "1000", True),
        ("command.amount", "GT", "1000.50", False),
        ("amount", "GTE", "1000.5", True),
        ("amount", "LT", "999", False),
        ("amount", "LTE", "1000.50", True),
        ("amount", "EQ", 1000, False),
        ("amount", "IN", ["1", "1000.50"], True),
        ("amount", "NOT_IN", ["1", "1000.50"], False),
        ("title", "EQ", "Audi", True),
        ("title", "NE", "Audi", False),
        ("title", "IN", [], False),
        ("title", "NOT_IN", [], True),
        ("title", "CONTAINS", "ud", True),
        ("title", "CONTAINS", "xx", False),
        ("title", "STARTS_WITH", "Au", True),
        ("title", "STARTS_WITH", "ud", False),
        ("tags", "CONTAINS", "fleet", True),
        ("tags", "CONTAINS", "flee", False),
        ("day", "LT", "2025-11-04", True),
        ("day", "IS_NULL", False, True),
        ("colour", "EQ", "RED", True),
        ("colour", "GIVEN", True, False),
        ("note", "GIVEN", True, True),
        ("note", "IS_NULL", True, True),
        ("note", "EQ", "x", False),
        ("note", "CONTAINS", "x", False),
        ("note", "NE", "x", True),
        ("note", "NOT_IN", ["x"], True),
        ("record.grade", "EQ", "A", True),
        ("record.days", "GT", 2, True),
        ("record.price", "LT", "99.51", True),
        ("record.goneAt", "IS_NULL", None, True),
        ("record.gone_at", "GT", "2025-01-01T00:00:00Z", False),
        ("record.ownerId", "EQ", f"usr_{ALICE.hex}", True),
        ("actor.roles", "CONTAINS", "seller", True),
        ("actor.roles", "CONTAINS", "manager", False),
        ("actor.teams", "CONTAINS", f"tea_{NORTH.hex}", True),
        ("actor.userId", "EQ", f"usr_{ALICE.hex}", True),
        ("actor.userId", "NE", f"usr_{NORTH.hex}", True),
    ],
)
def test_a_field_is_compared_in_its_own_type(field: str, op: str, value: Any, expected: bool) -> None:  # noqa: FBT001
    assert met(all=[compared(field, op, value)]) is expected
    assert met(none=[compared(field, op, value)]) is not expected


def test_all_must_hold_one_of_any_and_none_of_none() -> None:
    yes, no = compared("amount", "GT", "1"), compared("amount", "GT", "9999")
    assert met()
    assert met(all=[yes], any=[no, yes], none=[no])
    assert not met(all=[yes], any=[no])
    assert not met(all=[yes, no], any=[yes])
    assert not met(all=[yes], none=[no, yes])


@pytest.mark.parametrize(
    ("field", "op", "value"),
    [
        ("gone", "EQ", "1"),
        ("amount", "GT", "dear"),
        ("elsewhere.x", "EQ", 1),
        ("record.gone", "EQ", 1),
        ("record.days", "CONTAINS", 1),
        ("record.grade", "GIVEN", True),
        ("actor.roles", "EQ", ["seller"]),
        ("actor.mood", "EQ", "good"),
        ("title", "GT", "A"),
    ],
)
def test_a_test_that_no_longer_fits_lets_nothing_slip_by(field: str, op: str, value: Any) -> None:
    odd = compared(field, op, value)
    assert met(all=[odd])
    assert met(any=[odd])
    assert met(none=[odd])


def test_without_a_record_tests_of_it_let_nothing_slip_by() -> None:
    condition = ApprovalCondition(all=[compared("record.grade", "EQ", "A")])
    assert matches(condition, Facts(ORDER))
    assert not matches(condition, Facts(None, {"grade": "B"}))


# -- shapes


@pytest.mark.parametrize(
    "slot",
    [
        {},
        {"role": "a", "manager": 1},
        {"role": "a", "user_id": ALICE},
        {"owner": False},
        {"manager": 0},
        {"manager": 11},
        {"owner": True, "within": "TEAM"},
        {"role": "a", "rule": "QUORUM"},
        {"role": "a", "quorum": 2},
        {"role": "a", "rule": "RATIO"},
        {"role": "a", "rule": "RATIO", "percent": 101},
        {"role": "a", "rule": "RATIO", "percent": 50, "quorum": 1},
    ],
)
def test_a_slot_names_one_way_to_find_people(slot: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApprovalSlot.model_validate(slot)


@pytest.mark.parametrize(
    "deadline",
    [
        {},
        {"working_days": 1, "working_hours": 2},
        {"working_days": 1, "then": "ROLE"},
        {"working_days": 1, "role": "a"},
        {"working_days": 1, "then": "MANAGER", "role": "a"},
        {"working_hours": "0"},
        {"working_days": 0},
    ],
)
def test_a_deadline_has_one_length_and_a_role_only_where_it_goes_to_one(deadline: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ApprovalDeadline.model_validate(deadline)


def test_a_stage_has_a_quorum_exactly_with_its_rule() -> None:
    slots = [{"role": "a"}, {"role": "b"}, {"role": "c"}]
    assert ApprovalStage.model_validate({"rule": "QUORUM", "quorum": 2, "slots": slots}).quorum == 2
    with pytest.raises(ValidationError):
        ApprovalStage.model_validate({"rule": "ALL", "quorum": 2, "slots": slots})
    with pytest.raises(ValidationError):
        ApprovalStage.model_validate({"rule": "QUORUM", "slots": slots})


def test_a_policy_is_about_commands_or_about_one_document() -> None:
    assert policy(document="Order").commands == []
    with pytest.raises(ValidationError):
        policy(document="Order", commands=["order.create"])
    with pytest.raises(ValidationError):
        policy(commands=[])


def test_a_day_of_effect_begins_and_ends_in_the_zone_of_the_line() -> None:
    definition = policy(valid_from="2026-01-01", valid_to="2026-01-31")
    assert definition.valid_from == date(2026, 1, 1)
    assert begins(definition, KNOWN.zone) == datetime.fromisoformat("2026-01-01T00:00:00+08:00")
    assert ends(definition, KNOWN.zone) == datetime.fromisoformat("2026-02-01T00:00:00+08:00")
    with pytest.raises(ValidationError):
        policy(valid_from="2026-01-01T09:00:00")


# -- what is found


def test_a_policy_that_fits_has_no_problems() -> None:
    when = {"all": [compared("record.days", "GT", 3), compared("actor.roles", "CONTAINS", "seller")]}
    slots = [{"owner": True}, {"field": "record.owner_id"}, {"manager": 1}, {"resolver": "dealer.keeper"}]
    stages = [{"slots": slots, "copies": [{"role": "seller"}]}, {"slots": [{"user_id": ALICE}], "when": when}]
    assert found(policy(commands=["order.change"], stages=stages)) == []
    assert found(policy(document="Order", stages=stages)) == []


@pytest.mark.parametrize(
    ("field", "op", "value", "path", "code"),
    [
        ("gone", "EQ", "1", "field", "POLICY_UNKNOWN_FIELD"),
        ("elsewhere.x", "EQ", "1", "field", "POLICY_UNKNOWN_FIELD"),
        ("actor.mood", "EQ", "1", "field", "POLICY_UNKNOWN_FIELD"),
        ("record.grade", "EQ", "1", "field", "POLICY_NO_RECORD"),
        ("amount", "GT", "dear", "value", "POLICY_VALUE"),
        ("colour", "EQ", "GREEN", "value", "POLICY_VALUE"),
        ("colour", "IN", "RED", "value", "POLICY_VALUE"),
        ("day", "LT", "yesterday", "value", "POLICY_VALUE"),
        ("note", "IS_NULL", "perhaps", "value", "POLICY_VALUE"),
        ("title", "GT", "a", "op", "POLICY_ORDER"),
        ("count", "CONTAINS", 1, "op", "POLICY_OPERATOR"),
        ("tags", "STARTS_WITH", "n", "op", "POLICY_OPERATOR"),
        ("actor.roles", "IN", ["a"], "op", "POLICY_OPERATOR"),
        ("actor.roles", "GIVEN", True, "op", "POLICY_OPERATOR"),
    ],
)
def test_a_test_that_does_not_fit_is_found_at_its_place(
    field: str, op: str, value: Any, path: str, code: str
) -> None:
    odd = compared(field, op, value)
    assert found(policy(condition={"any": [odd, compared("count", "GT", 1)]})) == [
        (f"condition.any.0.{path}", code)
    ]
    assert found(staged({"when": {"none": [odd]}})) == [(f"stages.0.when.none.0.{path}", code)]


def test_a_moment_needs_its_zone() -> None:
    local = compared("record.gone_at", "GT", "2026-01-01T09:00:00")
    assert found(policy(document="Order", condition={"all": [local]})) == [
        ("condition.all.0.value", "POLICY_VALUE")
    ]


def test_a_test_must_fit_every_command_of_the_policy() -> None:
    definition = policy(
        commands=["order.create", "order.change"], condition={"all": [compared("title", "EQ", "x")]}
    )
    (problem,) = problems(definition, KNOWN)
    assert (problem.path, problem.text_en) == (
        "condition.all.0.field",
        "order.change: there is no field title",
    )


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"commands": ["order.create", "order.fly"]}, "commands.1", "POLICY_UNKNOWN_COMMAND"),
        ({"commands": ["order.create", "order.create"]}, "commands.1", "POLICY_DUPLICATE"),
        ({"document": "Dream"}, "document", "POLICY_UNKNOWN_DOCUMENT"),
        ({"valid_from": "2026-02-01", "valid_to": "2026-01-01"}, "validTo", "POLICY_DATES"),
    ],
)
def test_targets_and_dates_are_looked_over(fields: Mapping[str, Any], path: str, code: str) -> None:
    assert found(policy(**fields)) == [(path, code)]


@pytest.mark.parametrize(
    ("slot", "path", "code"),
    [
        ({"role": "king"}, "role", "POLICY_UNKNOWN_ROLE"),
        ({"role": "seller"}, "role", "POLICY_ROLE_CANNOT_SIGN"),
        ({"user_id": NORTH}, "userId", "POLICY_UNKNOWN_USER"),
        ({"resolver": "nobody"}, "resolver", "POLICY_UNKNOWN_RESOLVER"),
        ({"owner": True}, "owner", "POLICY_NO_OWNER"),
        ({"field": "command.gone"}, "field", "POLICY_UNKNOWN_FIELD"),
        ({"field": "record.owner_id"}, "field", "POLICY_NO_RECORD"),
        ({"field": "command.title"}, "field", "POLICY_NOT_A_USER"),
        ({"manager": 1, "rule": "QUORUM", "quorum": 2}, "quorum", "POLICY_QUORUM"),
        ({"user_id": ALICE, "rule": "SEQUENTIAL"}, "rule", "POLICY_SEQUENCE"),
    ],
)
def test_signers_that_are_not_there_are_found(slot: Mapping[str, Any], path: str, code: str) -> None:
    assert found(staged(**slot)) == [(f"stages.0.slots.0.{path}", code)]


def test_a_field_that_holds_a_team_is_no_signer() -> None:
    definition = policy(document="Order", stages=[{"slots": [{"field": "record.team_id"}]}])
    assert found(definition) == [("stages.0.slots.0.field", "POLICY_NOT_A_USER")]
    assert found(staged(field="command.sponsorId")) == []


def test_somebody_who_cannot_sign_may_be_sent_a_copy() -> None:
    assert found(staged({"copies": [{"role": "seller"}]})) == []
    assert found(staged({"copies": [{"role": "king"}]})) == [
        ("stages.0.copies.0.role", "POLICY_UNKNOWN_ROLE")
    ]


def test_what_is_not_known_is_not_judged() -> None:
    unknowing = replace(KNOWN, roles=None, users=None, resolvers=None)
    stages = [{"slots": [{"role": "king"}, {"user_id": NORTH}, {"resolver": "nobody"}]}]
    assert found(policy(stages=stages), unknowing) == []


@pytest.mark.parametrize(
    ("stage", "slot", "path", "code"),
    [
        ({"rule": "QUORUM", "quorum": 2}, {}, "quorum", "POLICY_QUORUM"),
        ({"rule": "SEQUENTIAL"}, {}, "rule", "POLICY_SEQUENCE"),
        (
            {"deadline": {"working_days": 1, "then": "ROLE", "role": "manager"}},
            {},
            "deadline.role",
            "POLICY_ENDLESS",
        ),
        (
            {"deadline": {"working_days": 1, "then": "ROLE", "role": "seller"}},
            {},
            "deadline.role",
            "POLICY_ROLE_CANNOT_SIGN",
        ),
        ({"empty": "MANAGER"}, {"manager": 1}, "empty", "POLICY_ENDLESS"),
        ({"empty": "ADMINISTRATOR"}, {"role": "administrator"}, "empty", "POLICY_ENDLESS"),
    ],
)
def test_stages_that_cannot_end_or_need_no_rule_are_found(
    stage: Mapping[str, Any], slot: Mapping[str, Any], path: str, code: str
) -> None:
    assert found(staged(stage, **slot)) == [(f"stages.0.{path}", code)]


def test_a_role_of_the_team_may_go_to_the_same_role_of_the_line() -> None:
    wider = {"deadline": {"working_days": 1, "then": "ROLE", "role": "manager"}}
    assert found(staged(wider, role="manager", within="TEAM")) == []


def test_a_needless_order_is_a_warning_only() -> None:
    (problem,) = problems(staged({"rule": "SEQUENTIAL"}), KNOWN)
    assert problem.severity == "warning"


def test_two_stages_of_one_name_cannot_be_told_apart() -> None:
    slots = [{"role": "manager"}]
    stages = [
        {"name": "审核", "slots": slots},
        {"slots": slots},
        {"slots": slots},
        {"name": "审核", "slots": slots},
    ]
    assert found(policy(stages=stages)) == [("stages.3.name", "POLICY_DUPLICATE")]


# -- contradictions

NEVER = [
    ([("amount", "GT", "1000")], [("amount", "LTE", "1000")]),
    ([("amount", "GTE", "1000")], [("amount", "LT", "1000")]),
    ([("count", "GT", 5)], [("count", "LT", 6)]),
    ([("day", "GT", "2026-01-01")], [("day", "LT", "2026-01-02")]),
    ([("amount", "EQ", "5")], [("amount", "NE", "5.00")]),
    ([("amount", "EQ", "5")], [("amount", "GT", "6")]),
    ([("title", "IN", ["a", "b"])], [("title", "IN", ["c"])]),
    ([("title", "IN", ["ab", "b"])], [("title", "STARTS_WITH", "c")]),
    ([("title", "STARTS_WITH", "ab")], [("title", "STARTS_WITH", "b")]),
    ([("colour", "NE", "RED")], [("colour", "NE", "BLUE")]),
    ([("note", "IS_NULL", True)], [("note", "EQ", "x")]),
    ([("note", "IS_NULL", True)], [("note", "IS_NULL", False)]),
    ([("note", "GIVEN", True)], [("note", "GIVEN", False)]),
    ([("colour", "IS_NULL", True)], []),
]
PERHAPS = [
    ([("amount", "GT", "1000")], [("amount", "LT", "1000.01")]),
    ([("amount", "GTE", "1000")], [("amount", "LTE", "1000")]),
    ([("count", "GT", 5)], [("count", "LT", 7)]),
    ([("note", "NE", "x")], [("note", "NOT_IN", ["x", "y"])]),
    ([("note", "IS_NULL", True)], [("note", "NE", "x")]),
    ([("title", "STARTS_WITH", "ab")], [("title", "STARTS_WITH", "a")]),
    ([("amount", "GT", "9")], [("count", "LT", 0)]),
    ([("tags", "CONTAINS", "a")], [("tags", "CONTAINS", "b")]),
    ([("amount", "GT", "dear")], [("amount", "LT", "1")]),
]


@pytest.mark.parametrize(("first", "second"), NEVER)
def test_a_stage_whose_condition_contradicts_the_policy_is_unreachable(
    first: list[tuple[str, str, Any]], second: list[tuple[str, str, Any]]
) -> None:
    one, other = [compared(*t) for t in first], [compared(*t) for t in second]
    if other:
        definition = policy(
            condition={"all": one}, stages=[{"slots": [{"role": "manager"}], "when": {"all": other}}]
        )
        assert found(definition) == [("stages.0.when", "POLICY_UNREACHABLE")]
        assert found(staged({"when": {"any": one, "all": other}})) == [
            ("stages.0.when", "POLICY_UNREACHABLE")
        ]
    assert ("condition", "POLICY_NEVER") in found(policy(condition={"all": one + other}))


@pytest.mark.parametrize(("first", "second"), PERHAPS)
def test_what_cannot_be_proven_is_not_said(
    first: list[tuple[str, str, Any]], second: list[tuple[str, str, Any]]
) -> None:
    both = {"all": [compared(*t) for t in first + second]}
    assert "POLICY_NEVER" not in [code for _, code in found(policy(condition=both))]


def test_what_would_take_long_to_prove_is_not_said() -> None:
    never = [compared("count", "GT", n) for n in range(50)], [compared("count", "LT", -n) for n in range(50)]
    stages = [{"slots": [{"role": "manager"}], "when": {"any": never[1]}}] * 20
    assert found(policy(condition={"any": never[0]}, stages=stages)) == []
    assert len(found(policy(condition={"any": never[0]}, stages=stages[:3]))) == 3


def test_none_turns_a_claim_round() -> None:
    above = compared("amount", "GT", "1000")
    assert found(policy(condition={"all": [above], "none": [above]})) == [("condition", "POLICY_NEVER")]
    below = compared("amount", "LTE", "1000")
    assert found(policy(condition={"none": [above, below]})) == [("condition", "POLICY_NEVER")]
    early, late = compared("day", "LT", "2026-01-01"), compared("day", "GTE", "2026-01-01")
    assert found(policy(condition={"none": [early, late]})) == []  # a day may be null


def test_a_stage_reached_by_one_of_any_is_reachable() -> None:
    reds = {"any": [compared("colour", "EQ", "RED"), compared("count", "GT", 9)]}
    blue = {"all": [compared("colour", "EQ", "BLUE")]}
    stages = [{"slots": [{"role": "manager"}], "when": blue}]
    assert found(policy(condition=reds, stages=stages)) == []
    small = {"all": [*blue["all"], compared("count", "LT", 9)]}
    assert found(policy(condition=reds, stages=[{**stages[0], "when": small}])) == [
        ("stages.0.when", "POLICY_UNREACHABLE")
    ]


# -- beside other policies


def test_a_policy_after_one_that_takes_everything_is_never_chosen() -> None:
    general = policy(name="all orders", priority=10)
    known = replace(KNOWN, policies=[general])
    assert found(policy(), known) == [("priority", "POLICY_SHADOWED")]
    assert found(policy(priority=5), known) == []
    assert found(policy(commands=["order.create", "order.change"]), known) == []
    assert found(policy(enabled=False), known) == []
    assert found(policy(valid_from="2030-01-01"), known) == [("priority", "POLICY_SHADOWED")]


@pytest.mark.parametrize(
    "other",
    [
        {"enabled": False},
        {"condition": {"all": [compared("amount", "GT", "1")]}},
        {"commands": ["order.change"]},
        {"valid_from": "2030-01-01"},
        {"valid_to": "2030-01-01"},
    ],
)
def test_a_policy_that_does_not_always_come_first_shadows_nothing(other: Mapping[str, Any]) -> None:
    general = policy(name="all orders", **{"priority": 10, **other})
    assert found(policy(), replace(KNOWN, policies=[general])) == []


def test_what_comes_into_force_at_once_is_shadowed_by_what_is_in_force() -> None:
    general = policy(name="all orders", priority=10, valid_from="2025-06-01")
    now = datetime.fromisoformat("2025-11-22T12:00:00+08:00")
    assert found(policy(), replace(KNOWN, policies=[general])) == []
    assert found(policy(), replace(KNOWN, policies=[general], now=now)) == [("priority", "POLICY_SHADOWED")]


def test_two_policies_together_may_take_everything() -> None:
    others = [policy(name="a", priority=1), policy(name="b", priority=2, commands=["order.change"])]
    both = policy(commands=["order.create", "order.change"])
    (problem,) = problems(both, replace(KNOWN, policies=others))
    assert problem.text_en == "never chosen: a, b always comes first"


# -- what is forbidden, and how long an approval is valid


def _shaped(**more: Any) -> PolicyDefinition:
    stages = [ApprovalStage(slots=[ApprovalSlot(role="chief")])]
    return PolicyDefinition.model_validate(
        {"name": "p", "commands": ["order.create"], "stages": stages, **more}, by_name=True, by_alias=False
    )


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"stages": []}, "POLICY_STAGES"),
        ({"forbid": True}, "POLICY_STAGES"),
        ({"valid_days": 1}, "POLICY_VALIDITY"),
        ({"valid_for": ["title"]}, "POLICY_VALIDITY"),
        ({"forbid": True, "stages": [], "valid_days": 1, "valid_for": ["title"]}, "POLICY_VALIDITY"),
        ({"commands": [], "document": "Order", "valid_days": 1, "valid_for": ["x"]}, "POLICY_VALIDITY"),
    ],
)
def test_a_policy_is_signed_or_forbids_and_is_valid_for_something(more: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _shaped(**more)
    assert [e["type"] for e in refused.value.errors()] == [code]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["title", "command.note"], []),
        (["gone"], [("validFor.0", "POLICY_UNKNOWN_FIELD")]),
        (["title", "record.grade"], [("validFor.1", "POLICY_UNKNOWN_FIELD")]),
    ],
)
def test_an_approval_is_valid_for_fields_of_its_command(
    names: list[str], found: list[tuple[str, str]]
) -> None:
    policy = _shaped(valid_days=1, valid_for=names)
    known = replace(KNOWN, roles={"chief": frozenset({"approval.sign"})})
    assert [(p.path, p.code) for p in problems(policy, known)] == found


def test_a_deadline_has_one_length() -> None:
    assert ApprovalDeadline(days=5).working_days is None
    with pytest.raises(ValidationError):
        ApprovalDeadline(days=5, working_days=5)

"""The YAML form of policies: every mistake at its place, and a written file reads back the same."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_core.approvals.conditions import ApprovalCondition, ApprovalOperator, ApprovalTest
from crm_core.approvals.policy_file import LARGEST, PolicyFile, read, write
from crm_core.approvals.stages import (
    ApprovalDeadline,
    ApprovalOverdue,
    ApprovalSlot,
    ApprovalStage,
    ApprovalWithin,
    PolicyDefinition,
)
from crm_core.approvals.words import ApprovalEmpty, ApprovalRule, ApprovalSame, ApprovalSelf

USERS = {"alice": UUID(int=1), "王芳": UUID(int=2), "no": UUID(int=3)}
LOGINS = {id: login for login, id in USERS.items()}

WHOLE = """\
line: east
policies:
  - name: gifts
    title: 礼品申请
    lines: [east, west]
    commands: [gift.request]
    condition:
      all:
        - {field: amount, op: gt, value: 1000.50}
        - {field: note, op: ne, value: no}
      none:
        - {field: actor.roles, op: contains, value: manager}
    self_approval: auto
    same_signer: auto
    withdraw_days: 3
    priority: 5
    enabled: false
    valid_from: 2026-01-01
    valid_to: 2026-12-31T18:00:00+08:00
    stages:
      - name: 审核
        rule: quorum
        quorum: 2
        empty: skip
        slots:
          - role: specialist
            within: team
            rule: ratio
            percent: 60
          - user: alice
          - manager: 2
        copy:
          - owner: true
        deadline: {working_hours: 4.5, then: role, role: director, remind_before_hours: 1}
  - name: the rest
    document: Order
    lock: false
    stages:
      - slots: [{field: record.keeper_id}]
"""


def done(text: str) -> PolicyFile:
    found = read(text, USERS)
    assert found.problems == ()
    return found


def wrong(text: str, *, users: bool = True) -> list[tuple[int, int, str]]:
    found = read(text, USERS if users else None)
    return [(p.line, p.column, p.code) for p in found.problems]


def one(rest: str, slots: str = "[{role: a}]") -> str:
    """A file of one policy, with these lines from the fifth on."""
    return f"policies:\n  - name: p\n    commands: [x.y]\n    stages: [{{slots: {slots}}}]\n{rest}"


# -- reading


def test_a_file_is_read_whole() -> None:
    gifts, rest = done(WHOLE).policies
    assert (gifts.lines, rest.lines) == (("east", "west"), ("east",))
    definition, stage = gifts.definition, gifts.definition.stages[0]
    assert definition.condition.all[0] == ApprovalTest(field="amount", op=ApprovalOperator.GT, value=1000.5)
    assert definition.condition.all[1].value == "no"
    assert (definition.self_approval, definition.same_signer) == (ApprovalSelf.AUTO, ApprovalSame.AUTO)
    assert (definition.valid_from, definition.valid_to) == (
        date(2026, 1, 1),
        datetime(2026, 12, 31, 10, tzinfo=UTC),
    )
    assert (stage.rule, stage.quorum, stage.empty) == (ApprovalRule.QUORUM, 2, ApprovalEmpty.SKIP)
    assert stage.slots[0].within is ApprovalWithin.TEAM
    assert stage.slots[1].user_id == USERS["alice"]
    assert stage.copies == [ApprovalSlot(owner=True)]
    assert stage.deadline == ApprovalDeadline(
        working_hours=Decimal("4.5"),
        then=ApprovalOverdue.ROLE,
        role="director",
        remind_before_hours=Decimal(1),
    )
    assert (rest.definition.document, rest.definition.lock) == ("Order", False)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("name", (3, 11)),
        ("commands.0", (6, 16)),
        ("condition.all.1.value", (10, 40)),
        ("withdrawDays", (15, 20)),
        ("stages.0.slots.1.userId", (30, 19)),
        ("stages.0.copies.0.owner", (33, 20)),
        ("stages.0.deadline.role", (34, 58)),
        ("stages.0.slots.1.role", (30, 13)),
        ("selfApproval.gone", (13, 20)),
        ("", (3, 5)),
    ],
)
def test_every_part_knows_its_line_and_column(path: str, place: tuple[int, int]) -> None:
    assert done(WHOLE).policies[0].at(path) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", (1, 1, "POLICY_FILE")),
        ("[]", (1, 1, "POLICY_FILE")),
        ("policies: 5", (1, 1, "POLICY_FILE")),
        ("policies:\n  - 5", (2, 5, "POLICY_FILE")),
        ("policies: ]", (1, 11, "POLICY_SYNTAX")),
        ("policies:\n\t- x", (2, 1, "POLICY_SYNTAX")),
        ("policies: []\n---\npolicies: []", (2, 1, "POLICY_FILE")),
        ("policies: []\npolicies: []", (2, 1, "POLICY_DUPLICATE")),
        ("policies: []\n[a]: 5", (2, 1, "POLICY_SYNTAX")),
        ("policies: []\nrules: []", (2, 1, "POLICY_KEY")),
        ("policies: &a [*a]", (1, 11, "POLICY_FILE")),
        ("policies: !!python/object/apply:os.system [x]", (1, 11, "POLICY_FILE")),
        ("line: [5]\npolicies: []", (1, 1, "POLICY_LINE")),
        ("line: a\nlines: [b]\npolicies: []", (2, 1, "POLICY_LINE")),
        ("policies: []\nx: \0", (1, 1, "POLICY_SYNTAX")),
        ("policies: [" + "a, " * 501 + "]", (1, 1512, "POLICY_FILE")),
        ("policies: " + "[" * 40 + "]" * 40, (1, 31, "POLICY_FILE")),
    ],
)
def test_a_file_that_is_none_is_refused_at_its_place(text: str, place: tuple[int, int, str]) -> None:
    assert wrong(text)[0] == place


def test_a_huge_file_is_not_even_parsed() -> None:
    assert wrong("#" * (LARGEST + 1)) == [(1, 1, "POLICY_FILE")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (one("    priorty: 5"), (5, 5, "POLICY_KEY")),
        (one("    selfApproval: allow"), (5, 5, "POLICY_KEY")),
        (one("    priority: high"), (5, 15, "POLICY_VALUE")),
        (one("    self_approval: perhaps"), (5, 20, "POLICY_VALUE")),
        (one("    document: Order"), (2, 5, "POLICY_TARGET")),
        (one("    valid_from: 2026-01-01T09:00:00"), (5, 17, "POLICY_VALUE")),
        (one("    valid_from: soon"), (5, 17, "POLICY_VALUE")),
        (one("    condition: {all: [{field: a, op: is, value: 5}]}"), (5, 38, "POLICY_VALUE")),
        (one("    condition: {all: [{op: eq}]}"), (5, 23, "POLICY_VALUE")),
        (one("    lines: [a, a]"), (5, 5, "POLICY_LINE")),
        (one("", "[{role: a, manager: 1}]"), (4, 23, "APPROVAL_SLOT")),
        (one("", "[{user: bob}]"), (4, 30, "POLICY_UNKNOWN_USER")),
        (one("", "[{user: 5}]"), (4, 30, "POLICY_VALUE")),
        (one("", "[]"), (4, 15, "POLICY_VALUE")),
        (one("", "[{role: a}], copies: []"), (4, 35, "POLICY_KEY")),
        (one("", "[{role: a}], rule: quorum"), (4, 14, "APPROVAL_QUORUM")),
        (one("", "[{role: a}], deadline: {working_days: 0}"), (4, 60, "POLICY_VALUE")),
        (one("", "[{role: a}], deadline: {then: reject}"), (4, 35, "APPROVAL_DEADLINE")),
    ],
)
def test_a_wrong_policy_is_refused_at_its_place(text: str, place: tuple[int, int, str]) -> None:
    assert wrong(text) == [place]


def test_two_policies_of_a_line_have_two_names() -> None:
    twice = one("") + "  - name: p\n    commands: [x.z]\n    stages: [{slots: [{role: a}]}]\n"
    assert wrong(twice) == [(5, 11, "POLICY_DUPLICATE")]
    assert wrong(twice.replace("commands: [x.z]", "commands: [x.z]\n    line: west")) == []


def test_the_good_policies_of_a_file_are_read_beside_the_bad() -> None:
    found = read(
        one("    priority: -1\n") + "  - name: q\n    document: D\n    stages: [{slots: [{role: a}]}]\n"
    )
    assert [p.definition.name for p in found.policies] == ["q"]
    assert [p.text_en for p in found.problems] == ["priority: must be at least 0"]
    assert [p.text_zh for p in found.problems] == ["priority：不得小于 0"]


def test_without_a_database_every_login_may_exist() -> None:
    assert wrong(one("", "[{user: bob}]"), users=False) == []


# -- writing


def test_what_has_its_default_is_left_out() -> None:
    stage = ApprovalStage(slots=[ApprovalSlot(role="manager"), ApprovalSlot(user_id=USERS["no"])])
    definition = PolicyDefinition(name="p", commands=["x.y"], stages=[stage])
    assert write([(definition, ["east"])], LOGINS) == (
        "policies:\n  - name: p\n    line: east\n    commands:\n      - x.y\n    stages:\n"
        "      - slots:\n          - role: manager\n          - user: 'no'\n"
    )


def test_the_written_file_of_a_file_is_stable() -> None:
    first = write([(p.definition, p.lines) for p in done(WHOLE).policies], LOGINS)
    again = done(first).policies
    assert [(p.definition, p.lines) for p in again] == [(p.definition, p.lines) for p in done(WHOLE).policies]
    assert write([(p.definition, p.lines) for p in again], LOGINS) == first


TEXT = st.text(max_size=20)
WORD = st.one_of(
    st.sampled_from(
        ["no", "on", "null", "~", "1e3", "0x1", "12:30", "1_000", "=", "<<", "2026-01-01", ".5", "+1"]
    ),
    TEXT.map(str.strip).filter(bool),
)
HOURS = st.decimals(Decimal("0.01"), 1000, places=2)
JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    WORD,
)
TESTS = st.lists(
    st.builds(
        ApprovalTest,
        field=WORD,
        op=st.sampled_from(ApprovalOperator),
        value=st.one_of(JSON, st.lists(JSON, max_size=3), st.dictionaries(WORD, JSON, max_size=2)),
    ),
    max_size=2,
)
CONDITIONS = st.builds(ApprovalCondition, all=TESTS, any=TESTS, none=TESTS)
REMINDERS = {"remind_before_hours": st.none() | HOURS, "remind_every_hours": st.none() | HOURS}
DEADLINES = st.one_of(
    st.builds(ApprovalDeadline, working_days=st.integers(1, 366), **REMINDERS),
    st.builds(
        ApprovalDeadline, working_hours=HOURS, then=st.just(ApprovalOverdue.ROLE), role=WORD, **REMINDERS
    ),
)
RULES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from([ApprovalRule.ALL, ApprovalRule.ANY, ApprovalRule.SEQUENTIAL]).map(lambda r: {"rule": r}),
    st.integers(1, 20).map(lambda n: {"rule": ApprovalRule.QUORUM, "quorum": n}),
    st.integers(1, 100).map(lambda n: {"rule": ApprovalRule.RATIO, "percent": n}),
)
WAYS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(dict, role=WORD, within=st.sampled_from(ApprovalWithin)),
    st.builds(dict, user_id=st.sampled_from([*USERS.values(), UUID(int=99)])),
    st.builds(dict, manager=st.integers(1, 10)),
    st.just({"owner": True}),
    st.builds(dict, field=WORD),
    st.builds(dict, resolver=WORD),
)
SLOTS = st.builds(lambda way, rule, name: ApprovalSlot(name=name, **way, **rule), WAYS, RULES, TEXT)
STAGES = st.builds(
    lambda rule, **rest: ApprovalStage(**rule, **rest),
    rule=RULES,
    name=TEXT,
    slots=st.lists(SLOTS, min_size=1, max_size=3),
    copies=st.lists(SLOTS, max_size=2),
    when=st.none() | CONDITIONS,
    empty=st.sampled_from(ApprovalEmpty),
    deadline=st.none() | DEADLINES,
)
WHEN = st.one_of(
    st.none(),
    st.dates(date(1, 1, 2)),
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC)),  # noqa: DTZ001  # zone given
)
DEFINITIONS = st.builds(
    lambda target, **rest: PolicyDefinition(**target, **rest),
    target=st.one_of(
        st.builds(dict, commands=st.lists(WORD, min_size=1, max_size=3)), st.builds(dict, document=WORD)
    ),
    name=WORD,
    title=TEXT,
    condition=CONDITIONS,
    self_approval=st.sampled_from(ApprovalSelf),
    same_signer=st.sampled_from(ApprovalSame),
    withdraw_days=st.none() | st.integers(0, 3650),
    lock=st.booleans(),
    stages=st.lists(STAGES, min_size=1, max_size=3),
    priority=st.integers(0, 10_000),
    enabled=st.booleans(),
    valid_from=WHEN,
    valid_to=WHEN,
)


@settings(max_examples=200, deadline=None)
@given(DEFINITIONS)
def test_any_definition_reads_back_equal(definition: PolicyDefinition) -> None:
    text = write([(definition, ["east"])], LOGINS)
    found = read(text, USERS)
    assert found.problems == ()
    (policy,) = found.policies
    assert (policy.definition, policy.lines) == (definition, ("east",))
    assert write([(policy.definition, policy.lines)], LOGINS) == text


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="policies:[]{}-&*!|>'\"# \n\t,ab1", max_size=80))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    for problem in read("policies:" + text).problems:
        assert problem.text_en
        assert problem.line >= 1

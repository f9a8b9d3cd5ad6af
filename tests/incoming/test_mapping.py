"""Mappings: what they give, what is wrong with them, and that nothing else is ever raised."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import Refused, UserError
from crm_core.incoming import expressions, mapping
from crm_core.incoming.expressions import Failed, Wrong
from crm_core.incoming.mapping import IncomingStep, Unmapped
from crm_core.incoming.parsing import Unreadable, from_form, from_xml, read_body
from crm_core.loader import load
from crm_core.registry import Registry
from crm_core.settings import LineSettings, Settings

REGISTRY: Registry = load(Settings(lines={"east": LineSettings()}), ())
BODY: dict[str, Any] = {
    "name": " Ann ",
    "phone": "138 0013 8000",
    "tags": ["a", "b"],
    "paid": 0,
    "at": 1762135200,
    "empty": "",
    "grade": "gold",
}


def document(**more: Any) -> dict[str, Any]:
    return {"body": BODY, "headers": {"x-a": "1"}, "query": {}, "steps": {}, **more}


def value(given: Any, **more: Any) -> Any:
    """What one field of an input comes to; `...`: it is left out."""
    step = IncomingStep(command="customer.create", input={"f": given})
    return mapping.values_of(0, step, document(**more)).get("f", ...)


def wrong(*steps: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(e.field, e.code) for e in mapping.check(steps, REGISTRY, "east")]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("body.name", "body.name"),
        ("=trim(body.name)", "Ann"),
        ("==1+1", "=1+1"),
        ("=body.missing", ...),
        ("=trim(body.empty)", ...),
        (None, None),
        ({"a": "=body.missing", "b": 1}, {"b": 1}),
        (["=body.missing", "=body.tags[1]"], ["b"]),
        ("=body.phone && [{number: digits(body.phone)}]", [{"number": "13800138000"}]),
        ("=body.missing && [{number: body.phone}]", ...),
        ('=lookup(`{"gold": "A", "*": "C"}`, body.grade)', "A"),
        ('=lookup(`{"silver": "B", "*": "C"}`, body.grade)', "C"),
        ("=moment(body.at)", "2025-11-03T02:00:00+00:00"),
        ("=replace(body.phone, ' ', '')", "13800138000"),
        ('=headers."x-a"', "1"),
        ("=steps.made.id", "cus_1"),
        ("=join('-', [upper('a'), lower('B')])", "A-b"),
    ],
)
def test_what_a_value_comes_to(given: Any, wanted: Any) -> None:
    assert value(given, steps={"made": {"id": "cus_1"}}) == wanted


@pytest.mark.parametrize(
    ("when", "wanted"),
    [("body.name", True), ("body.missing", False), ("body.empty", False), ("body.paid", True),
     ("!(steps.known)", True), ("body.tags[?@ == 'c']", False), ("=body.name", True)],
)  # fmt: skip
def test_when_a_step_is_taken(when: str, *, wanted: bool) -> None:
    step = IncomingStep(command="x", when=when)
    assert mapping.applies(0, step, document(steps={"known": None})) is wanted


def test_an_expression_that_fails_names_its_step_and_field() -> None:
    with pytest.raises(Unmapped) as caught:
        value({"x": [{"y": "=upper(body.paid)"}]})
    assert (caught.value.step, caught.value.error.field) == (0, "input.f.x.0.y")
    assert caught.value.error.code == "INCOMING_NOT_EVALUATED"


def test_an_expression_that_grows_without_end_is_stopped() -> None:
    with pytest.raises(Unmapped) as caught:
        value("=body | " + " | ".join(["[@, @]"] * 60))
    assert caught.value.error.code == "INCOMING_TOO_LARGE"


# -- checking


def test_a_mapping_that_is_right_has_nothing_wrong() -> None:
    assert (
        wrong(
            {"name": "known", "find": "Customer", "where": {"phone": "=body.phone"}, "first": True},
            {
                "name": "made",
                "when": "!(steps.known)",
                "command": "customer.create",
                "input": {
                    "name": "=body.name",
                    "kind": "PERSON",
                    "phones": [{"number": "=body.phone", "use": "MOBILE"}],
                },
            },
            {
                "command": "interaction.log",
                "input": {"customerId": "=steps.known.id || steps.made.id", "kind": "call", "content": "x"},
            },
        )
        == []
    )


@pytest.mark.parametrize(
    ("step", "path", "code"),
    [
        ({"command": "customer.mak", "input": {}}, "0.command", "INCOMING_UNKNOWN_COMMAND"),
        ({"command": "customer.create", "input": {"name": "x"}}, "0.input.kind", "REQUIRED"),
        ({"command": "customer.create", "input": {"name": "x", "kind": "PERSON", "fon": 1}}, "0.input.fon",
         "INCOMING_UNKNOWN_FIELD"),
        ({"command": "customer.create", "input": {"name": "=a", "kind": "PERSON", "phones": [{"nr": "=b"}]}},
         "0.input.phones.0.nr", "INCOMING_UNKNOWN_FIELD"),
        ({"command": "customer.create", "input": {"name": "=a", "kind": "PERSON", "phones": [{"nr": "=b"}]}},
         "0.input.phones.0.number", "REQUIRED"),
        ({"command": "customer.create", "input": {"name": "=a", "kind": "HUMAN"}}, "0.input.kind", "INVALID_ENUM"),
        ({"command": "customer.create", "input": {"name": "=a..b", "kind": "PERSON"}}, "0.input.name",
         "INCOMING_WRONG_EXPRESSION"),
        ({"command": "customer.create", "input": {"name": "=nope(a)", "kind": "PERSON"}}, "0.input.name",
         "INCOMING_WRONG_EXPRESSION"),
        ({"command": "customer.create", "input": {"name": "=steps.late.id", "kind": "PERSON"}}, "0.input.name",
         "INCOMING_UNKNOWN_STEP"),
        ({"when": "!steps.x", "command": "customer.create", "input": {"name": "=a", "kind": "PERSON"}}, "0.when",
         "INCOMING_NEGATED"),
        ({"command": "customer.create", "find": "Customer"}, "0", "INCOMING_WRONG_STEP"),
        ({"input": {}}, "0", "INCOMING_WRONG_STEP"),
        ({"find": "Custom", "where": {"phone": "1"}}, "0.find", "INCOMING_UNKNOWN_TYPE"),
        ({"find": "Customer", "where": {"fon": "1"}}, "0.where.fon", "INCOMING_UNKNOWN_FIELD"),
        ({"find": "Customer"}, "0.where", "REQUIRED"),
        ({"find": "Customer", "where": {"phone": "1"}, "firts": True}, "0.firts", "INVALID_EXTRA_FORBIDDEN"),
        ({"name": "Not a name", "find": "Customer", "where": {"phone": "1"}}, "0.name", "INVALID_STRING_PATTERN_MISMATCH"),
    ],
)  # fmt: skip
def test_every_fault_of_a_mapping_is_named_by_its_path(step: dict[str, Any], path: str, code: str) -> None:
    assert (path, code) in wrong(step)


def test_a_mapping_has_steps_not_too_many_and_each_name_once() -> None:
    known = {"name": "a", "find": "Customer", "where": {"phone": "1"}}
    assert wrong() == [(None, "INCOMING_NO_STEPS")]
    assert wrong(known, known) == [("1.name", "INCOMING_STEP_TWICE")]
    assert (None, "INVALID_TOO_LONG") in wrong(*[{"find": "Customer", "where": {"phone": "1"}}] * 21)


# -- nothing else is raised

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
PIECES = st.lists(
    st.sampled_from(
        ["body", ".", "name", "[0]", "[*]", "[]", "|", "||", "&&", "!", "(", ")", "@", "'x'", "`1`", "`{}`", "==", "<", "{a:",
         "}", "length(", "sort_by(", "&", "map(", "trim(", "moment(", "lookup(", "replace(", "digits(", "sum(", "join(", ",",
         "[?", "]", "to_number(", "max_by(", '"k"', "steps", "keys(", "reverse(", "merge(", "avg(", "-1", " "]
    ),
    max_size=12,
).map("".join)  # fmt: skip
EXPRESSION = st.one_of(PIECES, st.text(max_size=30))


@given(EXPRESSION, JSON)
def test_no_expression_raises_anything_but_its_own_error(expression: str, body: Any) -> None:
    try:
        expressions.check(expression)
        expressions.evaluate(expression, {"body": body})
        expressions.holds(expression, {"body": body})
    except (Wrong, Failed) as error:
        problem = str(error)
    else:
        problem = "none"
    assert problem


@given(PIECES, JSON)
def test_what_is_no_expression_fails_when_it_is_evaluated_all_the_same(expression: str, body: Any) -> None:
    try:
        expressions.check(expression)
    except Wrong as wrong:
        if not wrong.negated:
            with pytest.raises(Failed):
                expressions.evaluate(expression, {"body": body})


VALUE = st.one_of(JSON, EXPRESSION.map(lambda e: "=" + e))


@given(st.lists(st.dictionaries(st.sampled_from(["name", "when", "command", "input", "find", "where", "x"]),
                                st.one_of(VALUE, st.dictionaries(st.text(max_size=5), VALUE, max_size=3),
                                          st.sampled_from(["customer.create", "Customer", "a"]))), max_size=3), JSON)  # fmt: skip
def test_no_mapping_raises_anything_but_its_own_errors(steps: list[dict[str, Any]], body: Any) -> None:
    found = list(mapping.check(steps, REGISTRY, "east"))
    assert all(isinstance(one, UserError) for one in found)
    try:
        read = mapping.read(steps)
    except Refused:
        return
    blamed = []
    for position, step in enumerate(read.steps):
        try:
            mapping.applies(position, step, document(body=body))
            mapping.values_of(position, step, document(body=body))
        except Unmapped as unmapped:
            blamed.append((unmapped.step, position))
    assert all(step == position for step, position in blamed)


# -- bodies


@given(
    st.binary(max_size=80),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/xml", "", "x"]),
)
def test_no_body_raises_anything_but_unreadable(body: bytes, content_type: str) -> None:
    try:
        said = read_body(body, content_type) or "something"
    except Unreadable as problem:
        said = str(problem)
    assert said


def test_bodies_are_read_by_their_content_type() -> None:
    assert read_body(b'{"a": [1]}', "application/json; charset=utf-8") == {"a": [1]}
    assert read_body(b'{"a": 1}', "") == {"a": 1}
    assert read_body("名=李&b=1&b=2&c=".encode(), "application/x-www-form-urlencoded") == {
        "名": "李", "b": ["1", "2"], "c": "",
    }  # fmt: skip
    assert read_body(b"<xml><a>1</a><b><c>x</c></b><a>2</a></xml>", "text/xml") == {
        "a": ["1", "2"],
        "b": {"c": "x"},
    }
    assert read_body(b"hello", "text/plain") == "hello"


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE x><x/>",
        b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>',
        b"<a>" * 60 + b"</a>" * 60,
        b"<a>",
    ],
)
def test_xml_with_tricks_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        from_xml(body)


def test_a_form_has_a_bounded_number_of_fields() -> None:
    with pytest.raises(Unreadable):
        from_form(b"&".join(b"a%d=1" % n for n in range(1_001)))

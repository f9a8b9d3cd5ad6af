"""A lifecycle allows the moves of its table, and a table that cannot be meant is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.lifecycle import IllegalMove, Lifecycle, Move

STATES = {
    "draft": "Being written.",
    "filed": "Waiting | for a decision.",
    "granted": "Agreed.",
    "void": "Dropped.",
}
MOVES = (
    Move("file", ("draft",), "filed", None, "Hand it in."),
    Move("grant", ("filed",), "granted", "requests:grant", "Agree to it."),
    Move("drop", frozenset({"filed", "draft"}), "void", "requests:drop", "Give it up."),
)
REQUEST = Lifecycle("request", "draft", STATES, MOVES)


def move(name: str, source: str, target: str) -> Move:
    return Move(name, (source,), target, None, "")


def test_a_move_leads_to_its_target() -> None:
    assert REQUEST.move("draft", "file") == "filed"
    assert REQUEST.move("draft", "drop") == REQUEST.move("filed", "drop") == "void"


def test_a_move_from_another_state_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(IllegalMove) as refused:
        REQUEST.move("draft", "grant")
    refusal = refused.value
    assert (refusal.lifecycle, refusal.state, refusal.move) == ("request", "draft", "grant")
    assert refusal.allowed == ("file", "drop")
    assert str(refusal) == "request: 'grant' is not possible in state 'draft'; possible: file, drop"


def test_a_final_state_allows_nothing() -> None:
    assert REQUEST.moves_from("void") == ()
    with pytest.raises(IllegalMove, match="possible: nothing"):
        REQUEST.move("void", "file")


def test_a_state_allows_the_moves_that_start_from_it() -> None:
    assert REQUEST.allows("filed", "grant")
    assert not REQUEST.allows("draft", "grant")
    assert [move.name for move in REQUEST.moves_from("filed")] == ["grant", "drop"]


def test_an_unknown_state_is_a_fault_and_no_refusal() -> None:
    for ask in (
        REQUEST.moves_from,
        lambda state: REQUEST.move(state, "file"),
        lambda s: REQUEST.allows(s, "file"),
    ):
        with pytest.raises(ValueError, match="has no state 'lost'"):
            ask("lost")


def test_one_name_may_lead_to_different_states_from_different_states() -> None:
    both_ways = Lifecycle(
        "lamp", "off", {"off": "", "on": ""}, (move("press", "off", "on"), move("press", "on", "off"))
    )
    assert both_ways.move(both_ways.move("off", "press"), "press") == "off"


def test_a_move_may_return_to_its_own_state() -> None:
    assert (
        Lifecycle("note", "open", {"open": ""}, (move("edit", "open", "open"),)).move("open", "edit")
        == "open"
    )


@pytest.mark.parametrize(
    ("initial", "moves", "problem"),
    [
        ("lost", (), "unknown state 'lost'"),
        ("a", (move("go", "lost", "b"),), "unknown state 'lost'"),
        ("a", (move("go", "a", "lost"),), "unknown state 'lost'"),
        ("a", (move("go", "a", "b"), move("go", "a", "a")), "move 'go' stands twice for state 'a'"),
        ("a", (Move("go", (), "b", None, ""),), "move 'go' has no source"),
        ("a", (move("stay", "a", "a"),), "state 'b' cannot be reached"),
        ("a", (move("back", "b", "a"),), "state 'b' cannot be reached"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(initial: str, moves: tuple[Move, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Lifecycle("broken", initial, {"a": "", "b": ""}, moves)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="unknown state 'x'; unknown state 'y'; move 'go' has no source"):
        Lifecycle("broken", "x", {"a": ""}, (move("come", "a", "y"), Move("go", (), "a", None, "")))


def test_a_lifecycle_keeps_its_table_when_the_given_one_changes() -> None:
    states = {"a": ""}
    kept = Lifecycle("kept", "a", states, ())
    states["b"] = ""
    assert list(kept.states) == ["a"]


def test_the_tables_show_states_and_moves_in_their_order() -> None:
    assert REQUEST.as_markdown() == (
        "### request\n\n"
        "| State | Meaning |\n"
        "| --- | --- |\n"
        "| `draft` (initial) | Being written. |\n"
        "| `filed` | Waiting \\| for a decision. |\n"
        "| `granted` (final) | Agreed. |\n"
        "| `void` (final) | Dropped. |\n\n"
        "| Move | From | To | Scope | Meaning |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `file` | `draft` | `filed` |  | Hand it in. |\n"
        "| `grant` | `filed` | `granted` | `requests:grant` | Agree to it. |\n"
        "| `drop` | `draft`, `filed` | `void` | `requests:drop` | Give it up. |"
    )


@given(st.lists(st.sampled_from(["file", "grant", "drop"])))
def test_no_walk_leaves_the_table(names: list[str]) -> None:
    state = REQUEST.initial
    for name in names:
        if REQUEST.allows(state, name):
            state = REQUEST.move(state, name)
        else:
            with pytest.raises(IllegalMove):
                REQUEST.move(state, name)
    assert state in REQUEST.states

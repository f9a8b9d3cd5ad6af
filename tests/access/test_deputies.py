"""Who stands in for somebody who is away: chains are followed and always end."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.access.deputies import Away, deputy

LI, WANG, ZHAO, QIAN = (UUID(int=n) for n in range(1, 5))
PEOPLE = (LI, WANG, ZHAO, QIAN)
DAY = date(2025, 11, 3)
KINDS = ("customer.assign", "customer.update")


def away(user: UUID, stands_in: UUID, start: int = 0, end: int = 0, **more: frozenset[str] | str) -> Away:
    return Away(user, stands_in, DAY + timedelta(start), DAY + timedelta(end), **more)  # type: ignore[arg-type]


def of(user: UUID, *absences: Away, kind: str = KINDS[0], line: str = "east") -> UUID | None:
    return deputy(user, kind, line, DAY, absences)


def test_nobody_stands_in_for_somebody_who_is_there() -> None:
    assert of(LI) is None
    assert of(LI, away(WANG, LI)) is None


def test_both_days_count() -> None:
    assert of(LI, away(LI, WANG, -3, 0)) == WANG
    assert of(LI, away(LI, WANG, 0, 3)) == WANG
    assert of(LI, away(LI, WANG, 1, 3)) is None
    assert of(LI, away(LI, WANG, -3, -1)) is None


def test_an_absence_holds_for_its_kinds_and_line_alone() -> None:
    some = away(LI, WANG, kinds=frozenset({KINDS[0]}))
    assert of(LI, some) == WANG
    assert of(LI, some, kind=KINDS[1]) is None
    assert of(LI, away(LI, WANG, line="west")) is None


def test_the_absence_for_fewer_kinds_comes_first() -> None:
    every, some = away(LI, WANG), away(LI, ZHAO, kinds=frozenset({KINDS[0]}))
    assert of(LI, every, some) == of(LI, some, every) == ZHAO
    assert of(LI, every, some, kind=KINDS[1]) == WANG


def test_a_deputy_who_is_away_is_followed_to_his_own() -> None:
    assert of(LI, away(LI, WANG), away(WANG, ZHAO), away(ZHAO, QIAN)) == QIAN


@pytest.mark.parametrize(
    "absences",
    [
        [away(LI, WANG), away(WANG, LI)],
        [away(LI, WANG), away(WANG, ZHAO), away(ZHAO, WANG)],
        [away(LI, LI)],
    ],
    ids=["back to the user", "a circle further on", "himself"],
)
def test_a_circle_gives_nobody(absences: list[Away]) -> None:
    assert of(LI, *absences) is None


def test_a_chain_that_ends_in_the_requester_gives_nobody() -> None:
    chain = (away(LI, WANG), away(WANG, ZHAO))
    assert deputy(LI, KINDS[0], "east", DAY, chain, forbidden={ZHAO}) is None
    assert deputy(LI, KINDS[0], "east", DAY, chain, forbidden={WANG}) == ZHAO


ABSENCES = st.lists(
    st.builds(
        away,
        st.sampled_from(PEOPLE),
        st.sampled_from(PEOPLE),
        st.integers(-2, 1),
        st.integers(-1, 2),
        kinds=st.none() | st.frozensets(st.sampled_from(KINDS), min_size=1),
        line=st.sampled_from([None, "east", "west"]),
    ),
    max_size=12,
)


@given(ABSENCES, st.sampled_from(PEOPLE), st.sampled_from(KINDS), st.sets(st.sampled_from(PEOPLE)))
def test_whoever_stands_in_is_another_who_is_there_and_may(
    absences: list[Away], user: UUID, kind: str, forbidden: set[UUID]
) -> None:
    found = deputy(user, kind, "east", DAY, absences, forbidden=forbidden)
    assert found == deputy(user, kind, "east", DAY, reversed(absences), forbidden=forbidden)
    if found is not None:
        assert found != user
        assert found not in forbidden
        assert not any(a.user_id == found and a.holds(kind, "east", DAY) for a in absences)
        assert any(a.user_id == user and a.holds(kind, "east", DAY) for a in absences)


@given(ABSENCES, st.sampled_from(PEOPLE), st.sampled_from(KINDS))
def test_absences_that_do_not_hold_change_nothing(absences: list[Away], user: UUID, kind: str) -> None:
    holding = [a for a in absences if a.holds(kind, "east", DAY)]
    assert deputy(user, kind, "east", DAY, absences) == deputy(user, kind, "east", DAY, holding)

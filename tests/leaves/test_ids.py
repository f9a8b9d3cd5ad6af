"""Ids sort by time, and one record has one id."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core import ids

NOON = datetime(2026, 3, 2, 12, 0, 0, 123_456, tzinfo=UTC)
PREFIXES = st.from_regex(r"[a-z]{2,5}", fullmatch=True)
MOMENTS = st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def zeros(count: int) -> bytes:
    return bytes(count)


def ones(count: int) -> bytes:
    return b"\xff" * count


def test_an_id_has_version_7_and_the_variant_of_the_rfc() -> None:
    for random in (zeros, ones):
        made = ids.uuid7(NOON, random)
        assert made.version == 7
        assert made.variant == "specified in RFC 4122"


def test_the_example_of_the_rfc_has_the_same_milliseconds() -> None:
    made = ids.uuid7(datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5))), zeros)
    assert made == UUID("017f22e2-79b0-7000-8000-000000000000")


def test_the_fraction_of_the_millisecond_follows_the_version() -> None:
    assert ids.uuid7(NOON, zeros).hex[13:16] == f"{456 * 4096 // 1000:03x}"


@given(MOMENTS, MOMENTS)
def test_an_id_made_later_sorts_later(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    if earlier != later:
        assert ids.uuid7(earlier, ones) < ids.uuid7(later, zeros)


def test_ids_of_the_clock_are_of_now() -> None:
    before = ids.uuid7(datetime.now(UTC) - timedelta(seconds=1))
    after = ids.uuid7(datetime.now(UTC) + timedelta(seconds=1))
    assert before < ids.uuid7() < after


def test_many_ids_are_all_different() -> None:
    assert len({ids.uuid7(NOON) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("moment", [datetime(2026, 3, 2), datetime(1969, 12, 31, tzinfo=UTC)])  # noqa: DTZ001
def test_a_moment_without_a_zone_or_before_1970_is_refused(moment: datetime) -> None:
    with pytest.raises(ValueError, match=r"zone|1970"):
        ids.uuid7(moment)


def test_an_id_is_shown_with_its_prefix() -> None:
    assert ids.show("cus", UUID(int=0x192)) == "cus_" + "0" * 29 + "192"


@given(PREFIXES, st.uuids())
def test_what_is_shown_can_be_read(prefix: str, uuid: UUID) -> None:
    shown = ids.show(prefix, uuid)
    assert ids.read(shown) == (prefix, uuid)
    assert ids.read_as(prefix, shown) == uuid


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "cus",
        "cus_",
        "0" * 32,
        "_" + "0" * 32,
        "c_" + "0" * 32,
        "toolong_" + "0" * 32,
        "CUS_" + "0" * 32,
        "cus_" + "A" * 32,
        "cus_" + "0" * 31,
        "cus_" + "0" * 33,
        "cus_" + "g" * 32,
        "cus_" + "\N{FULLWIDTH DIGIT ZERO}" * 32,
        "cus_" + "0" * 32 + "\n",
        " cus_" + "0" * 32,
        "cus_20bcd998-43c0-4ade-9615-eaaa4f3eb191",
    ],
)
def test_a_malformed_id_is_refused(malformed: str) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        ids.read(malformed)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        prefix, uuid = ids.read(text)
    except ValueError:
        return
    assert ids.show(prefix, uuid) == text


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="should begin with 'cus_'"):
        ids.read_as("cus", ids.show("con", uuid4()))


@pytest.mark.parametrize("prefix", ["", "c", "customer", "Cus", "c1", "cu_"])
def test_a_malformed_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="is not a prefix"):
        ids.show(prefix, uuid4())

"""Sealed values open with their key and in their place only; keys can be rotated; masks hide."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.keyring import Keyring, KeyringError, mask_identity, mask_phone, mask_tail

OLD, NEW, INDEX = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
SEALED = "v1.a.AAAAAAAAAAAAAAAA6TzeuIfeAJx2yPs6Vd2n463b7A1BJWhCAL2mlGnF7OaWeg"
RING = Keyring({"a": OLD}, "a", INDEX)
ROTATED = Keyring({"b": NEW, "a": OLD}, "b", INDEX)


def text_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


def counting() -> Callable[[int], bytes]:
    """Bytes that differ from call to call and are the same in every run."""
    calls = iter(range(256))
    return lambda count: bytes([next(calls)]) * count


# Sealing


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_what_is_sealed_opens_in_its_context(plain: str, context: str) -> None:
    assert RING.open(RING.seal(plain, context), context) == plain


def test_a_sealed_value_names_its_version_and_key() -> None:
    version, key_id, body = RING.seal("320501199001011234", "row").split(".")
    assert (version, key_id) == ("v1", "a")
    assert len(base64.urlsafe_b64decode(body + "==")) == 12 + 18 + 16


def test_the_same_value_is_never_sealed_alike() -> None:
    assert RING.seal("x", "row") != RING.seal("x", "row")


def test_the_form_of_a_sealed_value_stays_readable_in_later_releases() -> None:
    ring = Keyring({"a": OLD}, "a", INDEX, counting())
    assert ring.seal("510101199001019987", "contacts.identity_number:1") == SEALED
    assert RING.open(SEALED, "contacts.identity_number:1") == "510101199001019987"


def test_a_sealed_value_does_not_open_elsewhere() -> None:
    with pytest.raises(KeyringError, match="belongs elsewhere"):
        RING.open(RING.seal("x", "row 1"), "row 2")


@given(st.data())
def test_a_changed_value_does_not_open(data: st.DataObject) -> None:
    sealed = RING.seal("320501199001011234", "row")
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != sealed[place]))
    with pytest.raises(KeyringError):
        RING.open(sealed[:place] + other + sealed[place + 1 :], "row")


@pytest.mark.parametrize(
    "text", ["", "plain", "v1", "v1.a", "v1.a.", "v1.a.AAAA", "v2.a.AAAA", "v1.a.!!!!", "v1..AAAA"]
)
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(KeyringError, match="not a sealed value"):
        RING.open(text, "row")


@given(st.text())
def test_any_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(KeyringError):
        RING.open(text, "row")


# Rotation


def test_after_rotation_old_values_open_and_new_ones_take_the_new_key() -> None:
    old = RING.seal("x", "row")
    assert ROTATED.open(old, "row") == "x"
    assert ROTATED.seal("x", "row").startswith("v1.b.")
    assert not ROTATED.is_current(old)
    assert ROTATED.is_current(ROTATED.seal("x", "row"))


def test_a_value_of_a_key_that_was_taken_away_does_not_open() -> None:
    with pytest.raises(KeyringError, match="no key 'b'"):
        RING.open(ROTATED.seal("x", "row"), "row")


def test_the_blind_index_outlives_rotation() -> None:
    assert RING.blind("x", "column") == ROTATED.blind("x", "column")


# Blind indexes


@pytest.mark.parametrize(
    "written",
    ["32050119900101123x", " 320501 19900101 123X ", "320501-19900101-123X", "32050119900101123\uff38"],
)
def test_one_number_has_one_blind_index_however_it_is_written(written: str) -> None:
    assert RING.blind(written, "column") == RING.blind("32050119900101123X", "column")


def test_a_blind_index_is_32_hexadecimal_digits() -> None:
    blind = RING.blind("x", "column")
    assert len(blind) == 32
    assert int(blind, 16) >= 0


def test_blind_indexes_differ_by_value_column_and_key() -> None:
    other_key = Keyring({"a": OLD}, "a", NEW)
    assert len({
        RING.blind("x", "column"),
        RING.blind("y", "column"),
        RING.blind("x", "other"),
        RING.blind("nx", "colum"),
        other_key.blind("x", "column"),
    }) == 5  # fmt: skip


# Settings


def test_the_first_key_of_the_setting_seals_and_all_open() -> None:
    ring = Keyring.parse(f"b:{text_of(NEW)}, a:{text_of(OLD)}", text_of(INDEX))
    assert ring.current == "b"
    assert ring.open(RING.seal("x", "row"), "row") == "x"
    assert ring.blind("x", "column") == RING.blind("x", "column")


def test_a_generated_key_can_be_put_first() -> None:
    first = Keyring.generate_text(counting())
    index = Keyring.generate_index_text(counting())
    ring = Keyring.parse(f"{Keyring.generate_text()},{first}", index)
    assert ring.open(Keyring.parse(first, index).seal("x", "row"), "row") == "x"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("", "form id:base64"),
        (text_of(OLD), "form id:base64"),
        (f"a:{text_of(OLD)},", "form id:base64"),
        (f":{text_of(OLD)}", "key id is not"),
        (f"a.b:{text_of(OLD)}", "key id is not"),
        (f"{text_of(OLD)}:a", "key id is not"),
        ("a:***", "'a' is not base64"),
        ("a:QUJD", "'a' is not 32 bytes long"),
        (f"a:{text_of(OLD)},a:{text_of(NEW)}", "stands twice"),
    ],
)
def test_a_malformed_setting_is_refused_without_showing_it(keys: str, problem: str) -> None:
    with pytest.raises(KeyringError, match=problem) as refused:
        Keyring.parse(keys, text_of(INDEX))
    assert text_of(OLD) not in str(refused.value)


@pytest.mark.parametrize("index_key", ["", "QUJD", "***"])
def test_a_malformed_index_key_is_refused(index_key: str) -> None:
    with pytest.raises(KeyringError, match="index key"):
        Keyring.parse(f"a:{text_of(OLD)}", index_key)


def test_the_current_key_must_be_in_the_ring() -> None:
    with pytest.raises(KeyringError, match="current key"):
        Keyring({"a": OLD}, "b", INDEX)


def test_a_keyring_shows_no_key() -> None:
    assert repr(RING) == "Keyring(current='a')"


# Masks


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("510101199001019987", "510***********9987"),
        ("510101900101998", "510********1998"),
        ("E12345678", "*****5678"),
        ("A1", "*1"),
        ("", ""),
    ],
)
def test_an_identity_number_shows_its_first_three_and_last_four(number: str, masked: str) -> None:
    assert mask_identity(number) == masked


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13812341234", "138****1234"),
        ("138-1234 1234", "138****1234"),
        ("+86 138 1234 1234", "138****1234"),
        ("008613812341234", "138****1234"),
        ("１３８１２３４１２３４", "138****1234"),
        ("0512-65123456", "051*****3456"),
        ("65123456", "****3456"),
        ("110", "**0"),
        ("", ""),
    ],
)
def test_a_phone_number_shows_its_first_three_and_last_four(phone: str, masked: str) -> None:
    assert mask_phone(phone) == masked


def test_a_tail_is_never_more_than_half() -> None:
    assert mask_tail("6222020200112233445", 4) == "***************3445"
    assert mask_tail("12345", 4) == "***45"
    assert mask_tail("12345678", 0) == "********"


@given(st.text(), st.integers(0, 40))
def test_a_mask_keeps_the_length_and_hides_at_least_half(value: str, keep: int) -> None:
    masked = mask_tail(value, keep)
    assert len(masked) == len(value)
    assert masked.startswith("*" * ((len(value) + 1) // 2))


def test_a_negative_tail_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mask_tail("x", -1)

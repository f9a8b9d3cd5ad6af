"""Vehicle identification numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_auto_dealer.vehicles.vin import check_digit, compact, is_valid, with_check_digit

CHARACTERS = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
NUMBERS = st.text(CHARACTERS, min_size=17, max_size=17)


@pytest.mark.parametrize("vin", ["1M8GDM9AXKP042788", "11111111111111111", "1HGCM82633A004352"])
def test_published_numbers_are_valid(vin: str) -> None:
    assert is_valid(vin)


@pytest.mark.parametrize(
    "vin",
    [
        "",
        "1M8GDM9AXKP04278",
        "1M8GDM9AXKP0427888",
        "1M8GDM9A1KP042788",
        "IM8GDM9AXKP042788",
        "1M8GDM9AXKP04278\n",
    ],
)
def test_wrong_length_letter_or_check_digit_is_refused(vin: str) -> None:
    assert not is_valid(vin)


def test_case_spaces_and_dashes_do_not_matter() -> None:
    assert compact(" 1m8g-dm9a xkp042788 ") == "1M8GDM9AXKP042788"


@given(NUMBERS)
def test_the_ninth_character_does_not_count_for_itself(vin: str) -> None:
    mended = with_check_digit(vin)
    assert is_valid(mended)
    assert check_digit(mended) == check_digit(vin) == mended[8]
    assert mended[:8] + mended[9:] == vin[:8] + vin[9:]


@given(NUMBERS, st.integers(0, 16).filter(lambda place: place != 8), st.sampled_from("0123456789"))
def test_another_digit_in_one_place_is_noticed(vin: str, place: int, digit: str) -> None:
    mended = with_check_digit(vin[:place] + "0" + vin[place + 1 :])
    altered = mended[:place] + digit + mended[place + 1 :]
    assert is_valid(altered) is (digit == "0")

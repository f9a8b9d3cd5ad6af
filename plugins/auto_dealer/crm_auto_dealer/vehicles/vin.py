"""Vehicle identification numbers (车辆识别代号, VIN): 17 characters of ISO 3779 with the check digit of GB 16735."""

from __future__ import annotations

import re

_FORM = re.compile(r"[0-9A-HJ-NPR-Z]{17}")
_SEPARATORS = re.compile(r"[\s\-]+")
_VALUES = {str(digit): digit for digit in range(10)} | dict(
    zip(
        "ABCDEFGHJKLMNPRSTUVWXYZ",
        (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9),
        strict=True,
    )
)
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_CHECK_PLACE = 8


def compact(text: str) -> str:
    """The number as it is kept: upper case, without spaces and dashes."""
    return _SEPARATORS.sub("", text).upper()


def check_digit(vin: str) -> str:
    """The ninth character that the other sixteen ask for: 0 to 9 or X. `vin` is compact and well-formed."""
    rest = sum(_VALUES[character] * weight for character, weight in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if rest == 10 else str(rest)  # noqa: PLR2004  # the remainder that has no digit of its own


def is_valid(vin: str) -> bool:
    """Whether a compact number has the form (no I, O, Q) and the right check digit."""
    return _FORM.fullmatch(vin) is not None and vin[_CHECK_PLACE] == check_digit(vin)


def with_check_digit(vin: str) -> str:
    """A compact number of the right form with its ninth character put right."""
    return vin[:_CHECK_PLACE] + check_digit(vin) + vin[_CHECK_PLACE + 1 :]

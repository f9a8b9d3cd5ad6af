"""Numbers people write down: telephone, identity and credit numbers and company names, read into comparable forms."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

import phonenumbers
from stdnum.cn import ric, uscc
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError


class PhoneKind(StrEnum):
    """What a telephone number reaches: a mobile (手机) or a fixed line (座机; 400 and 800 numbers too)."""

    MOBILE = "MOBILE"
    LANDLINE = "LANDLINE"


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """One number of a cell: as written, in E.164, its kind, and the extension (分机) of a fixed line.

    Numbers are compared by `e164`, which never contains the extension.
    """

    raw: str
    e164: str
    kind: PhoneKind
    extension: str | None = None


@dataclass(frozen=True, slots=True)
class PhoneCell:
    """What one telephone cell holds: the numbers found, the parts that are none, and whether it says "none"."""

    raw: str
    numbers: tuple[PhoneNumber, ...] = ()
    invalid: tuple[str, ...] = ()
    placeholder: bool = False


_WORDS_FOR_NONE = """
无 无电话 无手机 暂无 暂无电话 没有 没有电话 不详 不明 不知道 未知 未留 未留电话 未提供 未填 拒留 拒绝提供 空 缺 待补 待补充
- -- --- — —— / \\ . * ? ?? n/a na nil none null no tbd
1234567 12345678 123456789 1234567890 12345678901 123456789012
"""
_PLACEHOLDERS = frozenset(_WORDS_FOR_NONE.split())
_REPEATED_DIGIT = re.compile(r"0+|(\d)\1{4,}")
_IDENTITY_LENGTH = 18
_LONGEST_EXTENSION = 6
_SEPARATORS = re.compile(r"[/／、;；,，|｜\n\r]|或")
_BRACKETED_REMARK = re.compile(r"\([^0-9()]*\)")
_COUNTRY_PREFIX = re.compile(r"^(?:\(?(?:\+|00)86\)?|86(?=[\s-]*1[3-9]))[\s-]*")
_MOBILE = re.compile(r"1[3-9]\d{9}")
_SERVICE = re.compile(r"[48]00\d{7}")
_EXTENSION_WORD = re.compile(r"\s*(?:转|分机号?|ext\.?|#|x)\s*[:.]?\s*(\d{1,6})$", re.IGNORECASE)
_FIXED_LINE = re.compile(r"0?(?:(10|2\d)([2-8]\d{7})|([3-9]\d\d)([2-8]\d{6,7}))")
_ZERO_WIDTH = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")


def parse_phones(cell: str, region: str = "CN") -> PhoneCell:
    """Read a telephone cell (电话) that may hold several numbers, a placeholder such as 无, or neither.

    Full-width digits, spaces, hyphens, brackets and +86 are spelling; equal numbers of one cell count once.
    `region` is the ISO country of numbers without a country prefix.
    """
    if is_placeholder(cell):
        return PhoneCell(raw=cell, placeholder=bool(_plain(cell)))
    numbers: dict[str, PhoneNumber] = {}
    invalid: list[str] = []
    said_none = False
    for part in _parts(cell, region):
        number = _read_number(part, region)
        if number is not None:
            numbers.setdefault(number.e164, number)
        elif is_placeholder(part):
            said_none = True
        else:
            invalid.append(part)
    alone = said_none and not numbers and not invalid
    return PhoneCell(cell, tuple(numbers.values()), tuple(invalid), placeholder=alone)


def is_placeholder(text: str) -> bool:
    """Whether a text is empty or says "there is none": 无, 暂无, 不详, -, 0, or one digit repeated (11111111111)."""
    plain = _plain(text).casefold().replace(" ", "")
    if not plain or plain in _PLACEHOLDERS:
        return True
    return _REPEATED_DIGIT.fullmatch(plain.replace("-", "")) is not None


def normalise_identity(number: str) -> str:
    """An identity number (身份证号) without spaces and hyphens, half-width, its X a capital."""
    return re.sub(r"[\s-]", "", _plain(number)).upper()


def identity_number_problem(number: str) -> str | None:
    """What is wrong with an identity number (身份证号): LENGTH, FORMAT, CHECK_DIGIT or BIRTH_DATE; None if nothing.

    An area code missing from today's tables is no problem: areas are renamed, numbers stay.
    """
    plain = normalise_identity(number)
    shape = _shape_problem(plain, re.compile(r"\d{17}[\dX]"))
    if shape is not None:
        return shape
    if plain[-1] != ric.calc_check_digit(plain):
        return "CHECK_DIGIT"
    try:
        ric.get_birth_date(plain)
    except ValidationError:
        return "BIRTH_DATE"
    return None


def normalise_credit_code(code: str) -> str:
    """A unified social credit code (统一社会信用代码) without spaces and hyphens, half-width, in capitals."""
    return re.sub(r"[\s-]", "", _plain(code)).upper()


def credit_code_problem(code: str) -> str | None:
    """What is wrong with a credit code (统一社会信用代码): LENGTH, FORMAT or CHECK_DIGIT; None if nothing."""
    plain = normalise_credit_code(code)
    if not plain.isascii():
        return "FORMAT"
    try:
        uscc.validate(plain)
    except InvalidLength:
        return "LENGTH"
    except InvalidChecksum:
        return "CHECK_DIGIT"
    except (InvalidFormat, ValidationError):
        return "FORMAT"
    return None


def company_key(name: str) -> str | None:
    """The comparable form of a company's name, or None when nothing remains.

    Bracket width, spaces, full-width letters, case and 有限公司/有限责任公司 are left aside; 股份有限公司 stays apart.
    """
    plain = re.sub(r"\s", "", _plain(name)).casefold()
    plain = plain.translate(str.maketrans("[{【〔〖«<", "(((((((")).translate(
        str.maketrans("]}】〕〗»>", ")))))))")
    )
    return re.sub("有限责任公司|有限公司", "", plain) or None


def _plain(text: str) -> str:
    return _ZERO_WIDTH.sub("", unicodedata.normalize("NFKC", text)).strip()


def _shape_problem(plain: str, pattern: re.Pattern[str]) -> str | None:
    if len(plain) != _IDENTITY_LENGTH:
        return "LENGTH"
    return None if plain.isascii() and pattern.fullmatch(plain) else "FORMAT"


def _parts(cell: str, region: str) -> list[str]:
    parts: list[str] = []
    for part in _SEPARATORS.split(cell):
        words = part.split()
        apart = len(words) > 1 and all(_read_number(word, region) is not None for word in words)
        parts.extend(words if apart else [part.strip()])
    return [part for part in parts if part]


def _read_number(part: str, region: str) -> PhoneNumber | None:
    plain = _BRACKETED_REMARK.sub("", _plain(part)).strip()
    if region != "CN":
        return _read_foreign(part, plain, region)
    if re.match(r"\(?(?:\+|00)(?!86)", plain):
        return _read_foreign(part, re.sub(r"^00", "+", plain), region)
    return _read_chinese(part, plain)


def _read_chinese(part: str, plain: str) -> PhoneNumber | None:
    bare = _COUNTRY_PREFIX.sub("", plain)
    word = _EXTENSION_WORD.search(bare)
    body = bare[: word.start()] if word else bare
    if re.search(r"[^\d\s()-]", body):
        return None
    digits = re.sub(r"\D", "", body)
    if _MOBILE.fullmatch(digits) and word is None:
        return PhoneNumber(part, f"+86{digits}", PhoneKind.MOBILE)
    if _SERVICE.fullmatch(digits):
        return PhoneNumber(part, f"+86{digits}", PhoneKind.LANDLINE, word[1] if word else None)
    return _read_fixed_line(part, body, word[1] if word else None, national=bare != plain)


def _read_fixed_line(part: str, body: str, extension: str | None, *, national: bool) -> PhoneNumber | None:
    """An area code with a local number, and an extension as a last group; `national`: +86 stood before it."""
    groups = re.findall(r"\d+", body)
    for used in range(len(groups), 0, -1):
        rest = groups[used:]
        found = _FIXED_LINE.fullmatch("".join(groups[:used]))
        if found is None or not (national or groups[0].startswith("0")):
            continue
        if len(rest) > 1 or (rest and (extension is not None or len(rest[0]) > _LONGEST_EXTENSION)):
            return None
        e164 = "+86" + "".join(group for group in found.groups() if group)
        return PhoneNumber(part, e164, PhoneKind.LANDLINE, rest[0] if rest else extension)
    return None


def _read_foreign(part: str, plain: str, region: str) -> PhoneNumber | None:
    try:
        parsed = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    fixed = phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.FIXED_LINE
    kind = PhoneKind.LANDLINE if fixed else PhoneKind.MOBILE
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return PhoneNumber(part, e164, kind, parsed.extension or None)

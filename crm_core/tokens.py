"""Search tokens: what a record is found by, Chinese text by characters, pinyin and initials alike.

A record stores `tokens_of` its names, phones and codes; a search asks for the `query_groups` of what was typed. Both
are plain words of ASCII letters and digits, so each is exactly one token of SQLite FTS5 (any tokenizer) and one
element of a PostgreSQL array. The first letter says what a token stands for:

| Token            | Stands for                                          | Example                          |
| ---------------- | --------------------------------------------------- | -------------------------------- |
| `c<hex>`         | one character                                       | `c534e` 华                       |
| `b<hex>x<hex>`   | two characters next to each other                   | `b534ex4fe1` 华信                |
| `p<syllable>`    | one syllable of pinyin                              | `phua`                           |
| `q<syl>0<syl>`   | two syllables next to each other                    | `qhua0xin`                       |
| `i<letters>`     | two initials next to each other                     | `ihx`                            |
| `j<letters>`     | the initials of a whole run of characters           | `jhxkj` 华信科技                 |
| `w<word>`        | a word, or its beginning of three letters and more  | `wtesla`, `wtes`                 |
| `n<digits>`      | the last 4 to 11 digits of a phone number           | `n1234`                          |
| `k<code>`        | a code, or its beginning of four letters and more   | `kcus2024`, `kcus2`              |
| `u`, `h` + hex   | words and codes with letters other than a to z      | `h82cfx65x31` 苏E1               |
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, groupby, pairwise, product
from math import prod
from types import ModuleType

Alternative = tuple[str, ...]
"""Tokens that must all be present for a row to match."""

_MOST_READINGS = 4
_WITHOUT_TONES = 0
"""pypinyin's `Style.NORMAL`."""
_MOST_SEGMENTATIONS = 8
_MOST_ALTERNATIVES = 64
_MOST_QUERY_CHARACTERS = 64
_MOST_WORD_CHARACTERS = 64
_SHORTEST_WORD_BEGINNING = 3
_SHORTEST_CODE_BEGINNING = 4
_SHORTEST_PHONE_END = 4
_LONGEST_PHONE_END = 11
_LONGEST_EXACT_RUN = 2

# How a character is read as a surname where the dictionary has another reading first, or does not know it at all.
_SURNAME_READINGS = {
    "乐": ("yue", "le"),
    "仇": ("qiu",),
    "区": ("ou",),
    "华": ("hua",),
    "单": ("shan",),
    "召": ("shao",),
    "尉": ("wei", "yu"),
    "折": ("she",),
    "曾": ("zeng",),
    "朴": ("piao", "pu"),
    "查": ("zha",),
    "盖": ("ge", "gai"),
    "种": ("chong",),
    "秘": ("bi",),
    "缪": ("miao",),
    "翟": ("zhai",),
    "覃": ("qin", "tan"),
    "解": ("xie",),
    "谌": ("chen", "shen"),
    "贠": ("yun",),
    "那": ("na",),
    "郗": ("xi", "chi"),
    "隗": ("wei", "kui"),
    "黑": ("he",),
}

_SYLLABLES = frozenset(
    """
    a ai an ang ao ba bai ban bang bao bei ben beng bi bian biao bie bin bing bo bu ca cai can cang cao ce cen ceng
    cha chai chan chang chao che chen cheng chi chong chou chu chua chuai chuan chuang chui chun chuo ci cong cou cu
    cuan cui cun cuo da dai dan dang dao de dei den deng di dia dian diao die ding diu dong dou du duan dui dun duo
    e ei en eng er fa fan fang fei fen feng fo fou fu ga gai gan gang gao ge gei gen geng gong gou gu gua guai guan
    guang gui gun guo ha hai han hang hao he hei hen heng hong hou hu hua huai huan huang hui hun huo ji jia jian
    jiang jiao jie jin jing jiong jiu ju juan jue jun ka kai kan kang kao ke kei ken keng kong kou ku kua kuai kuan
    kuang kui kun kuo la lai lan lang lao le lei len leng li lia lian liang liao lie lin ling liu lo long lou lu luan
    lun luo lv lve ma mai man mang mao me mei men meng mi mian miao mie min ming miu mo mou mu na nai nan nang nao ne
    nei nen neng ni nian niang niao nie nin ning niu nong nou nu nuan nuo nv nve o ou pa pai pan pang pao pei pen
    peng pi pian piao pie pin ping po pou pu qi qia qian qiang qiao qie qin qing qiong qiu qu quan que qun ran rang
    rao re ren reng ri rong rou ru ruan rui run ruo sa sai san sang sao se sen seng sha shai shan shang shao she shei
    shen sheng shi shou shu shua shuai shuan shuang shui shun shuo si song sou su suan sui sun suo ta tai tan tang tao
    te tei teng ti tian tiao tie ting tong tou tu tuan tui tun tuo wa wai wan wang wei wen weng wo wu xi xia xian
    xiang xiao xie xin xing xiong xiu xu xuan xue xun ya yan yang yao ye yi yin ying yo yong you yu yuan yue yun za
    zai zan zang zao ze zei zen zeng zha zhai zhan zhang zhao zhe zhei zhen zheng zhi zhong zhou zhu zhua zhuai zhuan
    zhuang zhui zhun zhuo zi zong zou zu zuan zui zun zuo
    """.split()  # noqa: SIM905 - four hundred quoted words would be read by nobody
)
_SPELLINGS = {syllable: syllable for syllable in _SYLLABLES} | {
    "lyu": "lv",  # as passports spell 吕
    "nyu": "nv",
    "lyue": "lve",
    "nyue": "nve",
    "lue": "lve",
    "nue": "nve",
}
_LONGEST_SPELLING = max(map(len, _SPELLINGS))
_INITIALS = frozenset("abcdefghjklmnopqrstwxyz")

_EXTENSION = re.compile(r"转|轉|分机|ext|[#*x;,]")
_PHONE_QUERY = re.compile(r"[+(\d][\d\s()+./-]*")


def tokens_of(texts: Iterable[str], phones: Iterable[str] = (), codes: Iterable[str] = ()) -> tuple[str, ...]:
    """All tokens a record is found by, sorted, each once.

    Args:
        texts: names and other free text; characters of any width, traditional ones stay what they are.
        phones: phone numbers with or without separators, country code and extension.
        codes: numbers of documents, plates, vehicles; found by their beginning, separators and case aside.
    """
    tokens: set[str] = set()
    for text in texts:
        for kind, run in _runs(_normalised(text)):
            tokens.update(_character_tokens(run) if kind == "c" else _word_tokens(run))
    for phone in phones:
        tokens.update(_phone_tokens(phone))
    for code in codes:
        tokens.update(_code_tokens(code))
    return tuple(sorted(tokens))


def query_groups(text: str) -> tuple[Alternative, ...]:
    """What a search must match: a row matches when all tokens of at least one alternative are present.

    `hx` asks for the word or the initials, `huaxin` for the word or the syllables however they can be divided,
    `华信` for the two characters together, `8888` for the end of a phone number or the beginning of a code; several
    words must all be found. Nothing comes back for a search too short to mean anything (nothing but punctuation, or
    one digit): it matches nothing.
    """
    query = _normalised(text)[:_MOST_QUERY_CHARACTERS].strip()
    runs = list(_runs(query))
    if not runs or (len(runs) == 1 and _is_one_digit(runs[0][1])):
        return ()
    together = (tuple(dict.fromkeys(chain.from_iterable(chosen))) for chosen in _combinations(runs))
    return tuple(dict.fromkeys((*together, *_whole_alternatives(query))))


def recheck_pattern(text: str) -> str | None:
    """The characters a found row must contain side by side, to be compared with LIKE, or None when nothing is left.

    Two characters are exact; of three and more the tokens say only that every two of them are neighbours somewhere.
    It is given for searches of Chinese characters alone, where every alternative means these characters; it holds no
    wildcard of LIKE. The compared column must be in Unicode form NFKC.
    """
    query = _normalised(text)[:_MOST_QUERY_CHARACTERS].strip()
    runs = list(_runs(query))
    if any(kind != "c" for kind, _ in runs):
        return None
    longest = max((run for _, run in runs), key=len, default="")
    return longest if len(longest) > _LONGEST_EXACT_RUN else None


# What a record is found by


def _character_tokens(run: str) -> Iterator[str]:
    """Tokens of characters written without a space between them."""
    yield from map(_character, run)
    yield from map(_bigram, pairwise(run))
    for reading in _readings(run):
        initials = "".join(syllable[0] for syllable in reading)
        yield from map(_syllable, reading)
        yield from map(_syllable_pair, pairwise(reading))
        yield from map(_initial_pair, pairwise(initials))
        yield f"j{initials}"


def _word_tokens(run: str) -> Iterator[str]:
    word = _without_accents(run)[:_MOST_WORD_CHARACTERS]
    for end in range(_SHORTEST_WORD_BEGINNING, len(word)):
        yield _word(word[:end])
    if word:
        yield _word(word)


def _phone_tokens(phone: str) -> Iterator[str]:
    number = _EXTENSION.split(_normalised(phone), maxsplit=1)[0]
    digits = _digits(number)
    for length in range(_SHORTEST_PHONE_END, min(len(digits), _LONGEST_PHONE_END) + 1):
        yield f"n{digits[-length:]}"


def _code_tokens(code: str) -> Iterator[str]:
    compact = _compact(_normalised(code))[:_MOST_WORD_CHARACTERS]
    for end in range(_SHORTEST_CODE_BEGINNING, len(compact)):
        yield _code(compact[:end])
    if compact:
        yield _code(compact)


# How characters are read


def _readings(run: str) -> Iterator[tuple[str, ...]]:
    """The ways to read a run of characters; a character without a reading divides it."""
    known = [_readings_of(character) for character in run]
    place = 0
    for has_reading, group in groupby(known, key=bool):
        readings = list(group)
        if has_reading:
            yield from _readings_in_context(run[place : place + len(readings)], readings)
        place += len(readings)


def _readings_in_context(run: str, known: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """At most four readings of a run: the one of its words first, then others of single characters.

    The first character comes before the rest because it may be a surname: 曾国藩 is zeng, 曾经 is ceng.
    """
    first = _in_words(run, known)
    found = [first]
    for place, readings in enumerate(known):
        others = readings if place else _SURNAME_READINGS.get(run[0], ()) + readings
        wanted = [other for other in dict.fromkeys(others) if other != first[place]]
        for other in wanted[: 1 if place else None]:
            if len(found) == _MOST_READINGS:
                return found
            found.append((*first[:place], other, *first[place + 1 :]))
    return found


def _in_words(run: str, known: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The reading of a run by the words in it, which settle most characters of several readings."""
    if all(len(readings) == 1 for readings in known):
        return tuple(readings[0] for readings in known)
    words = _dictionary().lazy_pinyin(run, style=_WITHOUT_TONES, errors="ignore")
    if len(words) != len(run):
        words = [readings[0] for readings in known]
    return tuple(
        word if word in _SYLLABLES else readings[0] for word, readings in zip(words, known, strict=True)
    )


@lru_cache(maxsize=16_384)
def _readings_of(character: str) -> tuple[str, ...]:
    """Every reading of a character without tones, the usual one first; none for what is not Chinese."""
    found = _dictionary().pinyin(character, style=_WITHOUT_TONES, heteronym=True, errors="ignore")
    return tuple(syllable for readings in found for syllable in readings if syllable in _SYLLABLES)


def _dictionary() -> ModuleType:
    """Readings of characters and words: 55 MB, so it is read when the first name is put into the index."""
    import pypinyin  # noqa: PLC0415

    return pypinyin


# What a search asks for


def _combinations(runs: Sequence[tuple[str, str]]) -> Iterable[tuple[Alternative, ...]]:
    """Every choice of one alternative for each part of a search, or the likeliest ones when there are too many."""
    spelled = [_spelled_out(kind, run) for kind, run in runs]
    shortened = [[*found, *_by_initials(kind, run)] for found, (kind, run) in zip(spelled, runs, strict=True)]
    for choices in (shortened, spelled):
        if prod(map(len, choices)) <= _MOST_ALTERNATIVES:
            return product(*choices)
    words = tuple(found[0] for found in spelled)
    syllables = tuple(found[min(1, len(found) - 1)] for found in spelled)
    return words, syllables


def _spelled_out(kind: str, run: str) -> list[Alternative]:
    """One part of a search taken as characters, or as a word and as pinyin."""
    if kind == "c":
        return [tuple(map(_bigram, pairwise(run))) or (_character(run),)]
    word = _without_accents(run)[:_MOST_WORD_CHARACTERS]
    return [(_word(word),), *map(_syllable_tokens, _segmentations(_latin_pinyin(run)))]


def _by_initials(kind: str, run: str) -> list[Alternative]:
    letters = _latin_pinyin(run) if kind == "w" else ""
    if not letters or not _INITIALS.issuperset(letters):
        return []
    return [tuple(map(_initial_pair, pairwise(letters))) or (f"j{letters}",)]


def _whole_alternatives(query: str) -> Iterator[Alternative]:
    """The ways to understand a search as a whole: the end of a phone number, the beginning of a code."""
    if _PHONE_QUERY.fullmatch(query):
        digits = _digits(query)
        if len(digits) >= _SHORTEST_PHONE_END:
            yield (f"n{digits[-_LONGEST_PHONE_END:]}",)
    compact = _compact(query)
    if len(compact) > 1 and any(character.isascii() for character in compact):
        yield (_code(compact),)


def _syllable_tokens(syllables: Sequence[str]) -> Alternative:
    return tuple(map(_syllable_pair, pairwise(syllables))) or (_syllable(syllables[0]),)


def _segmentations(letters: str) -> list[tuple[str, ...]]:
    """The ways to divide letters into syllables, long syllables first: `xian` is xian or xi'an."""
    ends = _endable(letters)
    found: list[tuple[str, ...]] = []

    def divide(start: int, before: tuple[str, ...]) -> None:
        if start == len(letters) and before:
            found.append(before)
        for end in range(min(start + _LONGEST_SPELLING, len(letters)), start, -1):
            if len(found) == _MOST_SEGMENTATIONS:
                return
            syllable = _SPELLINGS.get(letters[start:end])
            if syllable and end in ends:
                divide(end, (*before, syllable))

    if 0 in ends:
        divide(0, ())
    return found


def _endable(letters: str) -> set[int]:
    """The places from which the rest can be divided into syllables; looking at no others keeps the search short."""
    places = {len(letters)}
    for start in range(len(letters) - 1, -1, -1):
        ends = range(start + 1, min(start + _LONGEST_SPELLING, len(letters)) + 1)
        if any(end in places and letters[start:end] in _SPELLINGS for end in ends):
            places.add(start)
    return places


# How text is divided


def _normalised(text: str) -> str:
    """Text in half width and lower case, without characters that show nothing."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded if folded.isascii() else "".join(c for c in folded if _kind(c) != "invisible")


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a text: `c` and characters without case, such as Chinese, or `w` and a word of letters and digits."""
    for kind, group in groupby(text, key=_kind):
        run = "".join(group)
        if kind == "c" or (kind == "w" and _without_accents(run)):
            yield kind, run


@lru_cache(maxsize=16_384)
def _kind(character: str) -> str:
    """What a character is for a search: `c`, `w`, `invisible` or nothing."""
    category = unicodedata.category(character)
    if category in {"Lo", "Lm"} or character == "〇":
        return "c"
    if category == "Cf" or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
        return "invisible"
    return "w" if character.isalnum() or category == "Mn" else ""


def _without_accents(word: str) -> str:
    return (
        word
        if word.isascii()
        else "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
    )


def _latin_pinyin(word: str) -> str:
    """The word as pinyin is typed, tones dropped and ü as v; nothing when it has other letters or digits."""
    with_v = unicodedata.normalize("NFD", word).replace("u\N{COMBINING DIAERESIS}", "v")
    plain = _without_accents(with_v)
    return plain if plain.isascii() and plain.isalpha() else ""


def _compact(code: str) -> str:
    return "".join(character for character in code if character.isalnum())


def _digits(text: str) -> str:
    return "".join(character for character in text if "0" <= character <= "9")


def _is_one_digit(run: str) -> bool:
    return len(run) == 1 and run.isdecimal()


# How tokens are written


@lru_cache(maxsize=16_384)
def _character(character: str) -> str:
    return f"c{ord(character):x}"


def _bigram(pair: tuple[str, str]) -> str:
    return f"b{ord(pair[0]):x}x{ord(pair[1]):x}"


def _syllable(syllable: str) -> str:
    return f"p{syllable}"


def _syllable_pair(pair: tuple[str, str]) -> str:
    return f"q{pair[0]}0{pair[1]}"


def _initial_pair(pair: tuple[str, str]) -> str:
    return f"i{pair[0]}{pair[1]}"


def _word(word: str) -> str:
    return f"w{word}" if word.isascii() else f"u{_hex(word)}"


def _code(code: str) -> str:
    return f"k{code}" if code.isascii() else f"h{_hex(code)}"


def _hex(text: str) -> str:
    return "x".join(f"{ord(character):x}" for character in text)

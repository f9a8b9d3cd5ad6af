"""Records are found by characters, pinyin, initials, words, phone ends and codes, in SQLite as in memory."""

import re
import sqlite3
import timeit
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_core import tokens
from crm_core.tokens import query_groups, recheck_pattern, tokens_of

RARE = "\U00020bb7\U00020b9f"  # characters of extension B, four bytes in UTF-8
NAMES = [
    "华信科技有限公司",
    "曾国藩",
    "重庆长安汽车",
    f"{RARE}野家",
    "Tesla 上海",
    "ВАЗ 4S店",
    "さくら",
    "Nestlé",
    "吕布",
]
CHINESE = st.text(
    st.sampled_from("华信科技重庆长安曾国藩单于仇解查吕女行乐〇嗯" + RARE), min_size=1, max_size=12
)
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=30)


def finds(query: str, *texts: str, phones: Sequence[str] = (), codes: Sequence[str] = ()) -> bool:
    """Whether a record with these texts is among the results, the recheck included."""
    stored = set(tokens_of(texts, phones, codes))
    pattern = recheck_pattern(query)
    matched = any(stored.issuperset(alternative) for alternative in query_groups(query))
    return matched and (pattern is None or any(pattern in text for text in texts))


# Chinese characters


@pytest.mark.parametrize("query", ["华", "信科", "华信", "信科技", "华信科技有限公司"])
def test_a_name_is_found_by_any_characters_side_by_side(query: str) -> None:
    assert finds(query, "华信科技有限公司")


@pytest.mark.parametrize("query", ["科华", "华科", "信华信", "国"])
def test_characters_that_do_not_stand_side_by_side_do_not_match(query: str) -> None:
    assert not finds(query, "华信科技有限公司")


def test_bigrams_that_match_apart_are_left_to_the_recheck() -> None:
    apart = "华信和信科"
    assert any(set(tokens_of([apart])).issuperset(group) for group in query_groups("华信科"))
    assert recheck_pattern("华信科") == "华信科"
    assert not finds("华信科", apart)


def test_one_and_two_characters_need_no_recheck() -> None:
    assert recheck_pattern("华") is None
    assert recheck_pattern("华信") is None


def test_only_searches_of_characters_alone_are_rechecked() -> None:
    assert recheck_pattern("上海 华信科技") == "华信科技"
    assert recheck_pattern("华信科技 auto") is None
    assert recheck_pattern("huaxin") is None
    assert recheck_pattern("") is None


def test_all_words_of_a_search_must_be_found() -> None:
    assert finds("上海 华信", "华信科技", "上海")
    assert not finds("上海 华信", "华信科技")


def test_a_search_of_many_words_is_found_as_words_or_as_syllables() -> None:
    name = "上海华信科技有限公司"
    assert finds("shang hai hua xin ke ji you xian gong si", name)
    assert finds("tesla shang hai hua xin ke ji you xian", name, "Tesla")
    assert finds("can fan hong kong man sun long tan", "Can Fan Hong Kong Man Sun Long Tan")


def test_characters_beyond_the_basic_plane_are_found() -> None:
    assert finds(RARE, f"{RARE}野家")
    assert finds(RARE[0], f"{RARE}野家")
    assert finds("yejia", f"{RARE}野家")
    assert not finds(RARE[::-1], f"{RARE}野家")


def test_traditional_characters_are_left_alone() -> None:
    assert finds("華信", "華信科技")
    assert not finds("华信", "華信科技")
    assert finds("huaxin", "華信科技")


def test_other_scripts_without_case_are_found_like_chinese() -> None:
    assert finds("くら", "さくら")


def test_characters_that_show_nothing_change_nothing() -> None:
    assert tokens_of(["华\u200b信\ufe00"]) == tokens_of(["华信"])


# Pinyin


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("huaxin", "华信科技"),
        ("HuaXin", "华信科技"),
        ("hua xin", "华信科技"),
        ("huàxìn", "华信科技"),
        ("keji", "华信科技"),
        ("xinkeji", "华信科技"),
        ("xian", "西安"),
        ("xi'an", "西安"),
        ("xian", "先生"),
        ("fangan", "方案"),
        ("fangan", "反感"),
        ("lvbu", "吕布"),
        ("lübu", "吕布"),
        ("lǚbu", "吕布"),
        ("lyubu", "吕布"),
        ("huanlegu", "欢乐谷"),
        ("shanghaihuaxinkejiyouxiangongsi", "上海华信科技有限公司"),
    ],
)
def test_a_name_is_found_by_its_pinyin(query: str, name: str) -> None:
    assert finds(query, name)


@pytest.mark.parametrize(("query", "name"), [("xinhua", "华信科技"), ("huake", "华信科技"), ("lubu", "吕布")])
def test_other_syllables_do_not_match(query: str, name: str) -> None:
    assert not finds(query, name)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("zengguofan", "曾国藩"),
        ("shantianfang", "单田芳"),
        ("chanyu", "单于"),
        ("qiuying", "仇英"),
        ("xiezhen", "解珍"),
        ("zhahao", "查号"),
        ("zhaliangyong", "查良镛"),
        ("ouyanghai", "欧阳海"),
        ("ou", "区先生"),
        ("piaozhengxi", "朴正熙"),
        ("yuchigong", "尉迟恭"),
        ("moqi", "万俟卨"),
        ("zhangsun", "长孙无忌"),
        ("shen", "谌先生"),
        ("chongqing", "重庆长安"),
        ("zhongqing", "重庆长安"),
        ("changan", "重庆长安"),
        ("yinhang", "中国银行"),
    ],
)
def test_a_character_of_several_readings_is_found_by_each(query: str, name: str) -> None:
    assert finds(query, name)


def test_a_run_has_at_most_four_readings() -> None:
    readings = list(tokens._readings("单单单解解解查查查"))
    assert len(set(readings)) == 4
    assert {reading[0] for reading in readings} == {"dan", "shan", "chan"}


def test_every_common_character_is_read_with_known_syllables() -> None:
    unread = [character for character in _common_characters() if not tokens._readings_of(character)]
    assert unread == ["嗯"]  # an interjection without a vowel, in no name


# Initials


@pytest.mark.parametrize(
    ("query", "name"),
    [("hx", "华信科技"), ("HXKJ", "华信科技"), ("xkj", "华信科技"), ("zgf", "曾国藩"), ("w", "王")],
)
def test_a_name_is_found_by_initials(query: str, name: str) -> None:
    assert finds(query, name)


@pytest.mark.parametrize("query", ["hk", "jk", "hxj", "h"])
def test_initials_that_do_not_follow_each_other_do_not_match(query: str) -> None:
    assert not finds(query, "华信科技")


# Words


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("tesla", "Tesla 上海"),
        ("TES", "Tesla 上海"),
        ("ＴＥＳＬＡ", "Tesla 上海"),
        ("tesla", "Ｔｅｓｌａ"),
        ("nestle", "Nestlé"),
        ("Nestlé", "Nestle"),
        ("strasse", "Straße"),
        ("ваз", "ВАЗ"),
        ("4S店", "华信4S店"),
        ("58", "58同城"),
        ("华信auto", "华信 Auto"),
    ],
)
def test_a_word_is_found_without_case_width_and_accents(query: str, name: str) -> None:
    assert finds(query, name)


def test_the_middle_of_a_word_does_not_match() -> None:
    assert not finds("esla", "Tesla")


# Phones and codes


@pytest.mark.parametrize("query", ["1234", "12341234", "13812341234", "138-1234-1234", "+86 138 1234 1234"])
def test_a_phone_number_is_found_by_its_end(query: str) -> None:
    assert finds(query, phones=["+86 138-1234-1234"])


@pytest.mark.parametrize("query", ["234", "1381", "4", "22341234"])
def test_other_digits_do_not_find_a_phone_number(query: str) -> None:
    assert not finds(query, phones=["13812341234"])


def test_a_landline_is_found_without_its_extension() -> None:
    for landline in ("0512-65123456转801", "0512-65123456 ext. 801", "(0512) 65123456#801"):
        assert finds("65123456", phones=[landline])
        assert finds("0512-65123456", phones=[landline])
        assert not finds("6801", phones=[landline])


@pytest.mark.parametrize("query", ["CUS-2024-0001", "cus-2024", "CUS20240001", "cus2"])
def test_a_code_is_found_by_its_beginning(query: str) -> None:
    assert finds(query, codes=["CUS-2024-0001"])


def test_a_code_is_not_found_by_fewer_than_four_letters_or_its_end() -> None:
    assert not finds("cus", codes=["CUS-2024-0001"])
    assert not finds("0001", codes=["CUS-2024-0001"])


def test_a_short_code_is_found_whole() -> None:
    assert finds("a6", codes=["A6"])


@pytest.mark.parametrize("query", ["苏E12345", "苏e·123", "苏Ｅ12"])
def test_a_plate_is_found_by_its_beginning(query: str) -> None:
    assert finds(query, codes=["苏E·12345"])


# Searches that match nothing


@pytest.mark.parametrize("query", ["", " ", "7", "７", "-", "（）", "😀", "\u200b", "%", '"'])
def test_a_search_too_short_to_mean_anything_matches_nothing(query: str) -> None:
    assert query_groups(query) == ()


@given(ANYTHING)
@example("a" * 5000)
@example("xian" * 50)
@example("a b c d e f g h i j k l m n o p q r s t u v w x y z")
@example("华信" * 500)
def test_a_search_is_bounded_and_its_alternatives_never_empty(query: str) -> None:
    groups = query_groups(query)
    assert len(groups) <= 66
    assert all(groups)
    assert all(len(group) <= 200 for group in groups)


# Tokens


def test_tokens_are_sorted_and_each_comes_once() -> None:
    found = tokens_of(["华信", "华信"], ["13812341234"], ["A123"])
    assert list(found) == sorted(set(found))


def test_the_tokens_of_a_name() -> None:
    assert tokens_of(["吕布"]) == ("b5415x5e03", "c5415", "c5e03", "ilb", "jlb", "pbu", "plv", "qlv0bu")


@given(st.lists(ANYTHING, max_size=3), ANYTHING, ANYTHING)
def test_tokens_are_ascii_letters_and_digits(texts: list[str], phone: str, code: str) -> None:
    assert all(re.fullmatch(r"[a-z][0-9a-z]+", token) for token in tokens_of(texts, [phone], [code]))


@given(CHINESE, st.data())
def test_every_part_of_a_chinese_name_finds_it(name: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(name) - 1))
    end = data.draw(st.integers(start + 1, len(name)))
    assert finds(name[start:end], name)


@given(CHINESE)
def test_every_reading_of_a_chinese_name_finds_it(name: str) -> None:
    for reading in tokens._readings(name):
        assert finds(" ".join(reading), name)
        assert finds("".join(syllable[0] for syllable in reading), name)


@given(CHINESE, CHINESE)
def test_a_found_name_holds_the_characters_that_were_asked_for(query: str, name: str) -> None:
    assert finds(query, name) == (query in name)


@given(ANYTHING.filter(lambda text: bool(query_groups(text))))
@settings(max_examples=300)
def test_a_text_is_found_by_itself(text: str) -> None:
    assert any(set(tokens_of([text])).issuperset(group) for group in query_groups(text))


def test_a_name_takes_well_under_a_millisecond() -> None:
    seconds = min(timeit.repeat(lambda: [tokens_of([name]) for name in NAMES], number=20, repeat=5))
    assert seconds / 20 / len(NAMES) < 0.001


# SQLite

CONTENTLESS = """
create virtual table search using fts5(
    tokens, tokenize = 'unicode61 remove_diacritics 0', content = '', detail = none, columnsize = 0);
"""
EXTERNAL = """
create table named (id integer primary key, tokens text not null);
create virtual table search using fts5(
    tokens, tokenize = 'unicode61 remove_diacritics 0', content = 'named', content_rowid = 'id',
    detail = none, columnsize = 0);
create trigger named_added after insert on named begin
    insert into search (rowid, tokens) values (new.id, new.tokens);
end;
create trigger named_gone after delete on named begin
    insert into search (search, rowid, tokens) values ('delete', old.id, old.tokens);
end;
create trigger named_changed after update on named begin
    insert into search (search, rowid, tokens) values ('delete', old.id, old.tokens);
    insert into search (rowid, tokens) values (new.id, new.tokens);
end;
"""
VOCABULARY = "create virtual table vocabulary using fts5vocab(search, 'row')"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def joined(*texts: str, phones: Sequence[str] = (), codes: Sequence[str] = ()) -> str:
    return " ".join(tokens_of(texts, phones, codes))


def matching(database: sqlite3.Connection, query: str) -> list[int]:
    """The rows of the index a search matches."""
    groups = (" AND ".join(f'"{token}"' for token in group) for group in query_groups(query))
    match = " OR ".join(f"({group})" for group in groups)
    rows = database.execute("select rowid from search where search match ? order by rowid", [match])
    return [row for (row,) in rows]


@pytest.mark.parametrize("schema", [CONTENTLESS, EXTERNAL], ids=["contentless", "external"])
def test_every_token_is_exactly_one_token_of_the_index(database: sqlite3.Connection, schema: str) -> None:
    table = "search (rowid, tokens)" if schema == CONTENTLESS else "named (id, tokens)"
    stored = tokens_of(NAMES, ["0512-65123456"], ["苏E·12345", "CUS-2024-0001"])
    database.executescript(schema)
    database.execute(f"insert into {table} values (1, ?)", [" ".join(stored)])  # noqa: S608 - one of two names above
    database.execute(VOCABULARY)
    assert tuple(term for (term,) in database.execute("select term from vocabulary order by term")) == stored


@given(ANYTHING, ANYTHING)
def test_no_text_breaks_the_index(text: str, code: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(CONTENTLESS)
        database.execute("insert into search (rowid, tokens) values (1, ?)", [joined(text, codes=[code])])
        database.execute(VOCABULARY)
        terms = tuple(term for (term,) in database.execute("select term from vocabulary order by term"))
        assert terms == tokens_of([text], codes=[code])
        if query_groups(text):
            assert matching(database, text) == [1]


def test_the_index_finds_what_the_tokens_mean(database: sqlite3.Connection) -> None:
    database.executescript(CONTENTLESS)
    rows = enumerate(map(joined, NAMES))
    database.executemany("insert into search (rowid, tokens) values (?, ?)", rows)
    expected = {
        "华信": 0,
        "zengguofan": 1,
        "cqca": 2,
        "changan": 2,
        RARE: 3,
        "tesla": 4,
        "ваз": 5,
        "くら": 6,
        "lv": 8,
    }
    assert {query: matching(database, query) for query in expected} == {
        q: [row] for q, row in expected.items()
    }


def test_the_index_follows_the_table_by_triggers(database: sqlite3.Connection) -> None:
    database.executescript(EXTERNAL)
    database.executemany("insert into named values (?, ?)", [(1, joined("华信")), (2, joined(RARE))])
    assert (matching(database, "hx"), matching(database, RARE)) == ([1], [2])
    database.execute("update named set tokens = ? where id = 1", [joined("曾国藩", phones=["13812341234"])])
    assert matching(database, "hx") == []
    assert matching(database, "zgf") == matching(database, "1234") == [1]
    database.execute("delete from named where id = 2")
    assert matching(database, RARE) == []
    database.execute("insert into search (search) values ('integrity-check')")


def _common_characters() -> Iterator[str]:
    """The 6763 characters of GB 2312."""
    for row in range(0xB0, 0xF8):
        yield from bytes(byte for cell in range(0xA1, 0xFF) for byte in (row, cell)).decode(
            "gb2312", "ignore"
        )

"""Lifting reads documents exactly as GraphQL's own lexer does, and tells apart all that differ in more than values."""

from __future__ import annotations

import pytest
from graphql import GraphQLSyntaxError, Lexer, Source, Token, TokenKind, parse
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_core.graphql.lifting import FLOAT, INT, NOT_LEXICAL, STRING, Literal, lift

MARKERS = {
    TokenKind.STRING: STRING,
    TokenKind.BLOCK_STRING: STRING,
    TokenKind.INT: INT,
    TokenKind.FLOAT: FLOAT,
}
STRINGS = (TokenKind.STRING, TokenKind.BLOCK_STRING)


def tokens_of(text: str) -> list[Token] | None:
    """The tokens that graphql-core finds, comments left out; nothing where it refuses."""
    lexer, found = Lexer(Source(text)), []
    try:
        while (token := lexer.advance()).kind is not TokenKind.EOF:
            found.append(token)
    except GraphQLSyntaxError:
        return None
    return found


def expected(text: str) -> tuple[str, list[tuple[str, str, int]]] | None:
    """What `lift` owes, said by the lexer of graphql-core."""
    tokens = tokens_of(text)
    if tokens is None:
        return None
    words = [MARKERS.get(t.kind) or (t.value if t.kind is TokenKind.NAME else t.kind.value) for t in tokens]
    literals = [(MARKERS[t.kind], text[t.start : t.end], t.start) for t in tokens if t.kind in MARKERS]
    return " ".join(str(word) for word in words), literals


def agree(text: str) -> None:
    wanted, (lifted, literals) = expected(text), lift(text)
    if wanted is None:
        assert not lexical(lifted), (text, lifted)
        return
    assert (lifted, [tuple(literal) for literal in literals]) == wanted
    values = [t.value for t in tokens_of(text) or () if t.kind in STRINGS]
    assert [literal.value for literal in literals if literal.kind == STRING] == values


def lexical(lifted: str) -> bool:
    """Whether a lifted text could be that of a document: nothing in it but markers, words and punctuation."""
    if lifted.startswith(NOT_LEXICAL):
        return False
    marked = str.maketrans({STRING: '""', INT: "1", FLOAT: "1.5"})
    return (
        not any(c.isdigit() for c in _first_letters(lifted))
        and tokens_of(lifted.translate(marked)) is not None
    )


def _first_letters(lifted: str) -> list[str]:
    return [word[0] for word in lifted.split(" ") if word and word[0] not in (STRING, INT, FLOAT)]


# Pieces that are tokens, nearly tokens, or change what stands beside them.
PIECES = st.sampled_from(
    [
        *("{", "}", "(", ")", "[", "]", "!", "$", "&", ":", "=", "@", "|", "...", "..", ".", "-", "+"),
        *(
            " ",
            "\n",
            "\r\n",
            "\t",
            ",",
            "\ufeff",
            "#",
            '# it\'s "quoted"\n',
            '#"""\n',
            "\xa0",
            "\u2003",
            "\x0b",
        ),
        *("a", "b1", "_", "on", "e5", "E", "true", "null", "first", "客", "é"),
        *(
            "0",
            "00",
            "1",
            "-1",
            "-0",
            "12",
            "1.5",
            "1e5",
            "1E-5",
            "1.5e+10",
            "1.",
            ".5",
            "01",
            "1a",
            "0x1",
            "1_0",
        ),
        *('""', '"a"', '"#"', '"华信"', '"\\""', '"\\\\"', '"\\u00e9"', '"\\u{1F600}"', '"\\ud83d\\ude00"'),
        *(
            '"\\ud83d"',
            '"\\u{d800}"',
            '"\\u{110000}"',
            '"\\u{}"',
            '"\\x"',
            '"',
            "\\",
            "'",
            '"a\nb"',
            '"\x01"',
        ),
        *(
            '"\\u{0000000041}"',
            '"\\u{00000041}"',
            '"\\u{00000000d800}"',
            '"\\u{10FFFF}"',
            '"\\u{fffff}"',
            '"\\ude00"',
        ),
        *(
            '""""""',
            '"""a"""',
            '"""a\n  b"""',
            '"""\\""""""',
            '"""a"b""c"""',
            '"""#"""',
            '"""\\"""',
            '"""',
            '""""',
        ),
        *(STRING, INT, FLOAT, NOT_LEXICAL, "?", ";", "%", "*", "/"),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(
    st.sampled_from('"\\#\n\r.-+0123eEau{}$ ,\u2028\U0001f600'), max_size=30
)


@settings(max_examples=1_500, deadline=None)
@given(TEXTS)
@example('""""')
@example('"""a\\"""')
@example("0...")
@example("-0...")
@example("1.5.2 -1-2 a-0 ...5")
@example('"a""b"')
@example('#"\n"#"')
def test_lifting_finds_the_same_tokens_as_graphql_core(text: str) -> None:
    agree(text)


WORDS = st.sampled_from(["a", "first", "{", "}", "(", ")", ":", "...", "$", "[", "]"])
VALUES = st.sampled_from(['"a"', '"b"', '""', '"""c"""', "1", "-20", "0", "1.5", "2e3"])
SPACES = st.sampled_from([" ", "\n", ", ", ' # 1 "a\n', "\ufeff "])


@settings(max_examples=500, deadline=None)
@given(st.lists(WORDS | VALUES, max_size=12), st.lists(SPACES, min_size=12, max_size=12), st.data())
def test_documents_that_differ_in_values_and_spacing_alone_share_their_text(
    words: list[str], spaces: list[str], data: st.DataObject
) -> None:
    same = {STRING: ['"x"', '"""y"""', '"#"'], INT: ["7", "-8"], FLOAT: ["0.5", "1e9"]}
    kinds = [lift(word)[0] for word in words]
    other = [
        data.draw(st.sampled_from(same.get(kind, [word]))) for kind, word in zip(kinds, words, strict=True)
    ]
    spaced = "".join(word + space for word, space in zip(other, spaces, strict=False))
    assert lift(" ".join(words))[0] == lift(spaced)[0]


@settings(max_examples=1_000, deadline=None)
@given(TEXTS, TEXTS)
def test_documents_with_the_same_text_have_the_same_tokens(one: str, other: str) -> None:
    if lift(one)[0] == lift(other)[0]:
        wanted = (expected(one), expected(other))
        assert all(wanted) or not any(wanted)


QUERY = """
query Customers($after: String = "x") { # "not a string" 5
  customers(first: 50, after: $after, where: {name: {contains: "华信 #1"}, rate: {gte: -1.5e3}}) {
    nodes { ...Named note(text: \"""two
      lines\""") }
  }
}
fragment Named on Customer { id2 name }
"""


def test_the_literals_stand_where_the_parser_finds_them() -> None:
    _, literals = lift(QUERY)
    assert [(x.kind, x.value) for x in literals] == [
        (STRING, "x"),
        (INT, 50),
        (STRING, "华信 #1"),
        (FLOAT, -1500.0),
        (STRING, "two\nlines"),
    ]
    document = parse(QUERY)
    starts = {token.start for token in tokens_of(document.loc.source.body if document.loc else "") or ()}
    assert {literal.start for literal in literals} <= starts


@pytest.mark.parametrize(
    "text", ['{ a(x: "open) }', "{ a(x: 01) }", '"""open', f"{{ a(x: {STRING}) }}", '{ a }"']
)
def test_what_is_no_document_never_shares_the_text_of_one(text: str) -> None:
    assert not lexical(lift(text)[0])


def test_commas_comments_and_line_ends_do_not_matter() -> None:
    plain = lift("{ a(x: 1, y: [2 3]) { b ...C } }")[0]
    assert lift('{a(x:9 y:[8,7]){b,...C}}# "')[0] == plain
    assert plain == f"{{ a ( x : {INT} y : [ {INT} {INT} ] ) {{ b ... C }} }}"


def test_a_literal_tells_its_value() -> None:
    assert lift('"\\u{1F600}\\n"')[1] == (Literal(STRING, '"\\u{1F600}\\n"', 0),)
    assert lift('"\\u{1F600}\\n"')[1][0].value == "😀\n"

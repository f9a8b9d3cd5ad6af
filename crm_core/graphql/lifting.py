"""Lifts literals out of GraphQL documents: those that differ in values, spacing and comments alone become one text."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from graphql import StringValueNode, parse_value

STRING: Final = "\x01"
INT: Final = "\x02"
FLOAT: Final = "\x03"
NOT_LEXICAL: Final = "\x00"
"""Begins the text of what is no sequence of GraphQL tokens; it never equals the text of a document that is."""

# Possessive quantifiers are left out: early releases of Python 3.11 get them wrong. No alternative begins as another does,
# so nothing is tried twice. The first character is a plain set, so that the search skips at the speed of C to what may be a literal or comment.
_LITERAL: Final = re.compile(
    r"""
    ["\#0-9-]
    (?:
      (?<=")
      (?:
        "" (?: [^"\\\ud800-\udfff] | \\ (?: \""" | (?!\""") ) | "{1,2} (?!") )* \"""
        |
        (?!"")
        (?:
          [^"\\\n\r\ud800-\udfff]
          | \\ ["\\/bfnrt]
          | \\u (?![dD][89a-fA-F]) [0-9a-fA-F]{4}
          | \\u [dD][89abAB] [0-9a-fA-F]{2} \\u [dD][c-fC-F] [0-9a-fA-F]{2}
          | \\u \{ (?=[0-9a-fA-F]{1,8}\})
              0* (?!0) (?: (?![dD][89a-fA-F][0-9a-fA-F]{2}\}) [0-9a-fA-F]{0,5} | 10[0-9a-fA-F]{4} ) \}
        )* "
      )
      |
      (?<=\#) [^\n\r\ud800-\udfff]*
      |
      (?: (?<=-) (?: 0 | [1-9][0-9]* ) | (?<=[1-9]) (?<![_0-9A-Za-z].) [0-9]* | (?<=0) (?<![_0-9A-Za-z].) )
      (?: \. [0-9]+ )? (?: [eE] [+-]? [0-9]+ )? (?![._0-9A-Za-z])
    )
    """,
    re.VERBOSE,
)

# Everything between literals: words, `...`, punctuation, markers; anything foreign stays in a word and is an error.
_TOKEN: Final = re.compile(r"[^ \t\n\r,\ufeff!$&():=@\[\]{|}.\x01-\x03]+|\.\.\.|[!$&():=@\[\]{|}.\x01-\x03]")


class Literal(NamedTuple):
    """A string, integer or float as it stands in a document."""

    kind: str
    """`STRING`, `INT` or `FLOAT`."""
    raw: str
    """As written, quotes included."""
    start: int
    """Its place in the document, characters from 0: the `loc.start` of the parsed value."""

    @property
    def value(self) -> str | int | float:
        """What it stands for; a block string without its indentation.

        An integer of more digits than Python reads (4,300) raises `ValueError`.
        """
        if self.kind == INT:
            return int(self.raw)
        if self.kind == FLOAT:
            return float(self.raw)
        if "\\" not in self.raw and not self.raw.startswith('"""'):
            return self.raw[1:-1]
        node = parse_value(self.raw)
        assert isinstance(node, StringValueNode)
        return node.value


def lift(text: str) -> tuple[str, tuple[Literal, ...]]:
    """The document's tokens, one space apart, with a marker for each literal; and the literals in order.

    Two documents have the same text exactly when their tokens are the same but for the values of literals. What
    cannot be cut into tokens never has the text of a document that can; where its strings and numbers are at fault it
    is returned whole behind `NOT_LEXICAL`, without literals. Its parser says what is wrong with it.
    """
    pieces: list[str] = []
    literals: list[Literal] = []
    end = 0
    for found in _LITERAL.finditer(text):
        start = found.start()
        pieces.append(text[end:start])
        end = found.end()
        raw = found[0]
        if raw[0] == "#":
            pieces.append(" ")
            continue
        kind = _kind(raw)
        literals.append(Literal(kind, raw, start))
        pieces.append(kind)
    pieces.append(text[end:])
    tokens = "".join(pieces)
    if (
        '"' in tokens
        or "-" in tokens
        or len(literals) != tokens.count(STRING) + tokens.count(INT) + tokens.count(FLOAT)
    ):
        return NOT_LEXICAL + text, ()
    return " ".join(_TOKEN.findall(tokens)), tuple(literals)


def _kind(raw: str) -> str:
    if raw[0] == '"':
        return STRING
    return FLOAT if "." in raw or "e" in raw or "E" in raw else INT

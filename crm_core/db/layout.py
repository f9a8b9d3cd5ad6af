"""Lays a compiled statement out for reading: a line per clause, indented by the depth of its SELECT."""

from __future__ import annotations

import re
from typing import Final

WIDTH: Final = 110
_WORD: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[(),]|[^\s(),'\"]+")
_CLAUSES: Final = frozenset(
    (
        "SELECT",
        "FROM",
        "WHERE",
        "ORDER",
        "GROUP",
        "LIMIT",
        "OFFSET",
        "UNION",
        "LEFT",
        "JOIN",
        "HAVING",
        "WITH",
    )
)
_NAME: Final = re.compile(r"\w+")
_BEFORE_BRACKETS: Final = frozenset(
    (
        "SELECT",
        "AS",
        "IN",
        "AND",
        "OR",
        "NOT",
        "WHERE",
        "FROM",
        "FILTER",
        "OVER",
        "ON",
        "WHEN",
        "THEN",
        "ELSE",
    )
)
_JOINED: Final = frozenset(("AND", "OR"))


def laid_out(sql: str) -> str:
    """The statement with line breaks and indents; nothing else of it is changed."""
    return _Layout().of(_WORD.findall(sql))


class _Layout:
    """Lines as they grow. Of every open bracket it is known whether a SELECT stands directly in it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.open: list[bool] = []
        self.within_between = False

    @property
    def indent(self) -> str:
        return "  " * sum(self.open)

    def of(self, words: list[str]) -> str:
        before = ""
        for place, word in enumerate(words):
            following = words[place + 1] if place + 1 < len(words) else ""
            self._add(word, before, following)
            before = word
        self._break("")
        return "\n".join(self.lines)

    def _add(self, word: str, before: str, following: str) -> None:
        if word == "(":
            self._put(word, glued=bool(_NAME.fullmatch(before)) and before not in _BEFORE_BRACKETS)
            self.open.append(following in ("SELECT", "WITH"))
        elif word == ")":
            if self.open and self.open.pop():
                self._break(self.indent)
            self._put(word, glued=True)
        elif self._begins(word, before):
            self._break(self.indent + ("  " if word in _JOINED else ""))
            self._put(word, glued=False)
        else:
            self._put(word, glued=word == "," or before == "(")
            if word == "," and len(self.line) > WIDTH:
                self._break(self.indent + "    ")
        self._note_between(word)

    def _begins(self, word: str, before: str) -> bool:
        """Whether a line begins here; only directly in a SELECT, not in brackets within it."""
        if self.open and not self.open[-1]:
            return False
        if word in _JOINED:
            return not self.within_between
        if word == "WITH":
            return before in ("", "(")
        return word in _CLAUSES and not (word == "JOIN" and before in ("LEFT", "OUTER"))

    def _note_between(self, word: str) -> None:
        if word in ("BETWEEN", "AND"):
            self.within_between = word == "BETWEEN"

    def _put(self, word: str, *, glued: bool) -> None:
        if glued or not self.line.strip() or self.line.endswith("("):
            self.line += word
        else:
            self.line += f" {word}"

    def _break(self, indent: str) -> None:
        if self.line.strip():
            self.lines.append(self.line)
        self.line = indent

"""Reads a request's body as a value: JSON, a form, flat XML, or text; nothing in it is evaluated or looked up."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl
from xml.parsers import expat

import orjson

MOST_FIELDS: Final = 1_000
DEEPEST: Final = 50


class Unreadable(Exception):
    """The body is not what its content type says; the text tells what is wrong."""


def read_body(body: bytes, content_type: str) -> Any:
    """The value of a body; without a telling content type it is JSON if it reads like it, XML, or text.

    A form is a mapping of its fields, those given several times as lists. Raises `Unreadable`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return from_form(body)
    if kind.endswith(("/json", "+json")):
        return from_json(body)
    if kind.endswith(("/xml", "+xml")):
        return from_xml(body)
    beginning = body.lstrip()[:1]
    if beginning in (b"{", b"["):
        return from_json(body)
    if beginning == b"<" and kind != "text/html":
        return from_xml(body)
    return _text(body)


def from_json(body: bytes) -> Any:
    """The value of a JSON text."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"no JSON: {error}") from None


def from_form(body: bytes) -> dict[str, Any]:
    """The fields of a form."""
    try:
        pairs = parse_qsl(_text(body), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError) as error:
        raise Unreadable(f"no form: {error}") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        known = found.get(name)
        if known is None:
            found[name] = value
        else:
            found[name] = [*known, value] if isinstance(known, list) else [known, value]
    return found


def from_xml(body: bytes) -> Any:
    """The content of the root: texts, and mappings of elements, those given several times as lists.

    Attributes are left out; a document type, and with it every entity, is refused.
    """
    parser, reading = expat.ParserCreate(), _Xml()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unreadable(f"no XML: {error}") from None
    return reading.root


class _Xml:
    """What was read so far: open elements with their text and their children."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[tuple[str, list[str], dict[str, Any]]] = []

    def doctype(self, *_of_document: object) -> None:
        raise Unreadable("no XML: a document type is not taken")

    def start(self, name: str, _attributes: object) -> None:
        if len(self._open) >= DEEPEST:
            raise Unreadable("no XML: too deep")
        self._open.append((name, [], {}))

    def text(self, text: str) -> None:
        if self._open:
            self._open[-1][1].append(text)

    def end(self, _name: str) -> None:
        name, texts, children = self._open.pop()
        value: Any = children or "".join(texts).strip()
        if not self._open:
            self.root = value
            return
        around = self._open[-1][2]
        known = around.get(name)
        if name not in around:
            around[name] = value
        else:
            around[name] = [*known, value] if isinstance(known, list) else [known, value]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"no UTF-8: {error.reason}") from None

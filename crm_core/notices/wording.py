"""The words of a notice: its kind's template in the reader's language, filled with its facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from crm_core.errors import Json, Language, Message

_MOST_TITLE = 200


def worded(
    messages: Mapping[str, Message], kind: str, facts: Mapping[str, Json], language: Language
) -> tuple[str, str]:
    """Title (one line) and body of a notice; a kind whose plugin is gone is named, without a body.

    A fact that is missing or null is left blank; a line of the body of which every fact is blank is left out. A fact
    with the keys `en` and `zh-CN` is said in the reader's language.
    """
    said = _Blank({name: _said(value, language) for name, value in facts.items()})
    title, body = (messages.get(f"notice.{kind}.{part}") for part in ("title", "body"))
    if title is None or body is None:
        return kind, ""
    lines = [line for line in _text(body, language).split("\n") if _tells(line, said)]
    heading = " ".join(_text(title, language).format_map(said).split())
    return heading[:_MOST_TITLE], "\n".join(line.format_map(said) for line in lines)


def storable(facts: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Json]:
    """Facts as they are kept: moments become local times of the zone (`2025-11-03 18:00`), days ISO dates."""
    return {name: _kept(value, zone) for name, value in facts.items()}


def _kept(value: Any, zone: ZoneInfo) -> Json:
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _kept(one, zone) for key, one in value.items()}
    if value is None or isinstance(value, str | int | float | bool | list):
        return value
    return str(value)


def _text(message: Message, language: Language) -> str:
    return message.zh if language == "zh-CN" else message.en


def _said(value: Json, language: Language) -> str:
    if isinstance(value, dict):
        return _said(value.get(language), language)
    if isinstance(value, list):
        return ", ".join(_said(one, language) for one in value)
    return "" if value is None else str(value)


def _tells(line: str, said: Mapping[str, str]) -> bool:
    names = [name for _, name, _, _ in Formatter().parse(line) if name is not None]
    return not names or any(said.get(name) for name in names)


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""

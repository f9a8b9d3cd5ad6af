"""Titles for people, out of what rooms and plugins declare in both languages at once; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from crm_core.errors import Language
from crm_core.registry import RoleTemplate

_TERM: Final = re.compile(r"\(([^()]*[\u4e00-\u9fff][^()]*)\)")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")


def title_of(description: str, name: str, language: Language) -> str:
    """The title of a field, type or command: the Chinese term of its description, or its English words up to that term."""
    term = _TERM.search(description)
    if language == "zh-CN":
        return re.split("[，,]", term.group(1))[0].strip() if term else name
    english = description[: term.start()] if term else description
    return re.split(r"[.;](?:\s|$)", english)[0].strip(" .") or name


def role_titles(roles: Mapping[str, RoleTemplate], language: Language) -> dict[str, str]:
    """Titles of the roles that are seeded, e.g. 业务线经理 Line manager, in one language."""
    return {name: _in_language(role.title, language) or name for name, role in roles.items()}


def _in_language(title: str, language: Language) -> str:
    words = title.split()
    chinese = [word for word in words if _CHINESE.search(word)]
    if language == "zh-CN":
        return " ".join(chinese)
    return " ".join(word for word in words if word not in chinese)

"""Which revision a folder of revisions ends at, read from its files without running them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Final

_NAMES: Final = frozenset({"revision", "down_revision"})


def head_of(folder: Path) -> str:
    """The revision that no other follows.

    Raises `FileNotFoundError` when there is none, `ValueError` or `SyntaxError` for files that cannot be understood.
    """
    follows = dict(_revision(file) for file in sorted(folder.glob("*.py")) if file.name != "__init__.py")
    followed = {earlier for before in follows.values() for earlier in before}
    heads = sorted(follows.keys() - followed)
    if not heads:
        raise FileNotFoundError(f"there are no revisions in the folder {folder.name}")
    if len(heads) > 1:
        raise ValueError(f"the revisions of {folder.name} have several ends: {', '.join(heads)}")
    return heads[0]


def _revision(file: Path) -> tuple[str, tuple[str, ...]]:
    """The revision of a file, and those it follows."""
    text = file.read_text(encoding="utf-8")
    try:
        named = _constants(
            text.partition("\ndef ")[0], file.name
        )  # they mostly stand before the first function
    except SyntaxError:  # it was cut in two, below a decorator or within a text
        named = {}
    if _NAMES - named.keys():
        named = _constants(text, file.name)
    name, before = named.get("revision"), named.get("down_revision")
    if not name:
        raise ValueError(f"{file.name} names no revision")
    return str(name), (before,) if isinstance(before, str) else tuple(before or ())


def _constants(text: str, name: str) -> dict[str, Any]:
    """What this file says of its revision."""
    found: dict[str, Any] = {}
    for statement in ast.parse(text, name).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                found.update(_named(target, statement.value))
    return found


def _named(target: ast.expr, value: ast.expr) -> dict[str, Any]:
    """What an assignment says of the revision; several names may be given at once."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = [_named(*pair) for pair in zip(target.elts, value.elts, strict=False)]
        return {name: one for pair in pairs for name, one in pair.items()}
    if isinstance(target, ast.Name) and target.id in _NAMES:
        return {target.id: ast.literal_eval(value)}
    return {}


__all__ = ["head_of"]

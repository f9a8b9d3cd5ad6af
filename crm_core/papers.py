"""Papers (资料、附件): files of the local store under their own SHA-256, and what a table keeps of each.

Whoever knows a paper's digest may refer to it; nothing else of the store can be named. A file is as young as the last
time somebody put it in or referred to it, so that what nobody refers to can be told from what is about to be.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints
from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_core import ids
from crm_core.commands import Command, Part
from crm_core.db.base import Record
from crm_core.errors import Message, Refused

FOLDER: Final = "papers"
_INCOMING: Final = ".incoming"
_PLACE: Final = re.compile(rf"{FOLDER}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})")
_SHARD: Final = re.compile(r"[0-9a-f]{2}")

PAPER_UNREADABLE = Message(
    "PAPER_UNREADABLE", "The paper cannot be read: {problem}.", "资料无法读取：{problem}。"
)
MESSAGES = (PAPER_UNREADABLE,)


@dataclass(frozen=True, slots=True)
class Paper:
    """A file of the store: its place in it (`papers/ab/ab…`), SHA-256 in hex, bytes."""

    path: str
    sha256: str
    size: int


class PaperRecord(Record):
    """A row that stands for a paper; who may read the row may fetch the file from `/papers/<id>`.

    Its GraphQL type needs a prefix and a row rule. A file that no row of such a table names is removed after a while.
    """

    __abstract__ = True

    title: Mapped[str] = mapped_column(String(200))
    path: Mapped[str] = mapped_column(String(300), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(100))


class PaperInput(Part):
    """A paper: its `content`, or the `path` of one that is in the store already, as `POST /papers` answers it (资料)."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] = Field(
        description="Title, e.g. 营业执照副本 (名称)."
    )
    media_type: Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=100)] = Field(
        description="E.g. application/pdf (文件类型)."
    )
    content: str | None = Field(None, description="The paper in base64 (内容).")
    path: Annotated[str, StringConstraints(max_length=300)] | None = Field(
        None, description="Or: path of a paper that is in the store already (存储路径)."
    )


def takes_papers(command: type[Command]) -> bool:
    """Whether papers are given to this command: it is one with more to it, or has a list of them."""
    if PaperInput in command.__mro__:
        return True
    return any(PaperInput in getattr(f.annotation, "__args__", ()) for f in command.model_fields.values())


# -- what was given


async def stored(
    store: Path, given: PaperInput, most: int, now: datetime, *, at: str = "", dry: bool = False
) -> Paper:
    """The paper that was given, kept in the store (`dry`: only looked at).

    `most`: bytes that `content` may have. `now` is when it was referred to (UTC). `at` is the path of the input, before
    that of its fields: `attachments.0`.

    Raises:
        Refused: PAPER_UNREADABLE.
    """
    if (given.content is None) == (given.path is None):
        raise _unreadable(at, "content", "give content or path, one of them (content 与 path 二选一)")
    if given.path is not None:
        found = await asyncio.to_thread(find, store, given.path, now)
        if found is None:
            raise _unreadable(at, "path", "no such paper in the store (存储中没有该文件)")
        return found
    content = _decoded(given.content or "", most, at)
    return await asyncio.to_thread(_measured if dry else keep, store, content, now)


def _unreadable(at: str, field: str, problem: str) -> Refused:
    return Refused(PAPER_UNREADABLE(f"{at}.{field}" if at else field, problem=problem))


def too_large(at: str, field: str, most: int) -> Refused:
    """The refusal of a paper with more than so many bytes."""
    return _unreadable(at, field, f"larger than {most} bytes (文件超过 {most} 字节)")


def _decoded(text: str, most: int, at: str) -> bytes:
    if len(text) > most * 4 // 3 + 4:
        raise too_large(at, "content", most)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(at, "content", "not base64 (不是 base64)") from None
    if not content:
        raise _unreadable(at, "content", "empty (内容为空)")
    if len(content) > most:
        raise too_large(at, "content", most)
    return content


# -- the files


def _measured(_store: Path, content: bytes, _now: datetime) -> Paper:
    return _paper(hashlib.sha256(content).hexdigest(), len(content))


def _paper(digest: str, size: int) -> Paper:
    return Paper(f"{FOLDER}/{digest[:2]}/{digest}", digest, size)


class Incoming:
    """A paper on its way into the store; without `finish` nothing of it remains. Blocks: use it in a thread."""

    def __init__(self, store: Path) -> None:
        """Begin one; only its owner can read it."""
        self._store, self._digest, self.size = store, hashlib.sha256(), 0
        folder = store / FOLDER / _INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        self._partial = folder / ids.uuid7().hex
        self._file = os.fdopen(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away what was not finished."""
        self.close()

    def close(self) -> None:
        """Take away what was not finished."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def write(self, part: bytes) -> None:
        """Go on with it."""
        self._file.write(part)
        self._digest.update(part)
        self.size += len(part)

    def finish(self, now: datetime) -> Paper:
        """Put it under its own digest: equal papers are one file, and no other is ever overwritten."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        paper = _paper(self._digest.hexdigest(), self.size)
        target = self._store / paper.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _renew(self._partial, now)
        self._partial.replace(target)
        return paper


def keep(store: Path, content: bytes, now: datetime) -> Paper:
    """Put content into the store."""
    with Incoming(store) as incoming:
        incoming.write(content)
        return incoming.finish(now)


def find(store: Path, path: str, now: datetime) -> Paper | None:
    """The paper at a path, now being referred to; None where there is none, or it is no longer what it was."""
    named = _PLACE.fullmatch(path)
    if named is None:
        return None
    try:
        with (store / path).open("rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
        _renew(store / path, now)  # last: where this succeeds, `remove` sees it
    except OSError:
        return None
    return Paper(path, digest, size) if digest == named[2] else None


def size_of(store: Path, path: str) -> int | None:
    """Bytes of the file at a path; None where there is none."""
    try:
        return (store / path).stat().st_size if _PLACE.fullmatch(path) else None
    except OSError:
        return None


def _renew(file: Path, now: datetime) -> None:
    os.utime(file, (now.timestamp(), now.timestamp()))


# -- what nobody refers to


def shards(store: Path) -> list[str]:
    """Names of the folders that papers are spread over."""
    folder = store / FOLDER
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if _SHARD.fullmatch(one.name) and one.is_dir())


def untouched(store: Path, shard: str, since: datetime) -> list[str]:
    """Paths of the papers in a folder that nobody put in or referred to since that moment."""
    with os.scandir(store / FOLDER / shard) as entries:
        old = [f"{FOLDER}/{shard}/{one.name}" for one in entries if one.stat().st_mtime < since.timestamp()]
    return sorted(path for path in old if _PLACE.fullmatch(path))


def places_in(value: object) -> Iterable[str]:
    """Every path of a paper that stands somewhere in a JSON value."""
    if isinstance(value, str):
        if _PLACE.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from places_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from places_in(one)


def remove(store: Path, path: str, since: datetime) -> bool:
    """Remove a paper, unless somebody has referred to it since that moment, even while this is looking."""
    aside = store / FOLDER / _INCOMING / ids.uuid7().hex
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        (store / path).rename(aside)
    except FileNotFoundError:
        return False
    if aside.stat().st_mtime < since.timestamp():
        aside.unlink()
        return True
    aside.rename(store / path)
    return False


def remove_unfinished(store: Path, since: datetime) -> None:
    """Remove what was begun before that moment and never finished; its process is gone."""
    folder = store / FOLDER / _INCOMING
    for one in folder.iterdir() if folder.is_dir() else ():
        if one.stat().st_mtime < since.timestamp():
            one.unlink(missing_ok=True)

"""Plugins made up by tests: a module of hooks, and the candidate an installed distribution would give."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_core import hookimpl
from crm_core.actors import Reach
from crm_core.commands import Command
from crm_core.db.base import Base, LineCode, Personal, Record
from crm_core.graphql.access import whole_lines
from crm_core.graphql.fields import Id, ObjectType, field
from crm_core.loader import Candidate
from crm_core.outbox.events import Event
from crm_core.registry import RoleTemplate, Scope
from crm_core.settings import LineSettings, Settings
from crm_core.work import Work

Hook = Callable[..., object]


class Note(Record):
    """The one table of the sound plugin `memo`."""

    __tablename__ = "memo_notes"
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    text: Mapped[str] = mapped_column(String(200))


class Stray(Base):
    """A table that does not bear its plugin's name."""

    __tablename__ = "stray_rows"
    personal: ClassVar[dict[str, Personal]] = {}

    note_id: Mapped[int] = mapped_column(ForeignKey("memo_notes.id"), primary_key=True)


class AddNote(Command):
    """Add a note."""

    kind = "memo.add"
    scope = "memo.write"
    returns = "MemoNote"
    text: str = Field(max_length=200, description="What it says.")


class MemoWritten(Event):
    """A note was written."""

    kind = "memo.written"
    subject_type = "MemoNote"


class MemoSettings(BaseModel):
    """Settings of the plugin `memo`."""

    model_config = ConfigDict(extra="forbid")

    most: int = 5


async def add_note(work: Work, command: AddNote) -> Note:
    """The new note."""
    return work.add(Note(line=work.acting_line, text=command.text))


NOTE = ObjectType(
    name="MemoNote",
    table=Note.__table__,
    model=Note,
    prefix="mem",
    description="A note.",
    rule=whole_lines,
    scope="memo.read",
    fields=(
        field("id", Id("mem"), "Id.", nullable=False),
        field("text", str, "What it says.", nullable=False, filter=True),
    ),
)
SCOPES = (Scope("memo.read", "Read notes"), Scope("memo.write", "Write notes"))
ROLE = RoleTemplate("memo_writer", "Writer of notes", {"memo.write": Reach.LINE})


def module(**hooks: Hook) -> ModuleType:
    """A module that answers these hooks."""
    made = ModuleType("made_up_plugin")
    for name, function in hooks.items():
        setattr(made, name, hookimpl(function))
    return made


def unmarked(**functions: Hook) -> ModuleType:
    """A module with functions that lack the mark of a hook."""
    made = ModuleType("made_up_plugin")
    for name, function in functions.items():
        setattr(made, name, function)
    return made


def candidate(
    name: str, load: Callable[[], object] | ModuleType, *requires: str, version: str = "1.0"
) -> Candidate:
    """The plugin as an installed distribution would offer it."""
    loader = load if not isinstance(load, ModuleType) else lambda: load
    return Candidate(name, version, f"crm-{name.replace('_', '-')}", requires, loader)


def sound(name: str = "memo", *requires: str) -> Candidate:
    """A plugin with nothing wrong."""
    answers = module(
        crm_tables=lambda: (Note,),
        crm_types=lambda: (NOTE,),
        crm_commands=lambda: {AddNote: add_note},
        crm_scopes=lambda: SCOPES,
        crm_settings=lambda: MemoSettings,
    )
    return candidate(name, answers, *requires)


def deployed(*plugins: str, **rooms: dict[str, object]) -> Settings:
    """Settings with these plugins in the line `east` and none in `west`."""
    lines = {"east": LineSettings(plugins=list(plugins)), "west": LineSettings()}
    return Settings(lines=lines, rooms=rooms)

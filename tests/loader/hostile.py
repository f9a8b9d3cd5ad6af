"""Every way in which a plugin may be wrong, with a part of the reason that must be given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType

import strawberry
from sqlalchemy import true

from crm_core.access.commands import CreateUser
from crm_core.access.events import UserChanged
from crm_core.access.graphql import USER
from crm_core.access.models import User
from crm_core.actors import Reach
from crm_core.commands import Command
from crm_core.errors import Message, UserError
from crm_core.graphql.fields import Filter, ObjectType, connection, field, query_connection, relation
from crm_core.loader import Candidate
from crm_core.registry import RoleTemplate, Scope
from crm_core.work import Work
from tests.loader.made import NOTE, AddNote, Note, Stray, add_note, candidate, module, unmarked

NAME = "memo"


class Renamed(AddNote):
    """A command whose mutation has the name of the core's `userCreate`."""

    kind = "user_create"
    returns = "User"


class Homeless(Command):
    """A command that yields a type nobody declares."""

    kind = "memo.homeless"
    scope = "memo.write"
    returns = "Nowhere"


def nothing() -> dict[str, object]:
    """An answer without anything in it."""
    return {}


def asks_too_much(first: object) -> tuple[object, ...]:
    """A hook that wants an argument nobody gives."""
    return (first,)


@strawberry.type
class LooseQueries:
    """Root fields of a plugin's own, one of them the core's."""

    @strawberry.field(description="Colleagues, again.")  # type: ignore[untyped-decorator]  # Strawberry's
    def users(self) -> list[str]:
        return []


async def perform(_work: Work, _command: Command) -> None:
    """Does nothing."""


async def check(_work: Work, _command: Command) -> list[UserError]:
    """Finds nothing."""
    return []


def _raise(error: BaseException) -> Callable[[], object]:
    def load() -> object:
        raise error

    return load


def _type(name: str, prefix: str = "mem", **more: object) -> ObjectType:
    return ObjectType(
        name=name,
        table=Note.__table__,
        model=Note,
        prefix=prefix,
        description="A note.",
        rule=lambda _t, _a, _s: true(),
        fields=(field("text", str, "What it says."), *more.values()),  # type: ignore[arg-type]  # fields
    )


def _answers(hook: str, answer: object) -> ModuleType:
    return module(**{hook: lambda: answer})


def _fields(**named: object) -> ModuleType:
    return _answers("crm_fields", {name: (one,) for name, one in named.items()})


NAME_AGAIN = field("name", str, "The name, once more.")
NAME_FILTER = Filter("name", str, "The name, once more.", lambda _t, _a, _v: true())

HOSTILE: Mapping[str, tuple[Candidate, str]] = {
    "import error": (
        candidate(NAME, _raise(ImportError("no module named nowhere"))),
        "import failed: ImportError",
    ),
    "leaves at import": (candidate(NAME, lambda: sys.exit(3)), "import failed: SystemExit"),
    "misspelt hook": (candidate(NAME, _answers("crm_tabels", ())), "no hook is called crm_tabels"),
    "hook without mark": (candidate(NAME, unmarked(crm_checks=nothing)), "not marked with @hookimpl"),
    "unknown hook argument": (candidate(NAME, module(crm_tables=asks_too_much)), "PluginValidationError"),
    "raising hook": (candidate(NAME, module(crm_types=_raise(RuntimeError("boom")))), "RuntimeError: boom"),
    "hook that leaves": (candidate(NAME, module(crm_types=lambda: sys.exit(1))), "SystemExit"),
    "nonsense tables": (candidate(NAME, _answers("crm_tables", 5)), "does not fit: TypeError"),
    "nonsense types": (candidate(NAME, _answers("crm_types", ("User",))), "does not fit: AttributeError"),
    "nonsense settings": (candidate(NAME, _answers("crm_settings", 5)), "does not fit"),
    "type clash": (
        candidate(NAME, _answers("crm_types", (_type("User"),))),
        "type User of memo is already declared by core",
    ),
    "type called like the kernel's": (
        candidate(NAME, _answers("crm_types", (_type("UserError"),))),
        "UserError",
    ),
    "type called Query": (
        candidate(NAME, _answers("crm_types", (_type("Query"),))),
        "type Query of memo is already declared",
    ),
    "type called like a page": (
        candidate(NAME, _answers("crm_types", (_type("UserConnection"),))),
        "UserConnection",
    ),
    "id prefix clash": (candidate(NAME, _answers("crm_types", (_type("Memo", "usr"),))), "id prefix usr"),
    "field clash": (
        candidate(NAME, _fields(User=NAME_AGAIN)),
        "field User.name of memo is already declared by core",
    ),
    "filter clash": (
        candidate(NAME, _fields(User=NAME_FILTER)),
        "UserWhere.name of memo is already declared by core",
    ),
    "field of an unknown type": (candidate(NAME, _fields(Nobody=NAME_AGAIN)), "unknown type Nobody"),
    "field to an unknown type": (
        candidate(
            NAME, _fields(User=relation("memo", "Nowhere", "A note.", on=lambda u, _m, _a: u.c.id == u.c.id))
        ),
        "unknown type Nowhere",
    ),
    "connection to an unknown type": (
        candidate(
            NAME,
            _fields(User=connection("memos", "Nowhere", "Notes.", on=lambda u, _m, _a: u.c.id == u.c.id)),
        ),
        "Nowhere",
    ),
    "query clash": (
        candidate(NAME, _answers("crm_queries", (query_connection("users", "User", "Again."),))),
        "query users of memo is already declared by core",
    ),
    "own resolvers that clash": (
        candidate(NAME, _answers("crm_queries", (LooseQueries,))),
        "query users of memo",
    ),
    "command clash": (
        candidate(NAME, _answers("crm_commands", {CreateUser: perform})),
        "command user.create of memo is already declared by core",
    ),
    "mutation clash": (candidate(NAME, _answers("crm_commands", {Renamed: add_note})), "userCreate of memo"),
    "command without a type": (
        candidate(NAME, _answers("crm_commands", {Homeless: perform})),
        "unknown type Nowhere",
    ),
    "no command at all": (candidate(NAME, _answers("crm_commands", {User: perform})), "does not fit"),
    "check of an unknown command": (
        candidate(NAME, _answers("crm_checks", {"user.craete": (check,)})),
        "user.craete",
    ),
    "event clash": (candidate(NAME, _answers("crm_events", (UserChanged,))), "event"),
    "scope clash": (
        candidate(NAME, _answers("crm_scopes", (Scope("user.read", "x"),))),
        "scope user.read must begin",
    ),
    "scope of another": (
        candidate(NAME, _answers("crm_scopes", (Scope("other.read", "x"),))),
        "must begin with memo.",
    ),
    "table of another": (
        candidate(NAME, _answers("crm_tables", (Stray,))),
        "table stray_rows must begin with memo_",
    ),
    "message clash": (
        candidate(NAME, _answers("crm_messages", (Message("NOT_FOUND", "x", "x"),))),
        "message NOT_FOUND of memo is already declared by core",
    ),
    "hooks of its own called like the core's": (
        candidate(NAME, module(crm_hookspecs=lambda: (sys.modules["crm_core.hookspecs"],))),
        "already declared by core",
    ),
    "missing requirement": (
        candidate(NAME, _answers("crm_types", (NOTE,)), "crm-absent>=1"),
        "requires crm-absent>=1, found nothing",
    ),
    "newer core required": (
        candidate(NAME, _answers("crm_types", ()), "crm-core>=99"),
        "requires crm-core>=99, found",
    ),
    "no requirement at all": (
        candidate(NAME, _answers("crm_types", ()), "crm core ???"),
        "not a requirement",
    ),
    "requires itself": (candidate(NAME, _answers("crm_types", ()), "crm-memo"), "circle"),
    "role of nonsense": (candidate(NAME, _answers("crm_roles", (RoleTemplate, Reach))), "does not fit"),
    "type without fields": (
        candidate(NAME, _answers("crm_types", (ObjectType("Bare", Note.__table__, "Nothing.", ()),))),
        "does not fit",
    ),
    "description forgotten": (candidate(NAME, _answers("crm_types", (USER,))), "type User"),
}

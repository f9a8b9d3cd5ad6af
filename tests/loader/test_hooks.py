"""Every hook is asked once per module, core rooms first, and its answers reach the registry."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from uuid import UUID

import pluggy
import pytest
from sqlalchemy import select

from crm_core import hookspecs
from crm_core.actors import Reach
from crm_core.commands import Command, CommandSpec, Held
from crm_core.db.unit import Unit
from crm_core.errors import Message, UserError
from crm_core.graphql.access import Access
from crm_core.graphql.fields import Field, Filter, Source, field, query_connection
from crm_core.incoming.handler import Doing, IncomingHandler, IncomingMessage
from crm_core.incoming.verifier import Verified, Verifier
from crm_core.jobs.context import JobContext
from crm_core.loader import CORE_ROOMS, load
from crm_core.notices.notifier import NoticeMessage, Notifier
from crm_core.outbox.events import RecordedEvent
from crm_core.registry import (
    Chore,
    Document,
    Handover,
    InteractionKind,
    Job,
    Nothing,
    NoticeKind,
    PolicyTemplate,
    Receiver,
    Registry,
    RoleTemplate,
    Schedule,
    Scope,
    Worker,
)
from crm_core.work import Services, Work
from tests.loader.made import (
    NOTE,
    ROLE,
    AddNote,
    MemoSettings,
    MemoWritten,
    Note,
    add_note,
    candidate,
    deployed,
    module,
)

if TYPE_CHECKING:
    from sqlalchemy import Select

HOOKS = tuple(name for name in dir(hookspecs) if name.startswith("crm_"))
SCOPES = (Scope("memo.read", "Read notes"), Scope("memo.write", "Write notes"))


def giving(answer: object) -> Callable[[], object]:
    """A hook with this answer."""
    return lambda: answer


def answering(**answers: object) -> Registry:
    """The registry of the core and a plugin `memo` that answers these hooks."""
    registry = load(
        deployed("memo"), (candidate("memo", module(**{n: giving(a) for n, a in answers.items()})),)
    )
    assert registry.plugins[0].state == "loaded", registry.plugins[0].reason
    return registry


async def a_job(_services: Services, _context: JobContext, _arguments: Nothing) -> None:
    return None


async def a_sweep(_services: Services) -> None:
    pass


async def a_handover(_work: Work, _leaver: UUID, _successor: UUID, _line: str | None) -> int:
    return 0


async def a_pigeon(_services: Services, _message: NoticeMessage) -> None:
    pass


async def a_check(_work: Work, _command: Command) -> list[UserError]:
    return []


async def a_gate(_work: Work, _command: Command, _spec: CommandSpec) -> Held | None:
    return None


async def a_demo(_demo: object) -> None:
    """Adds nothing."""


async def a_seed(_session: object, _line: str, _now: object) -> None:
    """Adds nothing."""


def no_entries(_access: Access) -> Select[tuple[object]]:
    return select(Note.__table__.c.id)


def test_crm_tables() -> None:
    assert answering(crm_tables=(Note,)).tables["memo"] == (Note,)


def test_crm_types() -> None:
    registry = answering(crm_types=(NOTE,))
    assert registry.types["MemoNote"].table is Note.__table__
    assert registry.type_owners["MemoNote"] == "memo"
    assert registry.type_of(Note) is registry.types["MemoNote"]


def test_crm_fields() -> None:
    extra: tuple[Field | Filter, ...] = (
        field("memoCount", int, "Notes.", nullable=False, sql=lambda t, _a: t.c.version),
        Filter("hasMemo", bool, "Has notes.", lambda t, _a, _v: t.c.version > 0),
    )
    user = answering(crm_fields={"User": extra}).types["User"]
    assert user.by_name["memoCount"].owner == "memo"
    assert user.by_name["memoCount"].nullable, "it answers null in lines without the plugin"
    assert [f.owner for f in user.filters if f.name == "hasMemo"] == ["memo"]


def test_crm_queries() -> None:
    registry = answering(
        crm_types=(NOTE,), crm_queries=(query_connection("memoNotes", "MemoNote", "Notes."),)
    )
    found = [q for q in registry.queries if isinstance(q, Field) and q.name == "memoNotes"]
    assert [q.owner for q in found] == ["memo"]


def test_crm_commands() -> None:
    spec = answering(crm_types=(NOTE,), crm_commands={AddNote: add_note}).commands["memo.add"]
    assert (spec.command, spec.perform, spec.owner) == (AddNote, add_note, "memo")


def test_crm_checks() -> None:
    alone = load(deployed(), ()).checks.get("user.create", ())
    assert answering(crm_checks={"user.create": (a_check,)}).checks["user.create"] == (
        *alone,
        ("memo", a_check),
    )


def test_crm_gates() -> None:
    assert answering(crm_gates=(a_gate,)).gates[-1] is a_gate


def test_crm_policies() -> None:
    policy = PolicyTemplate("memo", "user.create", "line_manager", "Notes are signed")
    assert policy in answering(crm_policies=(policy,)).policies


async def told(_work: Work, _record: object, _state: str) -> None:
    """A document hears of its approval."""


async def reader(_work: Work, _matter: object) -> Sequence[UUID]:
    """Finds users."""
    return []


async def owner(_work: Work, _record: object, _line: str) -> UUID | None:
    """Who owns a note."""
    return None


def test_crm_documents() -> None:
    document = Document("MemoNote", "memo.write", told, str)
    assert answering(crm_types=(NOTE,), crm_documents=(document,)).documents["MemoNote"] == document


def test_crm_owners() -> None:
    assert answering(crm_types=(NOTE,), crm_owners={"MemoNote": owner}).owners["MemoNote"] is owner


def test_crm_resolvers() -> None:
    assert answering(crm_resolvers={"memo.reader": reader}).resolvers["memo.reader"] is reader


def test_crm_events() -> None:
    assert answering(crm_types=(NOTE,), crm_events=(MemoWritten,)).events["memo.written"] is MemoWritten


def test_crm_scopes() -> None:
    assert answering(crm_scopes=SCOPES).scopes["memo.write"] == SCOPES[1]


def test_crm_roles() -> None:
    assert answering(crm_scopes=SCOPES, crm_roles=(ROLE,)).roles["memo_writer"] == ROLE


def test_a_role_named_again_gains_scopes() -> None:
    again = RoleTemplate("line_manager", "Line manager", {"memo.read": Reach.LINE})
    manager = answering(crm_scopes=SCOPES, crm_roles=(again,)).roles["line_manager"]
    assert manager.scopes["memo.read"] is Reach.LINE
    assert "audit.read" in manager.scopes


def test_crm_messages() -> None:
    message = Message("MEMO_LATE", "Too late.", "太晚了。")
    assert answering(crm_messages=(message,)).messages["MEMO_LATE"] is message


def test_crm_interaction_kinds() -> None:
    kind = InteractionKind("memo_talk", "Talk", "面谈")
    assert answering(crm_interaction_kinds=(kind,)).interaction_kinds["memo_talk"] is kind


def test_crm_timeline() -> None:
    source = Source("memo", no_entries)
    assert source in answering(crm_timeline=(source,)).timeline


def test_crm_chores() -> None:
    chore = Chore("memo.sweep", timedelta(hours=1), a_sweep)
    assert chore in answering(crm_chores=(chore,)).chores


def test_crm_receivers() -> None:
    receiver = Receiver("memo", a_reception)
    assert receiver in answering(crm_receivers=(receiver,)).receivers


async def a_reception(_services: Services, _session: Unit, _events: Sequence[RecordedEvent]) -> None:
    """Takes nothing in."""


def test_crm_workers() -> None:
    worker = Worker("memo", a_worker)
    found = answering(crm_workers=(worker,)).workers
    assert worker in found
    assert "feed" in {one.name for one in found}


async def a_worker(_services: Services, _stop: asyncio.Event) -> None:
    """Does nothing."""


def test_crm_verifiers() -> None:
    verifier = Verifier("MEMO", "Memo 备忘", lambda arrived, _secret, _options, _now: Verified(arrived.body))
    found = answering(crm_verifiers=(verifier,)).verifiers
    assert found["MEMO"] is verifier
    assert {"STANDARD_WEBHOOKS", "GITHUB", "HMAC", "STATIC_TOKEN", "WECOM", "DINGTALK", "FEISHU"} < set(found)


def test_crm_incoming_handlers() -> None:
    handler = IncomingHandler("memo", "Memo 备忘", a_message)
    assert answering(crm_incoming_handlers=(handler,)).incoming_handlers == {"memo": handler}


async def a_message(_message: IncomingMessage, _doing: Doing) -> None:
    """Takes nothing from it."""


def test_crm_jobs() -> None:
    job = Job("memo.print", a_job)
    assert answering(crm_jobs=(job,)).jobs["memo.print"] is job


def test_crm_schedules() -> None:
    job, schedule = Job("memo.print", a_job), Schedule("memo.mornings", "0 9 * * 1-5", "memo.print")
    assert ("memo", schedule) in answering(crm_jobs=(job,), crm_schedules=(schedule,)).schedules
    with pytest.raises(ValueError, match="five fields"):
        Schedule("memo.often", "often", "memo.print")


def test_crm_handovers() -> None:
    handover = Handover("memo.notes", a_handover)
    assert ("memo", handover) in answering(crm_handovers=(handover,)).handovers


def test_crm_notifiers() -> None:
    notifier = Notifier("pigeon", "Pigeon 信鸽", a_pigeon)
    found = answering(crm_notifiers=(notifier,)).notifiers
    assert (found["pigeon"], set(found)) == (notifier, {"mail", "bot", "pigeon"})


def test_crm_notice_kinds() -> None:
    kind = NoticeKind("memo.due", "备忘到期", "A memo is due", "内容：{text}", "It says: {text}")
    registry = answering(crm_notice_kinds=(kind,))
    assert registry.notice_kinds["memo.due"] is kind
    assert registry.messages["notice.memo.due.title"].zh == "备忘到期"


def test_crm_migrations(tmp_path: Path) -> None:
    lines = answering(crm_migrations=tmp_path).migrations
    assert [line.owner for line in lines] == ["core", "memo"]
    assert (lines[1].folder, lines[1].version_table) == (tmp_path, "crm_memo_version")


def test_crm_settings() -> None:
    registry = answering(crm_settings=MemoSettings)
    assert registry.settings["memo"] == MemoSettings()
    assert registry.setting_models["memo"] is MemoSettings


def test_crm_demo() -> None:
    assert answering(crm_demo=a_demo).demos[-1] is a_demo


def test_crm_seeds() -> None:
    assert answering(crm_seeds=(a_seed,)).seeds == (("memo", a_seed),)


hookspec = pluggy.HookspecMarker("crm")


def memo_ideas() -> str:
    """A hook of the plugin `memo` for those above it."""
    raise NotImplementedError


def test_crm_hookspecs() -> None:
    doors = ModuleType("doors")
    doors.memo_ideas = hookspec(memo_ideas)  # type: ignore[attr-defined]  # a module made up here
    opener = candidate("memo", module(crm_hookspecs=lambda: (doors,)))
    visitor = candidate("visitor", module(memo_ideas=lambda: "one idea"), "crm-memo")
    registry = load(deployed("memo", "visitor"), (visitor, opener))
    assert [state.state for state in registry.plugins] == ["loaded", "loaded"]
    assert registry.doors["memo_ideas"] == (("visitor", "one idea"),)


def test_a_door_that_nobody_opened_is_a_misspelt_hook() -> None:
    visitor = candidate("visitor", module(memo_ideas=lambda: "one idea"))
    assert "no hook is called memo_ideas" in load(deployed("visitor"), (visitor,)).plugins[0].reason


# -- all of them


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_of_its_name(hook: str) -> None:
    tests = {
        f.name for f in ast.parse(Path(__file__).read_text("utf-8")).body if isinstance(f, ast.FunctionDef)
    }
    assert f"test_{hook}" in tests


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_says_when_it_is_asked(hook: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    assert text.startswith("Asked")
    assert text.endswith((".", "."))


def test_every_hook_is_asked_once_per_module_in_the_order_of_requirements() -> None:
    asked: list[tuple[str, str]] = []
    empty: Mapping[str, object] = {"crm_fields": {}, "crm_commands": {}, "crm_checks": {}}
    left_out = {"crm_settings", "crm_migrations", "crm_demo"}

    def noting(plugin: str) -> ModuleType:
        def hook_of(name: str) -> Callable[[], object]:
            def answer() -> object:
                asked.append((plugin, name))
                return empty.get(name, ())

            return answer

        return module(**{name: hook_of(name) for name in HOOKS if name not in left_out})

    plugins = (
        candidate("able", noting("able"), "crm-zebra"),
        candidate("middle", noting("middle"), "crm-able"),
        candidate("zebra", noting("zebra")),
    )
    registry = load(deployed("middle", "able", "zebra"), plugins)
    assert [state.name for state in registry.plugins] == ["zebra", "able", "middle"]
    assert len(asked) == len(set(asked)) == 3 * (len(HOOKS) - len(left_out))
    assert list(dict.fromkeys(plugin for plugin, _ in asked)) == ["zebra", "able", "middle"]
    assert next(name for plugin, name in asked if plugin == "able") == "crm_hookspecs"


def test_the_core_stands_before_plugins_in_what_hooks_gather() -> None:
    registry = answering(crm_gates=(a_gate,), crm_policies=(PolicyTemplate("m", "user.create", "r", "t"),))
    assert registry.gates[-1] is a_gate
    assert registry.query_owners == ("core",) * len(registry.queries)
    assert CORE_ROOMS[0] == "access"
    assert next(iter(registry.types)) == "User"

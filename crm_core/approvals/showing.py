"""Shows a request to one reader in words of his language: what would change, what is signed, what happened.

Values that the API shows him in part, or not at all, are hidden here as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic.alias_generators import to_snake
from sqlalchemy import select

from crm_core import ids, money
from crm_core.access.models import User
from crm_core.actors import Actor
from crm_core.approvals import held
from crm_core.approvals.attached import papers_of
from crm_core.approvals.history import Event, history, people_in
from crm_core.approvals.models import Approval
from crm_core.approvals.moving import STATE
from crm_core.approvals.queries import READ, concerned
from crm_core.approvals.titles import role_titles, title_of
from crm_core.approvals.words import State
from crm_core.errors import Language, UserError, worded
from crm_core.graphql.access import Access
from crm_core.graphql.context import Fetch
from crm_core.graphql.fields import Field, Id, ObjectType, Yuan
from crm_core.registry import Registry
from crm_core.work import Services

HIDDEN: Final = "***"
_OVERLOOKED: Final = frozenset({"id", "version", "createdAt", "updatedAt"})
_MOST_FACTS: Final = 60


@dataclass(frozen=True, slots=True)
class Line:
    """One field that changes: of which record (`about`), its title, before and after; None: there is no value."""

    about: str
    label: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as one reader sees it; `facts` are the columns of a record that is signed itself."""

    id: UUID
    title: str
    kind: str
    requester: str
    line: str
    subject: str
    reason: str
    state: str
    asked_at: datetime
    changes: tuple[Line, ...]
    facts: tuple[tuple[str, str], ...]
    history: tuple[Event, ...]
    names: Mapping[UUID, str]
    zone: ZoneInfo
    reasons: tuple[str, ...]
    chain: State

    @property
    def seen(self) -> str:
        """A digest of what the reader is shown to sign; another one means that it is something else by now."""
        papers = [paper.sha256 for line in self.history for paper in line.papers]
        what = repr((self.id.hex, self.title, self.changes, self.facts, papers))
        return hashlib.sha256(what.encode()).hexdigest()


async def shown(
    services: Services, fetch: Fetch, actor: Actor, approval: UUID, language: Language
) -> Shown | None:
    """The request in words; None where this reader may not see it."""
    table, access = Approval.__table__, services.access(actor)
    rows = await fetch(select(table).where(table.c.id == approval, concerned(table, access, READ)))
    if not rows:
        return None
    row = rows[0]
    zone = ZoneInfo(services.settings.lines[row.line].time_zone)
    state = STATE.validate_python(row.chain)
    names = await names_of(fetch, people_in(state) | _users_in(row.diff, services.registry))
    reason = row.options.get("reason") or ""
    words = Words(services.registry, language, zone, names)
    return Shown(
        id=row.id,
        title=row.title,
        kind=words.kind_of(row.kind, row.document),
        requester=names.get(row.requester_id, ""),
        line=services.settings.lines[row.line].name or row.line,
        subject=row.subject_ref or "",
        reason=reason,
        state=row.state,
        asked_at=row.created_at,
        changes=tuple(words.changes(row.diff, actor)),
        facts=await _facts(services, fetch, access, row, words) if row.document else (),
        history=tuple(
            history(
                state,
                row.created_at,
                reason,
                names,
                role_titles(services.registry.roles, language),
                language,
                await papers_of(fetch, row.id),
            )
        ),
        names=names,
        zone=zone,
        reasons=tuple(worded(UserError(**one), services.registry.messages, language) for one in row.reasons),
        chain=state,
    )


async def names_of(fetch: Fetch, users: Iterable[UUID]) -> dict[UUID, str]:
    """Names of users by id; one statement."""
    wanted, table = sorted(set(users)), User.__table__
    if not wanted:
        return {}
    return {
        row.id: row.name
        for row in await fetch(select(table.c.id, table.c.name).where(table.c.id.in_(wanted)))
    }


def may_see(needs: Sequence[str], actor: Actor) -> bool:
    """Whether the API would show this reader a value in full."""
    return all(actor.may(scope) for scope in needs)


@dataclass(frozen=True, slots=True)
class Words:
    """Says values and names in one language, moments in the line's time zone."""

    registry: Registry
    language: Language
    zone: ZoneInfo
    names: Mapping[UUID, str]

    def kind_of(self, kind: str, document: str | None) -> str:
        """What is asked for: the first sentence about the command, or the type of the record."""
        if document is not None:
            return self.type_of(self.registry.types.get(document), document)
        spec = self.registry.commands.get(kind)
        words = (spec.command.__doc__ or "").strip().split("\n")[0] if spec is not None else ""
        return title_of(words, kind, self.language)

    def type_of(self, kind: ObjectType | None, name: str) -> str:
        """The title of a type of record."""
        if kind is None:
            return name
        return title_of(kind.description, kind.name, "zh-CN") if self.language == "zh-CN" else kind.name

    def changes(self, diff: Iterable[Mapping[str, Any]], actor: Actor) -> Iterable[Line]:
        """The lines of the diff; columns that no field shows, such as search keys, only to who may see all."""
        for line in diff:
            if _declared(self.registry, line)[1] is not None or may_see(line["needs"], actor):
                yield self.change(line, actor)

    def change(self, line: Mapping[str, Any], actor: Actor) -> Line:
        """One line of the diff, hidden where the API would hide it."""
        kind, field = _declared(self.registry, line)
        label = title_of(field.description, line["field"], self.language) if field else str(line["field"])
        about = self.type_of(kind, str(line["table"]))
        if line["recordId"]:
            about += f" {line['recordId']}"
        before, after = line["before"], line["after"]
        if not may_see(line["needs"], actor):
            before, after = (HIDDEN if one is not None else None for one in (before, after))
        type_ = field.type if field else None
        return Line(about, label, self.value(before, type_), self.value(after, type_))

    def value(self, value: Any, type_: Any = None) -> str | None:  # noqa: PLR0911  # one per form
        """A value as people write it; None where there is none."""
        if value is None or value in ("", [], {}):
            return None
        if value == HIDDEN:
            return HIDDEN
        if isinstance(value, bool):
            return ("是" if value else "否") if self.language == "zh-CN" else ("yes" if value else "no")
        if isinstance(type_, Yuan):
            amount = f"{money.yuan(value):,.2f}" if isinstance(value, int) else str(value)
            return f"{amount} 元" if self.language == "zh-CN" else f"CNY {amount}"
        if isinstance(type_, Id):
            return self._id(value, type_.prefix)
        if isinstance(value, datetime) or type_ is datetime:
            return self._moment(value)
        if isinstance(value, list | tuple):
            return ("、" if self.language == "zh-CN" else ", ").join(self.value(one) or "-" for one in value)
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
        return value.isoformat() if isinstance(value, date) else str(value)

    def _id(self, value: Any, prefix: str) -> str:
        try:
            key = value if isinstance(value, UUID) else UUID(str(value))
        except ValueError:
            return str(value)
        return self.names.get(key) or ids.show(prefix, key)

    def _moment(self, value: Any) -> str:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError:
            return str(value)
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M") if moment.tzinfo else str(value)


def _declared(registry: Registry, line: Mapping[str, Any]) -> tuple[ObjectType | None, Field | None]:
    """The type and the field that a line of the diff is about, as far as the API knows them."""
    kind = next(
        (k for k in registry.types.values() if k.model and k.model.__tablename__ == line["table"]), None
    )
    if kind is None:
        return None, None
    field = kind.by_name.get(line["field"])
    if field is not None and field.kind == "column":
        return kind, field
    return kind, next((f for f in kind.fields if held.shows(f, kind.model, to_snake(line["field"]))), None)


def _users_in(diff: Iterable[Mapping[str, Any]], registry: Registry) -> set[UUID]:
    """Users whom the diff names."""
    found: set[UUID] = set()
    for line in diff:
        field = _declared(registry, line)[1]
        if field is None or not isinstance(field.type, Id) or field.type.prefix != "usr":
            continue
        for value in (line["before"], line["after"]):
            try:
                found.add(UUID(str(value)))
            except ValueError:
                continue
    return found


async def _facts(
    services: Services, fetch: Fetch, access: Access, row: Any, words: Words
) -> tuple[tuple[str, str], ...]:
    """The columns of a record that is signed itself, as the API shows them to this reader; none if it hides it."""
    kind = services.registry.types.get(row.document)
    if kind is None or kind.model is None:
        return ()
    t = kind.aliased(access, "signed")
    rule = kind.visible(t, access)
    fields = [f for f in kind.fields if f.kind == "column" and f.name not in _OVERLOOKED]
    allowed = [f for f in fields if access.denial(f.owner, f.scope) is None][:_MOST_FACTS]
    chosen = [f.expression(t, access).label(f"f{n}") for n, f in enumerate(allowed)]
    statement = select(*chosen).where(t.c.id == row.subject_id)
    rows = await fetch(statement if rule is None else statement.where(rule)) if chosen else ()
    if not rows or (kind.scope is not None and not access.actor.may(kind.scope)):
        return ()
    pairs = (
        (title_of(f.description, f.name, words.language), words.value(v, f.type))
        for f, v in zip(allowed, rows[0], strict=True)
    )
    return tuple((label, value) for label, value in pairs if value is not None)

"""Plain Strawberry, as a decent developer writes it: typed resolvers, dataloaders, ORM entities, a session per batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import strawberry
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader

from benchmarks.reads import wire
from benchmarks.reads.wire import Caller
from crm_core import ids
from crm_core.access.models import RoleGrant
from crm_core.access.models import User as UserRow
from crm_core.audit.models import AuditEntry
from crm_core.contacts.models import Contact as ContactRow
from crm_core.contacts.models import ContactPhone
from crm_core.customers.models import Customer as CustomerRow
from crm_core.customers.models import CustomerLine
from crm_core.db.search import SearchDocument
from crm_core.interactions.models import Interaction as InteractionRow
from crm_core.outbox.models import OutboxEvent

CONNECTIONS: Final = 10
CHANNELS: Final = {"call": "PHONE", "wechat": "WECHAT", "sms": "SMS"}
Search = Callable[[str], Select[UUID]]
"""Ids of the customers in whose search tokens two characters stand; each database has its own index for it."""


def moment(value: datetime) -> str:
    """A moment as clients see it."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# -- who sees what


def reached(caller: Caller, line: type[CustomerLine] = CustomerLine) -> ColumnElement[bool]:
    """Rows of customer_lines the caller reaches."""
    if not caller.teams:
        return true()
    mine = [
        and_(line.line == code, or_(line.owner_id == caller.user, line.team_id == team))
        for code, team in caller.teams.items()
    ]
    return or_(false(), *mine)


def visible_customers(caller: Caller) -> ColumnElement[bool]:
    """Customers reached in some line."""
    if not caller.teams:
        return true()
    return CustomerRow.id.in_(select(CustomerLine.customer_id).where(reached(caller)))


def visible_contacts(caller: Caller) -> ColumnElement[bool]:
    """Contacts of such customers, shared or in the line."""
    if not caller.teams:
        return true()
    line = or_(ContactRow.line.is_(None), ContactRow.line == CustomerLine.line)
    return (
        select(1)
        .where(CustomerLine.customer_id == ContactRow.customer_id, line, reached(caller))
        .correlate(ContactRow)
        .exists()
    )


def visible_interactions(caller: Caller) -> ColumnElement[bool]:
    """His own interactions, and those of customers reached in the same line."""
    if not caller.teams:
        return true()
    here = and_(
        CustomerLine.customer_id == InteractionRow.customer_id, CustomerLine.line == InteractionRow.line
    )
    his = select(1).where(here, reached(caller)).correlate(InteractionRow).exists()
    return and_(InteractionRow.line.in_(caller.teams), or_(InteractionRow.performer_id == caller.user, his))


def visible_users(caller: Caller) -> ColumnElement[bool]:
    """Colleagues of his lines, and himself."""
    if not caller.teams:
        return true()
    shared = select(RoleGrant.user_id).where(or_(RoleGrant.line.is_(None), RoleGrant.line.in_(caller.teams)))
    return or_(UserRow.id == caller.user, UserRow.id.in_(shared))


# -- one request


class Loading:
    """The dataloaders of one request."""

    def __init__(self, engine: AsyncEngine, search: Search, caller: Caller) -> None:
        """`caller`: who asks."""
        self.engine = engine
        self.search = search
        self.caller = caller
        self._several: dict[tuple[str, int], DataLoader[UUID, list[Any]]] = {}

    async def rows(self, statement: Any) -> list[Any]:
        """Entities or tuples of one statement, in a session of its own."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            result = await session.execute(statement)
            found = result.all()
        return [row[0] if len(row) == 1 else row for row in found]

    @cached_property
    def users(self) -> DataLoader[UUID, Any]:
        """Users by id."""
        return self._by_id(UserRow, visible_users(self.caller))

    @cached_property
    def customers(self) -> DataLoader[UUID, Any]:
        """Customers by id."""
        return self._by_id(CustomerRow, visible_customers(self.caller))

    def _by_id(self, model: Any, rule: ColumnElement[bool]) -> DataLoader[UUID, Any]:
        async def load(keys: list[UUID]) -> Sequence[Any]:
            found = {row.id: row for row in await self.rows(select(model).where(model.id.in_(keys), rule))}
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def lines(self) -> DataLoader[UUID, CustomerLine | None]:
        """The caller's first line of customers."""

        async def load(keys: list[UUID]) -> Sequence[CustomerLine | None]:
            statement = select(CustomerLine).where(CustomerLine.customer_id.in_(keys), reached(self.caller))
            found: dict[UUID, CustomerLine] = {}
            for row in await self.rows(statement.order_by(CustomerLine.line)):
                found.setdefault(row.customer_id, row)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def phones(self) -> DataLoader[UUID, list[ContactPhone]]:
        """Telephone numbers of contacts."""

        async def load(keys: list[UUID]) -> Sequence[list[ContactPhone]]:
            statement = select(ContactPhone).where(ContactPhone.contact_id.in_(keys))
            order = (ContactPhone.position, ContactPhone.id)
            return _grouped(await self.rows(statement.order_by(*order)), "contact_id", keys)

        return DataLoader(load)

    def contacts(self, first: int) -> DataLoader[UUID, list[Any]]:
        """The newest contacts of customers."""
        rule = visible_contacts(self.caller)
        return self._newest("contacts", ContactRow, rule, [ContactRow.id.desc()], first)

    def interactions(self, first: int) -> DataLoader[UUID, list[Any]]:
        """The last interactions of customers."""
        order = [InteractionRow.occurred_at.desc(), InteractionRow.id.desc()]
        rule = visible_interactions(self.caller)
        return self._newest("interactions", InteractionRow, rule, order, first)

    def _newest(
        self, name: str, model: Any, rule: ColumnElement[bool], order: list[Any], first: int
    ) -> DataLoader[UUID, list[Any]]:
        async def load(keys: list[UUID]) -> Sequence[list[Any]]:
            number = func.row_number().over(partition_by=model.customer_id, order_by=order)
            inner = select(model.id, number.label("n")).where(model.customer_id.in_(keys), rule).subquery()
            statement = select(model).join(inner, inner.c.id == model.id).where(inner.c.n <= first)
            return _grouped(await self.rows(statement.order_by(*order)), "customer_id", keys)

        return self._several.setdefault((name, first), DataLoader(load))


def _grouped(rows: list[Any], key: str, keys: list[UUID]) -> list[list[Any]]:
    groups: dict[UUID, list[Any]] = {one: [] for one in keys}
    for row in rows:
        groups[getattr(row, key)].append(row)
    return [groups[one] for one in keys]


Info = strawberry.Info[Loading, None]


# -- types


@strawberry.type
class User:
    """A user."""

    id: strawberry.ID
    name: str


def user(row: UserRow | None) -> User | None:
    """As a GraphQL type."""
    return None if row is None else User(id=strawberry.ID(ids.show("usr", row.id)), name=row.name)


@strawberry.type
class Phone:
    """A telephone number."""

    number: str
    use: str


@strawberry.type
class Contact:
    """A contact."""

    key: strawberry.Private[UUID]
    id: strawberry.ID
    name: str
    title: str | None
    is_key_person: bool

    @strawberry.field
    async def phones(self, info: Info) -> list[Phone]:
        """Its numbers."""
        rows = await info.context.phones.load(self.key)
        masked = bool(info.context.caller.teams)
        return [Phone(number=_masked(row.e164) if masked else row.e164, use=row.kind) for row in rows]


def _masked(number: str) -> str:
    return f"{number[3:6]}****{number[-4:]}" if number.startswith("+86") else f"****{number[-4:]}"


@strawberry.type
class Interaction:
    """An interaction."""

    customer_key: strawberry.Private[UUID]
    performer_key: strawberry.Private[UUID | None]
    id: strawberry.ID
    kind: str
    channel: str | None
    status: str
    subject: str
    occurred_at: str

    @strawberry.field
    async def performer(self, info: Info) -> User | None:
        """Who performed it."""
        return user(await info.context.users.load(self.performer_key)) if self.performer_key else None

    @strawberry.field
    async def customer(self, info: Info) -> Customer | None:
        """With whom."""
        return customer(await info.context.customers.load(self.customer_key))


def interaction(row: InteractionRow) -> Interaction:
    """As a GraphQL type."""
    return Interaction(
        customer_key=row.customer_id,
        performer_key=row.performer_id,
        id=strawberry.ID(ids.show("int", row.id)),
        kind=row.kind,
        channel=row.channel,
        status=row.status,
        subject=row.subject,
        occurred_at=moment(row.occurred_at),
    )


@strawberry.type
class Customer:
    """A customer."""

    key: strawberry.Private[UUID]
    id: strawberry.ID
    number: str
    name: str
    province: str | None
    city: str | None
    created_at: str

    @strawberry.field
    async def grade(self, info: Info) -> str | None:
        """In the caller's first line."""
        line = await info.context.lines.load(self.key)
        return line.grade if line else None

    @strawberry.field
    async def stage(self, info: Info) -> str | None:
        """In the caller's first line."""
        line = await info.context.lines.load(self.key)
        return line.stage if line else None

    @strawberry.field
    async def owner(self, info: Info) -> User | None:
        """In the caller's first line."""
        line = await info.context.lines.load(self.key)
        if line is None or line.owner_id is None:
            return None
        return user(await info.context.users.load(line.owner_id))

    @strawberry.field
    async def contacts(self, info: Info, first: int) -> list[Contact]:
        """The newest."""
        rows = await info.context.contacts(first).load(self.key)
        return [
            Contact(
                key=row.id,
                id=strawberry.ID(ids.show("con", row.id)),
                name=row.name,
                title=row.title,
                is_key_person=row.is_key_person,
            )
            for row in rows
        ]

    @strawberry.field
    async def interactions(self, info: Info, first: int) -> list[Interaction]:
        """The last."""
        return [interaction(row) for row in await info.context.interactions(first).load(self.key)]


def customer(row: CustomerRow | None) -> Customer | None:
    """As a GraphQL type."""
    if row is None:
        return None
    return Customer(
        key=row.id,
        id=strawberry.ID(ids.show("cus", row.id)),
        number=row.number,
        name=row.name,
        province=row.province,
        city=row.city,
        created_at=moment(row.created_at),
    )


# -- roots


@strawberry.type
class Query:
    """What can be read."""

    @strawberry.field
    async def customer(self, info: Info, id: strawberry.ID) -> Customer | None:
        """One customer."""
        return customer(await info.context.customers.load(ids.read_as("cus", id)))

    @strawberry.field
    async def customers(
        self,
        info: Info,
        first: int,
        after: strawberry.ID | None = None,
        grade: str | None = None,
        province: str | None = None,
        search: str | None = None,
    ) -> list[Customer]:
        """Customers, the newest first."""
        caller = info.context.caller
        statement = select(CustomerRow).where(visible_customers(caller))
        if after is not None:
            statement = statement.where(CustomerRow.id < ids.read_as("cus", after))
        if province is not None:
            statement = statement.where(CustomerRow.province == province)
        if grade is not None:
            statement = statement.where(_first_grade(caller) == grade)
        if search is not None:
            statement = statement.where(CustomerRow.id.in_(info.context.search(search)))
        rows = await info.context.rows(statement.order_by(CustomerRow.id.desc()).limit(first))
        return [one for row in rows if (one := customer(row)) is not None]

    @strawberry.field
    async def interactions(
        self, info: Info, first: int, after: strawberry.ID | None = None
    ) -> list[Interaction]:
        """Interactions, the last first."""
        statement = select(InteractionRow).where(visible_interactions(info.context.caller))
        if after is not None:
            key = ids.read_as("int", after)
            at = (await info.context.rows(select(InteractionRow).where(InteractionRow.id == key)))[0]
            behind = tuple_(InteractionRow.occurred_at, InteractionRow.id) < tuple_(at.occurred_at, at.id)
            statement = statement.where(behind)
        order = (InteractionRow.occurred_at.desc(), InteractionRow.id.desc())
        return [interaction(row) for row in await info.context.rows(statement.order_by(*order).limit(first))]


def _first_grade(caller: Caller) -> ColumnElement[Any]:
    first = select(CustomerLine.grade).where(CustomerLine.customer_id == CustomerRow.id, reached(caller))
    return first.order_by(CustomerLine.line).limit(1).correlate(CustomerRow).scalar_subquery()


@strawberry.type
class Mutation:
    """What can be changed."""

    @strawberry.mutation
    async def interaction_log(
        self, info: Info, line: str, customer_id: strawberry.ID, kind: str, subject: str, content: str
    ) -> Interaction | None:
        """Record an interaction, with its audit entry and event."""
        caller, key = info.context.caller, ids.read_as("cus", customer_id)
        async with AsyncSession(info.context.engine, expire_on_commit=False) as session:
            wanted = select(CustomerLine).where(CustomerLine.customer_id == key, CustomerLine.line == line)
            found = await session.scalar(wanted.where(reached(caller)))
            if found is None:
                return None
            row = _logged(caller, found, kind, subject, content)
            session.add(row)
            await session.flush()
            session.add_all(_evidence(caller, row, content))
            await session.commit()
        return interaction(row)


def _logged(caller: Caller, line: CustomerLine, kind: str, subject: str, content: str) -> InteractionRow:
    now = datetime.now(UTC)
    return InteractionRow(
        id=ids.uuid7(now), created_at=now, customer_id=line.customer_id, line=line.line, kind=kind,
        channel=CHANNELS[kind], status="DONE", direction="OUTBOUND", is_visit=False, is_callback=False,
        subject=subject, target="", content=content, occurred_at=now,
        occurred_on=now.astimezone(ZoneInfo("Asia/Shanghai")).date(), performer_id=caller.user,
        team_id=line.team_id, next_step="",
    )  # fmt: skip


_LEFT_OUT: Final = frozenset({"updated_at", "version", "target"})


def _evidence(caller: Caller, row: InteractionRow, content: str) -> list[Any]:
    now, request, ref = row.created_at, ids.uuid7().hex, ids.show("int", row.id)
    values = {column.name: getattr(row, column.name) for column in row.__table__.columns}
    after = {
        name: _json(value) for name, value in values.items() if value is not None and name not in _LEFT_OUT
    }
    command = {
        "content": content,
        "customer_id": ids.show("cus", row.customer_id),
        "subject_text": row.subject,
        "interaction_kind": row.kind,
    }
    who = {"line": row.line, "actor_id": caller.user, "actor_name": caller.name, "request_id": request}
    entry = AuditEntry(
        created_at=now, kind="interaction.log", token_id=caller.token_id, channel="graphql",
        subject_type="Interaction", subject_ref=ref, command=command,
        changes=[{"table": "interactions", "id": str(row.id), "before": None, "after": after}], **who,
    )  # fmt: skip
    event = OutboxEvent(
        created_at=now, kind="interaction.logged", schema_version=1, subject_type="Interaction",
        subject_id=row.id, subject_ref=ref, sequence=1, ordinal=0, occurred_at=now, before=None, after=after,
        changed_fields=[], data={}, **who,
    )  # fmt: skip
    return [entry, event]


def _json(value: Any) -> Any:
    return value if isinstance(value, str | bool | int) else getattr(value, "isoformat", lambda: str(value))()


# -- the server


class Server(GraphQL[Loading, None]):
    """Gives every request its loaders."""

    def __init__(
        self, schema: strawberry.Schema, engine: AsyncEngine, search: Search, known: dict[str, Caller]
    ) -> None:
        """`known`: callers by token."""
        super().__init__(schema)
        self._engine = engine
        self._search = search
        self._callers = known

    async def get_context(self, request: Any, response: Any) -> Loading:
        """The loaders of the request."""
        return Loading(self._engine, self._search, wire.caller_of(request, self._callers))


def app(engine: AsyncEngine, search: Search, known: dict[str, Caller]) -> Starlette:
    """The server of one deployment."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    served = Server(strawberry.Schema(Query, Mutation), engine, search, known)
    return Starlette(routes=[Route("/graphql", served)], lifespan=lifespan)


# -- what is PostgreSQL's own; `plain_sqlite` has the same for SQLite


def token_of(text: str) -> str:
    """The search token of two characters."""
    return f"b{ord(text[0]):x}x{ord(text[1]):x}"


def _opened(address: str) -> AsyncEngine:
    return create_async_engine(
        address.replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=CONNECTIONS,
        max_overflow=0,
        connect_args={"server_settings": {"timezone": "UTC", "jit": "off"}},
    )


def _searched(text: str) -> Select[UUID]:
    tokens = case((SearchDocument.kind == literal_column("'Customer'"), SearchDocument.tokens))
    return select(SearchDocument.subject_id).where(tokens.op("@>")([token_of(text)]))


if __name__ == "__main__":
    given = wire.arguments()
    wire.serve(app(_opened(given.address), _searched, wire.callers(given.folder)), given.port)

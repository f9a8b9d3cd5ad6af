"""The search index: one document of tokens per record, GIN on PostgreSQL, FTS5 on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    Select,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    bindparam,
    case,
    literal_column,
    select,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql import and_, false, or_, text

from crm_core.db.base import Base, Personal
from crm_core.db.types import TokenList
from crm_core.tokens import query_groups


class SearchDocument(Base):
    """The search tokens of one record. On SQLite triggers mirror them into the FTS5 table `search_documents_fts`."""

    __tablename__ = "search_documents"
    __table_args__ = (UniqueConstraint("subject_id", "kind"),)
    personal: ClassVar[dict[str, Personal]] = {
        "tokens": Personal("identity", "Finding a customer by name, pinyin, initials or phone suffix")
    }

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    kind: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[UUID] = mapped_column(Uuid)
    tokens: Mapped[tuple[str, ...]] = mapped_column(TokenList)


INDEXED = frozenset({"Approval", "Contact", "Customer"})
"""Kinds with an index of their own on PostgreSQL, over an expression.

PostgreSQL keeps statistics of such an expression, unless the index is partial: it knows how common a text is among contacts,
not among all records. Other kinds share an index.
"""
LATER = "search_later"
"""Key of a session's list of documents to be written together; see `write`."""


async def index(
    session: AsyncSession, dialect: str, kind: str, subject_id: UUID, tokens: Iterable[str]
) -> None:
    """Put the record's tokens into the index, replacing what stood there."""
    values = {"kind": kind, "subject_id": subject_id, "tokens": tuple(tokens)}
    later = session.info.get(LATER)
    if later is not None:
        later.append(values)
    else:
        await write(session, dialect, [values])


async def write(session: AsyncSession, dialect: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put documents (`kind`, `subject_id`, `tokens`) into the index, replacing those that stood there."""
    await session.execute(writing(dialect), list(rows))


WRITTEN = ("kind", "subject_id", "tokens")
REPLACING = " ON CONFLICT (subject_id, kind) DO UPDATE SET tokens = excluded.tokens"
"""What becomes of a document that is there already."""


def writing(dialect: str) -> Executable:
    """The statement that puts documents into the index; its values are `WRITTEN`."""
    table = SearchDocument.__table__
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.on_conflict_do_update(
        index_elements=["subject_id", "kind"], set_={"tokens": insert.excluded.tokens}
    )


async def forget(session: AsyncSession, subject_id: UUID) -> None:
    """Take the record out of the index."""
    await session.execute(
        sql_delete(SearchDocument.__table__).where(SearchDocument.__table__.c.subject_id == subject_id)
    )


def wanted(query: str, dialect: str, digits: int | None = None) -> tuple[Any, ...]:
    """What people typed, as `matching` takes it: name fragment, pinyin, initials, phone suffix, code.

    Empty: nothing can match. `digits`: no more than so many last digits of a telephone number are looked for.
    """
    groups = [group for group in query_groups(query) if digits is None or not _longer(group, digits)]
    if dialect == "postgresql" or not groups:
        return tuple(list(group) for group in groups)
    return (" OR ".join("(" + " AND ".join(f'"{token}"' for token in group) + ")" for group in groups),)


def matching(kind: str, looked_for: Sequence[Any], dialect: str) -> Select[tuple[UUID]]:
    """Ids of the records of a kind that match one of these, each as `wanted` gives it."""
    document = SearchDocument.__table__.alias("found")
    of_kind = document.c.kind == literal_column(
        f"'{kind}'", String()
    )  # spelled out: indexes are chosen by it
    if dialect != "postgresql":
        found = and_(of_kind, or_(false(), *(_on_sqlite(document, one) for one in looked_for)))
    elif kind in INDEXED:
        tokens = case((of_kind, document.c.tokens))
        found = or_(false(), *(_on_postgresql(tokens, one) for one in looked_for))
    else:
        found = and_(of_kind, or_(false(), *(_on_postgresql(document.c.tokens, one) for one in looked_for)))
    return select(document.c.subject_id).where(found)


def _longer(group: Sequence[str], digits: int) -> bool:
    """Whether it asks for more last digits of a telephone number than this."""
    return any(token[0] == "n" and len(token) - 1 > digits for token in group)


def _on_postgresql(tokens: ColumnElement[Any], wanted: Any) -> ColumnElement[bool]:
    array = postgresql.ARRAY(Text())
    found: ColumnElement[bool] = tokens.op("@>", is_comparison=True)(
        bindparam(None, wanted, type_=array, unique=True)
    )
    return found


def _on_sqlite(document: Any, expression: Any) -> ColumnElement[bool]:
    matched = text("SELECT rowid FROM search_documents_fts WHERE search_documents_fts MATCH :match")
    found: ColumnElement[bool] = document.c.id.in_(
        matched.bindparams(bindparam("match", expression, unique=True))
    )
    return found

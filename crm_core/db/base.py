"""The declarative base: naming convention, ids, versions, and the personal-field declarations every table owes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from sqlalchemy import Integer, MetaData, String, Table, Uuid, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.orm.attributes import instance_dict

from crm_core import ids
from crm_core.db.types import UtcDateTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


@dataclass(frozen=True, slots=True)
class Personal:
    """Declares a column as personal data (个人信息): what erasure, export, masking and audit need to know.

    `category`: `sensitive` values (identity number, bank account) appear in audit, events and held commands only
    masked. `retention_days` counts from the end of the relation with the subject; None: as long as the record.
    `unless` is the permission to see it where no field of the API is this very column – a reference that is shown as
    the record it points to; held commands hide it from others.
    """

    category: Literal["identity", "contact", "profile", "content", "sensitive"]
    purpose: str
    retention_days: int | None = None
    mask: Literal["none", "phone", "name", "all"] = "none"
    unless: str | None = None


class Base(DeclarativeBase):
    """Every table of the core and of plugins. `personal` is owed by each: `{}` says there is none."""

    if TYPE_CHECKING:
        __table__: ClassVar[Table]

    metadata = MetaData(naming_convention=NAMING)
    personal: ClassVar[dict[str, Personal]]

    def __init__(self, **values: Any) -> None:
        """A new row with the values of its columns, by attribute; TypeError for one there is none of.

        They are put down at once: of a new row nobody wants to know what it held before.
        """
        unknown = values.keys() - _attributes(type(self))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no column {', '.join(sorted(unknown))}")
        instance_dict(self).update(values)


@cache
def _attributes(model: type[Base]) -> frozenset[str]:
    """Attributes of a model's columns."""
    return frozenset(inspect(model).column_attrs.keys())


def stamped(record: Base, **values: Any) -> None:
    """Put values down on a row that is not written yet, those that it has columns for."""
    known = _attributes(type(record))
    instance_dict(record).update({name: value for name, value in values.items() if name in known})


class Record(Base):
    """A row with a time-sortable id (UUIDv7) and the moment it was made."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    def __init__(self, **values: Any) -> None:
        """Ids exist before the row is written, so events and audit can name it."""
        if "id" not in values:
            values["id"] = ids.uuid7()
        if "created_at" not in values:
            values["created_at"] = datetime.now(UTC)
        super().__init__(**values)


class Aggregate(Record):
    """A record that commands change as one: its version counts the changes and orders its events."""

    __abstract__ = True

    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(Integer, default=1)

    def __init__(self, **values: Any) -> None:
        """A new record starts at version 1, updated when made."""
        super().__init__(**values)
        own = instance_dict(self)
        own.setdefault("updated_at", own["created_at"])
        own.setdefault("version", 1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805  # SQLAlchemy calls it with the class
        """The version is written with `WHERE version = old`: a lost update is an error, never silent."""
        return {"version_id_col": cls.__table__.c.version, "version_id_generator": lambda v: (v or 0) + 1}


LineCode = String(40)
"""Code of a business line (业务线), as in `crm.toml`."""

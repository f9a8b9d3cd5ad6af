"""An event: a fact in the past tense about one record."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

from crm_core.db.base import Aggregate


class Event(BaseModel):
    """A fact (事件), e.g. `CustomerCreated`; recorded by `work.record(CustomerCreated.of(customer))`.

    Class attributes: `kind` (`customer.created`), `subject_type` (GraphQL type of its record), `version` of its
    form, `public` (columns of the record that may leave the house). Fields of the class are further data.
    """

    model_config = ConfigDict(frozen=True)

    kind: ClassVar[str]
    subject_type: ClassVar[str]
    version: ClassVar[int] = 1
    public: ClassVar[tuple[str, ...]] = ()

    _subject: Aggregate = PrivateAttr()

    @classmethod
    def of(cls, subject: Aggregate, **data: Any) -> Self:
        """The fact about this record."""
        event = cls(**data)
        event._subject = subject
        return event

    @property
    def subject(self) -> Aggregate:
        """The record the fact is about."""
        return self._subject

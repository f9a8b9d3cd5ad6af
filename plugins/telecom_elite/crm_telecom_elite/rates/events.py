"""Facts about dated figures."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class EliteRateSet(Event):
    """A figure of the rules was set from a day on (参数变更)."""

    kind: ClassVar[str] = "elite_rate.set"
    subject_type: ClassVar[str] = "EliteRate"
    public: ClassVar[tuple[str, ...]] = ("name", "team_kind", "valid_from", "value", "note")


EVENTS: tuple[type[Event], ...] = (EliteRateSet,)

"""Facts about posts and the pay ladder; what a rung pays stays in the house."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from crm_core.outbox.events import Event


class _OfPost(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "ElitePost"
    public: ClassVar[tuple[str, ...]] = ("code", "title", "series", "role", "company_post", "qualification")


class ElitePostCreated(_OfPost):
    """A post was set up (新设岗位)."""

    kind: ClassVar[str] = "elite_post.created"


class ElitePostUpdated(_OfPost):
    """A post's title or qualification changed (岗位变更)."""

    kind: ClassVar[str] = "elite_post.updated"


class _OfStep(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteStep"
    public: ClassVar[tuple[str, ...]] = ("team_kind", "rank", "grade", "letter")


class EliteStepCreated(_OfStep):
    """A rung was added to a pay ladder (新设薪级)."""

    kind: ClassVar[str] = "elite_step.created"


class EliteStandardSet(_OfStep):
    """The standard pay of a rung was set from a day on (设定薪酬标准)."""

    kind: ClassVar[str] = "elite_standard.set"
    valid_from: date


EVENTS: tuple[type[Event], ...] = (ElitePostCreated, ElitePostUpdated, EliteStepCreated, EliteStandardSet)

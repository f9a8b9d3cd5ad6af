"""Facts about changes of step and post."""

from __future__ import annotations

from typing import ClassVar

from crm_core.outbox.events import Event


class _OfRegrade(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteRegrade"
    public: ClassVar[tuple[str, ...]] = ("member_id", "state", "effective_on")


class EliteRegradeProposed(_OfRegrade):
    """A change follows from results, or was applied for (提出调级调岗)."""

    kind: ClassVar[str] = "elite_regrade.proposed"


class EliteRegradeChanged(_OfRegrade):
    """It was scheduled, reviewed, decided, handed in or called back (调级调岗进展)."""

    kind: ClassVar[str] = "elite_regrade.changed"


class EliteRegradeApproved(_OfRegrade):
    """Everybody signed; step and post hold from its day on (调级调岗批准)."""

    kind: ClassVar[str] = "elite_regrade.approved"


class EliteRegradeRejected(_OfRegrade):
    """It was refused; everything stays as it is (调级调岗未通过)."""

    kind: ClassVar[str] = "elite_regrade.rejected"


class EliteRegradeWithdrawn(_OfRegrade):
    """It was taken back (调级调岗撤回)."""

    kind: ClassVar[str] = "elite_regrade.withdrawn"


EVENTS: tuple[type[Event], ...] = (
    EliteRegradeProposed,
    EliteRegradeChanged,
    EliteRegradeApproved,
    EliteRegradeRejected,
    EliteRegradeWithdrawn,
)

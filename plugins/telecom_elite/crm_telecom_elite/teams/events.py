"""Facts about teams, their cars, customers and establishment."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from crm_core.outbox.events import Event


class _OfTeam(Event):
    kind: ClassVar[str] = ""
    subject_type: ClassVar[str] = "EliteTeam"
    public: ClassVar[tuple[str, ...]] = ("name", "kind", "region", "closed_on")


class EliteTeamCreated(_OfTeam):
    """A team was set up (新设团队)."""

    kind: ClassVar[str] = "elite_team.created"


class EliteTeamUpdated(_OfTeam):
    """A team's name or region changed (团队变更)."""

    kind: ClassVar[str] = "elite_team.updated"


class EliteTeamClosed(_OfTeam):
    """A team was closed (撤销团队)."""

    kind: ClassVar[str] = "elite_team.closed"


class EliteTeamCarsSet(_OfTeam):
    """From a day on a team's cars are guaranteed, or not (用车保证)."""

    kind: ClassVar[str] = "elite_team.cars_set"
    valid_from: date
    guaranteed: bool


class EliteCustomerAssigned(_OfTeam):
    """The Centre assigned a customer to this team from a day on (客户指定)."""

    kind: ClassVar[str] = "elite_customer.assigned"
    customer: str
    valid_from: date


class EliteEstablishmentSet(Event):
    """The year's task of a kind of team was set, and with it how many people it is worth (编制核定)."""

    kind: ClassVar[str] = "elite_establishment.set"
    subject_type: ClassVar[str] = "EliteEstablishment"
    public: ClassVar[tuple[str, ...]] = ("team_kind", "region", "year", "target", "headcount")


EVENTS: tuple[type[Event], ...] = (
    EliteTeamCreated,
    EliteTeamUpdated,
    EliteTeamClosed,
    EliteTeamCarsSet,
    EliteCustomerAssigned,
    EliteEstablishmentSet,
)

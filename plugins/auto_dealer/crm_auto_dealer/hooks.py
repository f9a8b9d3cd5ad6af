"""What the car dealer's plugin answers when asked: what its three rooms hold, gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from crm_auto_dealer import demo, people, scopes
from crm_auto_dealer.orders import commands as order_commands
from crm_auto_dealer.orders import events as order_events
from crm_auto_dealer.orders import graphql as order_graphql
from crm_auto_dealer.orders import handing_in, signers, signing
from crm_auto_dealer.orders import models as order_models
from crm_auto_dealer.settings import AutoDealerSettings
from crm_auto_dealer.test_drives import commands as drive_commands
from crm_auto_dealer.test_drives import events as drive_events
from crm_auto_dealer.test_drives import graphql as drive_graphql
from crm_auto_dealer.test_drives import models as drive_models
from crm_auto_dealer.vehicles import commands as vehicle_commands
from crm_auto_dealer.vehicles import events as vehicle_events
from crm_auto_dealer.vehicles import graphql as vehicle_graphql
from crm_auto_dealer.vehicles import models as vehicle_models
from crm_core import hookimpl
from crm_core.commands import Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, ObjectType, Source
from crm_core.outbox.events import Event
from crm_core.registry import Demo, Document, InteractionKind, PolicyTemplate, Resolver, RoleTemplate, Scope


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """Vehicles, test drives with their slots, order cards with their changes."""
    return (*vehicle_models.TABLES, *drive_models.TABLES, *order_models.TABLES)


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return (*vehicle_graphql.TYPES, *drive_graphql.TYPES, *order_graphql.TYPES)


@hookimpl
def crm_fields() -> Mapping[str, Sequence[Field]]:
    """`Customer.vehicles`, `Customer.testDrives`, `Customer.orders` and `Vehicle.testDrives`."""
    found: dict[str, list[Field]] = {}
    for fields in (vehicle_graphql.FIELDS, drive_graphql.FIELDS, order_graphql.FIELDS):
        for type_name, added in fields.items():
            found.setdefault(type_name, []).extend(added)
    return found


@hookimpl
def crm_queries() -> Sequence[Field]:
    """Root fields."""
    return (*vehicle_graphql.QUERIES, *drive_graphql.QUERIES, *order_graphql.QUERIES)


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Everything that can be changed."""
    return {**vehicle_commands.COMMANDS, **drive_commands.COMMANDS, **order_commands.COMMANDS}


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts recorded."""
    return (*vehicle_events.EVENTS, *drive_events.EVENTS, *order_events.EVENTS)


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of the plugin."""
    return scopes.SCOPES


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Roles of a car dealer."""
    return scopes.ROLES


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals in both languages."""
    return (
        *people.MESSAGES,
        *vehicle_commands.MESSAGES,
        *drive_commands.MESSAGES,
        *order_commands.MESSAGES,
        *handing_in.MESSAGES,
        *signing.MESSAGES,
    )


@hookimpl
def crm_interaction_kinds() -> Sequence[InteractionKind]:
    """A test drive is also a way of meeting the customer."""
    return (InteractionKind("test_drive", "Test drive", "试驾"),)


@hookimpl
def crm_timeline() -> Sequence[Source]:
    """Test drives and orders in the customer's timeline."""
    return (*drive_graphql.TIMELINE, *order_graphql.TIMELINE)


@hookimpl
def crm_documents() -> Sequence[Document]:
    """Order cards and their changes, which take effect by signatures."""
    return signing.DOCUMENTS


@hookimpl
def crm_policies() -> Sequence[PolicyTemplate]:
    """Who signs and registers them, in force in each line until it sets its own."""
    return signing.POLICIES


@hookimpl
def crm_resolvers() -> Mapping[str, Resolver]:
    """Who is asked to sign an order."""
    return {signers.SIGNERS: signers.order_signers}


@hookimpl
def crm_migrations() -> Path:
    """This distribution's own line of revisions."""
    return Path(__file__).parent / "migrations" / "versions"


@hookimpl
def crm_settings() -> type[BaseModel]:
    """The table `[auto_dealer]` of `crm.toml`."""
    return AutoDealerSettings


@hookimpl
def crm_demo() -> Demo:
    """The dealer's part of the demo company."""
    return demo.company

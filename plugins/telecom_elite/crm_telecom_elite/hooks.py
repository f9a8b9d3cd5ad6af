"""What the elite teams' plugin answers when asked: the parts of its rooms, joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from pydantic import BaseModel

from crm_core import hookimpl
from crm_core.commands import Check, Command, Perform
from crm_core.db.base import Base
from crm_core.errors import Message
from crm_core.graphql.fields import Field, Filter, ObjectType, Source
from crm_core.incoming.handler import IncomingHandler
from crm_core.outbox.events import Event
from crm_core.registry import (
    Chore,
    Demo,
    Document,
    Handover,
    Job,
    NoticeKind,
    PolicyTemplate,
    Resolver,
    RoleTemplate,
    Schedule,
    Scope,
    Seed,
)
from crm_telecom_elite import demo, scopes
from crm_telecom_elite.appraisals.hooks import PART as APPRAISALS
from crm_telecom_elite.ladder.hooks import PART as LADDER
from crm_telecom_elite.members.hooks import PART as MEMBERS
from crm_telecom_elite.parts import Part
from crm_telecom_elite.plans.hooks import PART as PLANS
from crm_telecom_elite.rates.hooks import PART as RATES
from crm_telecom_elite.receipts.hooks import PART as RECEIPTS
from crm_telecom_elite.regrading.hooks import PART as REGRADING
from crm_telecom_elite.runs.hooks import PART as RUNS
from crm_telecom_elite.settings import TelecomEliteSettings
from crm_telecom_elite.teams.hooks import PART as TEAMS
from crm_telecom_elite.users.hooks import PART as USERS

PARTS: tuple[Part, ...] = (
    RATES, LADDER, TEAMS, MEMBERS, USERS, RECEIPTS, APPRAISALS, REGRADING, RUNS, PLANS,
)  # fmt: skip


@hookimpl
def crm_tables() -> Sequence[type[Base]]:
    """The tables of all rooms."""
    return [table for part in PARTS for table in part.tables]


@hookimpl
def crm_types() -> Sequence[ObjectType]:
    """Their GraphQL types."""
    return [kind for part in PARTS for kind in part.types]


@hookimpl
def crm_fields() -> Mapping[str, Sequence[Field | Filter]]:
    """Fields of customers, and of one another's types."""
    names = dict.fromkeys(chain.from_iterable(part.fields for part in PARTS))
    return {name: [one for part in PARTS for one in part.fields.get(name, ())] for name in names}


@hookimpl
def crm_queries() -> Sequence[Field | type]:
    """Root fields."""
    return [query for part in PARTS for query in part.queries]


@hookimpl
def crm_commands() -> Mapping[type[Command], Perform]:
    """Everything that can be changed."""
    return {command: perform for part in PARTS for command, perform in part.commands.items()}


@hookimpl
def crm_checks() -> Mapping[str, Sequence[Check]]:
    """What is looked at before commands of the core."""
    names = dict.fromkeys(chain.from_iterable(part.checks for part in PARTS))
    return {name: [one for part in PARTS for one in part.checks.get(name, ())] for name in names}


@hookimpl
def crm_events() -> Sequence[type[Event]]:
    """Facts recorded."""
    return [event for part in PARTS for event in part.events]


@hookimpl
def crm_scopes() -> Sequence[Scope]:
    """Permissions of the plugin."""
    return scopes.SCOPES


@hookimpl
def crm_roles() -> Sequence[RoleTemplate]:
    """Roles of an elite branch."""
    return scopes.ROLES


@hookimpl
def crm_messages() -> Sequence[Message]:
    """Refusals in both languages."""
    return [message for part in PARTS for message in part.messages]


@hookimpl
def crm_timeline() -> Sequence[Source]:
    """Entries of a customer's timeline."""
    return [source for part in PARTS for source in part.timeline]


@hookimpl
def crm_documents() -> Sequence[Document]:
    """Records that take effect by signatures."""
    return [document for part in PARTS for document in part.documents]


@hookimpl
def crm_policies() -> Sequence[PolicyTemplate]:
    """Who signs them, in force in each line until it sets its own."""
    return [policy for part in PARTS for policy in part.policies]


@hookimpl
def crm_resolvers() -> Mapping[str, Resolver]:
    """Who is asked to sign."""
    return {name: resolver for part in PARTS for name, resolver in part.resolvers.items()}


@hookimpl
def crm_jobs() -> Sequence[Job]:
    """Work done in the background."""
    return [job for part in PARTS for job in part.jobs]


@hookimpl
def crm_schedules() -> Sequence[Schedule]:
    """Jobs by the calendar."""
    return [schedule for part in PARTS for schedule in part.schedules]


@hookimpl
def crm_chores() -> Sequence[Chore]:
    """Work by the clock."""
    return [chore for part in PARTS for chore in part.chores]


@hookimpl
def crm_handovers() -> Sequence[Handover]:
    """What a leaver's successor takes over."""
    return [handover for part in PARTS for handover in part.handovers]


@hookimpl
def crm_incoming_handlers() -> Sequence[IncomingHandler]:
    """What billing sends."""
    return [handler for part in PARTS for handler in part.handlers]


@hookimpl
def crm_notice_kinds() -> Sequence[NoticeKind]:
    """Notices to members and managers."""
    return [notice for part in PARTS for notice in part.notices]


@hookimpl
def crm_seeds() -> Sequence[Seed]:
    """The figures of the rules, posts and the pay ladder a line begins with."""
    return [seed for part in PARTS for seed in part.seeds]


@hookimpl
def crm_demo() -> Demo:
    """A small branch in the demo company."""
    return demo.company


@hookimpl
def crm_migrations() -> Path:
    """This distribution's own line of revisions."""
    return Path(__file__).parent / "migrations" / "versions"


@hookimpl
def crm_settings() -> type[BaseModel]:
    """The table `[telecom_elite]` of `crm.toml`."""
    return TelecomEliteSettings

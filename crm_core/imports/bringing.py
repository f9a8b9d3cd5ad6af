"""Brings the rows of one batch in through the same commands as everybody: create, update, join, set, log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core import errors
from crm_core.actors import Actor
from crm_core.commands import Command, Options, Outcome, not_storable, user_errors
from crm_core.contacts.commands import CreateContact
from crm_core.customers.belonging import JoinLine, SetLine
from crm_core.customers.commands import CreateCustomer, UpdateCustomer
from crm_core.customers.identity import IDENTITY
from crm_core.customers.inputs import ARCHIVE_COLUMNS, LINE_COLUMNS
from crm_core.customers.models import DuplicateKeyKind, Origin
from crm_core.db.unit import Unit
from crm_core.errors import Refused
from crm_core.imports import queries
from crm_core.imports.commands import AMBIGUOUS, NOT_REACHED
from crm_core.imports.customer_rows import CustomerDraft, CustomerKind
from crm_core.imports.files import Row
from crm_core.imports.interaction_rows import (
    CustomerLookup,
    InteractionDraft,
    KnownCustomer,
    RefusedCustomer,
    check_customer,
    check_refused_row,
)
from crm_core.imports.models import ImportSubject, UpdateBy
from crm_core.imports.outcomes import Problem, Rejected, Severity
from crm_core.imports.queries import Existing
from crm_core.imports.rows import Judged, Sheet, key_of
from crm_core.imports.tally import Effect
from crm_core.interactions.commands import LogInteraction, UpdateInteraction
from crm_core.interactions.models import Direction, Interaction
from crm_core.interactions.queries import CUSTOMER_LINES
from crm_core.together import Together
from crm_core.work import Services, perform_within

DraftT = TypeVar("DraftT", CustomerDraft, InteractionDraft)
OTHER = "other"
SHOWROOM = "showroom_visit"
LONGEST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Brought:
    """What bringing one row in did, and to which record; `approval` when it is held."""

    effect: Effect
    record: UUID | None = None
    approval: UUID | None = None


@dataclass
class Bringer(ABC, Generic[DraftT]):
    """One batch after the other: `judged` and `load` look everything up at once, `bring_in` performs a row."""

    services: Services
    actor: Actor
    options: Options
    sheet: Sheet
    source: str
    update_by: UpdateBy = UpdateBy.EXTERNAL_ID
    waiting: dict[str, UUID] = field(default_factory=dict, init=False)
    together: Together | None = field(default=None, init=False)
    checked: ClassVar[tuple[type[Command], ...]] = ()

    def may_add_together(self) -> bool:
        """Whether new rows may be written together: nobody's signature or check could ask about rows before them."""
        checks = self.services.registry.checks
        return self.actor.is_system and not any(command.kind in checks for command in self.checked)

    def start(self, session: AsyncSession, *, together: bool) -> None:
        """Begin a batch; `together`: its new rows are written at its end, where that is sound."""
        sound = together and self.may_add_together()
        self.together = Together(session, self.services.database.dialect) if sound else None

    async def complete(self, session: AsyncSession) -> None:  # what bringers of other rows ask for
        """What is left to do when every row of the batch was brought in."""
        if self.together is not None:
            await self.together.end()
            self.together = None

    @property
    def line(self) -> str:
        """The line the rows come into."""
        return str(self.options.line)

    @abstractmethod
    async def judged(
        self, session: AsyncSession, batch: Sequence[tuple[Row, Judged]]
    ) -> list[tuple[Row, Judged]]:
        """The batch, judged also by what the database knows."""

    @abstractmethod
    async def load(self, session: AsyncSession, drafts: Sequence[DraftT]) -> None:
        """Look up everything that bringing these rows in asks for."""

    @abstractmethod
    async def bring_in(self, session: AsyncSession, draft: DraftT) -> Brought:
        """Perform what the row asks for; raises `Refused`, with parts of it perhaps written."""

    async def perform(self, session: AsyncSession, command: Command) -> Outcome:
        """One command, as part of the batch's transaction."""
        assert isinstance(session, Unit), "a batch is written in a transaction of its own"
        return await perform_within(self.services, session, self.actor, command, self.options, self.together)


def _command(kind: type[Command], body: Mapping[str, Any]) -> Any:
    """The command, or `Refused` with every value it does not take."""
    errors.raise_if(not_storable(body, ""))
    try:
        return kind.model_validate(dict(body))
    except ValidationError as error:
        raise Refused(*user_errors(error)) from None


# -- customers


@dataclass
class Customers(Bringer[CustomerDraft]):
    """Brings customers in: known by their number in the source, or as `update_by` says; else they are new.

    Blank cells never clear what stands; telephone numbers and contacts are added, never taken away; the owner is
    set when a customer is new, and by assigning afterwards.
    """

    checked = (CreateCustomer, CreateContact)
    claimed: set[UUID] = field(default_factory=set, init=False)
    _people: list[CreateContact] = field(default_factory=list, init=False)
    _found: dict[str, UUID] = field(default_factory=dict, init=False)
    _alike: dict[str, set[UUID]] = field(default_factory=dict, init=False)
    _existing: dict[UUID, Existing] = field(default_factory=dict, init=False)
    _colleagues: dict[str, UUID] | None = field(default=None, init=False)

    def start(self, session: AsyncSession, *, together: bool) -> None:
        """Begin a batch; what an undone one left over is forgotten."""
        super().start(session, together=together)
        self._people = []

    async def judged(
        self,
        session: AsyncSession,  # other rows are judged by the database too
        batch: Sequence[tuple[Row, Judged]],
    ) -> list[tuple[Row, Judged]]:
        """Customers are judged by their row alone."""
        return list(batch)

    async def load(self, session: AsyncSession, drafts: Sequence[CustomerDraft]) -> None:
        """Customers known by number or key, with what is compared; the names of colleagues once."""
        if self._colleagues is None:
            self._colleagues = await queries.colleagues(session, self.line)
        numbers = [str(draft.external_id) for draft in drafts]
        self._found = await queries.numbers_of(session, self.source, numbers)
        self._alike = await self._look_alike(session, drafts)
        keys = {*self._found.values(), *(key for keys in self._alike.values() for key in keys)}
        self._existing = await queries.existing(session, self._access(), self.line, keys) if keys else {}
        if not self.actor.is_system:
            missing = [number for number in numbers if number not in self._found]
            self.waiting = await queries.held_rows(
                session, self.line, self.source, ImportSubject.CUSTOMERS, missing
            )

    async def claim(self, session: AsyncSession, numbers: Sequence[str]) -> set[UUID]:
        """The customers of rows that were brought in before an interruption; they are remembered."""
        found = await queries.numbers_of(session, self.source, numbers)
        for customer in found.values():
            self._claim(customer)
        return set(found.values())

    async def bring_in(self, session: AsyncSession, draft: CustomerDraft) -> Brought:
        """Create the customer, or update what differs; refuses one that exists but is not reached."""
        wanted = self._wanted(draft)
        existing = self._match(draft)
        if existing is None:
            return await self._create(session, draft, wanted)
        if not existing.reached:
            raise Refused(NOT_REACHED("externalIds", external_id=draft.external_id))
        return await self._update(session, draft, wanted, existing)

    async def _create(self, session: AsyncSession, draft: CustomerDraft, wanted: CreateCustomer) -> Brought:
        approval = self.waiting.get(str(draft.external_id))
        if approval is not None:
            return Brought(Effect.HELD, approval=approval)
        outcome = await self.perform(session, wanted)
        if outcome.approval is not None:
            return Brought(Effect.HELD, approval=outcome.approval)
        customer = outcome.ids[0]
        self._claim(customer)
        person = self._contact(customer, draft, frozenset())
        if person is not None and self.together is not None:
            self._people.append(person)
        elif person is not None:
            await self.perform(session, person)
        return Brought(Effect.CREATED, customer)

    async def _update(
        self, session: AsyncSession, draft: CustomerDraft, wanted: CreateCustomer, existing: Existing
    ) -> Brought:
        customer = existing.customer.id
        self._claim(customer)
        approval, changed = None, False
        for command in self._changes(draft, wanted, existing):
            outcome = await self._changing(session, draft, command)
            approval, changed = approval or outcome.approval, True
        person = self._contact(customer, draft, existing.contacts)
        if person is not None:
            approval = (await self.perform(session, person)).approval or approval
            changed = True
        if approval is not None:
            return Brought(Effect.HELD, customer, approval)
        return Brought(Effect.UPDATED if changed else Effect.UNCHANGED, customer)

    async def _changing(self, session: AsyncSession, draft: CustomerDraft, command: Command) -> Outcome:
        """A customer out of the actor's sight is refused without saying more than that."""
        try:
            return await self.perform(session, command)
        except Refused as refused:
            if any(error.code == errors.NOT_FOUND.code and error.field == "id" for error in refused.errors):
                raise Refused(NOT_REACHED("externalIds", external_id=draft.external_id)) from None
            raise

    def _claim(self, customer: UUID) -> None:
        """A customer one row of the file means is not meant by another that merely looks alike."""
        if self.update_by is not UpdateBy.EXTERNAL_ID:
            self.claimed.add(customer)

    # -- which customer a row means

    def _match(self, draft: CustomerDraft) -> Existing | None:
        known = self._found.get(str(draft.external_id))
        if known is not None:
            return self._existing[known]
        alike = {k for value in self._values(draft) for k in self._alike.get(value, ())} - self.claimed
        if len(alike) > 1:
            raise Refused(AMBIGUOUS("externalIds", count=len(alike), by=self.update_by.value))
        return self._existing[alike.pop()] if alike else None

    async def _look_alike(
        self, session: AsyncSession, drafts: Sequence[CustomerDraft]
    ) -> dict[str, set[UUID]]:
        values = {v for d in drafts if d.external_id not in self._found for v in self._values(d)}
        if not values:
            return {}
        by_phone = self.update_by is UpdateBy.PHONE
        kind = DuplicateKeyKind.PHONE if by_phone else DuplicateKeyKind.CREDIT_CODE
        return await queries.by_keys(session, self._access(), self.line, self.source, kind, values)

    def _values(self, draft: CustomerDraft) -> list[str]:
        """What the row is compared by: its mobiles, or its credit code."""
        if self.update_by is UpdateBy.PHONE:
            return [phone.e164 for phone in draft.mobiles]
        return [draft.credit_code] if self.update_by is UpdateBy.CREDIT_CODE and draft.credit_code else []

    def _access(self) -> Any:
        return self.services.access(self.actor)

    # -- what a row says

    def _wanted(self, draft: CustomerDraft) -> CreateCustomer:
        """The row as a command to create the customer; only filled cells are given."""
        number = {"source": self.source, "external_id": draft.external_id}
        said = {
            "credit_code": draft.credit_code,
            "identity_number": draft.identity_number,
            "source_channel": draft.source_channel,
            "province": draft.province,
            "city": draft.city,
            "district": draft.district,
            "address": draft.address,
            "wechat": draft.wechat,
            "remark": draft.remark,
            "grade": draft.grade,
            "interest": draft.intended_model,
            "consultant_name": draft.consultant,
            "first_visit_on": draft.first_visit_on,
            "last_contact_on": draft.last_contact_on,
            "last_contact_text": draft.last_contact_text,
        }
        command: CreateCustomer = _command(
            CreateCustomer,
            {
                "name": draft.name,
                "customer_kind": draft.kind.value,
                "external_ids": [number],
                "phones": [{"number": phone.raw} for phone in draft.phones],
                "origin": Origin.IMPORT,
                "owner_id": self._owner(draft.consultant),
                **{name: value for name, value in said.items() if value is not None},
            },
        )
        return command

    def _owner(self, consultant: str | None) -> UUID | None:
        """The colleague of that name, if the actor may give customers to him; else nobody."""
        owner = (self._colleagues or {}).get(consultant or "")
        may = owner == self.actor.user_id or self.actor.may("customer.assign", self.line)
        return owner if may else None

    # -- what differs

    def _changes(self, draft: CustomerDraft, wanted: CreateCustomer, existing: Existing) -> list[Command]:
        key, given = existing.customer.id, wanted.given()
        line = {name: given[name] for name in given.keys() & LINE_COLUMNS}
        commands: list[Command] = []
        if existing.row is None:
            commands.append(_command(JoinLine, {"id": key, "owner_id": given["owner_id"], **line}))
        elif changed := {n: v for n, v in line.items() if getattr(existing.row, n) != getattr(v, "value", v)}:
            commands.append(_command(SetLine, {"id": key, **changed}))
        archive = self._archive_changes(draft, given, existing)
        if archive:
            commands.append(_command(UpdateCustomer, {"id": key, **archive}))
        return commands

    def _archive_changes(
        self, draft: CustomerDraft, given: Mapping[str, Any], existing: Existing
    ) -> dict[str, Any]:
        customer = existing.customer
        plain = {n: given[n] for n in given.keys() & ARCHIVE_COLUMNS - {"origin"}}
        changed = {n: v for n, v in plain.items() if getattr(customer, n) != v}
        if customer.name != given["name"]:
            changed["name"] = given["name"]
        if customer.kind != given["customer_kind"].value:
            changed["customer_kind"] = given["customer_kind"]
        number = given.get("identity_number")
        if number is not None and self.services.keyring.blind(number, IDENTITY) != customer.identity_blind:
            changed["identity_number"] = number
        known = {phone.e164 for phone in existing.phones}
        new = [{"number": phone.raw} for phone in draft.phones if phone.e164 not in known]
        if new:
            changed["phones"] = [*({"number": p.raw, "use": p.kind} for p in existing.phones), *new]
        if draft.external_id not in self._found:
            changed["external_ids"] = given["external_ids"]
        return changed

    # -- the contact person

    async def complete(self, session: AsyncSession) -> None:
        """Write the new customers, then the contact persons of these."""
        people, self._people = self._people, []
        if people and self.together is not None:
            await self.together.write()
            for person in people:
                await self.perform(session, person)
        await super().complete(session)

    def _contact(
        self, customer: UUID, draft: CustomerDraft, known: frozenset[str] | set[str]
    ) -> CreateContact | None:
        """The contact person (联系人) of an organisation, or one who is not the customer himself; None if known."""
        name = draft.contact_name
        if name is None or name in known or (draft.kind is CustomerKind.PERSON and name == draft.name):
            return None
        person: CreateContact = _command(CreateContact, {"customer_id": customer, "name": name})
        return person


# -- interactions


@dataclass
class Interactions(Bringer[InteractionDraft]):
    """Brings interactions in, each known by its customer's number and minute; a known one is updated if it differs."""

    checked = (LogInteraction,)
    _known: dict[str, queries.Known] = field(default_factory=dict, init=False)
    _recorded: dict[str, Interaction] = field(default_factory=dict, init=False)

    async def judged(
        self, session: AsyncSession, batch: Sequence[tuple[Row, Judged]]
    ) -> list[tuple[Row, Judged]]:
        """Refuse rows of unknown and of refused customers, and those before the first visit."""
        numbers = {
            o.external_id for _, o in batch if isinstance(o, InteractionDraft | Rejected) and o.external_id
        }
        self._known = await queries.known(session, self.line, self.source, numbers)
        missing = numbers - self._known.keys()
        refused = await queries.refused(session, self.line, self.source, missing) if missing else set()
        return [(row, self._judge(outcome, refused)) for row, outcome in batch]

    async def load(self, session: AsyncSession, drafts: Sequence[InteractionDraft]) -> None:
        """Interactions already recorded."""
        keys = [key_of(draft) for draft in drafts]
        self._recorded = await queries.recorded(session, self.line, self.source, keys) if keys else {}
        if self.together is not None:  # the system acts: it reaches every customer of the line
            customers = {self._known[draft.external_id].customer_id for draft in drafts}
            self.together.kept[CUSTOMER_LINES] = await queries.line_rows_of(session, self.line, customers)
        if not self.actor.is_system:
            missing = [key for key in keys if key not in self._recorded]
            subject = ImportSubject.INTERACTIONS
            self.waiting = await queries.held_rows(session, self.line, self.source, subject, missing)

    async def bring_in(self, session: AsyncSession, draft: InteractionDraft) -> Brought:
        """Log the interaction, or update its words and next day if they differ."""
        recorded = self._recorded.get(key_of(draft))
        if recorded is not None:
            return await self._update(session, draft, recorded)
        approval = self.waiting.get(key_of(draft))
        if approval is not None:
            return Brought(Effect.HELD, approval=approval)
        outcome = await self.perform(session, _command(LogInteraction, self._said(draft)))
        if outcome.approval is not None:
            return Brought(Effect.HELD, approval=outcome.approval)
        return Brought(Effect.CREATED, outcome.ids[0])

    async def _update(self, session: AsyncSession, draft: InteractionDraft, row: Interaction) -> Brought:
        wanted: LogInteraction = _command(LogInteraction, self._said(draft))
        said = {name: value for name, value in wanted.given().items() if name in ("content", "next_on")}
        changed = {n: v for n, v in said.items() if getattr(row, n) != v}
        if not changed:
            return Brought(Effect.UNCHANGED, row.id)
        outcome = await self.perform(session, _command(UpdateInteraction, {"id": row.id, **changed}))
        if outcome.approval is not None:
            return Brought(Effect.HELD, row.id, outcome.approval)
        return Brought(Effect.UPDATED, row.id)

    def _said(self, draft: InteractionDraft) -> dict[str, Any]:
        kind = self.kind_of(draft)
        told = draft.method is not None and kind == draft.method.lower()
        said = {
            "customer_id": self._known[draft.external_id].customer_id,
            "interaction_kind": kind,
            "occurred_at": draft.occurred_at,
            "direction": Direction.INBOUND if kind == SHOWROOM else Direction.OUTBOUND,
            "subject": None if told else (draft.method_text or "")[:LONGEST_SUBJECT],
            "content": draft.content,
            "next_on": draft.next_on,
            "consultant_name": draft.consultant,
            "source": self.source,
            "external_id": key_of(draft),
        }
        return {name: value for name, value in said.items() if value is not None}

    def kind_of(self, draft: InteractionDraft) -> str:
        """The kind of interaction here; one that no plugin offers here counts as a showroom visit, an unknown as other."""
        if draft.method is None:
            return OTHER
        kind = draft.method.lower()
        return kind if kind in self.services.registry.interaction_kinds else SHOWROOM

    def _judge(self, outcome: Judged, refused: set[str]) -> Judged:
        column = self.sheet.binding.column("external_id")
        if isinstance(outcome, Rejected):
            return check_refused_row(outcome, self._lookup(outcome.external_id, refused), column)
        if not isinstance(outcome, InteractionDraft):
            return outcome
        problem = check_customer(outcome, self._lookup(outcome.external_id, refused), column)
        if problem is not None:
            return Rejected(outcome.row, outcome.external_id, (problem, *outcome.problems))
        return outcome

    def _lookup(self, number: str | None, refused: set[str]) -> CustomerLookup:
        known = self._known.get(number or "")
        if known is not None:
            return KnownCustomer(known.first_visit_on)
        return RefusedCustomer() if number in refused else None

    def warnings(self, draft: InteractionDraft) -> tuple[Problem, ...]:
        """The row's own warnings, and that its method is not offered here."""
        if draft.method is None or self.kind_of(draft) == draft.method.lower():
            return draft.problems
        column, value = self.sheet.binding.column("method"), draft.method_text or ""
        problem = Problem("METHOD_NOT_OFFERED", column, value, {"kind": SHOWROOM}, Severity.WARNING)
        return (*draft.problems, problem)

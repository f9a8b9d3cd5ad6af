"""Commands on the shared customer: entering, changing, putting away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import select

from crm_core import errors
from crm_core.commands import Command, Perform, omitted
from crm_core.customers import assigning, belonging, dossier, line_records, stages, tagging
from crm_core.customers import inputs as forms
from crm_core.customers.belonging import new_row, put_in, summary
from crm_core.customers.events import (
    CustomerArchived,
    CustomerCreated,
    CustomerRestored,
    CustomerUpdated,
)
from crm_core.customers.identity import (
    make_findable,
    make_new_findable,
    next_number,
    put_phones,
    replace_phones,
    seal_identity,
)
from crm_core.customers.inputs import (
    ARCHIVE_COLUMNS,
    ArchiveFields,
    CustomerId,
    ExternalIdInput,
    LineFields,
    Name,
    Tag,
    TeamId,
    UserId,
    columns,
    searchable,
)
from crm_core.customers.line_records import anything_changed, in_acting_line
from crm_core.customers.models import (
    Customer,
    CustomerExternalId,
    CustomerKind,
    CustomerStage,
    CustomerTag,
)
from crm_core.errors import Message, Refused
from crm_core.work import Work

EXTERNAL_ID_TAKEN = Message(
    "EXTERNAL_ID_TAKEN",
    "The id {external_id} of {source} belongs to another customer.",
    "{source} 中的编号 {external_id} 已属于另一客户。",
)
UNKNOWN_SECRECY = Message(
    "UNKNOWN_SECRECY",
    "{value} is no level of secrecy here; levels: {levels}.",
    "没有密级 {value}，可选：{levels}。",
)
PARENT_CIRCLE = Message(
    "PARENT_CIRCLE", "An organisation cannot stand below itself.", "机构不能隶属于自身。", "CS-050"
)
MESSAGES = (
    EXTERNAL_ID_TAKEN, UNKNOWN_SECRECY, PARENT_CIRCLE, *forms.MESSAGES, *line_records.MESSAGES, *assigning.MESSAGES,
    *belonging.MESSAGES, *dossier.MESSAGES,
)  # fmt: skip


class CreateCustomer(ArchiveFields, LineFields):
    """Enter a customer and let it join the line acted in (新建客户档案). Possible duplicates never refuse it."""

    kind = "customer.create"
    adds_only = True
    scope: ClassVar[str] = "customer.write"
    returns: ClassVar[str | list[str]] = "Customer"

    name: Name = Field(description="Name of the person or organisation (客户名称).")
    customer_kind: CustomerKind = Field(alias="kind", description="Person or organisation (个人/单位).")
    external_ids: list[ExternalIdInput] = Field(
        [], max_length=20, description="Ids in other systems (外部编号)."
    )
    tags: list[Tag] = Field([], max_length=50, description="Tags (标签).")
    owner_id: UserId | None = omitted(description="Who owns it in this line; default: you (归属人).")
    team_id: TeamId | None = omitted(description="Team in this line; default: the owner's only one (团队).")
    stage: CustomerStage = omitted(description="Stage in this line; default PROSPECT (客户阶段).")


async def create_customer(work: Work, command: CreateCustomer) -> Customer:
    """The new customer, its archive pending, with its row in the line acted in."""
    given = command.given()
    await _refuse_taken(work, command.external_ids)
    customer = Customer(
        name=command.name,
        name_search=searchable(command.name),
        kind=command.customer_kind.value,
        secrecy=work.settings_of("customers").default_secrecy,
    )
    await _apply(work, customer, given)
    customer.number = await next_number(work, customer.id)
    row = await new_row(work, customer, given, command.stage)
    work.add(customer)
    work.record(CustomerCreated.of(customer, **summary(row)))
    await work.flush()
    await put_in(work, row)
    phones = _add_parts(work, customer, command)
    await work.flush()
    await make_new_findable(work, customer, phones, [one.external_id for one in command.external_ids])
    return customer


def _add_parts(work: Work, customer: Customer, command: CreateCustomer) -> list[str]:
    """Add phones, ids and tags of a new customer; the phones in E.164."""
    phones = put_phones(work, customer, command.phones or (), {})
    for one in command.external_ids:
        work.add(CustomerExternalId(customer_id=customer.id, **one.model_dump(by_alias=False)))
    for tag in dict.fromkeys(command.tags):
        work.add(CustomerTag(customer_id=customer.id, tag=tag))
    return phones


class UpdateCustomer(ArchiveFields):
    """Change the shared archive of a customer; what is left out stays, `phones` replaces all (修改客户档案)."""

    kind = "customer.update"
    subject = "id"
    id: CustomerId = Field(description="The customer; it must be among yours in the line acted in.")
    name: Name = omitted(description="Name of the person or organisation (客户名称).")
    customer_kind: CustomerKind = omitted(alias="kind", description="Person or organisation (个人/单位).")
    external_ids: list[ExternalIdInput] = omitted(
        max_length=20, description="Further ids in other systems; known ones stay (外部编号)."
    )


async def update_customer(work: Work, command: UpdateCustomer) -> Customer:
    """The changed customer. A returned archive that really changed waits for its approval again (CS-012)."""
    customer: Customer = work.subject
    await in_acting_line(work, customer, command.scope)
    given = command.given()
    await _apply(work, customer, given)
    if "phones" in given:
        await replace_phones(work, customer, command.phones)
    await _add_external_ids(work, customer, given.get("external_ids", ()))
    if anything_changed(work):
        dossier.resubmit(customer)
        work.record(CustomerUpdated.of(customer, phones_changed="phones" in given))
    await work.flush()
    if given.keys() & {
        "name",
        "customer_kind",
        "phones",
        "credit_code",
        "identity_number",
        "wechat",
        "external_ids",
    }:
        await make_findable(work, customer)
    return customer


async def _apply(work: Work, customer: Customer, given: Mapping[str, Any]) -> None:
    """Put the given fields of the archive on the customer; refuses an unknown level and a circle of parents."""
    if "secrecy" in given:
        _refuse_unknown_level(work, given["secrecy"])
    if given.get("parent_id") is not None:
        await _refuse_circle(work, customer.id, given["parent_id"])
    for name, value in columns(dict(given), ARCHIVE_COLUMNS).items():
        setattr(customer, name, value)
    if "identity_number" in given:
        seal_identity(work, customer, given["identity_number"])
    if "name" in given:
        customer.name, customer.name_search = given["name"], searchable(given["name"])
    if "customer_kind" in given:
        customer.kind = given["customer_kind"].value


def _refuse_unknown_level(work: Work, level: str) -> None:
    levels = work.settings_of("customers").secrecy_levels
    if level not in levels:
        raise Refused(UNKNOWN_SECRECY("secrecy", value=level, levels=", ".join(levels)))


async def _refuse_circle(work: Work, customer_id: UUID, parent_id: UUID) -> None:
    above: UUID | None = (await work.get(Customer, parent_id, "parentId")).id
    while above is not None:
        if above == customer_id:
            raise Refused(PARENT_CIRCLE("parentId"))
        above = await work.session.scalar(select(Customer.parent_id).where(Customer.id == above))


async def _refuse_taken(work: Work, given: list[ExternalIdInput], customer_id: UUID | None = None) -> None:
    if (
        not given or work.together is not None
    ):  # an import has looked them all up; the unique key stands behind it
        return
    known = select(CustomerExternalId).where(
        CustomerExternalId.external_id.in_([one.external_id for one in given])
    )
    owners = {(row.source, row.external_id): row.customer_id for row in await work.session.scalars(known)}
    errors.raise_if(
        EXTERNAL_ID_TAKEN(
            f"externalIds.{position}.externalId", source=one.source, external_id=one.external_id
        )
        for position, one in enumerate(given)
        if owners.get((one.source, one.external_id), customer_id) != customer_id
    )


async def _add_external_ids(work: Work, customer: Customer, given: list[ExternalIdInput]) -> None:
    if not given:
        return
    await _refuse_taken(work, given, customer.id)
    known = select(CustomerExternalId).where(CustomerExternalId.customer_id == customer.id)
    has = {(row.source, row.external_id) for row in await work.session.scalars(known)}
    for source, external_id in dict.fromkeys((one.source, one.external_id) for one in given):
        if (source, external_id) not in has:
            work.add(CustomerExternalId(customer_id=customer.id, source=source, external_id=external_id))


class ArchiveCustomer(Command):
    """Put a customer away; nothing of it is lost, and it can be restored (客户归档)."""

    kind = "customer.archive"
    scope = "customer.write"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")

    def compensation(self, _made: Sequence[UUID], before: Mapping[str, Any]) -> Command | None:
        """Restoring the customer, if it was this that put it away."""
        return RestoreCustomer(id=self.id) if "archived_at" in before else None


async def archive_customer(work: Work, command: ArchiveCustomer) -> Customer:
    """The archived customer; archiving twice changes nothing."""
    customer: Customer = work.subject
    await in_acting_line(work, customer, command.scope)
    if customer.archived_at is None:
        customer.archived_at = work.now
        work.record(CustomerArchived.of(customer))
    return customer


class RestoreCustomer(Command):
    """Take a customer back that was put away (客户恢复)."""

    kind = "customer.restore"
    scope = "customer.write"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")

    def compensation(self, _made: Sequence[UUID], before: Mapping[str, Any]) -> Command | None:
        """Putting the customer away again, if it was this that took it back."""
        return ArchiveCustomer(id=self.id) if "archived_at" in before else None


async def restore_customer(work: Work, command: RestoreCustomer) -> Customer:
    """The restored customer; one that is not archived stays as it is."""
    customer: Customer = work.subject
    await in_acting_line(work, customer, command.scope)
    if customer.archived_at is not None:
        customer.archived_at = None
        work.record(CustomerRestored.of(customer))
    return customer


COMMANDS: Mapping[type[Command], Perform] = {
    CreateCustomer: create_customer,
    UpdateCustomer: update_customer,
    ArchiveCustomer: archive_customer,
    RestoreCustomer: restore_customer,
    **belonging.COMMANDS,
    **stages.COMMANDS,
    **assigning.COMMANDS,
    **tagging.COMMANDS,
    **dossier.COMMANDS,
}

__all__ = ["COMMANDS", "MESSAGES", "CreateCustomer", "CustomerId", "UpdateCustomer"]

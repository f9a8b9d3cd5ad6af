"""Gives the cards a leaver manages to his successor (客户关系卡交接, CS-051)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from crm_core import ids
from crm_core.contacts.events import ContactUpdated
from crm_core.contacts.models import Contact
from crm_core.registry import Handover
from crm_core.work import Work


async def hand_over_cards(work: Work, leaver: UUID, successor: UUID, line: str | None) -> int:
    """The cards he manages of contacts private to the line, or (line None) shared by all lines; how many."""
    managed = select(Contact).where(
        Contact.card_manager_id == leaver, Contact.line.is_not_distinct_from(line)
    )
    contacts = (await work.session.scalars(managed.order_by(Contact.id).with_for_update())).all()
    for contact in contacts:
        contact.card_manager_id = successor
        work.record(ContactUpdated.of(contact, customer=ids.show("cus", contact.customer_id)))
    return len(contacts)


HANDOVERS = (Handover("cards", hand_over_cards),)

"""GraphQL types of contacts, and what this room adds to customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

from crm_core.contacts import queries
from crm_core.contacts.dossier import NEEDS, DossierPart, missing_parts
from crm_core.contacts.models import (
    Contact,
    ContactChannel,
    ContactLink,
    ContactPhone,
    ContactPhoneUse,
    RelationshipState,
)
from crm_core.contacts.queries import READ
from crm_core.customers.graphql import common, phone_fields, phone_mask
from crm_core.customers.queries import phone_numbers, search
from crm_core.graphql import (
    Filter,
    Id,
    ObjectType,
    batch,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    relation,
)
from crm_core.graphql.fields import Field

CONTACT = ObjectType(
    name="Contact",
    table=Contact.__table__,
    model=Contact,
    prefix="con",
    description=(
        "A person of a customer (联系人), shared by all lines or known to one only. Name, employer, title, address and "
        "phones are his relationship card (客户关系卡, CS-051)."
    ),
    rule=queries.visible,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *common("con"),
        field("line", str, "The line that alone knows the contact; null: shared (业务线).", filter=True),
        field("name", str, "Name (姓名).", nullable=False, filter=True, sort=True),
        field("title", str, "Post (职务).", filter=True),
        field("employer", str, "Employer; by default the customer (工作单位).", sql=queries.employer),
        field("department", str, "Department (部门)."),
        field("role", str, "Role for us (角色).", filter=True),
        field("isKeyPerson", bool, "Plays a key part in the purchasing decision (关键人物, CS-053).", nullable=False,
              filter=True),
        field("decisionRole", str, "Role in the purchase decision (购买决策角色, CS-055).", filter=True),
        field("decisionEffect", str, "Effect on the purchase decision (作用, CS-055)."),
        field("concerns", str, "Points of concern (关心的要点, CS-055)."),
        field("relationshipState", RelationshipState, "The best of `links`; none is NOT_ESTABLISHED (关系状态, CS-056).",
              sql=queries.best_state, nullable=False, filter=True, cost=1),
        field("wechat", str, "WeChat id (微信)."),
        field("email", str, "E-mail (邮箱)."),
        field("address", str, "Address (住址)."),
        field("birthday", date, "Birthday (生日)."),
        field("preferences", str, "Preferences (偏好)."),
        field("preferredChannel", ContactChannel, "How the contact wants to be reached (首选联系方式)."),
        field("remark", str, "Remark (备注)."),
        field("cardCheckedAt", datetime, "When the card was last judged (核对时间)."),
        field("cardCheckDueAt", datetime, "When the card is to be judged again (应核对时间).", nullable=False, sort=True),
        field("cardAccurate", bool, "Whether the card was found accurate; null since a change (准确性)."),
        field("cardValid", bool, "Whether the card was found valid (有效性)."),
        field("cardTimely", bool, "Whether the card was found up to date (时效性)."),
        field("cardRemark", str, "What was found (核对意见)."),
        field("archivedAt", datetime, "Since when the contact is put away (归档时间).", filter=True),
        field("customerId", Id("cus"), "Id of the customer (客户).", nullable=False, filter=True),
        relation("customer", "Customer", "The customer (客户).", on=lambda t, c, _a: c.c.id == t.c.customer_id, filter=True),
        relation("cardManager", "User", "Who manages the card (卡片管理人, CS-051).",
                 on=lambda t, u, _a: u.c.id == t.c.card_manager_id, filter=True),
        relation("cardCheckedBy", "User", "Who judged the card last (核对人).",
                 on=lambda t, u, _a: u.c.id == t.c.card_checked_by_id),
        listing("phones", "ContactPhone", "Telephone numbers (电话).",
                on=lambda t, p, _a: p.c.contact_id == t.c.id, order=lambda p: [p.c.position, p.c.id]),
        listing("links", "ContactLink", "Who of us has to do with the contact (我方联系人员, CS-054).",
                on=lambda t, k, _a: k.c.contact_id == t.c.id, order=lambda k: [k.c.id], filter=True),
    ),
    filters=(
        search("Contact", "Finds by name, fragment, pinyin, initials, or end of a phone number (搜索)."),
        Filter("phone", str, "Has exactly this telephone number, however written (电话).", queries.by_phone,
               mask=phone_mask(reads="contact.read"), parts=phone_numbers, finds=True),
        Filter("cardCheckDue", bool, "Whether the card is to be judged again (待核对, CS-052).",
               lambda t, a, due: queries.card_check_due(t, a, due=due)),
    ),
)  # fmt: skip

PHONE = ObjectType(
    name="ContactPhone",
    table=ContactPhone.__table__,
    model=ContactPhone,
    description="A telephone number of a contact (联系人电话, CS-050).",
    order=lambda t: [t.c.id.desc()],
    fields=phone_fields(ContactPhoneUse, "contact.read"),
)

LINK = ObjectType(
    name="ContactLink",
    table=ContactLink.__table__,
    model=ContactLink,
    description="One of us who has to do with a contact, and how he stands with him (关系, CS-054, CS-056).",
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("state", RelationshipState, "How he stands with the contact (关系状态).", nullable=False, filter=True),
        field("since", date, "Since when (起始日期)."),
        field("remark", str, "Remark (备注)."),
        field("updatedAt", datetime, "When it was last changed (变更时间).", nullable=False),
        relation("user", "User", "Who of us, with name and post; null when he shares no line with you (我方人员).",
                 on=lambda k, u, _a: u.c.id == k.c.user_id, filter=True),
    ),
)  # fmt: skip

TYPES = (CONTACT, PHONE, LINK)

QUERIES = (
    query_connection("contacts", "Contact", "Contacts you may see, archived ones too (联系人)."),
    query_one("contact", "Contact", "A contact by id."),
)

CUSTOMER_FIELDS: Sequence[Field | Filter] = (
    replace(
        connection(
            "contacts",
            "Contact",
            "The people of the customer (联系人).",
            on=lambda c, t, _a: t.c.customer_id == c.c.id,
        ),
        filter=True,
    ),
    batch(
        "dossierMissing",
        list[DossierPart],
        "Which of the five parts of the archive are missing (档案缺项, CS-004).",
        missing_parts,
        needs=NEEDS,
    ),
)

FIELDS: Mapping[str, Sequence[Field | Filter]] = {"Customer": CUSTOMER_FIELDS}

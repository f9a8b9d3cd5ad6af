"""Which of the five parts of a customer archive are still missing (客户档案完整性, CS-004)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from crm_core.contacts.queries import evidence
from crm_core.customers.models import CustomerKind, DocumentCategory
from crm_core.graphql.context import Context
from crm_core.graphql.fields import Row


class DossierPart(StrEnum):
    """Part of a customer archive (档案组成, CS-004).

    QUALIFICATION 法人资质资料: business licence and tax registration. CONTACT_DETAILS 联系方式: telephone, and of an
    organisation a contact person and the web address. CREDIT_STATUS 信用状况描述. PRODUCTION 生产工艺、规模、原料、投资.
    TRANSACTIONS 以往交易记录. Qualification and production are asked of organisations only.
    """

    QUALIFICATION = "QUALIFICATION"
    CONTACT_DETAILS = "CONTACT_DETAILS"
    CREDIT_STATUS = "CREDIT_STATUS"
    PRODUCTION = "PRODUCTION"
    TRANSACTIONS = "TRANSACTIONS"


_PAPERS = {DocumentCategory.BUSINESS_LICENCE.value, DocumentCategory.TAX_REGISTRATION.value}
_PRODUCTION = ("production_process", "production_scale", "raw_materials", "production_investment")
NEEDS = ("id", "kind", "website", "credit_status", *_PRODUCTION)


async def missing_parts(rows: Sequence[Row], context: Any) -> list[list[DossierPart]]:
    """For each customer the parts it lacks, as far as the caller sees its papers and contacts."""
    asking: Context = context
    found: dict[UUID, set[str]] = defaultdict(set)
    for row in await asking.fetch(evidence([row["id"] for row in rows], asking.access)):
        found[row.customer_id].add(row.what)
    return [_missing(row, found[row["id"]]) for row in rows]


def _missing(row: Row, has: set[str]) -> list[DossierPart]:
    organisation = row["kind"] == CustomerKind.ORGANISATION.value
    reachable = "PHONE" in has and (not organisation or ("CONTACT" in has and bool(row["website"])))
    complete = {
        DossierPart.QUALIFICATION: not organisation or has >= _PAPERS,
        DossierPart.CONTACT_DETAILS: reachable,
        DossierPart.CREDIT_STATUS: bool(row["credit_status"]),
        DossierPart.PRODUCTION: not organisation or all(row[name] for name in _PRODUCTION),
        DossierPart.TRANSACTIONS: "TRANSACTION" in has,
    }
    return [part for part, is_complete in complete.items() if not is_complete]

"""Takes receipts that billing sends by HTTP (来自计费系统的实收)."""

from __future__ import annotations

from typing import Final

from pydantic import Field, ValidationError

from crm_core.commands import Part, user_errors
from crm_core.errors import Refused
from crm_core.incoming.handler import Doing, IncomingHandler, IncomingMessage
from crm_telecom_elite.receipts.commands import RecordReceipts
from crm_telecom_elite.receipts.inputs import ReceiptInput, Reference

AT_ONCE: Final = 500
"""Receipts of one command; a request may have more."""


class BillingRequest(Part):
    """The body of a request: `{"reference": "…", "receipts": [{"number": …, "userNumber": …, …}]}`."""

    reference: Reference
    receipts: list[ReceiptInput] = Field(min_length=1, max_length=20_000)


async def take(message: IncomingMessage, doing: Doing) -> None:
    """Record the receipts of a request under its reference, all in one transaction; one sent again changes nothing.

    A request of another form is refused as a whole; a receipt of an unknown user is refused alone.
    """
    try:
        asked = BillingRequest.model_validate(message.body)
    except ValidationError as error:
        raise Refused(*user_errors(error)) from None
    for start in range(0, len(asked.receipts), AT_ONCE):
        some = asked.receipts[start : start + AT_ONCE]
        await doing.perform(RecordReceipts(reference=asked.reference, receipts=some))


HANDLERS: Final = (IncomingHandler("elite_receipts", "实收话费 Fees received", take),)

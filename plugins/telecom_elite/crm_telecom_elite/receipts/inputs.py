"""Input forms of receipts, and why a receipt is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from crm_core.commands import Money, Part
from crm_core.errors import Json, Message, UserError
from crm_core.money import fen
from crm_telecom_elite.months import Month
from crm_telecom_elite.users.inputs import UserNumber

ReceiptNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]

USER_UNKNOWN = Message(
    "TELECOM_ELITE_RECEIPT_USER_UNKNOWN",
    "No user {user} was developed in this line.",
    "本业务线没有发展用户 {user}。",
    rule="MO-040",
)
DIFFERS = Message(
    "TELECOM_ELITE_RECEIPT_DIFFERS",
    "Receipt {number} is recorded with other content; a receipt is corrected by another one with a number of its own.",
    "流水号 {number} 已入账且内容不同；更正请另立流水号并注明冲正流水号。",
)
CORRECTED_UNKNOWN = Message(
    "TELECOM_ELITE_CORRECTED_UNKNOWN",
    "There is no receipt {corrects} that it could correct.",
    "找不到被冲正的流水号 {corrects}。",
)
CORRECTS_OTHER = Message(
    "TELECOM_ELITE_CORRECTS_OTHER",
    "A correction is about the same user and the same bill as {corrects}.",
    "冲正须与原流水 {corrects} 的用户和账期一致。",
)
CELL_WRONG = Message(
    "TELECOM_ELITE_RECEIPT_CELL_WRONG",
    "{column}: {value} cannot be read as {what}.",
    "{column}：{value} 不是有效的{what_zh}。",
)
COLUMN_MISSING = Message(
    "TELECOM_ELITE_RECEIPT_COLUMN_MISSING",
    "The file has no column {column}.",
    "文件缺少列 {column}。",
)
FILE_UNREADABLE = Message(
    "TELECOM_ELITE_RECEIPT_FILE_UNREADABLE",
    "The file cannot be read: {problem}.",
    "文件无法读取：{problem_zh}。",
)
REFERENCE_TAKEN = Message(
    "TELECOM_ELITE_REFERENCE_TAKEN",
    "The reference {reference} belongs to another batch.",
    "批次号 {reference} 已属于另一批次。",
)
ROW_MESSAGES = (USER_UNKNOWN, DIFFERS, CORRECTED_UNKNOWN, CORRECTS_OTHER, CELL_WRONG)
MESSAGES = (*ROW_MESSAGES, COLUMN_MISSING, FILE_UNREADABLE, REFERENCE_TAKEN)
BY_CODE = {message.code: message for message in MESSAGES}


class ReceiptInput(Part):
    """An amount billing reports as received (实收话费)."""

    number: ReceiptNumber = Field(description="Billing's own number of it (收款流水号).")
    user_number: UserNumber = Field(description="Whose bill it is (用户号码).")
    bill_month: Month = Field(description="Which bill it is about, e.g. 2025-11 (账期).")
    received_on: date = Field(description="Day it was received, or went back (收款日期).")
    amount: Money = Field(description="Yuan; negative where money went back (金额).")
    corrects: ReceiptNumber | None = Field(
        None, description="Number of the receipt it corrects; it counts as that one does (冲正流水号)."
    )


class Reported(NamedTuple):
    """A receipt as it was reported: its row (from 1), and what was said; `amount` in fen."""

    row: int
    number: str
    user_number: str
    bill_month: str
    received_on: date
    amount: int
    corrects: str | None

    @classmethod
    def of(cls, row: int, given: ReceiptInput) -> Reported:
        """A receipt of a command."""
        return cls(
            row, given.number, given.user_number, given.bill_month, given.received_on, fen(given.amount),
            given.corrects,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that is refused, and why."""

    row: int
    number: str
    error: UserError

    def as_json(self) -> dict[str, Json]:
        """The form in which a batch keeps it: code, parameters, and words in both languages."""
        message, params = BY_CODE[self.error.code], self.error.params
        return {
            "row": self.row, "number": self.number, "code": message.code, "params": dict(params),
            "en": message.words(params, "en"), "zh": message.words(params, "zh-CN"),
        }  # fmt: skip

"""Input forms of customer commands: texts, numbers, phones, ids, and what may be said of an archive."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from crm_core import numbers
from crm_core.access.commands import TeamId, UserId
from crm_core.commands import Command, Money, Part, Ref, invalid, omitted
from crm_core.customers.models import (
    CustomerGrade,
    CustomerKind,
    CustomerRelation,
    Origin,
    PhoneUse,
)
from crm_core.errors import Message

CustomerId = Annotated[UUID, Ref("Customer", "cus")]

CREDIT_CODE_WRONG = Message(
    "CREDIT_CODE_WRONG",
    "{value} is no unified social credit code ({problem}); 18 characters, the last one checks the others.",
    "{value} 不是有效的统一社会信用代码（{problem}）：应为 18 位，末位为校验码。",
)
IDENTITY_NUMBER_WRONG = Message(
    "IDENTITY_NUMBER_WRONG",
    "This is no identity number ({problem}); 18 characters, the last one checks the others.",
    "身份证号无效（{problem}）：应为 18 位，末位为校验码。",
)
PHONE_WRONG = Message(
    "PHONE_WRONG",
    "{value} is not one telephone number. Write a mobile (13800138000) or a fixed line with area code (0512-65001234).",
    "{value} 不是一个电话号码，请填写手机号（13800138000）或带区号的座机（0512-65001234）。",
)


def _credit_code(value: str) -> str:
    problem = numbers.credit_code_problem(value)
    if problem is not None:
        raise invalid(CREDIT_CODE_WRONG, value=value, problem=problem)
    return numbers.normalise_credit_code(value)


def _identity_number(value: str) -> str:
    problem = numbers.identity_number_problem(value)
    if problem is not None:
        raise invalid(IDENTITY_NUMBER_WRONG, problem=problem)
    return numbers.normalise_identity(value)


def _phone(value: str) -> str:
    if len(numbers.parse_phones(value).numbers) != 1:
        raise invalid(PHONE_WRONG, value=value)
    return value


Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
]
"""An e-mail address."""
Website = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^(https?://)?[^\s/:@]+\.[^\s:]+$")
]
"""A web address with or without http(s); no other scheme, as front ends make links of it."""
Medium = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Long = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
FreeText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100_000)]
CreditCode = Annotated[str, StringConstraints(max_length=40), AfterValidator(_credit_code)]
IdentityNumber = Annotated[str, StringConstraints(max_length=40), AfterValidator(_identity_number)]
PhoneText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(_phone)]


def searchable(name: str) -> str:
    """A name as searches compare it: half width, lower case."""
    return unicodedata.normalize("NFKC", name).casefold()[:200]


class CustomerPhoneInput(Part):
    """One telephone number of a customer (电话)."""

    number: PhoneText = Field(description="The number as written, with extension if any (号码).")
    use: PhoneUse | None = Field(
        None, description="What it is; by default told from the number: mobile or fixed line (类型)."
    )


class ExternalIdInput(Part):
    """The customer's id in another system (外部编号)."""

    source: Tag = Field(description="The other system, e.g. dms (来源系统).")
    external_id: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)] = (
        Field(description="The id there (外部编号).")
    )


class ArchiveFields(Command):
    """What may be said of the shared archive; base of the commands that say it."""

    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "customer.write"
    returns: ClassVar[str | list[str]] = "Customer"
    sensitive: ClassVar[frozenset[str]] = frozenset({"identity_number"})

    phones: list[CustomerPhoneInput] = omitted(
        max_length=20, description="All telephone numbers (电话, CS-050)."
    )
    credit_code: CreditCode | None = omitted(description="Unified social credit code (统一社会信用代码).")
    identity_number: IdentityNumber | None = omitted(
        description="Identity number (身份证号); kept encrypted, shown masked."
    )
    relation: CustomerRelation = omitted(description="Direct or indirect customer (直接/间接客户, CS-027).")
    origin: Origin = omitted(description="Where the data came from (资料来源, CS-003).")
    source_channel: Short | None = omitted(description="How the customer came to us, e.g. 抖音 (来源渠道).")
    province: Short | None = omitted(description="Province (省).")
    city: Short | None = omitted(description="City (市).")
    district: Short | None = omitted(description="District (区县).")
    address: Medium | None = omitted(description="Street and number (详细地址).")
    office_location: Medium | None = omitted(description="Where its office is (办公地点, CS-050).")
    wechat: Short | None = omitted(description="WeChat id (微信).")
    email: Email | None = omitted(description="E-mail (邮箱).")
    website: Website | None = omitted(description="Web address (网址, CS-004).")
    needs: Long | None = omitted(description="Needs (客户需求, CS-005).")
    preferences: Long | None = omitted(description="Preferences (偏好, CS-005).")
    remark: FreeText | None = omitted(description="Remark, free text (备注).")
    credit_status: Long | None = omitted(description="Description of credit status (信用状况描述, CS-004).")
    production_process: Long | None = omitted(description="Production process (生产工艺, CS-004).")
    production_scale: Long | None = omitted(description="Production scale (生产规模, CS-004).")
    raw_materials: Long | None = omitted(description="Raw materials used (使用原料, CS-004).")
    production_investment: Long | None = omitted(description="Investment in production (生产投资, CS-004).")
    secrecy: Tag = omitted(description="Level of secrecy, one of the deployment's levels (密级).")
    parent_id: CustomerId | None = omitted(
        description="The organisation this is a branch or subsidiary of (上级机构, CS-050)."
    )


class LineFields(Command):
    """What a line may say of its customer, besides owner and stage; base of the commands that say it."""

    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "customer.write"
    returns: ClassVar[str | list[str]] = "Customer"

    grade: CustomerGrade | None = omitted(description="Grade in this line (客户等级).")
    interest: Annotated[str, StringConstraints(max_length=1000)] | None = omitted(
        description="What the customer is interested in (意向)."
    )
    department: Short | None = omitted(
        description="Department that collected the archive; by default the collector's (建档部门, CS-002)."
    )
    consultant_name: Short | None = omitted(description="Consultant as named in imported data (原销售顾问).")
    product_category: Name | None = omitted(description="Product category (产品类别名称, CS-018).")
    payment_method: Short | None = omitted(description="Payment method (付款方式, CS-018).")
    deposit: Money | None = omitted(ge=0, description="Deposit in yuan (定金数额, CS-018).")
    loan_payment_on: date | None = omitted(description="Day the loan is to be paid (贷款缴纳日期, CS-018).")
    first_visit_on: date | None = omitted(
        description="Day of the first visit to the showroom (首次到店日期)."
    )
    last_contact_on: date | None = omitted(
        description="Day of the last contact before the records here begin, as imported (最近联系日期)."
    )
    last_contact_text: FreeText | None = omitted(
        description="What was said then, as imported (最近联系内容)."
    )


LINE_COLUMNS = frozenset(LineFields.model_fields)
ARCHIVE_COLUMNS = frozenset(ArchiveFields.model_fields) - {"phones", "identity_number"}

MESSAGES = (CREDIT_CODE_WRONG, IDENTITY_NUMBER_WRONG, PHONE_WRONG)

__all__ = [
    "ARCHIVE_COLUMNS", "LINE_COLUMNS", "ArchiveFields", "CustomerId", "CustomerKind", "CustomerPhoneInput",
    "ExternalIdInput", "LineFields", "Long", "Medium", "Name", "Short", "Tag", "TeamId", "UserId", "searchable",
]  # fmt: skip


def columns(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The given fields that are plain columns, enums as their words."""
    return {name: getattr(value, "value", value) for name, value in given.items() if name in names}

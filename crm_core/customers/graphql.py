"""GraphQL types of customers, their lines and their archives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, select

from crm_core.access.models import BusinessLine
from crm_core.customers import queries
from crm_core.customers.models import (
    ArchiveState,
    CardState,
    Customer,
    CustomerDocument,
    CustomerExternalId,
    CustomerGrade,
    CustomerKind,
    CustomerLine,
    CustomerLineChange,
    CustomerPhone,
    CustomerRelation,
    CustomerStage,
    CustomerTag,
    CustomerTransaction,
    DocumentCategory,
    DuplicateFlag,
    DuplicateKeyKind,
    LineChangeKind,
    Origin,
    PhoneUse,
)
from crm_core.customers.queries import READ, in_first_line, where_in_first_line
from crm_core.graphql import (
    Filter,
    Id,
    Mask,
    ObjectType,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    relation,
    whole,
)
from crm_core.graphql.access import Access
from crm_core.graphql.fields import YUAN, Field, Predicate

PHONE = "customer.phone"


def common(prefix: str) -> tuple[Field, ...]:
    """Fields of every versioned record: id, when made and changed, version."""
    return (
        field("id", Id(prefix), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When it was made.", nullable=False, filter=True, sort=True),
        field("updatedAt", datetime, "When it was last changed.", nullable=False, filter=True, sort=True),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
    )


def made(prefix: str) -> tuple[Field, ...]:
    """Fields of every record that is never changed: id, when made."""
    return (
        field("id", Id(prefix), "Id.", nullable=False),
        field("createdAt", datetime, "When it was made.", nullable=False),
    )


def masked_phone(number: ColumnElement[Any]) -> ColumnElement[Any]:
    """An E.164 number as `138****1234`; one from abroad shows its last four digits."""
    length = func.length(number)
    end = func.substr(number, length - 3)
    return case(
        (number.like("+86%"), func.substr(number, 4, 3).concat("****").concat(end)),
        else_=literal("****").concat(end),
    )


def masked_end(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """A number as written, only its last four characters."""
    return literal("****").concat(func.substr(text, func.length(text) - 3))


def phone_mask(shown: Any = masked_phone, reads: str = READ) -> Mask:
    """Telephone numbers are whole only to who holds `customer.phone` as far as he reads."""
    return Mask(shown, PHONE, reads)


def phone_fields(use: Any, reads: str = READ) -> tuple[Field, ...]:
    """Fields of a telephone number, shown whole only with `customer.phone`."""
    return (
        field("number", str, "The number in E.164; masked without customer.phone (号码).", sql=lambda t, _a: t.c.e164,
              nullable=False, mask=phone_mask(reads=reads)),
        field("raw", str, "The number as it was written; masked without customer.phone (原始号码).", nullable=False,
              mask=phone_mask(masked_end, reads)),
        field("use", use, "What it is (类型).", sql=lambda t, _a: t.c.kind, nullable=False),
        field("extension", str, "Extension (分机)."),
    )  # fmt: skip


def _of_first_line(name: str, column: str, type_: Any, description: str) -> Field:
    """A column of the caller's first line of the customer; filtered through that line's indexes."""
    return field(
        name, type_, description, filter=True, cost=1,
        sql=lambda t, a: in_first_line(t, a, column),
        match=_first_line_holds(column, telling=isinstance(type_, Id)),
    )  # fmt: skip


def _first_line_holds(
    column: str, *, telling: bool = True
) -> Callable[[Any, Access, Predicate], ColumnElement[bool]]:
    """How a test of a column of the caller's first line finds customers."""
    return lambda t, access, holds: where_in_first_line(t, access, column, holds, telling=telling)


def _steward(t: Any, access: Access) -> ColumnElement[Any]:
    line = BusinessLine.__table__.alias()
    first = in_first_line(t, access, "line")
    return select(line.c.steward_id).where(line.c.code == first).correlate(t).scalar_subquery()


CUSTOMER = ObjectType(
    name="Customer",
    table=Customer.__table__,
    model=Customer,
    prefix="cus",
    description=(
        "A person or organisation that trades with the company, or may (客户, CS-001). Shared by all lines; grade, "
        "stage, owner and team are those of your first line (by code), `lines` shows each."
    ),
    rule=queries.visible,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *common("cus"),
        field("number", str, "Customer number, e.g. C000123 (客户编号).", nullable=False, filter=True, sort=True),
        field("kind", CustomerKind, "Person or organisation (个人/单位).", nullable=False, filter=True),
        field("name", str, "Name (客户名称).", nullable=False, filter=True, sort=True),
        field("creditCode", str, "Unified social credit code (统一社会信用代码).", filter=True),
        field("identityNumber", str, "Identity number, masked (身份证号).", sql=lambda t, _a: t.c.identity_masked),
        field("province", str, "Province (省).", filter=True),
        field("city", str, "City (市).", filter=True),
        field("district", str, "District (区县).", filter=True),
        field("address", str, "Street and number (详细地址)."),
        field("officeLocation", str, "Where its office is (办公地点, CS-050)."),
        field("wechat", str, "WeChat id (微信)."),
        field("email", str, "E-mail (邮箱)."),
        field("website", str, "Web address (网址)."),
        field("sourceChannel", str, "How the customer came to us (来源渠道).", filter=True),
        field("origin", Origin, "Where the data came from (资料来源, CS-003).", nullable=False, filter=True),
        field("relation", CustomerRelation, "Direct or indirect customer (直接/间接客户).", nullable=False, filter=True),
        field("needs", str, "Needs (客户需求)."),
        field("preferences", str, "Preferences (偏好)."),
        field("remark", str, "Remark (备注)."),
        field("creditStatus", str, "Description of credit status (信用状况描述)."),
        field("productionProcess", str, "Production process (生产工艺)."),
        field("productionScale", str, "Production scale (生产规模)."),
        field("rawMaterials", str, "Raw materials used (使用原料)."),
        field("productionInvestment", str, "Investment in production (生产投资)."),
        field("secrecy", str, "Level of secrecy (密级).", nullable=False, filter=True),
        field("archiveState", ArchiveState, "Approval of the archive (档案审批状态, CS-012).", nullable=False, filter=True),
        field("archiveRemark", str, "Remark of the approval (审批意见)."),
        field("archiveDecidedAt", datetime, "When the archive was confirmed or returned (审批时间)."),
        field("archivedAt", datetime, "Since when the customer is put away (归档时间).", filter=True),
        _of_first_line("grade", "grade", CustomerGrade, "Grade in your line (客户等级)."),
        _of_first_line("stage", "stage", CustomerStage, "Stage in your line (客户阶段)."),
        _of_first_line("ownerId", "owner_id", Id("usr"), "Id of the owner in your line (归属人)."),
        _of_first_line("teamId", "team_id", Id("tea"), "Id of the team in your line (团队)."),
        relation("owner", "User", "Owner in your line (归属人).", filter=True,
                 on=lambda c, u, a: u.c.id == in_first_line(c, a, "owner_id"), match=_first_line_holds("owner_id")),
        relation("team", "Team", "Team in your line (团队).", filter=True,
                 on=lambda c, t, a: t.c.id == in_first_line(c, a, "team_id"), match=_first_line_holds("team_id")),
        relation("steward", "User", "Who keeps the archives of your line (档案管理员, CS-010).",
                 on=lambda c, u, a: u.c.id == _steward(c, a)),
        relation("archiveDecidedBy", "User", "Who confirmed or returned the archive (审批人).",
                 on=lambda c, u, _a: u.c.id == c.c.archive_decided_by_id),
        relation("parent", "Customer", "The organisation it is a branch or subsidiary of (上级机构, CS-050).",
                 on=lambda c, p, _a: p.c.id == c.c.parent_id, filter=True),
        connection("branches", "Customer", "Branches, branch companies and subsidiaries (分支机构, CS-050).",
                   on=lambda c, b, _a: b.c.parent_id == c.c.id),
        relation("mergedInto", "Customer", "The customer this one was merged into (合并至).",
                 on=lambda c, m, _a: m.c.id == c.c.merged_into_id),
        listing("lines", "CustomerLine", "What each of your lines knows of the customer (业务线资料).", filter=True,
                on=lambda c, line, _a: line.c.customer_id == c.c.id, order=lambda line: [line.c.line]),
        listing("phones", "CustomerPhone", "Telephone numbers (电话).",
                on=lambda c, p, _a: p.c.customer_id == c.c.id, order=lambda p: [p.c.position, p.c.id]),
        listing("externalIds", "CustomerExternalId", "Ids in other systems (外部编号).", filter=True,
                on=lambda c, e, _a: e.c.customer_id == c.c.id, order=lambda e: [e.c.source, e.c.external_id]),
        listing("tags", "CustomerTag", "Tags (标签).",
                on=lambda c, t, _a: t.c.customer_id == c.c.id, order=lambda t: [t.c.tag]),
        connection("documents", "CustomerDocument", "Papers of the archive (档案资料, CS-004).",
                   on=lambda c, d, _a: d.c.customer_id == c.c.id),
        connection("transactions", "CustomerTransaction", "Past transactions (以往交易记录, CS-004).",
                   on=lambda c, t, _a: t.c.customer_id == c.c.id),
        listing("possibleDuplicates", "Customer", "Customers of yours that may be the same (疑似重复).",
                on=queries.twins, order=lambda c: [c.c.id]),
    ),
    filters=(
        queries.search("Customer", "Finds by name, fragment, pinyin, initials, end of a phone number, or code (搜索)."),
        Filter("phone", str, "Has exactly this telephone number, however written (电话).", queries.by_phone,
               mask=phone_mask(), parts=queries.phone_numbers, finds=True),
        Filter("externalId", str, "Has this id in some other system (外部编号).", queries.by_external_id,
               parts=whole, finds=True),
        Filter("tag", str, "Has this tag (标签).", queries.by_tag, parts=whole),
        Filter("line", str, "Belongs to this line of yours (业务线).", queries.in_line, parts=whole),
        Filter("reviewDue", bool, "Whether the archive is due for its check in a line of yours (待复核, CS-011).",
               lambda t, a, due: queries.review_due(t, a, due=due)),
    ),
)  # fmt: skip

LINE = ObjectType(
    name="CustomerLine",
    table=CustomerLine.__table__,
    model=CustomerLine,
    prefix="cul",
    description="What one business line knows of a customer: owner, team, grade, stage, the salesman's file (CS-018).",
    rule=queries.line_rows,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *common("cul"),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("grade", CustomerGrade, "Grade (客户等级).", filter=True),
        field("stage", CustomerStage, "Stage (客户阶段).", nullable=False, filter=True),
        field("ownerId", Id("usr"), "Id of the owner (归属人).", filter=True),
        field("teamId", Id("tea"), "Id of the team (团队).", filter=True),
        field("department", str, "Department that collected the archive (建档部门, CS-002).", filter=True),
        field("consultantName", str, "Consultant as named in imported data (原销售顾问).", filter=True),
        field("interest", str, "What the customer is interested in (意向)."),
        field("productCategory", str, "Product category (产品类别名称).", filter=True),
        field("paymentMethod", str, "Payment method (付款方式).", filter=True),
        field("deposit", YUAN, "Deposit (定金数额)."),
        field("loanPaymentOn", date, "Day the loan is to be paid (贷款缴纳日期).", filter=True),
        field("firstVisitOn", date, "Day of the first visit to the showroom (首次到店日期)."),
        field("lastContactOn", date, "Day of the last contact, as imported (最近联系日期)."),
        field("lastContactText", str, "What was said then, as imported (最近联系内容)."),
        field("cardState", CardState, "Whether the customer's card counts (有效卡/无效卡).", nullable=False, filter=True),
        field("reviewedAt", datetime, "When the archive was last checked (复核时间).", filter=True),
        field("reviewDueAt", datetime, "When the archive is due for its check (应复核时间).", nullable=False, filter=True),
        field("reviewAccurate", bool, "Whether it was found accurate (准确性).", filter=True),
        field("reviewComplete", bool, "Whether it was found complete (完整性).", filter=True),
        field("reviewCurrent", bool, "Whether it was found up to date (时效性).", filter=True),
        field("reviewFindings", str, "What was found (复核意见)."),
        relation("customer", "Customer", "The customer (客户).", on=lambda r, c, _a: c.c.id == r.c.customer_id),
        relation("owner", "User", "Owner (归属人).", on=lambda r, u, _a: u.c.id == r.c.owner_id),
        relation("team", "Team", "Team (团队).", on=lambda r, t, _a: t.c.id == r.c.team_id),
        relation("collectedBy", "User", "Who collected the archive (建档人, CS-002).",
                 on=lambda r, u, _a: u.c.id == r.c.collected_by_id),
        relation("reviewedBy", "User", "Who checked it last (复核人).", on=lambda r, u, _a: u.c.id == r.c.reviewed_by_id),
        connection("history", "CustomerLineChange", "Changes of owner, team, grade, stage, the newest first (变更历史).",
                   on=lambda r, h, _a: h.c.customer_line_id == r.c.id),
    ),
)  # fmt: skip

LINE_CHANGE = ObjectType(
    name="CustomerLineChange",
    table=CustomerLineChange.__table__,
    model=CustomerLineChange,
    description="One change of a line's view of a customer (变更记录).",
    order=lambda t: [t.c.id.desc()],
    fields=(
        *made("clc"),
        field("what", LineChangeKind, "What changed (变更项).", nullable=False, filter=True),
        field("old", str, "Before; ids as clients see them (变更前)."),
        field("new", str, "After (变更后)."),
        field("reason", str, "Why (原因)."),
        relation("by", "User", "Who changed it (变更人).", on=lambda h, u, _a: u.c.id == h.c.by_id),
    ),
)

PHONE_TYPE = ObjectType(
    name="CustomerPhone",
    table=CustomerPhone.__table__,
    model=CustomerPhone,
    description="A telephone number of a customer (客户电话).",
    order=lambda t: [t.c.id.desc()],
    fields=phone_fields(PhoneUse),
)

EXTERNAL_ID = ObjectType(
    name="CustomerExternalId",
    table=CustomerExternalId.__table__,
    model=CustomerExternalId,
    description="The customer's id in another system (外部编号).",
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("source", str, "The other system (来源系统).", nullable=False, filter=True),
        field("externalId", str, "The id there (外部编号).", nullable=False, filter=True),
    ),
)

TAG = ObjectType(
    name="CustomerTag",
    table=CustomerTag.__table__,
    model=CustomerTag,
    description="A tag on a customer (标签).",
    order=lambda t: [t.c.id.desc()],
    fields=(field("name", str, "The tag (标签).", sql=lambda t, _a: t.c.tag, nullable=False),),
)

DOCUMENT = ObjectType(
    name="CustomerDocument",
    table=CustomerDocument.__table__,
    model=CustomerDocument,
    prefix="doc",
    description="A paper of the archive: a reference to a file of the store (档案资料). Seen in the line that filed it.",
    rule=queries.line_papers,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *made("doc"),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("category", DocumentCategory, "Kind of paper (资料类别).", nullable=False, filter=True),
        field("title", str, "Title (名称).", nullable=False),
        field("origin", Origin, "Where it came from (资料来源, CS-003).", nullable=False, filter=True),
        field("path", str, "Path inside the store (存储路径).", nullable=False),
        field("sha256", str, "SHA-256 of its content, hex (校验值).", sql=lambda t, _a: t.c.sha256, nullable=False),
        field("size", int, "Bytes (大小).", nullable=False),
        field("mediaType", str, "E.g. application/pdf (文件类型).", nullable=False),
        field("receivedOn", date, "Day it was received (收到日期).", nullable=False),
        field("filedAt", datetime, "When it was filed (存档时间).", nullable=False),
        field("filedLate", bool, "Whether it was filed later than the settings allow (逾期存档, CS-010).",
              nullable=False, filter=True),
        relation("filedBy", "User", "Who filed it (存档人).", on=lambda d, u, _a: u.c.id == d.c.filed_by_id),
        relation("customer", "Customer", "The customer (客户).", on=lambda d, c, _a: c.c.id == d.c.customer_id),
    ),
)  # fmt: skip

TRANSACTION = ObjectType(
    name="CustomerTransaction",
    table=CustomerTransaction.__table__,
    model=CustomerTransaction,
    prefix="txn",
    description="A past transaction of a customer with one line (以往交易记录).",
    rule=queries.line_papers,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *made("txn"),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("doneOn", date, "Day of the transaction (交易日期).", nullable=False, filter=True, sort=True),
        field("description", str, "What was bought or done (交易内容).", nullable=False),
        field("amount", YUAN, "Amount (金额).", nullable=False, filter=True, sort=True),
        field("productCategory", str, "Product category (产品类别).", filter=True),
        field("paymentMethod", str, "Payment method (付款方式)."),
        field(
            "origin", Origin, "Where the record came from (资料来源, CS-003).", nullable=False, filter=True
        ),
        relation(
            "recordedBy",
            "User",
            "Who recorded it (记录人).",
            on=lambda t, u, _a: u.c.id == t.c.recorded_by_id,
        ),
        relation(
            "customer", "Customer", "The customer (客户).", on=lambda t, c, _a: c.c.id == t.c.customer_id
        ),
    ),
)

FLAG = ObjectType(
    name="DuplicateFlag",
    table=DuplicateFlag.__table__,
    model=DuplicateFlag,
    prefix="dup",
    description=(
        "POSSIBLE_DUPLICATE_ELSEWHERE: a customer entered in `line` seems to exist in `foreignLine` where its keeper "
        "cannot see it (跨业务线疑似重复). Shown to stewards of either line only."
    ),
    rule=queries.flags_of_own_lines,
    scope="customer.steward",
    order=lambda t: [t.c.id.desc()],
    fields=(
        *made("dup"),
        field("line", str, "Line the customer was entered in (业务线).", nullable=False, filter=True),
        field("foreignLine", str, "Line that has the other one (对方业务线).", nullable=False, filter=True),
        field("by", DuplicateKeyKind, "By what they are equal (查重依据).", nullable=False, filter=True),
        relation("customer", "Customer", "The customer entered; null when you may not see it.",
                 on=lambda f, c, _a: c.c.id == f.c.customer_id),
        relation("other", "Customer", "The other one; null when you may not see it.",
                 on=lambda f, c, _a: c.c.id == f.c.other_id),
    ),
)  # fmt: skip

TYPES = (CUSTOMER, LINE, LINE_CHANGE, PHONE_TYPE, EXTERNAL_ID, TAG, DOCUMENT, TRANSACTION, FLAG)

QUERIES = (
    query_connection("customers", "Customer", "Customers you may see, archived ones too (客户)."),
    query_one("customer", "Customer", "A customer by id."),
    query_connection(
        "duplicateFlags", "DuplicateFlag", "Possible duplicates across lines, for stewards (跨线疑似重复)."
    ),
)

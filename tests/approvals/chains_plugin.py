"""A made-up plugin: forms that pass through the sign-off chains of Chinese companies, and what they are about."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field, create_model
from sqlalchemy import BigInteger, Date, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from crm_core import hookimpl, money
from crm_core.actors import Reach
from crm_core.commands import Command, Money, Perform, Ref, omitted
from crm_core.db.base import Aggregate, Base, LineCode, Personal
from crm_core.graphql import Id, ObjectType, field, query_connection
from crm_core.graphql.access import Access
from crm_core.graphql.fields import YUAN
from crm_core.graphql.fields import Field as Declared
from crm_core.loader import Candidate
from crm_core.registry import Document, RoleTemplate, Scope
from crm_core.work import Work

READ, WRITE = "chains.read", "chains.write"


class Paper(Aggregate):
    """A form that was filled in and took effect, or a contract; `form` is the kind of the command that made it."""

    __tablename__ = "chains_papers"
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    form: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(80))
    amount: Mapped[int] = mapped_column(BigInteger)
    signed_on: Mapped[date | None] = mapped_column(Date)


class ExpenseSheet(Aggregate):
    """A month's statistics of purchases and expenses (客户采购及客情费统计表); valid once all have checked it."""

    __tablename__ = "chains_sheets"
    personal: ClassVar[dict[str, Personal]] = {}

    line: Mapped[str] = mapped_column(LineCode)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    month: Mapped[str] = mapped_column(String(7))
    total: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(20))


PaperId = Annotated[UUID, Ref("Paper", "pap")]
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "gift.request": ("Ask for a gift (礼品申请).", {}),
    "exhibition.request_money": ("Ask for money or gifts for an exhibition (巡展费用).", {}),
    "credit.set_limit": ("Set a customer's credit limit (资信限额审批表).", {}),
    "criteria.set": ("Set what makes a key customer (重点客户标准).", {}),
    "contract.sign": ("Sign a contract with a customer (签订合同).", {}),
    "project.end": ("End a project (项目终止).", {"statement": (str, Field(min_length=1, description="Disputes."))}),
    "project.register": ("Register a project (项目立项).", {}),
    "survey.plan": ("Plan a survey with its budget (调查计划).", {}),
    "survey.report": ("Hand in a survey report (调研报告).", {}),
    "test_report.correct": ("Correct a test report (更正检测报告).", {}),
    "plan.promote": ("Plan the year's promotion with its budget (年度市场推广计划).", {}),
    "plan.sell": ("Plan the sales (销售计划).", {}),
    "seal.take_out": ("Take the contract seal out of the office (合同专用章外带).", {}),
    "hot_work.begin": (
        "Begin hot work at a place (施工用火).",
        {"place": (str, Field(description="Where."))},
    ),
    "car.dispatch": ("Drive out with a company car (派车单).", {}),
    "staff.regularise": (
        "Take on a probationary salesman for good (转正申请).",
        {
            "months": (int, Field(description="Months served.")),
            "sold": (int, Field(description="Cars sold.")),
        },
    ),
    "bonus.pay": ("Pay the service-quality bonus (服务质量奖).", {}),
    "memo.file": ("File a memo about a disputed complaint (签呈).", {}),
    "agreement.make": ("Promise something to a customer (答复、协议).", {}),
    "complaint.settle": ("Settle a complaint (投诉处理).", {}),
    "entertainment.claim": ("Claim entertainment (交际费).", {}),
    "budget.set": ("Set a budget of customer relations (客户关系费用预算).", {}),
    "budget.change": ("Change a budget (预算调整).", {}),
    "staff.hire_elite": ("Hire for a key-account team (精英人员录用).", {}),
    "vip.downgrade": ("Lower a VIP to preferred or qualified (VIP降级).", {}),
}  # fmt: skip
"""Kind of the form: what it is, and what it asks for besides title and amount."""


class _Form(Command):
    kind = ""
    scope = WRITE
    returns = "Paper"
    title: str = Field(description="What for.")
    amount: Money = omitted(description="Yuan.")


class RequestFee(Command):
    """Ask for a special fee for a new customer, before his contract is signed (新客户特殊费用申请)."""

    kind = "fee.request"
    scope = WRITE
    returns = "Paper"
    subject = "id"
    id: PaperId = Field(description="The contract.")
    amount: Money = Field(description="Yuan.")


class SetSigned(Command):
    """Note that a contract was signed."""

    kind = "contract.set_signed"
    scope = WRITE
    returns = "Paper"
    subject = "id"
    id: PaperId = Field(description="The contract.")
    signed_on: date = Field(description="Day.")


class FileSheet(Command):
    """Fill in a month's expense sheet."""

    kind = "expense_sheet.file"
    scope = WRITE
    returns = "ExpenseSheet"
    month: str = Field(description="Month.")
    total: Money = Field(description="Yuan.")


def _form(kind: str, words: str, more: dict[str, Any]) -> type[Command]:
    name = "".join(part.capitalize() for part in kind.replace(".", "_").split("_"))
    made: type[Command] = create_model(name, __base__=_Form, __doc__=words, **more)
    made.kind = kind
    return made


async def _fill_in(work: Work, command: Any) -> Paper:
    amount = money.fen(command.amount) if command.amount is not None else 0
    return work.add(
        Paper(
            line=work.acting_line,
            owner_id=work.actor.user_id,
            form=command.kind,
            title=command.title,
            amount=amount,
        )
    )


async def _request_fee(work: Work, command: RequestFee) -> Paper:
    contract: Paper = work.subject
    given = {"form": command.kind, "title": contract.title, "amount": money.fen(command.amount)}
    return work.add(Paper(line=contract.line, owner_id=work.actor.user_id, **given))


async def _set_signed(work: Work, command: SetSigned) -> Paper:
    contract: Paper = work.subject
    contract.signed_on = command.signed_on
    work.touch(contract)
    return contract


async def _file_sheet(work: Work, command: FileSheet) -> ExpenseSheet:
    given = {"month": command.month, "total": money.fen(command.total), "state": "DRAFT"}
    return work.add(ExpenseSheet(line=work.acting_line, owner_id=work.actor.user_id, **given))


async def _told(work: Work, sheet: ExpenseSheet, state: str) -> None:
    sheet.state = {"APPROVED": "VALID", "PENDING": "PENDING", "REJECTED": "VOID"}.get(state, "DRAFT")
    work.touch(sheet)


def _seen(t: Any, access: Access, scope: str) -> Any:
    return access.per_line(scope, t.c.line, owner=t.c.owner_id)


PAPER = ObjectType(
    name="Paper",
    table=Paper.__table__,
    model=Paper,
    prefix="pap",
    description="A form.",
    rule=_seen,
    scope=READ,
    order=lambda t: [t.c.id],
    fields=(
        field("id", Id("pap"), "Id.", nullable=False),
        field("version", int, "Version.", nullable=False),
        field("form", str, "Kind.", nullable=False, filter=True),
        field("title", str, "Title.", nullable=False),
        field("amount", YUAN, "Yuan.", nullable=False),
        field("signedOn", date, "Day of signing."),
    ),
)
SHEET = ObjectType(
    name="ExpenseSheet",
    table=ExpenseSheet.__table__,
    model=ExpenseSheet,
    prefix="exs",
    description="An expense sheet.",
    rule=_seen,
    scope=READ,
    order=lambda t: [t.c.id],
    fields=(
        field("id", Id("exs"), "Id.", nullable=False),
        field("version", int, "Version.", nullable=False),
        field("month", str, "Month.", nullable=False),
        field("total", YUAN, "Yuan.", nullable=False),
        field("state", str, "State.", nullable=False),
    ),
)
ROLES = (
    "accountant", "board", "customer_development_supervisor", "customer_manager", "department_head", "director",
    "finance_manager", "general_affairs", "general_manager", "group_customer_department", "hr", "market_manager",
    "market_specialist", "marketing_division", "office", "province_hr", "review_group", "sales_clerk", "sales_director",
    "sales_vice_gm", "service_manager", "survey_supervisor", "authorised_signatory",
)  # fmt: skip
"""Who signs somewhere and does nothing else here."""
_SIGNS: Mapping[str, Reach] = {
    "approval.sign": Reach.LINE,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
    "approval.file": Reach.LINE,
}
_ASKS: Mapping[str, Reach] = {
    READ: Reach.LINE,
    WRITE: Reach.LINE,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
}


class Chains:
    """The plugin's hooks."""

    @hookimpl
    def crm_tables(self) -> Sequence[type[Base]]:
        return (Paper, ExpenseSheet)

    @hookimpl
    def crm_types(self) -> Sequence[ObjectType]:
        return (PAPER, SHEET)

    @hookimpl
    def crm_queries(self) -> Sequence[Declared]:
        return (
            query_connection("papers", "Paper", "Forms."),
            query_connection("expenseSheets", "ExpenseSheet", "Expense sheets."),
        )

    @hookimpl
    def crm_commands(self) -> Mapping[type[Command], Perform]:
        forms = {_form(kind, words, more): _fill_in for kind, (words, more) in FORMS.items()}
        return {**forms, RequestFee: _request_fee, SetSigned: _set_signed, FileSheet: _file_sheet}

    @hookimpl
    def crm_documents(self) -> Sequence[Document]:
        return (Document("ExpenseSheet", WRITE, _told, lambda sheet: f"客情费统计表 {sheet.month}"),)

    @hookimpl
    def crm_scopes(self) -> Sequence[Scope]:
        return (Scope(READ, "Read"), Scope(WRITE, "Fill in"))

    @hookimpl
    def crm_roles(self) -> Sequence[RoleTemplate]:
        signing = (*ROLES, "sales_assistant", "sales_manager", "regional_director")
        asking = RoleTemplate("applicant", "申请人 Applicant", _ASKS)
        return (asking, *(RoleTemplate(name, name, _SIGNS) for name in signing))

    @hookimpl
    def crm_migrations(self) -> Path:
        return Path(__file__).parent / "chains_revisions"


CANDIDATE = Candidate("chains", "1.0", "crm-chains", (), Chains)

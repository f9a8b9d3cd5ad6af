"""A made-up plugin with one table, and a deployment where deals wait for a manager's signature."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar
from uuid import UUID

import pytest
from pydantic import Field
from sqlalchemy import BigInteger, String, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from crm_core import hookimpl, money
from crm_core.actors import Actor, Reach
from crm_core.commands import Command, Money, Perform, Ref, omitted
from crm_core.db.base import Aggregate, Base, LineCode, Personal
from crm_core.errors import INVALID, UserError
from crm_core.graphql import Id, Mask, ObjectType, field, query_connection
from crm_core.graphql.access import Access
from crm_core.graphql.fields import YUAN
from crm_core.graphql.fields import Field as Declared
from crm_core.loader import Candidate
from crm_core.outbox.events import Event
from crm_core.registry import PolicyTemplate, Scope
from crm_core.testing.kit import Kit
from crm_core.work import Work


class Deal(Aggregate):
    """A deal."""

    __tablename__ = "deals_deals"
    __table_args__ = (UniqueConstraint("line", "title"),)
    personal: ClassVar[dict[str, Personal]] = {"account": Personal("sensitive", "Paying back")}

    line: Mapped[str] = mapped_column(LineCode)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    title: Mapped[str] = mapped_column(String(80))
    amount: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str | None] = mapped_column(String(80))
    grade: Mapped[str] = mapped_column(String(10), default="B")
    account: Mapped[str | None] = mapped_column(String(80))


class DealChanged(Event):
    """A deal was made or changed."""

    kind = "deal.changed"
    subject_type = "Deal"


DealId = Annotated[UUID, Ref("Deal", "dea")]


class CreateDeal(Command):
    """Make a deal."""

    kind = "deal.create"
    scope = "deals.write"
    returns = "Deal"
    sensitive = frozenset({"account"})
    title: str = Field(description="Title.")
    amount: Money = Field(description="Amount.")
    note: str | None = omitted(description="Note.")
    account: str | None = omitted(description="Account.")


class UpdateDeal(Command):
    """Change a deal."""

    kind = "deal.update"
    scope = "deals.write"
    returns = "Deal"
    subject = "id"
    sensitive = frozenset({"account"})
    guards = frozenset({"grade"})
    id: DealId = Field(description="The deal.")
    title: str = omitted(description="Title.")
    amount: Money = omitted(description="Amount.")
    note: str | None = omitted(description="Note.")
    account: str | None = omitted(description="Account.")

    def compensation(self, _made: Sequence[UUID], before: Mapping[str, Any]) -> Command | None:
        """The title and note as they were."""
        return UpdateDeal(id=self.id, **{k: before[k] for k in self.given() if k in ("title", "note")})


class GradeDeal(Command):
    """Grade a deal; never held here."""

    kind = "deal.grade"
    scope = "deals.write"
    returns = "Deal"
    subject = "id"
    id: DealId = Field(description="The deal.")
    grade: str = Field(description="Grade.")


async def create_deal(work: Work, command: CreateDeal) -> Deal:
    values = command.given() | {"amount": money.fen(command.amount)}
    deal = work.add(Deal(line=work.acting_line, owner_id=work.actor.user_id, grade="B", **values))
    work.record(DealChanged.of(deal))
    return deal


async def update_deal(work: Work, command: UpdateDeal) -> Deal:
    deal: Deal = work.subject
    for name, value in command.given().items():
        if name != "id":
            setattr(deal, name, money.fen(value) if name == "amount" else value)
    work.record(DealChanged.of(deal))
    return deal


async def grade_deal(work: Work, command: GradeDeal) -> Deal:
    deal: Deal = work.subject
    deal.grade = command.grade
    work.record(DealChanged.of(deal))
    return deal


async def not_cursed(_work: Work, command: CreateDeal) -> list[UserError]:
    return [INVALID("title", problem="cursed")] if command.title == "cursed" else []


def deals_seen(t: Any, access: Access, scope: str) -> Any:
    return access.per_line(scope, t.c.line, owner=t.c.owner_id)


DEAL = ObjectType(
    name="Deal",
    table=Deal.__table__,
    model=Deal,
    prefix="dea",
    description="A deal.",
    rule=deals_seen,
    scope="deals.read",
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("dea"), "Id.", nullable=False, filter=True),
        field("version", int, "Version.", nullable=False),
        field("title", str, "Title.", nullable=False, filter=True),
        field("amount", YUAN, "Amount.", nullable=False),
        field("note", str, "Note.", mask=Mask(lambda c: c, unless="deals.notes")),
        field("grade", str, "Grade.", nullable=False),
        field("account", str, "Account."),
    ),
)


class Deals:
    """The plugin's hooks."""

    @hookimpl
    def crm_tables(self) -> Sequence[type[Base]]:
        return (Deal,)

    @hookimpl
    def crm_types(self) -> Sequence[ObjectType]:
        return (DEAL,)

    @hookimpl
    def crm_queries(self) -> Sequence[Declared]:
        return (query_connection("deals", "Deal", "Deals."),)

    @hookimpl
    def crm_commands(self) -> Mapping[type[Command], Perform]:
        return {CreateDeal: create_deal, UpdateDeal: update_deal, GradeDeal: grade_deal}

    @hookimpl
    def crm_checks(self) -> Mapping[str, Sequence[Any]]:
        return {"deal.create": (not_cursed,)}

    @hookimpl
    def crm_events(self) -> Sequence[type[Event]]:
        return (DealChanged,)

    @hookimpl
    def crm_scopes(self) -> Sequence[Scope]:
        return (
            Scope("deals.read", "Read"),
            Scope("deals.write", "Write"),
            Scope("deals.notes", "Read notes"),
        )

    @hookimpl
    def crm_policies(self) -> Sequence[PolicyTemplate]:
        return (PolicyTemplate("new deals", "deal.create", "line_manager", "New deals"),)

    @hookimpl
    def crm_migrations(self) -> Path:
        return Path(__file__).parent / "deals_revisions"


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": ("deals",), "west": ("deals",)}


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (Candidate("deals", "1.0", "crm-deals", (), Deals),)


Policy = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def policy(crm: Kit) -> Policy:
    """Sets a policy in the east: by default any line manager signs."""

    async def set_policy(
        command: str, *slots: dict[str, Any], acting: str = "east", **more: Any
    ) -> dict[str, Any]:
        stages = [{"slots": list(slots) or [{"role": "line_manager"}]}]
        given = {"name": f"signed {command}", "commands": [command], "stages": stages, **more}
        payload = await crm.done(
            "approvalPolicySet", acting=acting, input=given, select="approvalPolicy { id edition }"
        )
        found: dict[str, Any] = payload["approvalPolicy"]
        return found

    return set_policy


SELLER: Mapping[str, Reach] = {
    "deals.read": Reach.OWN,
    "deals.write": Reach.OWN,
    "approval.read": Reach.OWN,
    "approval.request": Reach.OWN,
}


@pytest.fixture
async def seller(crm: Kit) -> Actor:
    return await crm.actor("seller", SELLER)


@pytest.fixture
async def manager(crm: Kit) -> Actor:
    return await crm.actor("manager", role="line_manager")

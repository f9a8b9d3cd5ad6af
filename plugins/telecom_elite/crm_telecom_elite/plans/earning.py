"""Commands on revenue plans: projects with what they are expected to bring, and what came of it (收益计划)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import ids, money
from crm_core.access.commands import UserId
from crm_core.commands import Command, Money, Part, Perform, omitted
from crm_core.customers.inputs import CustomerId
from crm_core.errors import Message, Refused
from crm_core.interactions.queries import customer_line
from crm_core.work import Work
from crm_telecom_elite.plans.events import (
    EliteRevenuePlanCreated,
    EliteRevenuePlanMeasured,
    EliteRevenuePlanUpdated,
)
from crm_telecom_elite.plans.income import Expected, attainment, expected, total
from crm_telecom_elite.plans.inputs import (
    PLAN_EXISTS,
    RevenuePlanId,
    Year,
    refuse_below_line,
    user_of,
)
from crm_telecom_elite.plans.models import EliteRevenuePlan, EliteRevenueProject
from crm_telecom_elite.scopes import PLAN_WRITE

RULE = "MO-523"
SAME_NAME = Message(
    "TELECOM_ELITE_PROJECT_TWICE",
    "The project {name} stands there twice.",
    "项目 {name} 重复。",
    rule=RULE,
)
MESSAGES = (SAME_NAME,)
ProjectName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Aim = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class EliteRevenueProjectInput(Part):
    """A project planned for the year (收益计划项目, MO-523, MO-525)."""

    name: ProjectName = Field(description="Name of the project (项目名称).")
    contract_amount: Money = Field(ge=0, description="Amount of the contract, yuan (合同额).")
    acquisition_rate: Decimal = Field(
        ge=0, le=1, max_digits=7, decimal_places=6, description="Likelihood of winning it, 0 to 1 (获取率)."
    )
    profit_rate: Decimal = Field(
        ge=-1, le=1, max_digits=7, decimal_places=6,
        description="Expected margin, as a rule that of past projects, e.g. 0.15 (利润率).",
    )  # fmt: skip
    measures: Aim = Field("", description="Explanation and measures (说明及措施).")


Projects = Annotated[list[EliteRevenueProjectInput], Field(max_length=100)]


class CreateRevenuePlan(Command):
    """Make the revenue plan of a customer, or of the whole line, for a year (制订收益计划, MO-523)."""

    kind = "elite_revenue_plan.create"
    scope = PLAN_WRITE
    returns = "EliteRevenuePlan"
    customer_id: CustomerId | None = Field(
        None, description="The customer; null: the whole line, by the marketing centre (客户)."
    )
    year: Year = Field(description="For which year, as a rule the next (年度).")
    goal: Aim = Field("", description="What is to be reached (目标描述).")
    owner_id: UserId | None = Field(
        None, description="Whose target it is; default: the customer's owner, else you (责任人, MO-526)."
    )
    projects: Projects = Field(default_factory=list, description="Projects planned (项目).")


async def create_revenue_plan(work: Work, command: CreateRevenuePlan) -> EliteRevenuePlan:
    """The plan with the totals of its projects; refuses a second one for the same customer, or line, and year."""
    default = await _owner(work, command)
    await _refuse_second(work, command)
    plan = work.add(
        EliteRevenuePlan(
            line=work.acting_line,
            customer_id=command.customer_id,
            owner_id=default if command.owner_id is None else await user_of(work, command.owner_id),
            year=command.year,
            goal=command.goal,
        )
    )
    work.record(EliteRevenuePlanCreated.of(plan))
    _put_projects(work, plan, command.projects, {})
    return plan


async def _owner(work: Work, command: CreateRevenuePlan) -> UUID | None:
    """Whose target it is by default; refuses a customer out of reach, and the whole line to whose reach is less."""
    if command.customer_id is None:
        refuse_below_line(work, "customerId")
        return work.actor.user_id
    line = await customer_line(work, command.customer_id, "customerId", PLAN_WRITE)
    return line.owner_id or work.actor.user_id


async def _refuse_second(work: Work, command: CreateRevenuePlan) -> None:
    found = await work.session.scalar(
        select(EliteRevenuePlan.id).where(
            EliteRevenuePlan.line == work.acting_line,
            EliteRevenuePlan.customer_id.is_not_distinct_from(command.customer_id),
            EliteRevenuePlan.year == command.year,
        )
    )
    if found is not None:
        raise Refused(PLAN_EXISTS("year", rule=RULE, year=command.year, plan=ids.show("erp", found)))


def _put_projects(
    work: Work,
    plan: EliteRevenuePlan,
    given: Sequence[EliteRevenueProjectInput],
    known: dict[str, EliteRevenueProject],
) -> None:
    """Write the projects given, taking those kept out of `known`, and the totals of the plan."""
    found: dict[str, Expected] = {}
    for position, one in enumerate(given):
        if one.name in found:
            raise Refused(SAME_NAME(f"projects.{position}.name", name=one.name))
        found[one.name] = _put(work, plan, position, one, known.pop(one.name, None))
    sums = total(found.values())
    plan.income, plan.profit = sums.income, sums.profit
    plan.attainment = attainment(plan.income, plan.actual)


def _put(
    work: Work,
    plan: EliteRevenuePlan,
    position: int,
    given: EliteRevenueProjectInput,
    row: EliteRevenueProject | None,
) -> Expected:
    amount = money.fen(given.contract_amount)
    brings = expected(amount, given.acquisition_rate, given.profit_rate)
    values = {
        "position": position,
        "name": given.name,
        "contract_amount": amount,
        "acquisition_rate": given.acquisition_rate,
        "profit_rate": given.profit_rate,
        "income": brings.income,
        "profit": brings.profit,
        "measures": given.measures,
    }
    if row is None:
        work.add(EliteRevenueProject(line=plan.line, plan_id=plan.id, **values))
    else:
        for name, value in values.items():
            setattr(row, name, value)
    return brings


class _OnPlan(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = PLAN_WRITE
    returns: ClassVar[str | list[str]] = "EliteRevenuePlan"
    subject: ClassVar[str | None] = "id"
    id: RevenuePlanId = Field(description="The plan.")


class UpdateRevenuePlan(_OnPlan):
    """Change a revenue plan; what is left out stays, `projects` replaces all, known ones by name (修改收益计划)."""

    kind = "elite_revenue_plan.update"
    goal: Aim = omitted(description="What is to be reached (目标描述).")
    owner_id: UserId = omitted(description="Whose target it is (责任人).")
    projects: Projects = omitted(description="All projects (项目).")


async def update_revenue_plan(work: Work, command: UpdateRevenuePlan) -> EliteRevenuePlan:
    """The changed plan, totals and attainment anew."""
    plan: EliteRevenuePlan = work.subject
    given = command.given()
    plan.goal = given.get("goal", plan.goal)
    if "owner_id" in given:
        plan.owner_id = await user_of(work, command.owner_id)
    if "projects" in given:
        rows = select(EliteRevenueProject).where(EliteRevenueProject.plan_id == plan.id)
        known = {row.name: row for row in (await work.session.scalars(rows)).all()}
        _put_projects(work, plan, command.projects, known)
        for gone in known.values():
            await work.session.delete(gone)
    work.record(EliteRevenuePlanUpdated.of(plan))
    return plan


class MeasureRevenuePlan(_OnPlan):
    """Record what the projects of a revenue plan actually brought so far (登记实际收入, MO-526)."""

    kind = "elite_revenue_plan.measure"
    actual: Money = Field(description="Actual income of the year so far, yuan (实际完成收入).")


async def measure_revenue_plan(work: Work, command: MeasureRevenuePlan) -> EliteRevenuePlan:
    """The plan with how far it was reached: actual by planned income in percent."""
    plan: EliteRevenuePlan = work.subject
    plan.actual = money.fen(command.actual)
    plan.attainment = attainment(plan.income, plan.actual)
    work.record(EliteRevenuePlanMeasured.of(plan))
    return plan


COMMANDS: dict[type[Command], Perform] = {
    CreateRevenuePlan: create_revenue_plan,
    UpdateRevenuePlan: update_revenue_plan,
    MeasureRevenuePlan: measure_revenue_plan,
}

"""A customer's place in a line: joining it, owner and team, grade, stage, the salesman's file, periodic review."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field
from sqlalchemy import or_, select

from crm_core import errors, ids, money
from crm_core.access.commands import OTHER_LINE
from crm_core.access.models import RoleGrant, Team, TeamMember, User
from crm_core.commands import Command, omitted
from crm_core.customers.events import (
    CustomerAssigned,
    CustomerJoinedLine,
    CustomerLineUpdated,
    CustomerReviewed,
    CustomerStageMoved,
)
from crm_core.customers.inputs import LINE_COLUMNS, CustomerId, LineFields, TeamId, UserId, columns
from crm_core.customers.models import (
    Customer,
    CustomerLine,
    CustomerLineChange,
    CustomerStage,
    LineChangeKind,
)
from crm_core.customers.queries import line_rows, visible
from crm_core.errors import Message, Refused, UserError
from crm_core.lifecycle import Lifecycle, Move
from crm_core.work import Work

NOT_IN_LINE = Message(
    "CUSTOMER_NOT_IN_LINE",
    "The customer is not among yours in line {line}. Act in a line of the customer, or let it join this one.",
    "该客户不在您于业务线 {line} 的客户之列，请在其所属业务线操作，或先将其加入本业务线。",
)
ALREADY_IN_LINE = Message(
    "CUSTOMER_ALREADY_IN_LINE",
    "The customer already belongs to line {line}.",
    "该客户已属于业务线 {line}。",
)
OWNER_NOT_IN_LINE = Message(
    "OWNER_NOT_IN_LINE",
    "{name} has no role in line {line} and cannot own its customers.",
    "{name} 在业务线 {line} 没有角色，不能成为该线客户的归属人。",
)
MESSAGES = (NOT_IN_LINE, ALREADY_IN_LINE, OWNER_NOT_IN_LINE)

BLACKLIST = "customer.blacklist"
_ACTIVE = (CustomerStage.PROSPECT.value, CustomerStage.CUSTOMER.value)
_PAST = (CustomerStage.DORMANT.value, CustomerStage.LOST.value)

STAGES = Lifecycle(
    name="customer",
    initial=CustomerStage.PROSPECT.value,
    states={
        "PROSPECT": "May become a customer (潜在客户): knows us, has not traded with us yet (CS-001).",
        "CUSTOMER": "Trades or cooperates with us (客户, CS-001).",
        "DORMANT": "Has not been heard of for long (休眠客户).",
        "LOST": "Went to somebody else (流失客户).",
        "BLACKLISTED": "Not to be dealt with (黑名单).",
    },
    moves=(
        Move("win", ("PROSPECT", *_PAST), "CUSTOMER", None, "The customer trades with us (成交)."),
        Move("rest", _ACTIVE, "DORMANT", None, "Nothing was heard for long (转为休眠)."),
        Move("lose", (*_ACTIVE, "DORMANT"), "LOST", None, "The customer went elsewhere (流失)."),
        Move("revive", _PAST, "PROSPECT", None, "The customer shows interest again (激活)."),
        Move("blacklist", (*_ACTIVE, *_PAST), "BLACKLISTED", BLACKLIST, "Put on the blacklist (列入黑名单)."),
        Move("pardon", ("BLACKLISTED",), "PROSPECT", BLACKLIST, "Taken off the blacklist (移出黑名单)."),
    ),
)


# -- rows of a line


async def in_acting_line(work: Work, customer: Customer, scope: str, path: str = "id") -> CustomerLine:
    """The row of the line acted in; refuses unless the scope reaches the customer in that very line."""
    found = await rows_in_acting_line(work, [customer.id], scope)
    if customer.id not in found:
        raise Refused(NOT_IN_LINE(path, line=work.acting_line))
    return found[customer.id]


async def rows_in_acting_line(work: Work, keys: Sequence[UUID], scope: str) -> dict[UUID, CustomerLine]:
    """Rows of the line acted in, by customer, as far as the scope reaches them."""
    table, access = CustomerLine.__table__, work.services.access(work.actor)
    statement = select(CustomerLine).where(
        table.c.customer_id.in_(keys), table.c.line == work.acting_line, line_rows(table, access, scope)
    )
    return {row.customer_id: row for row in (await work.session.scalars(statement)).all()}


def note(work: Work, row: CustomerLine, what: LineChangeKind, old: str | None, new: str | None) -> None:
    """Keep a change in the history of the row."""
    work.add(
        CustomerLineChange(
            customer_line_id=row.id, what=what.value, old=old, new=new, by_id=work.actor.user_id,
            reason=work.options.reason,
        )
    )  # fmt: skip


async def open_row(
    work: Work, customer: Customer, given: Mapping[str, Any], stage: CustomerStage | None
) -> CustomerLine:
    """The customer's row in the line acted in, with its owner, team and first history entry; flushes."""
    owner, team = await _belonging(work, given)
    if stage is CustomerStage.BLACKLISTED:
        _refuse_without(work, BLACKLIST)
    row = CustomerLine(
        customer_id=customer.id,
        line=work.acting_line,
        owner_id=owner,
        team_id=team,
        stage=(stage or CustomerStage.PROSPECT).value,
        collected_by_id=work.actor.user_id,
        review_due_at=_next_review(work),
        **line_values(given),
    )
    if row.department is None and work.actor.user_id is not None:
        collector = await work.session.get(User, work.actor.user_id)
        row.department = (collector and collector.department) or None
    work.add(row)
    await work.flush()
    note(work, row, LineChangeKind.JOINED, None, work.acting_line)
    return row


def line_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields of a line as columns; money becomes fen."""
    values = columns(dict(given), LINE_COLUMNS)
    if values.get("deposit") is not None:
        values["deposit"] = money.fen(values["deposit"])
    return values


def _next_review(work: Work) -> Any:
    return work.now + timedelta(days=work.settings_of("customers").review_interval_days)


def _refuse_without(work: Work, scope: str) -> None:
    if not work.actor.may(scope, work.acting_line):
        raise Refused(errors.FORBIDDEN(scope=scope, line=work.acting_line))


# -- owner and team


async def _belonging(work: Work, given: Mapping[str, Any]) -> tuple[UUID | None, UUID | None]:
    """Owner and team of a new row: by default the actor and his only team; others take `customer.assign`."""
    line, actor = work.acting_line, work.actor
    owner: UUID | None = given.get("owner_id", actor.user_id)
    teams = actor.teams.get(line, frozenset())
    if owner not in (actor.user_id, None) or given.get("team_id") not in (None, *teams):
        _refuse_without(work, "customer.assign")
    await _refuse_strangers(work, owner if "owner_id" in given else None, given.get("team_id"))
    if "team_id" in given:
        return owner, given["team_id"]
    if owner != actor.user_id:
        teams = frozenset(await _teams_of(work, owner))
    return owner, next(iter(teams)) if len(teams) == 1 else None


async def _teams_of(work: Work, user_id: UUID | None) -> Iterable[UUID]:
    member, team = TeamMember.__table__, Team.__table__
    statement = select(team.c.id).join(member, member.c.team_id == team.c.id)
    return (
        await work.session.scalars(statement.where(member.c.user_id == user_id, team.c.line == work.acting_line))
    ).all()


async def _refuse_strangers(work: Work, owner: UUID | None, team: UUID | None) -> None:
    """Refuse an owner without a role in the line, and a team of another line."""
    found: list[UserError] = []
    if owner is not None and owner != work.actor.user_id:
        user = await work.get(User, owner, "ownerId")
        if user.disabled_at is not None or not await _has_role(work, owner):
            found.append(OWNER_NOT_IN_LINE("ownerId", name=user.name, line=work.acting_line))
    if team is not None:
        its = await work.get(Team, team, "teamId")
        if its.line != work.acting_line:
            found.append(OTHER_LINE("teamId", line=its.line))
    errors.raise_if(found)


async def _has_role(work: Work, user_id: UUID) -> bool:
    grant = RoleGrant.__table__
    here = or_(grant.c.line == work.acting_line, grant.c.line.is_(None))
    return await work.session.scalar(select(grant.c.id).where(grant.c.user_id == user_id, here).limit(1)) is not None


class JoinLine(LineFields):
    """Let a customer known in one line join the line acted in (客户加入业务线)."""

    kind = "customer.join_line"
    subject = "id"
    id: CustomerId = Field(description="The customer; you must see it in some line.")
    owner_id: UserId | None = omitted(description="Who owns it in this line; default: you (归属人).")
    team_id: TeamId | None = omitted(description="Team in this line; default: the owner's only one (团队).")
    stage: CustomerStage = omitted(description="Stage in this line; default PROSPECT (客户阶段).")


async def join_line(work: Work, command: JoinLine) -> Customer:
    """The customer with its new row; refuses a line it already belongs to."""
    customer: Customer = work.subject
    taken = select(CustomerLine.id).where(
        CustomerLine.customer_id == customer.id, CustomerLine.line == work.acting_line
    )
    if await work.session.scalar(taken) is not None:
        raise Refused(ALREADY_IN_LINE("line", line=work.acting_line))
    row = await open_row(work, customer, command.given(), command.stage)
    work.touch(customer)
    work.record(CustomerJoinedLine.of(customer, **summary(row)))
    return customer


def summary(row: CustomerLine) -> dict[str, Any]:
    """A new row as events tell it."""
    return {
        "line": row.line,
        "owner": shown("usr", row.owner_id),
        "team": shown("tea", row.team_id),
        "grade": row.grade,
        "stage": row.stage,
    }


def shown(prefix: str, key: UUID | None) -> str | None:
    """An id as clients see it."""
    return ids.show(prefix, key) if key is not None else None


class SetLine(LineFields):
    """Change grade, interest or the salesman's file of a customer in a line; what is left out stays (业务线资料)."""

    kind = "customer.set_line"
    subject = "id"
    id: CustomerId = Field(description="The customer.")


async def set_line(work: Work, command: SetLine) -> Customer:
    """The customer with its changed row; a new grade or card state is kept in its history."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    values = line_values(command.given())
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        what = {"grade": LineChangeKind.GRADE, "card_state": LineChangeKind.CARD}.get(name)
        if what is not None:
            note(work, row, what, getattr(row, name), values[name])
        setattr(row, name, values[name])
    if changed:
        _touch(work, customer, row)
        work.record(CustomerLineUpdated.of(customer, line=row.line, changed=sorted(changed)))
    return customer


def _touch(work: Work, customer: Customer, row: CustomerLine) -> None:
    work.touch(row)
    work.touch(customer)


# -- stage


class MoveStage(Command):
    """Move a customer to another stage in a line (客户阶段变更). The blacklist needs `customer.blacklist` and a reason."""

    kind = "customer.move_stage"
    scope = "customer.write"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")
    stage: CustomerStage = Field(description="The stage to come to (目标阶段).")


async def move_stage(work: Work, command: MoveStage) -> Customer:
    """The moved customer; staying where it is changes nothing."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    before = row.stage
    if before == command.stage.value:
        return customer
    move = _move(before, command.stage)
    if move.scope is not None:
        _refuse_without(work, move.scope)
        if not (work.options.reason or "").strip():
            raise Refused(errors.REQUIRED("reason"))
    set_stage(work, row, command.stage)
    _touch(work, customer, row)
    work.record(CustomerStageMoved.of(customer, line=row.line, before_stage=before, after_stage=row.stage))
    return customer


def _move(state: str, target: CustomerStage) -> Move:
    moves = STAGES.moves_from(state)
    for move in moves:
        if move.target == target.value:
            return move
    allowed = ", ".join(move.target for move in moves)
    raise Refused(errors.ILLEGAL_MOVE("stage", what="customer", move=target.value, state=state, allowed=allowed))


def set_stage(work: Work, row: CustomerLine, stage: CustomerStage) -> None:
    """Put the row into a stage and keep that in its history."""
    note(work, row, LineChangeKind.STAGE, row.stage, stage.value)
    row.stage = stage.value


# -- assigning


class _Assignment(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = "customer.assign"
    returns: ClassVar[str | list[str]] = "Customer"

    owner_id: UserId | None = omitted(description="The new owner; null: nobody; left out: as it is (归属人).")
    team_id: TeamId | None = omitted(
        description="The new team; left out: the new owner's only team, else as it is (团队)."
    )


class AssignCustomer(_Assignment):
    """Give a customer of a line to another owner or team (客户分配/转移)."""

    kind = "customer.assign"
    subject = "id"
    id: CustomerId = Field(description="The customer.")


async def assign_customer(work: Work, command: AssignCustomer) -> Customer:
    """The customer with its new owner; the former one stands in the history."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    _assign(work, customer, row, await _wanted(work, command.given()))
    return customer


class BulkAssign(_Assignment):
    """Give many customers of a line to one owner or team; all or none (批量分配)."""

    kind = "customer.bulk_assign"
    returns: ClassVar[str | list[str]] = ["Customer"]
    ids: list[CustomerId] = Field(min_length=1, description="The customers; at most 100 by default.")


async def bulk_assign(work: Work, command: BulkAssign) -> list[Customer]:
    """The assigned customers in the order given; refuses naming each one that cannot be assigned."""
    customers = await many(work, command.ids, command.scope)
    rows = await rows_in_acting_line(work, command.ids, command.scope)
    errors.raise_if(
        NOT_IN_LINE(f"ids.{position}", line=work.acting_line)
        for position, customer in enumerate(customers)
        if customer.id not in rows
    )
    wanted = await _wanted(work, command.given())
    for customer in customers:
        _assign(work, customer, rows[customer.id], wanted)
    return customers


async def many(work: Work, keys: Sequence[UUID], scope: str) -> list[Customer]:
    """Customers by id as far as the scope reaches, each once; refuses too many and names each unknown one."""
    most = work.services.settings.limits.bulk_max
    if len(keys) > most:
        raise Refused(errors.TOO_MANY("ids", limit=most, given=len(keys)))
    table, access = Customer.__table__, work.services.access(work.actor)
    statement = select(Customer).where(table.c.id.in_(keys), visible(table, access, scope)).order_by(table.c.id)
    if work.services.database.dialect == "postgresql":
        statement = statement.with_for_update(of=table)
    found = {customer.id: customer for customer in (await work.session.scalars(statement)).all()}
    errors.raise_if(
        errors.NOT_FOUND(f"ids.{position}", type="Customer", id=ids.show("cus", key))
        for position, key in enumerate(keys)
        if key not in found
    )
    return [found[key] for key in dict.fromkeys(keys)]


async def _wanted(work: Work, given: Mapping[str, Any]) -> dict[str, UUID | None]:
    """Owner and team to set; the team follows a new owner who has exactly one in the line."""
    await _refuse_strangers(work, given.get("owner_id"), given.get("team_id"))
    wanted = {name: given[name] for name in ("owner_id", "team_id") if name in given}
    if not wanted:
        raise Refused(errors.REQUIRED("ownerId"))
    if "team_id" not in wanted and wanted.get("owner_id") is not None:
        teams = list(await _teams_of(work, wanted["owner_id"]))
        wanted |= {"team_id": teams[0]} if len(teams) == 1 else {}
    return wanted


def _assign(work: Work, customer: Customer, row: CustomerLine, wanted: Mapping[str, UUID | None]) -> None:
    before = (row.owner_id, row.team_id)
    kinds = {"owner_id": (LineChangeKind.OWNER, "usr"), "team_id": (LineChangeKind.TEAM, "tea")}
    for name, value in wanted.items():
        what, prefix = kinds[name]
        old = getattr(row, name)
        if old != value:
            note(work, row, what, shown(prefix, old), shown(prefix, value))
            setattr(row, name, value)
    if before == (row.owner_id, row.team_id):
        return
    _touch(work, customer, row)
    work.record(
        CustomerAssigned.of(
            customer,
            line=row.line,
            before_owner=shown("usr", before[0]),
            after_owner=shown("usr", row.owner_id),
            before_team=shown("tea", before[1]),
            after_team=shown("tea", row.team_id),
        )
    )


# -- review


class ReviewCustomer(Command):
    """Record the periodic check of a customer's archive and files in a line (档案定期整理复核, CS-011, CS-022)."""

    kind = "customer.review"
    scope = "customer.write"
    returns = "Customer"
    subject = "id"
    id: CustomerId = Field(description="The customer.")
    accurate: bool = Field(True, description="Whether the archive is accurate (准确性).")
    complete: bool = Field(True, description="Whether it is complete (完整性).")
    current: bool = Field(True, description="Whether it is up to date (时效性).")
    findings: str | None = Field(None, max_length=2000, description="What was found (复核意见).")


async def review_customer(work: Work, command: ReviewCustomer) -> Customer:
    """The reviewed customer; the next check is due after the interval of the settings."""
    customer: Customer = work.subject
    row = await in_acting_line(work, customer, command.scope)
    row.reviewed_at, row.reviewed_by_id, row.review_due_at = work.now, work.actor.user_id, _next_review(work)
    row.review_accurate, row.review_complete, row.review_current = command.accurate, command.complete, command.current
    row.review_findings = command.findings
    passed = [name for name in ("accurate", "complete", "current") if getattr(command, name)]
    note(work, row, LineChangeKind.REVIEW, None, " ".join(passed).upper() or None)
    _touch(work, customer, row)
    verdict = {"accurate": command.accurate, "complete": command.complete, "current": command.current}
    work.record(CustomerReviewed.of(customer, line=row.line, **verdict))
    return customer


COMMANDS = {
    JoinLine: join_line,
    SetLine: set_line,
    MoveStage: move_stage,
    AssignCustomer: assign_customer,
    BulkAssign: bulk_assign,
    ReviewCustomer: review_customer,
}

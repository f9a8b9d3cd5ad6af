"""The root field `explainApproval`: what would wait for whose signature, said beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from uuid import UUID

import strawberry

from crm_core import errors, ids
from crm_core.approvals.explaining import (
    ApprovalPassed,
    ApprovalSkipped,
    ApprovalWhy,
    Considered,
    Explained,
    Place,
    Planned,
    Tested,
    explain_command,
    explain_record,
)
from crm_core.approvals.queries import READ
from crm_core.approvals.words import ApprovalEmpty, ApprovalRule
from crm_core.errors import UserError, worded
from crm_core.graphql.context import Context
from crm_core.graphql.fields import Field
from crm_core.graphql.values import Anything, graphql_enum
from crm_core.work import Services

for _enum in (ApprovalWhy, ApprovalSkipped, ApprovalPassed, ApprovalEmpty, ApprovalRule):
    graphql_enum(_enum)


@strawberry.type(description="Somebody, as approvals name him (人员).")
class ApprovalPerson:
    """Somebody, as approvals name him."""

    id: strawberry.ID = strawberry.field(description="Id of the user.")
    name: str = strawberry.field(description="Name (姓名).")


@strawberry.type(description="One comparison of a condition, and whether it holds (条件判断).")
class ApprovalTested:
    """One comparison of a condition, and whether it holds."""

    group: str = strawberry.field(description="`all`, `any` or `none` of the condition.")
    field: str = strawberry.field(description="Field that is compared (字段).")
    op: str = strawberry.field(description="Comparison (运算).")
    value: Anything | None = strawberry.field(description="Value it is compared with (比较值).")
    holds: bool | None = strawberry.field(
        description="Whether it holds; null: it fits no longer, and counts as if it held."
    )


@strawberry.type(description="A policy about the target that is in force (审批规则).")
class ApprovalConsidered:
    """A policy about the target that is in force."""

    id: strawberry.ID = strawberry.field(description="Id of the policy.")
    name: str = strawberry.field(description="Name (名称).")
    title: str = strawberry.field(description="Title for people (标题).")
    edition: int = strawberry.field(description="Number of the edition (版本).")
    priority: int = strawberry.field(description="The lowest of those that apply counts (优先级).")
    applies: bool = strawberry.field(description="Whether its condition holds (适用).")
    tests: list[ApprovalTested] = strawberry.field(
        description="What its condition compares; empty without `approval.read` in the line."
    )


@strawberry.type(
    description="Somebody who would be asked to sign: a user, or the holders of a role (审批人)."
)
class ApprovalPlanned:
    """Somebody who would be asked to sign."""

    slot: str = strawberry.field(description="Title of the place (席位).")
    role: str | None = strawberry.field(description="Any holder of this role may sign (角色).")
    people: list[ApprovalPerson] = strawberry.field(
        description="The user, or the holders of the role (人员)."
    )
    insteadOf: ApprovalPerson | None = strawberry.field(description="For whom the deputy is asked (代理).")  # noqa: N815  # as in the schema
    instead: ApprovalEmpty | None = strawberry.field(
        description="Nobody could be found as the policy wants: its MANAGER or ADMINISTRATOR is asked."
    )
    passes: ApprovalPassed | None = strawberry.field(
        description="Set where the signature is not waited for (自动通过)."
    )


@strawberry.type(description="A stage as it would be now (审批环节).")
class ApprovalStagePlan:
    """A stage as it would be now."""

    name: str = strawberry.field(description="Title (环节名称).")
    rule: ApprovalRule = strawberry.field(description="Which places must sign (签署规则).")
    skipped: ApprovalSkipped | None = strawberry.field(
        description="Why it would be left out; null: it would not (跳过原因)."
    )
    tests: list[ApprovalTested] = strawberry.field(description="What its condition compares (环节条件).")
    asked: list[ApprovalPlanned] = strawberry.field(description="Who would be asked (审批人).")
    copies: list[ApprovalPerson] = strawberry.field(description="To whom it would be copied (抄送).")
    told: list[ApprovalPerson] = strawberry.field(description="Who would get a notice when it begins (通知).")
    errors: list[ApprovalProblem] = strawberry.field(description="Why it could not begin; mostly empty.")


@strawberry.type(description="Why something would be refused (拒绝理由).")
class ApprovalProblem:
    """Why something would be refused."""

    code: str = strawberry.field(description="Stable code to act on.")
    message: str = strawberry.field(description="Words for a person.")
    field: str | None = strawberry.field(description="Path of the input field.")
    rule: str | None = strawberry.field(description="The business rule that refused.")


@strawberry.type(
    description="Whether something would wait for signatures, by which policy, and whose (审批预览)."
)
class ApprovalExplanation:
    """Whether something would wait for signatures."""

    held: bool = strawberry.field(description="Whether it would wait for signatures (需审批).")
    why: ApprovalWhy = strawberry.field(description="Why, or why not (原因).")
    line: str | None = strawberry.field(description="Business line it would belong to (业务线).")
    policy: ApprovalConsidered | None = strawberry.field(description="The policy that counts (适用规则).")
    considered: list[ApprovalConsidered] = strawberry.field(
        description="All policies about it that are in force, in their order (全部相关规则)."
    )
    stages: list[ApprovalStagePlan] = strawberry.field(description="Stage by stage (审批环节).")
    stillValid: strawberry.ID | None = strawberry.field(  # noqa: N815  # as in the schema
        description="The earlier approval that covers it (有效审批)."
    )
    errors: list[ApprovalProblem] = strawberry.field(
        description="Why it would be refused, held or not; empty when it would not (拒绝理由)."
    )


@strawberry.type
class ExplainQuery:
    """Root fields of this file."""

    @strawberry.field(  # type: ignore[untyped-decorator]  # it has no types
        description="Whether a command of yours with this input, or a record you would hand in, would wait for "
        "signatures: by which policy, and whose, stage by stage. Nothing is written (审批预览)."
    )
    async def explainApproval(  # noqa: N802  # as in the schema
        self,
        info: strawberry.Info,
        command: Annotated[
            str | None, strawberry.argument(description="Kind of the command, e.g. customer.update (命令).")
        ] = None,
        input: Annotated[
            Anything | None, strawberry.argument(description="Its input, as the mutation takes it (内容).")
        ] = None,
        record: Annotated[
            str | None, strawberry.argument(description="Or: id of the record you would hand in (单据).")
        ] = None,
        line: Annotated[
            str | None, strawberry.argument(description="Business line; default: as for mutations (业务线).")
        ] = None,
    ) -> ApprovalExplanation:
        """The explanation."""
        context: Context = info.context
        return _shown(await _explained(context, command, input, record, line or context.line), context)


async def _explained(
    context: Context, command: str | None, given: Any, record: str | None, line: str | None
) -> Explained:
    services: Services = context.services
    if (command is None) == (record is None):
        problem = "give either command or record (请填写命令或单据其中之一)"
        return Explained(ApprovalWhy.REFUSED, errors=(errors.INVALID("command", problem=problem),))
    if record is not None:
        return await explain_record(services, context.actor, record, line)
    body = {} if given is None else given
    if not isinstance(body, Mapping):
        problem = "must be an object (须为对象)"
        return Explained(ApprovalWhy.REFUSED, errors=(errors.INVALID("input", problem=problem),))
    return await explain_command(services, context.actor, str(command), body, line)


def _shown(found: Explained, context: Context) -> ApprovalExplanation:
    chosen, considered = None, []
    for one in found.considered:
        reads = context.actor.may(READ, one.policy.line)
        shown, is_chosen = _considered(one, reads=reads), one.policy is found.policy
        chosen = shown if is_chosen else chosen
        considered += [shown] if reads or is_chosen else []
    return ApprovalExplanation(
        held=found.why is ApprovalWhy.HELD,
        why=found.why,
        line=found.line,
        policy=chosen,
        considered=considered,
        stages=[_stage(one, found, context) for one in found.stages],
        stillValid=strawberry.ID(ids.show("apr", found.valid)) if found.valid else None,
        errors=_problems(found.errors, context),
    )


def _considered(one: Considered, *, reads: bool) -> ApprovalConsidered:
    policy = one.policy
    return ApprovalConsidered(
        id=strawberry.ID(ids.show("pol", policy.id)),
        name=policy.name,
        title=policy.title,
        edition=policy.edition,
        priority=policy.priority,
        applies=one.applies,
        tests=_tests(one.tests) if reads else [],
    )


def _tests(tests: Iterable[Tested]) -> list[ApprovalTested]:
    return [
        ApprovalTested(
            group=one.group,
            field=one.test.field,
            op=one.test.op.value,
            value=one.test.model_dump(mode="json")["value"],
            holds=one.holds,
        )
        for one in tests
    ]


def _stage(one: Planned, found: Explained, context: Context) -> ApprovalStagePlan:
    return ApprovalStagePlan(
        name=one.stage.name,
        rule=one.stage.rule,
        skipped=one.skipped,
        tests=_tests(one.tests),
        asked=[_place(place, found.names) for place in one.places],
        copies=_people(one.copies, found.names),
        told=_people(one.told, found.names),
        errors=_problems(one.errors, context),
    )


def _place(place: Place, names: Mapping[UUID, str]) -> ApprovalPlanned:
    return ApprovalPlanned(
        slot=place.slot,
        role=place.role,
        people=_people(place.people, names),
        insteadOf=_person(place.instead_of, names) if place.instead_of else None,
        instead=place.instead,
        passes=place.passes,
    )


def _people(users: Iterable[UUID], names: Mapping[UUID, str]) -> list[ApprovalPerson]:
    return [_person(user, names) for user in users]


def _person(user: UUID, names: Mapping[UUID, str]) -> ApprovalPerson:
    return ApprovalPerson(id=strawberry.ID(ids.show("usr", user)), name=names.get(user, ""))


def _problems(found: Iterable[UserError], context: Context) -> list[ApprovalProblem]:
    return [
        ApprovalProblem(
            code=one.code,
            message=worded(one, context.messages, context.language),
            field=one.field,
            rule=one.rule,
        )
        for one in found
    ]


QUERIES: tuple[Field | type, ...] = (ExplainQuery,)

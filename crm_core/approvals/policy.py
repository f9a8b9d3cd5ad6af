"""Sign-off policies as typed values: which commands, under which condition, need whose signatures. No database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_snake
from pydantic_core import PydanticCustomError

from crm_core.access.commands import UserId
from crm_core.approvals.chain import ApprovalRule
from crm_core.commands import Command, Part


class ApprovalOperator(StrEnum):
    """How a field of a command is compared (条件运算); null fulfils only NE and IS_NULL."""

    EQ = "EQ"
    NE = "NE"
    IN = "IN"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    IS_NULL = "IS_NULL"
    GIVEN = "GIVEN"


class ApprovalTest(Part):
    """One comparison of a field of the command; a field left out counts as its default (null for a change)."""

    field: str = Field(description="Field of the command's input, e.g. amount (字段).")
    op: ApprovalOperator = Field(
        description="Comparison; GIVEN asks whether the field was given at all (运算)."
    )
    value: Any = Field(
        None, description="Value in the field's own form; a list for IN, true or false for IS_NULL, GIVEN."
    )


class ApprovalCondition(Part):
    """When a policy applies: every test of `all`, and one of `any` if there are some (触发条件)."""

    all: list[ApprovalTest] = Field(
        default_factory=list, max_length=50, description="All of these must hold."
    )
    any: list[ApprovalTest] = Field(
        default_factory=list, max_length=50, description="At least one of these must hold."
    )


class ApprovalSlot(Part):
    """Who is asked: a role of the line, or one named user (审批人)."""

    role: str | None = Field(None, max_length=60, description="Name of the role asked (角色).")
    user_id: UserId | None = Field(None, description="The user asked (指定人员).")
    rule: ApprovalRule = Field(
        ApprovalRule.ANY, description="Of a role: ANY one holder signs (或签), or ALL present holders (会签)."
    )

    @model_validator(mode="after")
    def _one_of(self) -> ApprovalSlot:
        if (self.role is None) == (self.user_id is None):
            raise PydanticCustomError("APPROVAL_SLOT", "refused", {})
        return self


class ApprovalStage(Part):
    """People who are asked at the same time (审批环节); the next stage is asked when this one is satisfied."""

    name: str = Field("", max_length=120, description="Title of the stage (环节名称).")
    rule: ApprovalRule = Field(
        ApprovalRule.ALL, description="Whether ALL slots must sign or ANY one is enough."
    )
    slots: list[ApprovalSlot] = Field(min_length=1, max_length=20, description="Who is asked (审批人).")


STAGES: TypeAdapter[list[ApprovalStage]] = TypeAdapter(list[ApprovalStage])


def matches(condition: ApprovalCondition, command: Command) -> bool:
    """Whether the condition holds for the command; a test that no longer fits the command holds, so nothing slips by."""
    return all(holds(t, command) for t in condition.all) and (
        not condition.any or any(holds(t, command) for t in condition.any)
    )


def holds(test: ApprovalTest, command: Command) -> bool:
    """Whether one test holds for the command."""
    name = to_snake(test.field)
    try:
        wanted = _wanted(test, type(command))
    except (KeyError, ValidationError):
        return True
    if test.op is ApprovalOperator.GIVEN:
        return (name in command.model_fields_set) is wanted
    value = getattr(command, name)
    if test.op is ApprovalOperator.IS_NULL:
        return (value is None) is wanted
    return test.op is ApprovalOperator.NE if value is None else bool(_COMPARE[test.op](value, wanted))


_COMPARE: Mapping[ApprovalOperator, Callable[[Any, Any], bool]] = {
    ApprovalOperator.EQ: lambda value, wanted: value == wanted,
    ApprovalOperator.NE: lambda value, wanted: value != wanted,
    ApprovalOperator.IN: lambda value, wanted: value in wanted,
    ApprovalOperator.GT: lambda value, wanted: value > wanted,
    ApprovalOperator.GTE: lambda value, wanted: value >= wanted,
    ApprovalOperator.LT: lambda value, wanted: value < wanted,
    ApprovalOperator.LTE: lambda value, wanted: value <= wanted,
}
_ORDERED = (ApprovalOperator.GT, ApprovalOperator.GTE, ApprovalOperator.LT, ApprovalOperator.LTE)


def problems(condition: ApprovalCondition, command: type[Command]) -> Iterable[tuple[str, str]]:
    """Path and trouble of every test that does not fit this kind of command."""
    for group in ("all", "any"):
        for position, test in enumerate(getattr(condition, group)):
            trouble = _trouble(test, command)
            if trouble:
                yield f"{group}.{position}", trouble


def _trouble(test: ApprovalTest, command: type[Command]) -> str:
    if to_snake(test.field) not in command.model_fields:
        return f"{command.kind} has no field {test.field} (没有该字段)"
    try:
        wanted = _wanted(test, command)
    except ValidationError as error:
        return f"{test.value!r} is no value of {test.field} (值无效): {error.errors()[0]['msg']}"
    if (
        test.op in _ORDERED
        and not isinstance(wanted, int | float | Decimal)
        and not hasattr(wanted, "isoformat")
    ):
        return f"{test.field} has no order (不可比较大小)"
    return ""


def _wanted(test: ApprovalTest, command: type[Command]) -> Any:
    """The test's value in the type of the command's field."""
    info = command.model_fields[to_snake(test.field)]
    if test.op in (ApprovalOperator.IS_NULL, ApprovalOperator.GIVEN):
        return TypeAdapter(bool).validate_python(True if test.value is None else test.value)
    plain: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(list[plain] if test.op is ApprovalOperator.IN else plain).validate_python(test.value)

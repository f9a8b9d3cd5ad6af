"""GraphQL types of approvals, their tasks and policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, not_, select

from crm_core.approvals.models import Approval, ApprovalBatch, ApprovalPolicy, ApprovalTask
from crm_core.approvals.queries import (
    READ,
    SIGN,
    can_sign,
    concerned,
    copied_to_me,
    done_by_me,
    of_lines,
    waits_for_me,
)
from crm_core.approvals.words import (
    ApprovalAdded,
    ApprovalAnswer,
    ApprovalSame,
    ApprovalSelf,
    ApprovalState,
    ApprovalTaskKind,
    ApprovalTaskState,
)
from crm_core.errors import UserError, worded
from crm_core.graphql import (
    Filter,
    Id,
    ObjectType,
    batch,
    field,
    listing,
    query_connection,
    query_one,
    relation,
    whole,
)
from crm_core.graphql.context import Context

HIDDEN = "***"
_VALUES = ("before", "after", "base", "theirs", "mine")


def _may_see(needs: Sequence[str], context: Context, line: str) -> bool:
    return all(context.actor.may(scope, line) for scope in needs)


async def _diffs(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """What would change, values hidden from readers whom the API shows the field only in part."""
    return [[_line(line, row["line"], context) for line in row["diff"]] for row in rows]


async def _conflicts(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """What stood in the way, values hidden like those of the diff."""
    return [[_line(line, row["line"], context) for line in row["conflicts"]] for row in rows]


def _line(line: dict[str, Any], of: str, context: Context) -> dict[str, Any]:
    shown = {key: value for key, value in line.items() if key != "needs"}
    if _may_see(line["needs"], context, of):
        return shown
    return {key: HIDDEN if key in _VALUES and value is not None else value for key, value in shown.items()}


async def _reasons(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """Why it could not be performed, in the caller's language."""
    return [[_reason(UserError(**reason), context) for reason in row["reasons"]] for row in rows]


def _reason(error: UserError, context: Context) -> dict[str, Any]:
    words = worded(error, context.messages, context.language)
    return {"code": error.code, "message": words, "field": error.field, "rule": error.rule}


def _either(condition: ColumnElement[bool], wanted: bool) -> ColumnElement[bool]:  # noqa: FBT001  # a filter's value
    return condition if wanted else not_(condition)


APPROVAL = ObjectType(
    name="Approval",
    table=Approval.__table__,
    model=Approval,
    prefix="apr",
    description="A change that waits, or waited, for signatures (审批单).",
    rule=concerned,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("apr"), "Id.", nullable=False, filter=True),
        field(
            "createdAt", datetime, "When it was asked for (申请时间).", nullable=False, filter=True, sort=True
        ),
        field("updatedAt", datetime, "When it was last changed.", nullable=False),
        field("decidedAt", datetime, "When it was decided (办结时间).", filter=True),
        field("version", int, "Counts changes; give it as expectedVersion.", nullable=False),
        field("kind", str, "Kind of the command, e.g. customer.update (命令).", nullable=False, filter=True),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("state", ApprovalState, "State (状态).", nullable=False, filter=True),
        field("title", str, "What it is about, for people (标题).", nullable=False),
        field(
            "document",
            str,
            "Type of the record that is signed; null for a held command (单据类型).",
            filter=True,
        ),
        field("locked", bool, "Whether the record cannot be changed meanwhile (锁定).", nullable=False),
        field("round", int, "How often it began anew, from 0 (轮次).", nullable=False),
        field(
            "withdrawableUntil",
            datetime,
            "Until when what was performed may be taken back; null: not, or not any more (可撤回至).",
        ),
        field("urgedAt", datetime, "When its signers were last reminded (催办时间)."),
        relation(
            "requester", "User", "Who asked for it (申请人).", on=lambda a, u, _x: u.c.id == a.c.requester_id
        ),
        field("requesterId", Id("usr"), "Id of who asked for it.", nullable=False, filter=True),
        field(
            "reason",
            str,
            "Why, as the requester gave it (申请原因).",
            sql=lambda t, _a: t.c.options["reason"].as_string(),
        ),
        field("subjectType", str, "Type of the record it is about.", nullable=False, filter=True),
        field(
            "subject",
            str,
            "Id of the record it is about; null for a new record until it is made.",
            sql=lambda t, _a: t.c.subject_ref,
        ),
        batch(
            "diff",
            dict,
            "List of what would change: table, recordId, field, before, after (变更明细).",
            _diffs,
            needs=("id", "line", "diff"),
        ),
        batch(
            "conflicts",
            dict,
            "List of what stood in the way: table, recordId, field, base, theirs, mine.",
            _conflicts,
            needs=("id", "line", "conflicts"),
        ),
        batch(
            "reasons",
            dict,
            "Why it could not be performed: list of code, message, field, rule.",
            _reasons,
            needs=("id", "reasons"),
        ),
        field(
            "results",
            list[str],
            "Ids of the records it made or changed.",
            nullable=False,
            sql=lambda t, _a: t.c.result_refs,
        ),
        relation(
            "job",
            "Job",
            "The job that performs, or performed, a change of many records (后台任务).",
            on=lambda a, j, _x: j.c.id == a.c.job_id,
        ),
        field("rowsTotal", int, "Of how many records a change is that a job performs (记录总数)."),
        field("rowsDone", int, "How many of them are dealt with (已处理记录数)."),
        relation(
            "policy",
            "ApprovalPolicy",
            "The policy that held it, in the edition of that time (审批规则).",
            on=lambda a, p, _x: p.c.id == a.c.policy_id,
        ),
        listing(
            "tasks",
            "ApprovalTask",
            "The signatures asked for (审批任务).",
            on=lambda a, t, _x: t.c.approval_id == a.c.id,
            order=lambda t: [t.c.position],
            filter=True,
        ),
        field("comment", str, "What was said when it was decided (审批意见).", nullable=False),
        field("canSign", bool, "Whether you may sign it now (可签署).", nullable=False, sql=can_sign),
    ),
    filters=(
        Filter(
            "waitingForMe",
            bool,
            "Those you may (true) or may not (false) sign now (待我审批).",
            lambda t, a, v: _either(waits_for_me(t, a), v),
            uneven=True,
        ),
        Filter(
            "copied",
            bool,
            "Those you were shown, or not (抄送我的).",
            lambda t, a, v: _either(copied_to_me(t, a), v),
        ),
        Filter(
            "signed",
            bool,
            "Those you have done something with as a signer, or not (我已处理).",
            lambda t, a, v: _either(done_by_me(t, a), v),
        ),
        Filter(
            "mine",
            bool,
            "Those you asked for (true), or others did (false) (我的申请).",
            lambda t, a, v: _either(t.c.requester_id == a.me(), v),
        ),
        Filter(
            "subject",
            str,
            "About the record of this id, as shown.",
            lambda t, _a, v: t.c.subject_ref == v,
            parts=whole,
        ),
    ),
)

TASK = ObjectType(
    name="ApprovalTask",
    table=ApprovalTask.__table__,
    model=ApprovalTask,
    description="One thing asked of somebody: mostly a signature (审批任务).",
    order=lambda t: [t.c.position],
    fields=(
        field("id", Id("apt"), "Id.", nullable=False),
        field("kind", ApprovalTaskKind, "What is asked: to SIGN, or to RESUBMIT (类别).", nullable=False),
        field("round", int, "In which round of the approval (轮次).", nullable=False),
        field("stage", int, "Number of its stage, from 0 (环节).", nullable=False),
        field("stageName", str, "Title of its stage (环节名称).", nullable=False),
        field("slot", int, "Number of its slot in the stage, from 0.", nullable=False),
        field("role", str, "Any holder of this role may sign (角色).", filter=True),
        relation(
            "user", "User", "Who is asked by name (指定人员).", on=lambda t, u, _a: u.c.id == t.c.user_id
        ),
        relation(
            "insteadOf",
            "User",
            "For whom the deputy signs who is away (代理).",
            on=lambda t, u, _a: u.c.id == t.c.instead_of_id,
        ),
        field("added", ApprovalAdded, "How he came in, if the policy did not name him (加签方式)."),
        relation(
            "addedBy",
            "User",
            "Who asked him to sign too (加签人).",
            on=lambda t, u, _a: u.c.id == t.c.added_by_id,
        ),
        field("state", ApprovalTaskState, "State (状态).", nullable=False, filter=True),
        field("openedAt", datetime, "Since when it can be done (到达时间)."),
        field("dueAt", datetime, "By when it must be done (截止时间).", filter=True),
        field(
            "dueProvisional",
            bool,
            "Whether the official calendar of that year may move the day.",
            nullable=False,
        ),
        field("overdue", bool, "Whether it was not done in time (超时).", nullable=False),
        field("automatic", bool, "Whether it was done without a person (自动).", nullable=False),
        relation("signer", "User", "Who signed (签署人).", on=lambda t, u, _a: u.c.id == t.c.signer_id),
        field("answer", ApprovalAnswer, "What he said: APPROVE or REJECT (结论)."),
        field("comment", str, "His comment (意见).", nullable=False),
        field("at", datetime, "When he signed (签署时间)."),
    ),
)

_newer = ApprovalPolicy.__table__.alias("newer")


def _current(t: Any, access: Any) -> Any:
    """Whether no later edition is in force."""
    later = select(_newer.c.id).where(
        _newer.c.line == t.c.line,
        _newer.c.name == t.c.name,
        _newer.c.edition > t.c.edition,
        _newer.c.valid_from <= access.moment(),
    )
    return (t.c.valid_from <= access.moment()) & ~later.correlate(t).exists()


POLICY = ObjectType(
    name="ApprovalPolicy",
    table=ApprovalPolicy.__table__,
    model=ApprovalPolicy,
    prefix="pol",
    plural="approvalPolicies",
    description="One edition of a sign-off policy of a line (审批规则).",
    rule=of_lines,
    scope=READ,
    order=lambda t: [t.c.line, t.c.name, t.c.edition.desc()],
    fields=(
        field("id", Id("pol"), "Id.", nullable=False, filter=True),
        field("createdAt", datetime, "When this edition was made.", nullable=False),
        field("version", int, "Counts changes.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("name", str, "Name (名称).", nullable=False, filter=True),
        field("title", str, "Title for people (标题).", nullable=False),
        field("commands", list[str], "Kinds of the commands it holds (命令).", nullable=False),
        field("document", str, "Or: the type of the record that is signed (单据类型).", filter=True),
        field("edition", int, "Number of this edition (版本).", nullable=False),
        field("enabled", bool, "Whether this edition holds commands (启用).", nullable=False, filter=True),
        field(
            "current",
            bool,
            "Whether this is the edition in force now (现行).",
            nullable=False,
            filter=True,
            sql=_current,
        ),
        field("priority", int, "Of several that apply the lowest number counts (优先级).", nullable=False),
        field("selfApproval", ApprovalSelf, "Whether who asks may sign (自批规则).", nullable=False),
        field(
            "sameSigner", ApprovalSame, "Whether who signed already signs again (重复审批人).", nullable=False
        ),
        field("withdrawDays", int, "Days after approval in which it may be taken back (可撤回天数)."),
        field("lock", bool, "Whether a document is locked while it waits (审批中锁定).", nullable=False),
        field("stages", dict, "Who signs, in order (审批环节).", nullable=False),
        field("forbid", bool, "Whether what meets it is refused (禁止).", nullable=False),
        field("validDays", int, "Days on which who got it signed may do the same again (有效天数)."),
        field("validFor", list[str], "Fields that must be as they were signed (适用范围).", nullable=False),
        field("condition", dict, "When it applies (触发条件).", nullable=False),
        field("validFrom", datetime, "From when on (生效时间).", nullable=False, filter=True),
        field("validTo", datetime, "Until when; null: for good (失效时间).", filter=True),
    ),
)


async def _results(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[Any]:
    """What came of each request, refusals in the caller's language."""
    return [[_result(one, context) for one in row["results"]] for row in rows]


def _result(one: dict[str, Any], context: Context) -> dict[str, Any]:
    reasons = [_reason(UserError(**error), context) for error in one["errors"]]
    return {"approval": one["approval"], "state": one.get("state"), "errors": reasons}


BATCH = ObjectType(
    name="ApprovalBatch",
    table=ApprovalBatch.__table__,
    model=ApprovalBatch,
    prefix="apb",
    plural="approvalBatches",
    description="Several requests signed at once, with what came of each (批量审批).",
    rule=lambda t, access, _scope: t.c.user_id == access.me(),
    scope=SIGN,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("apb"), "Id.", nullable=False),
        field("createdAt", datetime, "When they were signed.", nullable=False),
        batch(
            "results",
            dict,
            "For each: approval (id), state after it, errors (code, message, field, rule).",
            _results,
            needs=("id", "results"),
        ),
    ),
)

TYPES = (APPROVAL, TASK, POLICY, BATCH)
QUERIES = (
    query_connection("approvals", "Approval", "Changes you asked for, may sign, or oversee (审批)."),
    query_one("approval", "Approval", "An approval by id."),
    query_connection(
        "approvalPolicies", "ApprovalPolicy", "Sign-off policies of your lines, all editions (审批规则)."
    ),
)

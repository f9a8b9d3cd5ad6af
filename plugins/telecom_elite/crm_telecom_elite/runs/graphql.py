"""GraphQL types of pay runs: pools, distributions, lines with their derivation, statements and their files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, case

from crm_core.actors import Reach
from crm_core.approvals.queries import READ as APPROVAL_READ
from crm_core.graphql import (
    Id,
    ObjectType,
    batch,
    connection,
    field,
    listing,
    query_connection,
    query_one,
    record_fields,
    relation,
)
from crm_core.graphql.context import Context
from crm_core.graphql.fields import YUAN, Field
from crm_telecom_elite.runs import queries
from crm_telecom_elite.runs.distributing import DOCUMENT
from crm_telecom_elite.runs.filing import reproduces
from crm_telecom_elite.runs.models import (
    KIND_WORDS,
    EliteBonusFactor,
    EliteDistribution,
    EliteDistributionState,
    EliteLineKind,
    ElitePayLine,
    ElitePool,
    EliteRun,
    EliteRunInput,
    EliteRunState,
    EliteShare,
    EliteStatement,
    EliteStatementFile,
    EliteWriteOff,
)
from crm_telecom_elite.scopes import PAY_READ, POOL_READ

_DERIVATION = (
    "How it came about, step by step: label, labelZh, formula, formulaZh, inputs, value (yuan), rule, rounding"
    " (计算过程)."
)


def _whole(name: str, kind: Any, description: str) -> Field:
    """A field that tells of everybody's pay: null to who does not see all pay of the line."""
    column = {"total": "total", "members": "members", "problems": "problems", "digest": "digest"}[name]
    return field(
        name,
        kind,
        description,
        sql=lambda t, access: queries.only_whole(t, access, t.c[column]),
        scope=PAY_READ,
    )


async def _reproducible(rows: Sequence[dict[str, Any]], context: Context) -> Sequence[bool | None]:
    """For who sees all pay of the run's line; null before it is computed."""
    reach = context.actor.reach(PAY_READ)

    async def of(row: dict[str, Any]) -> bool | None:
        whole = context.actor.is_system or reach.get(row["line"], Reach.OWN) >= Reach.LINE
        return await reproduces(context.services, row["id"]) if whole and row["digest"] else None

    return [await of(row) for row in rows]


ELITE_RUN = ObjectType(
    name="EliteRun",
    table=EliteRun.__table__,
    model=EliteRun,
    prefix="erun",
    description="The pay run of a month (月度薪酬核算).",
    rule=queries.runs_visible,
    scope=POOL_READ,
    order=lambda t: [t.c.month.desc()],
    fields=(
        *record_fields("erun"),
        field("month", str, "The month, e.g. 2025-11 (月份).", nullable=False, filter=True, sort=True),
        field("state", EliteRunState, "State (状态).", nullable=False, filter=True),
        field("computedAt", datetime, "When its lines were made (计算时间)."),
        field("reviewedAt", datetime, "From when members may confirm (复核时间)."),
        field("approvedAt", datetime, "When it was approved for payment (审批时间)."),
        field("closedAt", datetime, "When it was closed (关闭时间)."),
        field("engine", str, "Version of the arithmetic its lines follow (算法版本).", nullable=False),
        _whole("digest", str, "SHA-256 over the digests of its teams' lines (校验值)."),
        _whole("total", YUAN, "What is payable in all, yuan; for who sees all pay of the line (应付总额)."),
        _whole("members", int, "How many people it pays (人数)."),
        _whole(
            "problems",
            dict,
            "What stands in the way: code, team, member, message, messageZh, rule, blocks (问题清单).",
        ),
        batch(
            "reproducible",
            bool,
            "Whether computing it again from its frozen inputs gives the same lines, byte by byte (可复算).",
            _reproducible,
            needs=("id", "line", "digest"),
            scope=PAY_READ,
            cost=50,
        ),
        relation("computedBy", "User", "Who had it computed (核算人).", on=lambda r, u, _a: u.c.id == r.c.computed_by_id),
        relation("approvedBy", "User", "Who approved it (审批人).", on=lambda r, u, _a: u.c.id == r.c.approved_by_id),
        relation("job", "Job", "What computes it or makes its files (任务).", on=lambda r, j, _a: j.c.id == r.c.job_id),
        connection("pools", "ElitePool", "Commission of its teams (团队提成).", on=lambda r, p, _a: p.c.run_id == r.c.id),
        connection("lines", "ElitePayLine", "Lines of pay (薪酬明细).", on=lambda r, p, _a: p.c.run_id == r.c.id),
        connection("statements", "EliteStatement", "Statements (薪酬单).", on=lambda r, s, _a: s.c.run_id == r.c.id),
        connection(
            "inputs",
            "EliteRunInput",
            "What it was computed from, team by team (冻结的输入).",
            on=lambda r, i, _a: i.c.run_id == r.c.id,
        ),
    ),
)  # fmt: skip


def _run() -> Field:
    return relation(
        "run", "EliteRun", "The pay run (核算).", on=lambda t, r, _a: r.c.id == t.c.run_id, filter=True
    )


def _team() -> Field:
    return relation(
        "team", "EliteTeam", "The team (团队).", on=lambda t, e, _a: e.c.id == t.c.elite_team_id, filter=True
    )


def _member(description: str = "The member (成员).") -> Field:
    return relation(
        "member", "EliteMember", description, on=lambda t, m, _a: m.c.id == t.c.member_id, filter=True
    )


ELITE_RUN_INPUT = ObjectType(
    name="EliteRunInput",
    table=EliteRunInput.__table__,
    model=EliteRunInput,
    prefix="eri",
    description="What one team's part of a run was computed from, frozen (冻结的核算输入).",
    rule=queries.inputs_visible,
    scope=PAY_READ,
    order=lambda t: [t.c.id],
    fields=(
        field("id", Id("eri"), "Id.", nullable=False),
        field("inputs", dict, "All of it; money in fen (输入).", nullable=False),
        field("digest", str, "SHA-256 of it in canonical form (校验值).", nullable=False),
        field("linesDigest", str, "SHA-256 of the team's lines and pool (明细校验值).", nullable=False),
        _run(),
        _team(),
    ),
)

ELITE_POOL = ObjectType(
    name="ElitePool",
    table=ElitePool.__table__,
    model=ElitePool,
    prefix="elo",
    description="A team's commission of a run (团队提成, MO-043); corrections of earlier months are part of it.",
    rule=queries.pools_visible,
    scope=POOL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("elo"), "Id.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False),
        field("received", YUAN, "All that was received from the team's users, yuan (实收话费).", nullable=False),
        field("base", YUAN, "What of it earns, yuan (提成基数).", nullable=False),
        field("pool", YUAN, "What it comes to, yuan (提成总额).", nullable=False),
        field("broughtIn", YUAN, "What the last run left over, as nobody was on commission, yuan (承前未分配提成).", nullable=False),
        field("leftOver", YUAN, "What goes to the next run, as nobody is; the shares are pool + broughtIn − leftOver, yuan (结转提成).", nullable=False),
        field("users", int, "Users with fees that earn, counted for each row of the derivation (计提用户数).", nullable=False),
        field("derivation", dict, _DERIVATION, nullable=False),
        _run(),
        _team(),
    ),
)  # fmt: skip


def _requests(t: Any, approval: Any, _access: Any) -> ColumnElement[bool]:
    found: ColumnElement[bool] = and_(approval.c.subject_id == t.c.id, approval.c.document == DOCUMENT)
    return found


ELITE_DISTRIBUTION = ObjectType(
    name="EliteDistribution",
    table=EliteDistribution.__table__,
    model=EliteDistribution,
    prefix="eld",
    description="How a team divides its commission of a month, in force once the Centre signed it (二次分配, MO-044).",
    rule=queries.distributions_visible,
    scope=POOL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("eld"),
        field("month", str, "The month (月份).", nullable=False, filter=True),
        field("state", EliteDistributionState, "State (状态).", nullable=False, filter=True),
        field(
            "remark",
            str,
            "Why it is divided like this; for who divides it or sees all pay (备注).",
            sql=queries.remark_seen,
        ),
        _team(),
        relation("proposer", "User", "Who proposed it (提交人).", on=lambda d, u, _a: u.c.id == d.c.owner_id),
        listing(
            "shares",
            "EliteShare",
            "Its shares; a member sees his own (份额).",
            on=lambda d, s, _a: s.c.distribution_id == d.c.id,
            order=lambda s: [s.c.member_id],
        ),
        listing(
            "approvals",
            "Approval",
            "Its requests for signatures, latest first (审批).",
            on=_requests,
            order=lambda a: [a.c.id.desc()],
            scope=APPROVAL_READ,
        ),
    ),
)

ELITE_SHARE = ObjectType(
    name="EliteShare",
    table=EliteShare.__table__,
    model=EliteShare,
    prefix="esh",
    description="A member's part in a distribution (个人份额).",
    rule=queries.shares_visible,
    scope=POOL_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("esh"), "Id.", nullable=False),
        field("weight", Decimal, "Contribution in percent (贡献权重).", nullable=False),
        field("factor", Decimal, "Factor given; null: that of his last appraisal (考核系数)."),
        _member(),
        relation(
            "distribution", "EliteDistribution", "The distribution (二次分配).",
            on=lambda s, d, _a: d.c.id == s.c.distribution_id,
        ),
    ),
)  # fmt: skip

ELITE_BONUS_FACTOR = ObjectType(
    name="EliteBonusFactor",
    table=EliteBonusFactor.__table__,
    model=EliteBonusFactor,
    prefix="ebf",
    description="The department's or a member's part in the bonus of package 1 for a month (绩效系数, MO-033).",
    rule=queries.own_or_whole,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("ebf"),
        field("month", str, "The month (月份).", nullable=False, filter=True),
        field("factor", Decimal, "Factor (系数).", nullable=False),
        field("reason", str, "By which result (依据).", nullable=False),
        _team(),
        _member("Whose it is; null: the department's (成员)."),
    ),
)


def _words(t: Any, language: int) -> ColumnElement[str]:
    """Words of a line's kind, in the first or the second language."""
    return case(*((t.c.kind == kind, words[language]) for kind, words in KIND_WORDS.items()), else_=t.c.kind)


ELITE_PAY_LINE = ObjectType(
    name="ElitePayLine",
    table=ElitePayLine.__table__,
    model=ElitePayLine,
    prefix="epl",
    description="One line of one person's pay (薪酬明细): he sees it once the run is reviewed, team mates never.",
    rule=queries.pay_visible,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("epl"), "Id.", nullable=False),
        field("line", str, "Business line (业务线).", nullable=False),
        field(
            "position", int, "Place on the statement; from 101 on in a second team (序号).", nullable=False
        ),
        field("kind", EliteLineKind, "What it is for (薪酬项目).", nullable=False, filter=True),
        field("label", str, "What it is for, in English.", sql=lambda t, _a: _words(t, 0), nullable=False),
        field(
            "labelZh",
            str,
            "What it is for, in Chinese (项目名称).",
            sql=lambda t, _a: _words(t, 1),
            nullable=False,
        ),
        field("amount", YUAN, "Yuan (金额).", nullable=False),
        field("rule", str, "Rule (规则).", nullable=False, filter=True),
        field("about", str, "The month an adjustment is about (所属月份).", filter=True),
        field("derivation", dict, _DERIVATION, nullable=False),
        _run(),
        _team(),
        _member(),
    ),
)

ELITE_STATEMENT = ObjectType(
    name="EliteStatement",
    table=EliteStatement.__table__,
    model=EliteStatement,
    prefix="est",
    description="One person's pay of a month (薪酬单).",
    rule=queries.pay_visible,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("est"),
        field("total", YUAN, "Sum of its lines, yuan (合计).", nullable=False),
        field("payable", YUAN, "The total, or nothing where that is negative (应付).", nullable=False),
        field("carriedOver", YUAN, "The negative rest that goes to the next run (结转).", nullable=False),
        field("confirmedAt", datetime, "When it was confirmed, or the time for it was over (确认时间)."),
        field("objection", str, "What its member objects to (异议).", nullable=False),
        field("answer", str, "What he was answered (答复).", nullable=False),
        relation("confirmedBy", "User", "Who confirmed it; null: the clock (确认人).", on=lambda s, u, _a: u.c.id == s.c.confirmed_by_id),
        relation("writeOff", "EliteWriteOff", "That its rest was written off (核销).", on=lambda s, w, _a: w.c.statement_id == s.c.id),
        _run(),
        _member(),
        listing(
            "lines",
            "ElitePayLine",
            "Its lines in order (薪酬明细).",
            on=lambda s, p, _a: (p.c.run_id == s.c.run_id) & (p.c.member_id == s.c.member_id),
            order=lambda p: [p.c.position],
        ),
        listing(
            "files",
            "EliteStatementFile",
            "Its files; GET /papers/<id> (薪酬单文件).",
            on=lambda s, f, _a: f.c.statement_id == s.c.id,
            order=lambda f: [f.c.media_type],
        ),
    ),
)  # fmt: skip

ELITE_WRITE_OFF = ObjectType(
    name="EliteWriteOff",
    table=EliteWriteOff.__table__,
    model=EliteWriteOff,
    prefix="ewo",
    description="The decision that the negative rest of a former member is not carried on (负数余额核销, MO-C13).",
    rule=queries.own_or_whole,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *record_fields("ewo"),
        field("amount", YUAN, "How much is written off, yuan (核销金额).", nullable=False),
        field("reason", str, "Why (核销原因).", nullable=False),
        relation("askedBy", "User", "Who asked for it; who signed it stands in the approval (申请人).", on=lambda w, u, _a: u.c.id == w.c.asked_by_id),
        relation("statement", "EliteStatement", "The statement that left the rest (薪酬单).", on=lambda w, s, _a: s.c.id == w.c.statement_id),
        _member(),
    ),
)  # fmt: skip

ELITE_STATEMENT_FILE = ObjectType(
    name="EliteStatementFile",
    table=EliteStatementFile.__table__,
    model=EliteStatementFile,
    prefix="esf",
    description="A statement of a closed run as a file: XLSX or PDF; fetched from /papers/<id> (薪酬单文件).",
    rule=queries.files_visible,
    scope=PAY_READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        field("id", Id("esf"), "Id.", nullable=False),
        field("title", str, "Title (名称).", nullable=False),
        field("mediaType", str, "XLSX or PDF (文件类型).", nullable=False, filter=True),
        field("size", int, "Bytes (大小).", nullable=False),
        field("sha256", str, "SHA-256 in hex (校验值).", sql=lambda t, _a: t.c.sha256, nullable=False),
    ),
)

TYPES = (
    ELITE_RUN,
    ELITE_RUN_INPUT,
    ELITE_POOL,
    ELITE_DISTRIBUTION,
    ELITE_SHARE,
    ELITE_BONUS_FACTOR,
    ELITE_PAY_LINE,
    ELITE_STATEMENT,
    ELITE_WRITE_OFF,
    ELITE_STATEMENT_FILE,
)
QUERIES = (
    query_connection("eliteRuns", "EliteRun", "Pay runs (薪酬核算)."),
    query_one("eliteRun", "EliteRun", "A pay run by id."),
    query_connection("elitePools", "ElitePool", "Commission of teams you may see (团队提成)."),
    query_connection("eliteDistributions", "EliteDistribution", "Distributions you may see (二次分配)."),
    query_one("eliteDistribution", "EliteDistribution", "A distribution by id."),
    query_connection("eliteBonusFactors", "EliteBonusFactor", "Factors of the bonus you may see (绩效系数)."),
    query_connection("elitePayLines", "ElitePayLine", "Lines of pay you may see (薪酬明细)."),
    query_connection("eliteStatements", "EliteStatement", "Statements you may see (薪酬单)."),
    query_one("eliteStatement", "EliteStatement", "A statement by id."),
    query_connection("eliteWriteOffs", "EliteWriteOff", "Rests written off that you may see (负数余额核销)."),
)
FIELDS = {
    "EliteMember": (
        connection(
            "payLines",
            "ElitePayLine",
            "Lines of his pay (薪酬明细).",
            on=lambda m, p, _a: p.c.member_id == m.c.id,
            scope=PAY_READ,
        ),
        connection(
            "statements",
            "EliteStatement",
            "His statements (薪酬单).",
            on=lambda m, s, _a: s.c.member_id == m.c.id,
            scope=PAY_READ,
        ),
    ),
    "EliteTeam": (
        connection(
            "pools",
            "ElitePool",
            "Its commission, run by run (团队提成).",
            on=lambda e, p, _a: p.c.elite_team_id == e.c.id,
            scope=POOL_READ,
        ),
        connection(
            "distributions",
            "EliteDistribution",
            "How it divides its commission, month by month (二次分配).",
            on=lambda e, d, _a: d.c.elite_team_id == e.c.id,
            scope=POOL_READ,
        ),
    ),
}

"""GraphQL types of interactions, visits, callbacks, reports, tasks, plans and the timeline."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true

from crm_core.graphql import (
    Filter,
    ObjectType,
    connection,
    field,
    listing,
    relation,
)
from crm_core.interactions import planning
from crm_core.interactions.declared import CUSTOMER, READ, TEAM, common, user, words
from crm_core.interactions.models import (
    AlternativeWay,
    Callback,
    Channel,
    Direction,
    Interaction,
    InteractionReport,
    InteractionStatus,
    Participant,
    ReviewResult,
    Task,
    TaskStatus,
    Visit,
    VisitOccasion,
    VisitPurpose,
)
from crm_core.interactions.queries import (
    own_reports,
    visible_interactions,
    visible_tasks,
)
from crm_core.interactions.timeline import entries_of, source


def _guided_outside(t: Any) -> ColumnElement[bool]:
    spent, planned, most = t.c.guidance_minutes, t.c.guidance_planned, t.c.guidance_most
    return or_(spent < planned, and_(spent > planned, spent > most))


INTERACTION = ObjectType(
    name="Interaction",
    table=Interaction.__table__,
    model=Interaction,
    prefix="int",
    description="A contact with a customer in one business line, planned or done (客户互动, CS-014).",
    rule=visible_interactions,
    scope=READ,
    order=lambda t: [t.c.occurred_at.desc(), t.c.id.desc()],
    fields=(
        *common("int"),
        CUSTOMER,
        field(
            "kind",
            str,
            "Kind, e.g. visit, call, wechat; plugins add further ones (互动方式).",
            nullable=False,
            filter=True,
        ),
        field(
            "channel",
            Channel,
            "Channel (渠道, CS-127); null only where an imported file does not tell.",
            filter=True,
        ),
        field(
            "status",
            InteractionStatus,
            "Planned, done or cancelled (状态).",
            nullable=False,
            filter=True,
            uneven=True,
        ),
        field("direction", Direction, "Who began it (方向).", nullable=False),
        field("isCallback", bool, "Whether it is a callback (是否回访).", nullable=False, filter=True),
        field(
            "isVisit",
            bool,
            "Whether it is a visit, which needs a plan (是否拜访).",
            nullable=False,
            filter=True,
        ),
        words("subject", "What it is about (主题)."),
        words("target", "What it is to reach (接触目标); a visit's stands in its plan."),
        words("content", "The short report: what was said and found (内容, CS-119)."),
        field(
            "occurredAt",
            datetime,
            "When it took place or is planned for (时间).",
            nullable=False,
            filter=True,
            sort=True,
        ),
        field(
            "occurredOn",
            date,
            "That moment's day in the line's time zone (日期).",
            nullable=False,
            filter=True,
        ),
        field("plannedAt", datetime, "When it was planned for (计划时间)."),
        field("durationMinutes", int, "How long, minutes (时长)."),
        user("performer", "Who performs it (执行人).", filter=True),
        field("consultantName", str, "Consultant as an imported file names him (销售顾问)."),
        TEAM,
        words("nextStep", "What follows (下一步)."),
        field("nextOn", date, "Day of the next contact (下次联系日期).", filter=True),
        field("source", str, "System it was imported from (来源系统)."),
        field("externalId", str, "Its id there (外部编号)."),
        relation(
            "visit",
            "InteractionVisit",
            "Plan and report of a visit (探望计划、探望报告).",
            on=lambda i, v, _a: and_(i.c.is_visit == true(), v.c.interaction_id == i.c.id),
            filter=True,
        ),
        relation(
            "callback",
            "InteractionCallback",
            "What a callback found (回访结果).",
            on=lambda i, b, _a: and_(i.c.is_callback == true(), b.c.interaction_id == i.c.id),
            filter=True,
        ),
        listing(
            "participants",
            "InteractionParticipant",
            "Who took part (参与人).",
            on=lambda i, p, _a: p.c.interaction_id == i.c.id,
        ),
        listing(
            "reportedTo",
            "User",
            "Who got the short report (简报接收人, CS-119).",
            on=lambda i, u, _a: u.c.id.in_(
                select(InteractionReport.user_id)
                .where(InteractionReport.interaction_id == i.c.id)
                .correlate(i)
            ),
            order=lambda u: [u.c.name],
        ),
        connection(
            "tasks",
            "Task",
            "Tasks that follow from it (任务).",
            on=lambda i, t, _a: t.c.interaction_id == i.c.id,
        ),
    ),
)

PARTICIPANT = ObjectType(
    name="InteractionParticipant",
    table=Participant.__table__,
    model=Participant,
    description="Who took part in an interaction: a colleague, a contact, or a person by name (参与人).",
    fields=(
        words("name", "Name of a person not on file (姓名)."),
        user("user", "The colleague (员工)."),
        relation("contact", "Contact", "The contact (联系人).", on=lambda p, c, _a: c.c.id == p.c.contact_id),
    ),
)

VISIT = ObjectType(
    name="InteractionVisit",
    table=Visit.__table__,
    model=Visit,
    description="Plan and report of a visit (探望计划、探望报告, CS-106).",
    fields=(
        field("purposes", list[VisitPurpose], "Purposes (拜访目的, CS-110).", nullable=False),
        words("target", "What is to be reached (拜访目标)."),
        field(
            "occasion",
            VisitOccasion,
            "Regular or irregular (定期/不定期, CS-107).",
            nullable=False,
            filter=True,
        ),
        field(
            "alternativeWay",
            AlternativeWay,
            "Another way to a hard-to-visit customer (其他拜访方式, CS-113).",
            filter=True,
        ),
        field(
            "checklist", list[str], "What is prepared before the visit (准备清单, CS-111).", nullable=False
        ),
        field("preparations", list[str], "Items of the checklist done (已准备事项, CS-111).", nullable=False),
        field("guidancePlanned", int, "Minutes set aside for guidance (计划指导时间, CS-116)."),
        words("hostName", "Whom we met (接待人姓名, CS-112)."),
        words("hostTitle", "His post (接待人职务, CS-112)."),
        words("decisionPower", "His say on future cooperation (决策权, CS-112)."),
        words("needs", "The customer's own view of needs and problems (需求与问题, CS-112)."),
        words("attitude", "The customer's attitude (态度, CS-112)."),
        words("demands", "Demands and suggestions (要求和建议, CS-112)."),
        words("feedback", "The customer's feedback (客户反馈, CS-117)."),
        words("prospects", "Back-up customers in the local market (后备客户, CS-114)."),
        words("competitors", "Competitors' customer relations (竞争对手情况, CS-114)."),
        words("guidance", "Guidance given on site (现场指导, CS-114)."),
        field("guidanceMinutes", int, "Minutes spent on guidance (指导时间, CS-116)."),
        field(
            "guidanceOutsideTarget",
            bool,
            "Whether less was spent on guidance than set aside, or more than the settings of the plan's day aim at; "
            "null: not noted, or no plan (超出指导时间目标, CS-116).",
            sql=lambda t, _a: _guided_outside(t),
        ),
        words("creditChange", "Changes in credit (信用异动, CS-114)."),
        words("creditChangeCause", "Their causes (异动原因, CS-114)."),
        words("companyTopics", "Company information given (企业信息, CS-115)."),
        words("activityTopics", "Activity information given (活动信息, CS-115)."),
        words("productTopics", "Product information given (产品信息, CS-115)."),
        words("competitorTopics", "Competitor information given (竞争对手信息, CS-115)."),
        words("objections", "Objections and how they were handled (异议处理, CS-115)."),
        words("gifts", "Gifts given (赠送礼品, CS-115)."),
        field("submittedAt", datetime, "When the report was handed in (提交时间).", filter=True),
        field(
            "isLate",
            bool,
            "Whether the first report came late (是否迟交, CS-117).",
            nullable=False,
            filter=True,
        ),
        user("submittedBy", "Who drew the report up and handed it in (制表人)."),
        user("reviewedBy", "The superior who reviewed it (审核人)."),
        field("reviewedAt", datetime, "When it was reviewed (审核时间)."),
        field("reviewResult", ReviewResult, "Accepted or returned (审核结果).", filter=True),
        words("reviewComment", "The superior's remark (审核意见)."),
    ),
)

CALLBACK = ObjectType(
    name="InteractionCallback",
    table=Callback.__table__,
    model=Callback,
    description="What a callback found (回访结果, CS-128, CS-130).",
    fields=(
        field("satisfaction", int, "Satisfaction, 1 lowest to 5 highest (满意度).", filter=True),
        words("changedNeeds", "Changes in the customer's needs (需求变化)."),
        words("productQuality", "Opinion on product use and quality (产品质量意见, CS-130)."),
        words("salesStrategy", "Suggestions on the sales strategy (销售策略建议, CS-130)."),
        words("problems", "Problems found (发现的问题)."),
    ),
)

REPORT = ObjectType(
    name="InteractionReport",
    table=InteractionReport.__table__,
    model=InteractionReport,
    prefix="irp",
    description="The short report on a contact, as sent to you (联系简报, CS-119).",
    rule=own_reports,
    scope=READ,
    order=lambda t: [t.c.id.desc()],
    fields=(
        *common("irp"),
        words("text", "The report as it was sent (简报内容)."),
        field("readAt", datetime, "When you read it (阅读时间).", filter=True),
        relation(
            "interaction",
            "Interaction",
            "The contact (互动).",
            on=lambda r, i, _a: i.c.id == r.c.interaction_id,
        ),
    ),
    filters=(
        Filter(
            "unread",
            bool,
            "Only reports not read yet (true), or read (false) (未读).",
            sql=lambda t, _a, value: t.c.read_at.is_(None) if value else t.c.read_at.is_not(None),
        ),
    ),
)

TASK = ObjectType(
    name="Task",
    table=Task.__table__,
    model=Task,
    prefix="tsk",
    description="Something to be done by someone until a day (任务).",
    rule=visible_tasks,
    scope=READ,
    order=lambda t: [t.c.due_on, t.c.id],
    fields=(
        *common("tsk"),
        words("title", "What is to be done (任务标题)."),
        words("note", "Details (说明)."),
        field(
            "dueOn",
            date,
            "Day until which it is to be done (截止日期).",
            nullable=False,
            filter=True,
            sort=True,
        ),
        field("status", TaskStatus, "Open, done or cancelled (状态).", nullable=False, filter=True),
        field("doneAt", datetime, "When it was done (完成时间)."),
        user("assignee", "Who does it (负责人).", filter=True),
        user("creator", "Who gave it (创建人)."),
        TEAM,
        CUSTOMER,
        relation(
            "interaction",
            "Interaction",
            "The interaction it follows from (互动).",
            on=lambda t, i, _a: i.c.id == t.c.interaction_id,
        ),
    ),
)

TIMELINE = ObjectType(
    name="TimelineEntry",
    table=entries_of,
    description="One entry of a customer's timeline, from any room or plugin (时间线).",
    order=lambda t: [t.c.at.desc(), t.c.id.desc()],
    fields=(
        field("id", str, "Id of the entry's record, for node(id:).", nullable=False),
        field("kind", str, "Kind, e.g. visit, call, task, test_drive (类型).", nullable=False, filter=True),
        field("at", datetime, "When (时间).", nullable=False, filter=True, sort=True),
        field("line", str, "Business line (业务线).", nullable=False, filter=True),
        field("title", str, "In a few words (标题)."),
        field("status", str, "State of the record (状态)."),
    ),
)

TYPES = (INTERACTION, PARTICIPANT, VISIT, CALLBACK, REPORT, TASK, TIMELINE, *planning.TYPES)

SOURCES = (
    source(
        "interaction",
        INTERACTION,
        at=lambda t: t.c.occurred_at,
        kind=lambda t: t.c.kind,
        title=lambda t: func.coalesce(func.nullif(t.c.subject, ""), func.substr(t.c.content, 1, 100)),
        status=lambda t: t.c.status,
    ),
    source(
        "task",
        TASK,
        at=lambda t: func.coalesce(t.c.done_at, t.c.created_at, type_=t.c.created_at.type),
        title=lambda t: t.c.title,
        status=lambda t: t.c.status,
    ),
)

"""What this room refuses, in both languages."""

from __future__ import annotations

from crm_core.errors import Message

UNKNOWN_KIND = Message(
    "UNKNOWN_INTERACTION_KIND",
    "There is no kind of interaction {kind}; known: {known}.",
    "没有互动方式 {kind}；可用：{known}。",
)
VISIT_NEEDS_PLAN = Message(
    "VISIT_NEEDS_PLAN",
    "A visit needs a plan made in advance: use interactionPlan with purpose and target, then interactionComplete.",
    "拜访须事先订立计划：请先用 interactionPlan 填写目的和目标，再用 interactionComplete 完成。",
    rule="CS-106",
)
PLAN_TOO_LATE = Message(
    "PLAN_TOO_LATE",
    "A visit is planned in advance, but {planned} has passed (it is {now}).",
    "拜访须提前计划，而 {planned} 已过（现在是 {now}）。",
    rule="CS-106",
)
PLAN_AFTER_VISIT = Message(
    "PLAN_AFTER_VISIT",
    "The visit took place before its plan was made ({planned}); a plan is made in advance.",
    "拜访发生在计划订立（{planned}）之前；计划须提前订立。",
    rule="CS-106",
)
VISIT_PLAN_INCOMPLETE = Message(
    "VISIT_PLAN_INCOMPLETE", "The visit plan lacks {field}.", "拜访计划缺少 {field}。", rule="CS-106"
)
NOT_A_VISIT = Message(
    "NOT_A_VISIT",
    "A {kind} is no visit; it has neither plan nor report.",
    "{kind} 不是拜访，没有探望计划和探望报告。",
)
UNKNOWN_PREPARATION = Message(
    "UNKNOWN_PREPARATION",
    "{item} is not on the preparation checklist.",
    "准备清单中没有 {item}。",
    rule="CS-111",
)
CONTENT_REQUIRED = Message(
    "CONTENT_REQUIRED",
    "Every contact is followed by a short report: give the content.",
    "每次接触客户后须写简短报告：请填写内容。",
    rule="CS-119",
)
VISIT_RECORD_INCOMPLETE = Message(
    "VISIT_RECORD_INCOMPLETE",
    "The visit record lacks {field}; it holds at least date, content and feedback.",
    "拜访记录缺少 {field}；至少包括日期、内容和客户反馈。",
    rule="CS-117",
)
CHANNEL_REQUIRED = Message(
    "CHANNEL_REQUIRED",
    "The kind {kind} does not tell the channel; give it.",
    "互动方式 {kind} 不能确定渠道，请填写渠道。",
    rule="CS-127",
)
IN_FUTURE = Message(
    "IN_FUTURE", "{moment} lies in the future; plan it instead.", "{moment} 尚未到来，请改为计划。"
)
OTHER_CUSTOMER = Message(
    "CONTACT_OF_OTHER_CUSTOMER", "The contact belongs to another customer.", "该联系人属于其他客户。"
)
OTHER_LINE = Message("RECORD_OF_OTHER_LINE", "It belongs to line {line}.", "该记录属于业务线 {line}。")
WHO_REQUIRED = Message(
    "PARTICIPANT_UNCLEAR",
    "Give exactly one of userId, contactId and name.",
    "userId、contactId、name 须且只能填写一个。",
)
ALREADY_RECORDED = Message(
    "ALREADY_RECORDED",
    "The interaction {external_id} of {source} is recorded already.",
    "来自 {source} 的互动 {external_id} 已经记录。",
)
REPORT_MISSING = Message(
    "REPORT_MISSING", "There is no submitted report yet.", "报告尚未提交。", rule="CS-106"
)
REPORT_ACCEPTED = Message(
    "REPORT_ACCEPTED", "The report has been accepted already.", "报告已审核通过。", rule="CS-106"
)
OWN_REPORT = Message(
    "OWN_REPORT",
    "A report is reviewed by the superior, not by who made the visit or handed the report in.",
    "报告须由上级审核，不能由拜访人或提交人自己审核。",
    rule="CS-106",
)
CARD_NOT_VOID = Message(
    "CARD_NOT_VOID", "The customer card is valid.", "客户卡有效，无需恢复。", rule="CS-131"
)
CARD_STILL_INVALID = Message(
    "CARD_STILL_INVALID",
    "The last callback was by SMS again; call back through another channel first.",
    "最近一次回访仍为短信；请先以其他方式回访。",
    rule="CS-131",
)
OLD_CUSTOMERS_CHANNEL = Message(
    "OLD_CUSTOMERS_CHANNEL",
    "A plan for old customers is met by telephone or on site; leave the channel out.",
    "老客户回访计划须以电话或上门完成，请勿填写渠道。",
    rule="CS-129",
)
PERIOD_REVERSED = Message("PERIOD_REVERSED", "The period ends before it begins.", "期间的结束早于开始。")
ZONE_MISSING = Message("ZONE_MISSING", "The moment has no time zone.", "时间缺少时区。")

MESSAGES: tuple[Message, ...] = (
    UNKNOWN_KIND, VISIT_NEEDS_PLAN, PLAN_TOO_LATE, PLAN_AFTER_VISIT, VISIT_PLAN_INCOMPLETE, NOT_A_VISIT,
    UNKNOWN_PREPARATION, CONTENT_REQUIRED, VISIT_RECORD_INCOMPLETE, CHANNEL_REQUIRED, IN_FUTURE, OTHER_CUSTOMER,
    OTHER_LINE, WHO_REQUIRED, ALREADY_RECORDED, REPORT_MISSING, REPORT_ACCEPTED, OWN_REPORT, CARD_NOT_VOID,
    CARD_STILL_INVALID, OLD_CUSTOMERS_CHANNEL, PERIOD_REVERSED,
)  # fmt: skip

"""The plugin's permissions and the roles of an elite branch that hold them."""

from __future__ import annotations

from crm_core.actors import Reach
from crm_core.registry import RoleTemplate, Scope

TEAM_READ = "telecom_elite.team_read"
TEAM_WRITE = "telecom_elite.team_write"
CUSTOMER_ASSIGN = "telecom_elite.customer_assign"
RATE_WRITE = "telecom_elite.rate_write"
MEMBER_READ = "telecom_elite.member_read"
MEMBER_WRITE = "telecom_elite.member_write"
TRAINING_WRITE = "telecom_elite.training_write"
USER_READ = "telecom_elite.user_read"
USER_WRITE = "telecom_elite.user_write"
RECEIPT_READ = "telecom_elite.receipt_read"
RECEIPT_WRITE = "telecom_elite.receipt_write"
APPRAISAL_READ = "telecom_elite.appraisal_read"
APPRAISAL_WRITE = "telecom_elite.appraisal_write"
REGRADE = "telecom_elite.regrade"
PAY_READ = "telecom_elite.pay_read"
POOL_READ = "telecom_elite.pool_read"
DISTRIBUTE = "telecom_elite.distribute"
RUN_WRITE = "telecom_elite.run_write"
RUN_APPROVE = "telecom_elite.run_approve"
WRITE_OFF = "telecom_elite.write_off"
PLAN_READ = "telecom_elite.plan_read"
PLAN_WRITE = "telecom_elite.plan_write"
APPROVAL_SIGN = "approval.sign"
"""Of the core: without it nobody signs."""

SCOPES = (
    Scope(TEAM_READ, "See teams, posts, the pay ladder and the figures of the rules (查看团队、岗位与参数)"),
    Scope(TEAM_WRITE, "Set up teams, posts and the pay ladder (维护团队与岗位)"),
    Scope(CUSTOMER_ASSIGN, "Assign customers to teams (指定客户)"),
    Scope(RATE_WRITE, "Set rates, weights, bands and cycles from a day on (维护费率参数)"),
    Scope(MEMBER_READ, "See members and their training (查看精英成员)"),
    Scope(MEMBER_WRITE, "Enter members and record their way from candidate to leaver (维护精英成员)"),
    Scope(TRAINING_WRITE, "Record the training of members (登记培训)"),
    Scope(USER_READ, "See developed users (查看发展用户)"),
    Scope(USER_WRITE, "Enter developed users and say whose they are (维护发展用户)"),
    Scope(RECEIPT_READ, "See fees received (查看实收话费)"),
    Scope(RECEIPT_WRITE, "Bring in fees received and correct them (导入实收话费)"),
    Scope(APPRAISAL_READ, "See appraisals; a member's reach is his own (查看考核)"),
    Scope(APPRAISAL_WRITE, "Enter and confirm appraisals, break tasks down (维护考核)"),
    Scope(REGRADE, "Apply for changes of step and post, and record what was decided (调级调岗)"),
    Scope(PAY_READ, "See pay, steps and statements; a member's reach is his own (查看薪酬)"),
    Scope(POOL_READ, "See the commission of teams (查看团队提成)"),
    Scope(DISTRIBUTE, "Propose how a team divides its commission (二次分配)"),
    Scope(RUN_WRITE, "Open, compute, review and close pay runs (薪酬核算)"),
    Scope(RUN_APPROVE, "Approve pay runs (薪酬审批)"),
    Scope(WRITE_OFF, "Ask that a former member's negative rest be written off (核销负数余额)"),
    Scope(PLAN_READ, "See plans and maps of key persons (查看计划)"),
    Scope(PLAN_WRITE, "Make plans and maps of key persons (制订计划)"),
)

_CORE_READ = ("customer.read", "contact.read", "interaction.read")
_CORE_WRITE = ("customer.write", "contact.write", "interaction.write")
_ASKS = dict.fromkeys(
    ("absence.set", "approval.read", "approval.request", "job.manage", "job.read", "notice.self"), Reach.OWN
)
"""Of the core, for everybody: his absences, requests, jobs and notices."""
_OF_TEAM = {TEAM_READ: Reach.LINE, MEMBER_READ: Reach.TEAM, POOL_READ: Reach.TEAM}
_OF_MEMBER = dict.fromkeys(
    (*_CORE_READ, *_CORE_WRITE, USER_READ, RECEIPT_READ, APPRAISAL_READ, PAY_READ, PLAN_READ, PLAN_WRITE),
    Reach.OWN,
)
_ALL_READ = dict.fromkeys(
    (
        *_CORE_READ,
        TEAM_READ,
        MEMBER_READ,
        USER_READ,
        RECEIPT_READ,
        APPRAISAL_READ,
        PAY_READ,
        POOL_READ,
        PLAN_READ,
    ),
    Reach.LINE,
)

ROLES = (
    RoleTemplate("elite_member", "精英成员 Elite member", _OF_MEMBER | _OF_TEAM | _ASKS),
    RoleTemplate(
        "elite_manager",
        "团队经理/组长 Elite team manager or leader",
        _OF_MEMBER
        | _OF_TEAM
        | dict.fromkeys((*_CORE_READ, USER_READ, RECEIPT_READ, PLAN_READ), Reach.TEAM)
        | dict.fromkeys((USER_WRITE, APPRAISAL_READ, APPRAISAL_WRITE, DISTRIBUTE), Reach.TEAM)
        | _ASKS,
    ),
    RoleTemplate(
        "elite_centre",
        "营销中心管理 Marketing centre",
        dict.fromkeys((*_CORE_READ, *_CORE_WRITE), Reach.LINE)
        | {name: reach for name, reach in _ALL_READ.items() if name != PAY_READ}
        | dict.fromkeys(
            (
                TEAM_WRITE,
                CUSTOMER_ASSIGN,
                TRAINING_WRITE,
                USER_WRITE,
                RECEIPT_WRITE,
                APPRAISAL_WRITE,
                REGRADE,
                DISTRIBUTE,
                PLAN_WRITE,
                APPROVAL_SIGN,
            ),
            Reach.LINE,
        )
        | _ASKS,
    ),
    RoleTemplate(
        "elite_hr",
        "人力资源 Human resources",
        _ALL_READ
        | dict.fromkeys(
            (TEAM_WRITE, RATE_WRITE, MEMBER_WRITE, TRAINING_WRITE, REGRADE, RUN_WRITE, APPROVAL_SIGN),
            Reach.LINE,
        )
        | _ASKS,
    ),
    RoleTemplate(
        "elite_finance",
        "财务 Finance",
        _ALL_READ | dict.fromkeys((RECEIPT_WRITE, RUN_APPROVE, WRITE_OFF, APPROVAL_SIGN), Reach.LINE) | _ASKS,
    ),
    RoleTemplate(
        "elite_leader",
        "公司领导 Company leader",
        _ALL_READ | dict.fromkeys((RUN_APPROVE, APPROVAL_SIGN), Reach.LINE) | _ASKS,
    ),
    RoleTemplate(
        "elite_compliance",
        "合规 Compliance",
        dict.fromkeys((*_CORE_READ, TEAM_READ, PLAN_READ), Reach.LINE),
    ),
)

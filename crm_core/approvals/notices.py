"""The kinds of notices about approvals (审批通知), with their words.

Facts: `title` of the request, `requester` (name), `kind` of the command in words, `line`, `subject` (the record in
words), `comment`, `due` (moment), `task` (id). Notices about a task to sign get their receiver's own link when they
are sent. What is left out is left blank, with its line.
"""

from __future__ import annotations

from crm_core.approvals.links import link_for
from crm_core.registry import NoticeKind

ASKED = "approval.asked"
COPIED = "approval.copied"
RETURNED = "approval.returned"
DECIDED = "approval.decided"
URGED = "approval.urged"
REMINDER = "approval.reminder"
ESCALATED = "approval.escalated"

_FACTS_ZH = "申请人：{requester}\n事项：{kind}\n对象：{subject}\n业务线：{line}"
_FACTS_EN = "Asked for by: {requester}\nWhat: {kind}\nAbout: {subject}\nLine: {line}"
_DUE_ZH, _DUE_EN = "\n期限：{due}", "\nDue: {due}"
_SAID_ZH, _SAID_EN = "\n意见：{comment}", "\nComment: {comment}"

NOTICE_KINDS: tuple[NoticeKind, ...] = (
    NoticeKind(
        ASKED,
        "待您审批：{title}",
        "Your signature is asked for: {title}",
        _FACTS_ZH + _SAID_ZH + _DUE_ZH,
        _FACTS_EN + _SAID_EN + _DUE_EN,
        link_for,
    ),
    NoticeKind(
        COPIED,
        "抄送给您：{title}",
        "For your information: {title}",
        _FACTS_ZH + _SAID_ZH,
        _FACTS_EN + _SAID_EN,
    ),
    NoticeKind(
        RETURNED,
        "审批被退回：{title}",
        "Returned to you: {title}",
        _FACTS_ZH + _SAID_ZH + _DUE_ZH,
        _FACTS_EN + _SAID_EN + _DUE_EN,
    ),
    NoticeKind(
        DECIDED,
        "审批已结束：{title}",
        "Decided: {title}",
        _FACTS_ZH + _SAID_ZH,
        _FACTS_EN + _SAID_EN,
    ),
    NoticeKind(
        URGED,
        "催办：{title}",
        "You are urged to sign: {title}",
        _FACTS_ZH + _SAID_ZH + _DUE_ZH,
        _FACTS_EN + _SAID_EN + _DUE_EN,
    ),
    NoticeKind(
        REMINDER,
        "审批即将到期：{title}",
        "Due soon: {title}",
        _FACTS_ZH + _DUE_ZH,
        _FACTS_EN + _DUE_EN,
        link_for,
    ),
    NoticeKind(
        ESCALATED,
        "审批逾期已升级给您：{title}",
        "Overdue and passed on to you: {title}",
        _FACTS_ZH + _SAID_ZH + _DUE_ZH,
        _FACTS_EN + _SAID_EN + _DUE_EN,
    ),
)

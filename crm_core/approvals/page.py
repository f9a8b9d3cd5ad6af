"""The page behind a link, as HTML: no script, nothing from outside, everything that people wrote escaped (审批页面)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from typing import Final

from crm_core.approvals.by_link import Answer, Choice, Trouble
from crm_core.approvals.history import Attached, Event, said, state_in_words
from crm_core.approvals.showing import Line, Shown
from crm_core.errors import Language

STYLE: Final = """
:root{color-scheme:light dark;--line:#d0d7de;--soft:#57606a;--back:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--line:#30363d;--soft:#9aa4af;--back:#161b22}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:44rem;margin:0 auto;padding:1.25rem}
h1{font-size:1.35rem;line-height:1.3;margin:.25rem 0 1rem}
h2{font-size:1rem;margin:1.75rem 0 .5rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}
table{border-collapse:collapse;width:100%}
th,td{border:1px solid var(--line);padding:.4rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:var(--back);font-weight:600}td{white-space:pre-line}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
ol{padding-left:1.25rem;margin:0}li{margin:.35rem 0}
.soft{color:var(--soft);font-size:.9rem}
.said{margin:.1rem 0;white-space:pre-line;overflow-wrap:anywhere}
.note{border:1px solid var(--line);border-left:4px solid #bf8700;background:var(--back);padding:.6rem .9rem;margin:1rem 0}
textarea{width:100%;min-height:5.5rem;font:inherit;padding:.5rem}
.buttons{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1rem}
button{font:inherit;padding:.6rem 1.4rem;border:1px solid var(--line);border-radius:.4rem;cursor:pointer;min-width:7rem}
.approve{background:#1a7f37;border-color:#1a7f37;color:#fff}
.reject{background:#cf222e;border-color:#cf222e;color:#fff}
"""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}
"""Nothing is kept, sent on, framed, fetched or indexed."""
MOST_COMMENT: Final = 2000
_KIB: Final = 1024

_TITLE: Final = ("Approval", "审批")
_LABELS: Final = {
    "requester": ("Asked for by", "申请人"),
    "kind": ("What", "事项"),
    "subject": ("About", "对象"),
    "line": ("Line", "业务线"),
    "reason": ("Reason", "申请原因"),
    "at": ("Asked for at", "申请时间"),
    "changes": ("What would change", "变更内容"),
    "record": ("What is signed", "单据内容"),
    "history": ("So far", "审批记录"),
    "field": ("Field", "字段"),
    "before": ("Before", "变更前"),
    "after": ("After", "变更后"),
    "new": ("new", "新建"),
    "comment": ("Comment", "审批意见"),
    "papers": ("Attachments", "附件"),
    "system": ("System", "系统"),
    "once": (
        "This link is yours alone and works once; do not pass it on.",
        "此链接仅限本人使用一次，请勿转发。",
    ),
}
_CHOICES: Final = {
    Choice.APPROVE: ("Approve", "同意"),
    Choice.REJECT: ("Reject", "拒绝"),
    Choice.RETURN: ("Return", "退回"),
}
_DONE: Final = {
    Choice.APPROVE: ("You have approved.", "您已同意。"),
    Choice.REJECT: ("You have rejected.", "您已拒绝。"),
    Choice.RETURN: ("You have returned it to who asked.", "您已退回给申请人。"),
}
_STATE: Final = ("The request is now: {state}.", "当前状态：{state}。")
_TROUBLES: Final = {
    Trouble.UNKNOWN: (
        "This link is not valid. Open the newest message again, and check that the address is complete.",
        "此链接无效。请打开最新的通知，并确认地址完整。",
    ),
    Trouble.NOT_YOURS: (
        "This link no longer lets you sign: your signature is not asked for any more, or your rights have changed.",
        "此链接已不能用于审批：该任务不再由您审批，或您的权限已变更。",
    ),
    Trouble.EXPIRED: (
        "This link has expired. Please sign in to the system.",
        "此链接已过期，请登录系统处理。",
    ),
    Trouble.USED: (
        "This link has been used already; each works once.",
        "此链接已使用过，每个链接只能使用一次。",
    ),
    Trouble.DECIDED: ("There is nothing left to sign here.", "该审批已处理，无需再签署。"),
    Trouble.NO_CHOICE: ("Choose one of the buttons.", "请选择一项操作。"),
    Trouble.CHANGED: (
        "What is asked for has changed since you opened the page, or the page is too old. Please look again.",
        "页面打开之后内容已有变化，或页面已失效，请重新核对后再操作。",
    ),
    Trouble.REFUSED: ("This could not be done:", "操作未能完成："),
}
_AWAY: Final = ("The system does not answer at the moment. Please try again.", "系统暂时不可用，请稍后重试。")
_WRONG: Final = ("The request could not be read.", "请求无法识别。")


def page(answer: Answer) -> str:
    """The whole page for what was found or done."""
    language = answer.language
    if answer.done is not None:
        return _document(language, _done(answer))
    if answer.shown is None:
        return _document(language, _nothing(answer))
    return _document(language, _note(answer) + _request(answer.shown, language) + _form(answer))


def away(language: Language) -> str:
    """The page while the database is out of reach."""
    return _document(language, _both(_AWAY, language))


def unreadable(language: Language) -> str:
    """The page for a form that is none."""
    return _document(language, _both(_WRONG, language))


def _document(language: Language, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{said(_TITLE, language)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _label(name: str, language: Language) -> str:
    return escape(said(_LABELS[name], language))


def _both(words: tuple[str, str], language: Language) -> str:
    """In both languages, the reader's first."""
    first, second = (words[1], words[0]) if language == "zh-CN" else words
    other = "en" if language == "zh-CN" else "zh-CN"
    return f'<h1>{escape(first)}</h1><p class="soft" lang="{other}">{escape(second)}</p>'


def _nothing(answer: Answer) -> str:
    assert answer.trouble is not None
    found = _both(_TROUBLES[answer.trouble], answer.language)
    if answer.trouble is not Trouble.DECIDED:
        return found
    return f"{found}<p>{_state(answer)}</p>"


def _state(answer: Answer) -> str:
    words = state_in_words(answer.state, answer.language)
    return escape(said(_STATE, answer.language).format(state=words))


def _done(answer: Answer) -> str:
    assert answer.done is not None
    title = f'<p class="soft">{escape(answer.shown.title)}</p>' if answer.shown else ""
    return f"<h1>{escape(said(_DONE[answer.done], answer.language))}</h1>{title}<p>{_state(answer)}</p>{_list(answer.problems)}"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _note(answer: Answer) -> str:
    if answer.trouble is None:
        return ""
    words = escape(said(_TROUBLES[answer.trouble], answer.language))
    return f'<div class="note" role="alert">{words}{_list(answer.problems)}</div>'


# -- the request


def _request(shown: Shown, language: Language) -> str:
    facts = {
        "requester": shown.requester,
        "kind": shown.kind,
        "subject": shown.subject,
        "line": shown.line,
        "at": shown.asked_at.astimezone(shown.zone).strftime("%Y-%m-%d %H:%M"),
        "reason": shown.reason,
    }
    pairs = [(said(_LABELS[name], language), value) for name, value in facts.items() if value]
    return (
        f"<h1>{escape(shown.title)}</h1>{_pairs(pairs)}"
        + _changes(shown.changes, language)
        + (f"<h2>{_label('record', language)}</h2>{_pairs(shown.facts)}" if shown.facts else "")
        + _history(shown, language)
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in pairs)
    return f"<dl>{rows}</dl>"


def _changes(changes: Iterable[Line], language: Language) -> str:
    tables = "".join(
        _table(about, list(lines), language) for about, lines in groupby(changes, lambda c: c.about)
    )
    return f"<h2>{_label('changes', language)}</h2>{tables}" if tables else ""


def _table(about: str, lines: list[Line], language: Language) -> str:
    head = "".join(f'<th scope="col">{_label(name, language)}</th>' for name in ("field", "before", "after"))
    rows = "".join(
        f'<tr><th scope="row">{escape(one.label)}</th><td>{escape(one.before or "—")}</td>'
        f"<td>{escape(one.after or '—')}</td></tr>"
        for one in lines
    )
    return f"<table><caption>{escape(about)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _history(shown: Shown, language: Language) -> str:
    items = "".join(f"<li>{_event(event, shown, language)}</li>" for event in shown.history)
    return f"<h2>{_label('history', language)}</h2><ol>{items}</ol>"


def _event(event: Event, shown: Shown, language: Language) -> str:
    who = shown.names.get(event.actor, "") if event.actor else said(_LABELS["system"], language)
    at = event.at.astimezone(shown.zone).strftime("%Y-%m-%d %H:%M")
    stage = f" · {escape(event.stage_name)}" if event.stage_name else ""
    comment = f'<p class="said">{escape(event.comment)}</p>' if event.comment else ""
    said_so = f'<b>{escape(who)}</b> {escape(event.words)} <span class="soft">{at}{stage}</span>{comment}'
    return said_so + _papers(event.papers, language)


def _papers(papers: Iterable[Attached], language: Language) -> str:
    """Title and size of each; they are fetched from the system, not from here."""
    items = "".join(
        f'<li>{escape(one.title)} <span class="soft">{_size(one.size)}</span></li>' for one in papers
    )
    return f'<p class="soft">{_label("papers", language)}</p><ul>{items}</ul>' if items else ""


def _size(size: int) -> str:
    """Bytes as people write them."""
    if size < _KIB:
        return f"{size} B"
    return f"{size / _KIB:.1f} KB" if size < _KIB**2 else f"{size / _KIB**2:.1f} MB"


# -- the form


def _form(answer: Answer) -> str:
    language = answer.language
    buttons = "".join(
        f'<button class="{choice.value}" name="choice" value="{choice.value}">{escape(said(words, language))}</button>'
        for choice, words in _CHOICES.items()
    )
    return (
        f'<form method="post" accept-charset="utf-8"><input type="hidden" name="form" value="{escape(answer.form)}">'
        f'<h2><label for="comment">{_label("comment", language)}</label></h2>'
        f'<textarea id="comment" name="comment" maxlength="{MOST_COMMENT}">\n{escape(answer.comment)}</textarea>'
        f'<div class="buttons">{buttons}</div><p class="soft">{_label("once", language)}</p></form>'
    )

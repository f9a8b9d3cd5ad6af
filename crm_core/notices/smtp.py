"""Sends a notice as a mail: SMTP with TLS, a plain and an HTML part, one message id however often it is tried."""

from __future__ import annotations

import ssl
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from html import escape
from typing import TYPE_CHECKING

import aiosmtplib

from crm_core.errors import Language
from crm_core.notices.notifier import NoticeMessage, Unsent
from crm_core.notices.settings import NoticesSettings, is_mail_address, settings_of
from crm_core.notices.trust import certificates

if TYPE_CHECKING:
    from crm_core.work import Services

_POLICY = SMTP.clone(cte_type="7bit")
_PERMANENT = range(500, 600)
_OPEN = {"zh-CN": "打开", "en": "Open"}


async def send(services: Services, message: NoticeMessage) -> None:
    """Hand the message to the mail server; `Unsent` when it is not taken, for good where the server says so."""
    settings = settings_of(services)
    if not settings.smtp_host:
        raise Unsent("no mail server is set: notices.smtp_host (未配置邮件服务器)", retry=True)
    try:
        mail = mail_of(message, settings)
    except (ValueError, MessageError):
        raise Unsent(f"{message.address} is no mail address (邮箱地址无效)", retry=False) from None
    try:
        await _handed_over(mail, message.address, settings)
    except aiosmtplib.SMTPException as error:
        raise _unsent(error, settings) from None
    except OSError as error:
        raise Unsent(_safe(f"{type(error).__name__}: {error}", settings), retry=True) from None


async def _handed_over(mail: EmailMessage, address: str, settings: NoticesSettings) -> None:
    encrypted = settings.smtp_security != "none"
    await aiosmtplib.send(
        mail,
        sender=parseaddr(settings.smtp_sender)[1],
        recipients=[address],
        hostname=settings.smtp_host,
        port=settings.port,
        local_hostname=_domain(settings),  # else the library asks the name service who we are
        username=settings.smtp_user or None,
        password=settings.smtp_password.get_secret_value() if settings.smtp_user else None,
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
        tls_context=_context(settings) if encrypted else None,
        timeout=settings.timeout_seconds,
    )


def mail_of(message: NoticeMessage, settings: NoticesSettings) -> EmailMessage:
    """The notice as a mail; raises `ValueError` or `MessageError` for an address that is none."""
    if not is_mail_address(message.address):
        raise ValueError(message.address)
    name, sender = parseaddr(settings.smtp_sender)
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(name, addr_spec=sender)
    mail["To"] = Address(addr_spec=message.address)
    mail["Subject"] = message.title
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.id}@{_domain(settings)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Content-Language"] = message.language
    mail["X-CRM-Notice"] = message.kind
    if message.urgent:
        mail["Importance"] = "high"
    mail.set_content(
        "\n\n".join(part for part in (message.body or message.title, message.url) if part) + "\n"
    )
    mail.add_alternative(_html(message), subtype="html")
    return mail


def _domain(settings: NoticesSettings) -> str:
    return parseaddr(settings.smtp_sender)[1].rpartition("@")[2]


def _html(message: NoticeMessage) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in message.body.split("\n") if line)
    link = f'<p><a href="{escape(message.url)}">{_open(message.language)}</a></p>' if message.url else ""
    return (
        f'<!DOCTYPE html><html lang="{message.language}"><head><meta charset="utf-8">'
        f"<title>{escape(message.title)}</title></head>"
        f"<body><h3>{escape(message.title)}</h3>{lines}{link}</body></html>\n"
    )


def _open(language: Language) -> str:
    return _OPEN[language]


def _unsent(error: aiosmtplib.SMTPException, settings: NoticesSettings) -> Unsent:
    """What the server said; a refusal with a code 5xx is for good, unless it is about signing in."""
    codes = _codes(error)
    for_good = bool(codes) and all(code in _PERMANENT for code in codes)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPConnectError):
        for_good = False
    return Unsent(_safe(f"{type(error).__name__}: {_words(error)}", settings), retry=not for_good)


def _codes(error: aiosmtplib.SMTPException) -> list[int]:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return [one.code for one in error.recipients]
    return [error.code] if isinstance(error, aiosmtplib.SMTPResponseException) else []


def _words(error: aiosmtplib.SMTPException) -> str:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return "; ".join(f"{one.code} {one.message}" for one in error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return error.message


def _safe(words: str, settings: NoticesSettings) -> str:
    """A server's words without the password, should it repeat it."""
    password = settings.smtp_password.get_secret_value()
    return words.replace(password, "***") if password else words


def _context(settings: NoticesSettings) -> ssl.SSLContext:
    return certificates(settings.ca_file)

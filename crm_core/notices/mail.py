"""The channel `mail`; what it sends with is loaded when the first mail goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crm_core.notices.notifier import NoticeMessage, Notifier
from crm_core.notices.settings import is_mail_address, settings_of

if TYPE_CHECKING:
    from crm_core.work import Services


async def _send(services: Services, message: NoticeMessage) -> None:
    from crm_core.notices.smtp import send  # noqa: PLC0415

    await send(services, message)


def _usual(services: Services, email: str | None) -> str | None:
    return email if settings_of(services).smtp_host else None


def _problem(_services: Services, address: str) -> str | None:
    return None if is_mail_address(address) else "is no mail address (邮箱地址无效)"


MAIL: Final = Notifier("mail", "E-mail 邮件", _send, _usual, _problem)

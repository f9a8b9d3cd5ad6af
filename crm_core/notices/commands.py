"""Reading one's notices, setting one's preferences; trying a dead delivery again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import select

from crm_core import errors
from crm_core.commands import Command, Perform, Ref, omitted
from crm_core.errors import Message, Refused, UserError
from crm_core.notices.models import Notice, NoticeDelivery, NoticeDeliveryState, NoticePreference
from crm_core.notices.planning import address_of, covers
from crm_core.notices.queries import ADMIN, SELF, people
from crm_core.work import Work

NoticeId = Annotated[UUID, Ref("Notice", "ntc")]
DeliveryId = Annotated[UUID, Ref("NoticeDelivery", "ntd")]
PreferenceId = Annotated[UUID, Ref("NoticePreference", "ntp")]
Channel = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Pattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9_.]{1,79}\*?)$")]
LocalTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^(en|zh-CN)$")]
Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]

UNKNOWN_CHANNEL = Message(
    "NOTICE_UNKNOWN_CHANNEL", "There is no channel {channel}; there are: {known}.",
    "没有通知渠道 {channel}，可用的有：{known}。",
)  # fmt: skip
UNKNOWN_KIND = Message(
    "NOTICE_UNKNOWN_KIND", "No notice is of the kind {kind}.", "没有类型为 {kind} 的通知。"
)
WRONG_ADDRESS = Message("NOTICE_WRONG_ADDRESS", "{address} {problem}.", "{address}：{problem}。")
HALF_QUIET = Message(
    "NOTICE_QUIET_HOURS",
    "Quiet hours need a beginning and an end that differ; or leave both empty.",
    "免打扰时段须同时填写不同的开始和结束时间，或都不填。",
)
NOT_DEAD = Message(
    "NOTICE_NOT_DEAD",
    "The delivery is {state}; only a dead one is tried again by hand.",
    "该投递状态为 {state}，只有已放弃的投递才能重试。",
)
NOBODY = Message("NOTICE_NOBODY", "Only a person has preferences of his own.", "只有员工本人才有通知偏好。")
MESSAGES = (UNKNOWN_CHANNEL, UNKNOWN_KIND, WRONG_ADDRESS, HALF_QUIET, NOT_DEAD, NOBODY)


class ReadNotice(Command):
    """Mark a notice of yours as read (通知已读)."""

    kind: ClassVar[str] = "notice.read"
    scope: ClassVar[str] = SELF
    returns: ClassVar[str | list[str]] = "Notice"
    subject: ClassVar[str | None] = "id"
    on_line: ClassVar[bool] = False
    id: NoticeId = Field(description="The notice (通知).")


async def read(work: Work, _command: ReadNotice) -> Notice:
    """The notice with the moment of its first reading; reading again changes nothing."""
    notice: Notice = work.subject
    if notice.read_at is None:
        notice.read_at = work.now
        work.touch(notice)
    return notice


class SetNoticePreference(Command):
    """Say what you want to be told through a channel, where and when; what is left out stays as it was (通知偏好)."""

    kind: ClassVar[str] = "notice_preference.set"
    scope: ClassVar[str] = SELF
    returns: ClassVar[str | list[str]] = "NoticePreference"
    on_line: ClassVar[bool] = False
    channel: Channel = Field(description="The channel, e.g. mail or bot (渠道).")
    enabled: bool = omitted(description="Whether anything is sent through it; at first: yes (启用).")
    kinds: list[Pattern] = omitted(
        max_length=100,
        description="Kinds sent through it: `*`, kinds, or beginnings such as `approval.*`; at first: `*` (类型).",
    )
    quiet_from: LocalTime | None = omitted(
        description="Quiet hours begin, local time HH:MM; null: none (免打扰开始)."
    )
    quiet_to: LocalTime | None = omitted(
        description="Quiet hours end; before the beginning: the next day (免打扰结束)."
    )
    language: LanguageTag | None = omitted(description="`zh-CN` or `en`; null: the company's default (语言).")
    address: Address | None = omitted(
        description="Where to: an e-mail address, the name of a bot; null: your usual one (地址)."
    )


async def set_preference(work: Work, command: SetNoticePreference) -> NoticePreference:
    """The preference; refuses channels, kinds and addresses that are none, and half quiet hours."""
    me = _me(work)
    errors.raise_if(_troubles(work, command))
    found = await work.session.scalar(
        select(NoticePreference).where(
            NoticePreference.user_id == me, NoticePreference.channel == command.channel
        )
    )
    preference = found or NoticePreference(
        user_id=me, channel=command.channel, enabled=True, kinds=["*"], quiet_from=None, quiet_to=None,
        language=None, address=None,
    )  # fmt: skip
    for name, value in command.given().items():
        setattr(preference, name, value)
    if not _quiet_hours_make_sense(preference):
        raise Refused(HALF_QUIET("quietTo"))
    if found is None:
        return work.add(preference)
    work.touch(found)
    return found


def _troubles(work: Work, command: SetNoticePreference) -> Iterable[UserError]:
    notifier = work.registry.notifiers.get(command.channel)
    if notifier is None:
        known = ", ".join(sorted(work.registry.notifiers))
        yield UNKNOWN_CHANNEL("channel", channel=command.channel, known=known)
    elif command.given().get("address") is not None:
        problem = notifier.problem(work.services, str(command.address))
        if problem:
            yield WRONG_ADDRESS("address", address=str(command.address), problem=problem)
    for position, pattern in enumerate(command.given().get("kinds") or ()):
        if not any(covers([pattern], kind) for kind in work.registry.notice_kinds):
            yield UNKNOWN_KIND(f"kinds.{position}", kind=pattern)


def _quiet_hours_make_sense(preference: NoticePreference) -> bool:
    begin, end = preference.quiet_from, preference.quiet_to
    return (begin is None and end is None) or (begin is not None and end is not None and begin != end)


def _me(work: Work) -> UUID:
    if work.actor.user_id is None:
        raise Refused(NOBODY())
    return work.actor.user_id


class RemoveNoticePreference(Command):
    """Give up your preference for a channel; the company's default holds again (恢复默认)."""

    kind: ClassVar[str] = "notice_preference.remove"
    scope: ClassVar[str] = SELF
    returns: ClassVar[str | list[str]] = "NoticePreference"
    subject: ClassVar[str | None] = "id"
    on_line: ClassVar[bool] = False
    id: PreferenceId = Field(description="The preference (通知偏好).")


async def remove_preference(work: Work, _command: RemoveNoticePreference) -> None:
    """Nothing; the preference is gone."""
    await work.session.delete(work.subject)


class RetryNotice(Command):
    """Try a dead delivery again, to the address its user is reached under now (重新投递)."""

    kind: ClassVar[str] = "notice.retry"
    scope: ClassVar[str] = ADMIN
    returns: ClassVar[str | list[str]] = "NoticeDelivery"
    subject: ClassVar[str | None] = "id"
    on_line: ClassVar[bool] = False
    id: DeliveryId = Field(description="The delivery (投递).")


async def retry(work: Work, _command: RetryNotice) -> NoticeDelivery:
    """The delivery, waiting again with all its attempts before it."""
    delivery: NoticeDelivery = work.subject
    if delivery.state != NoticeDeliveryState.DEAD:
        raise Refused(NOT_DEAD("id", state=delivery.state))
    delivery.address = await _address_now(work, delivery)
    delivery.state, delivery.attempts = NoticeDeliveryState.WAITING.value, 0
    delivery.next_at, delivery.lease_until = work.now, None
    work.touch(delivery)
    return delivery


async def _address_now(work: Work, delivery: NoticeDelivery) -> str:
    person = (await people(work.session, [delivery.user_id])).get(delivery.user_id)
    notifier = work.registry.notifiers.get(delivery.channel)
    if person is None or notifier is None:
        return delivery.address
    preference = person.preferences.get(delivery.channel)
    return address_of(work.services, notifier, preference, person.email) or delivery.address


COMMANDS: dict[type[Command], Perform] = {
    ReadNotice: read,
    SetNoticePreference: set_preference,
    RemoveNoticePreference: remove_preference,
    RetryNotice: retry,
}

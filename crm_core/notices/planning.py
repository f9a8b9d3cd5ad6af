"""Where a notice goes: which channels of a user carry it, to which address, in which language, from when on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from crm_core.errors import Language
from crm_core.notices.notifier import Notifier
from crm_core.notices.quiet import after_quiet
from crm_core.notices.settings import NoticesSettings
from crm_core.work import Services


@dataclass(frozen=True, slots=True)
class Preference:
    """What a user set for one channel; quiet hours are local times."""

    enabled: bool
    kinds: Sequence[str]
    quiet_from: str | None
    quiet_to: str | None
    language: Language | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be told: his e-mail and his preferences by channel."""

    email: str | None
    preferences: Mapping[str, Preference]


@dataclass(frozen=True, slots=True)
class Way:
    """One delivery to be made, not before `at` (UTC)."""

    channel: str
    address: str
    language: Language
    at: datetime


def covers(patterns: Iterable[str], kind: str) -> bool:
    """Whether a kind is among these: `*`, the kind itself, or a beginning such as `approval.*`."""
    return any(p == kind or (p.endswith("*") and kind.startswith(p[:-1])) for p in patterns)


def ways(
    services: Services, person: Person, kind: str, now: datetime, zone: ZoneInfo, *, urgent: bool
) -> Iterator[Way]:
    """The deliveries of a notice to a person; none where he wants none or is known under no address.

    Quiet hours of the channel, in the local time of `zone`, put a delivery off to their end unless it is urgent.
    """
    settings: NoticesSettings = services.registry.settings["notices"]  # type: ignore[assignment]  # declared there
    for name, notifier in services.registry.notifiers.items():
        set_ = person.preferences.get(name)
        if not _wanted(settings, name, set_, kind):
            continue
        address = address_of(services, notifier, set_, person.email)
        if address:
            language = (set_.language if set_ else None) or settings.language
            yield Way(name, address, language, now if urgent else _after_quiet(now, set_, zone))


def address_of(
    services: Services, notifier: Notifier, preference: Preference | None, email: str | None
) -> str | None:
    """Where a channel reaches a user: the address he named, else the usual one."""
    named = preference.address if preference else None
    return named or notifier.usual(services, email)


def _wanted(settings: NoticesSettings, channel: str, preference: Preference | None, kind: str) -> bool:
    if preference is None:
        return channel in settings.channels and covers(settings.kinds, kind)
    return preference.enabled and covers(preference.kinds, kind)


def _after_quiet(now: datetime, preference: Preference | None, zone: ZoneInfo) -> datetime:
    if preference is None or not preference.quiet_from or not preference.quiet_to:
        return now
    begin, end = time.fromisoformat(preference.quiet_from), time.fromisoformat(preference.quiet_to)
    return after_quiet(now, begin, end, zone)

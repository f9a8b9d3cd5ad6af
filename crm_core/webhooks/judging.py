"""What an answer means for a delivery: taken, tried again after a while, or given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from crm_core.webhooks.models import WebhookDeliveryState
from crm_core.webhooks.settings import WebhooksSettings

JITTER: Final = 0.2
GONE: Final = 410
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_THROTTLED: Final = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or why none came; `hopeless`: trying again will hardly help."""

    status: int | None
    milliseconds: int
    error: str | None = None
    response: str | None = None
    retry_after: int | None = None
    hopeless: bool = False

    @property
    def taken(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  # HTTP

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == GONE

    @property
    def throttles(self) -> int | None:
        """For how many seconds the receiver wants to be left alone altogether."""
        return self.retry_after if self.status in _THROTTLED else None

    @property
    def refused(self) -> bool:
        """Whether the receiver answered that it does not want it: 3xx, 4xx save those that mean later."""
        if self.status is None:
            return self.hopeless
        return self.status < 500 and self.status not in _TRY_AGAIN and not self.taken  # noqa: PLR2004  # HTTP


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery; one that waits is due after `wait` seconds."""

    state: WebhookDeliveryState
    wait: float = 0.0


def judged(
    settings: WebhooksSettings, attempts: int, answer: Answer, chance: float, *, failing: bool = False
) -> Verdict:
    """The verdict on an answer to the `attempts`-th try; `chance` (0 to 1) moves the wait by up to a fifth.

    Waits are those of the settings, or what the receiver asks for if that is longer, within the longest wait. A
    refusal is given up after `refused_tries`, anything else after the last wait. Where the endpoint is gone the
    delivery waits for it to be resumed. A probe of a `failing` endpoint gives nothing up, save what is hopeless: it
    tells of the endpoint, not of the delivery, which goes on at its last wait.
    """
    if answer.taken:
        return Verdict(WebhookDeliveryState.DELIVERED)
    if answer.gone:
        return Verdict(WebhookDeliveryState.WAITING)
    waits = settings.retry_seconds
    tries = len(waits) + 1
    is_last = attempts >= (min(tries, settings.refused_tries) if answer.refused else tries)
    if is_last and (answer.hopeless or not failing):
        return Verdict(WebhookDeliveryState.DEAD)
    planned = waits[min(attempts, len(waits)) - 1] if waits else settings.probe_seconds
    wait = planned * (1 + JITTER * (2 * chance - 1))
    asked = min(answer.retry_after or 0, settings.longest_wait)
    return Verdict(WebhookDeliveryState.WAITING, max(wait, float(asked)))


def retry_after(headers: Mapping[str, str], now: datetime, longest: int) -> int | None:
    """Seconds of a `Retry-After` header, as a number or a date; at most `longest`, None where there is none."""
    given = (headers.get("retry-after") or "").strip()
    if given.isascii() and given.isdigit():
        return min(int(given[:12]), longest)
    try:
        moment = parsedate_to_datetime(given)
        seconds = (moment - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0, min(int(seconds), longest))

"""A deployment whose notices can be set up in a test, and a command that tells people something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import UUID

import pytest
from sqlalchemy import update

from crm_core.access.models import User
from crm_core.actors import Actor, Reach
from crm_core.commands import Command, CommandSpec, Outcome
from crm_core.notices.delivering import deliver
from crm_core.notices.models import Notice, NoticeDelivery
from crm_core.notices.notifier import NoticeMessage, Notifier, Unsent
from crm_core.notices.notifying import notify
from crm_core.notices.settings import NoticesSettings
from crm_core.testing.kit import Kit
from crm_core.work import Services, Work

FACTS = {"title": "折扣申请", "requester": "王芳", "kind": "合同", "subject": "华信", "line": "东区"}


class Tell(Command):
    """Tell people something."""

    kind: ClassVar[str] = "test.tell"
    scope: ClassVar[str] = "notice.self"
    returns: ClassVar[str | list[str]] = "Notice"
    on_line: ClassVar[bool] = False
    to: list[UUID]
    about: str = "approval.asked"
    facts: dict[str, Any] = FACTS
    path: str | None = None
    urgent: bool = False
    dedupe: str | None = None
    line: str | None = "east"
    then_fail: bool = False


async def tell(work: Work, command: Tell) -> None:
    """Tell them, and fail when asked to."""
    subject = ("User", work.actor.user_id) if work.actor.user_id else None
    await notify(
        work, command.to, command.about, command.facts, subject=subject, path=command.path,
        urgent=command.urgent, dedupe=command.dedupe, line=command.line,
    )  # fmt: skip
    if command.then_fail:
        raise RuntimeError("after the notice was written")


@dataclass
class Fake:
    """A channel `fake` that keeps what it is given, reaches everybody, and raises what stands in `troubles`."""

    sent: list[NoticeMessage] = field(default_factory=list)
    troubles: list[BaseException] = field(default_factory=list)

    async def send(self, _services: Services, message: NoticeMessage) -> None:
        """Keep the message, then get into trouble."""
        self.sent.append(message)
        if self.troubles:
            raise self.troubles.pop(0)

    @property
    def notifier(self) -> Notifier:
        """The channel."""
        return Notifier("fake", "Fake", self.send, lambda _services, email: email)


@dataclass
class Office:
    """The deployment under test."""

    crm: Kit
    fake: Fake
    ann: Actor

    def configure(self, **settings: Any) -> None:
        """Set up notices: the channel `fake` alone, unless told otherwise."""
        registry = self.crm.services.registry
        given = NoticesSettings.model_validate({"channels": ["fake"], "retry_seconds": [60, 300], **settings})
        changed = replace(
            registry,
            settings={**registry.settings, "notices": given},
            notifiers={**registry.notifiers, "fake": self.fake.notifier},
            commands={**registry.commands, Tell.kind: CommandSpec(Tell, tell, "core")},
        )
        self.crm.services = replace(self.crm.services, registry=changed)

    async def person(self, name: str, *, email: str | None = None) -> Actor:
        """A user who reads notices and has an e-mail address."""
        actor = await self.crm.actor(name, {"notice.self": Reach.OWN})
        async with self.crm.database.transaction() as session:
            values = {"email": email or f"{name}@example.com"}
            await session.execute(update(User.__table__).where(User.id == actor.user_id).values(values))
        return actor

    async def tell(self, *to: Actor, **more: Any) -> Outcome:
        """Tell these people (default: Ann)."""
        body = {"to": [one.user_id for one in to or (self.ann,)], **more}
        outcome = await self.crm.perform(Tell.kind, body)
        assert not outcome.errors, outcome.errors
        return outcome

    async def deliver(self, most: int = 100) -> int:
        """Send what is due by the clock."""
        services = self.crm.services
        return await deliver(services, services.registry.notifiers, self.crm.clock(), most)

    async def notices(self) -> Sequence[Any]:
        """All notices."""
        return sorted(await self.crm.rows(Notice), key=lambda row: row.id)

    async def deliveries(self) -> Sequence[Any]:
        """All deliveries."""
        return sorted(await self.crm.rows(NoticeDelivery), key=lambda row: row.id)

    async def delivery(self) -> Any:
        """The only delivery."""
        (row,) = await self.deliveries()
        return row

    async def prefer(self, actor: Actor | None = None, **given: Any) -> dict[str, Any]:
        """Set a preference; the payload."""
        return await self.crm.change(
            "noticePreferenceSet",
            actor or self.ann,
            input={"channel": "fake", **given},
            select="noticePreference { id channel enabled kinds quietFrom quietTo language address version }",
        )


@pytest.fixture
async def office(crm: Kit) -> Office:
    """A deployment with one person, Ann, who is told by the channel `fake`."""
    made = Office(crm, Fake(), crm.administrator)
    made.configure()
    made.ann = await made.person("ann")
    return made


__all__ = ["FACTS", "Fake", "Office", "Unsent"]

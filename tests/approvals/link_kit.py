"""A deployment whose notices go to a channel that keeps them, and a browser without JavaScript for their links."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any

import httpx
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.routing import Route

from crm_core.access.models import User
from crm_core.actors import Actor
from crm_core.approvals.settings import ApprovalsSettings
from crm_core.approvals_page import ROUTE, approval_page
from crm_core.logs import logger
from crm_core.notices.delivering import deliver
from crm_core.notices.notifier import NoticeMessage, Notifier, Unsent
from crm_core.notices.settings import NoticesSettings
from crm_core.testing.kit import Kit
from crm_core.work import Services

ADDRESS = "https://crm.example.com"


@dataclass
class Post:
    """A channel `post` that keeps what it is given, and the page behind its links."""

    crm: Kit
    sent: list[NoticeMessage] = field(default_factory=list)
    refusing: bool = False
    log: io.StringIO = field(default_factory=io.StringIO)

    def configure(self, **settings: Any) -> None:
        """Set the deployment up; `notices` and `approvals` may be given."""
        registry = self.crm.services.registry
        notices = {"channels": ["post"], "public_url": ADDRESS, **settings.get("notices", {})}
        approvals = {"link_channels": ["post"], **settings.get("approvals", {})}
        given = {
            "notices": NoticesSettings.model_validate(notices),
            "approvals": ApprovalsSettings.model_validate(approvals),
        }
        post = Notifier("post", "Post", self.send, lambda _services, email: email)
        self.crm.services = replace(
            self.crm.services,
            registry=replace(
                registry,
                settings={**registry.settings, **given},
                notifiers={**registry.notifiers, "post": post},
            ),
        )

    async def send(self, _services: Services, message: NoticeMessage) -> None:
        """Keep the message, or refuse it with its own link in the reason."""
        if self.refusing:
            raise Unsent(f"550 spam: {message.url}", retry=True)
        self.sent.append(message)

    async def reachable(self, *actors: Actor) -> None:
        """Give these people addresses."""
        async with self.crm.database.transaction() as session:
            for actor in actors:
                found = update(User.__table__).where(User.id == actor.user_id)
                await session.execute(found.values(email=f"{actor.name}@example.com"))

    async def deliver(self) -> None:
        """Send what is due."""
        services = self.crm.services
        while await deliver(services, services.registry.notifiers, self.crm.clock()):
            pass

    async def links(self, actor: Actor, kind: str = "approval.asked") -> list[str]:
        """Paths of the links this person was sent, oldest first."""
        await self.deliver()
        mine = [m for m in self.sent if (m.user_id, m.kind) == (actor.user_id, kind)]
        return [str(m.url).removeprefix(ADDRESS) for m in mine]

    def browser(self, language: str | None = "en") -> httpx.AsyncClient:
        """A client of the page."""

        async def services() -> Services:
            return self.crm.services

        app = Starlette(
            routes=[Route(ROUTE, approval_page(services, logger("debug", self.log)), methods=["GET", "POST"])]
        )
        headers = {"accept-language": language} if language else {"accept-language": ""}
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ADDRESS, headers=headers)

    async def get(self, link: str, language: str | None = "en") -> httpx.Response:
        """Open a link."""
        async with self.browser(language) as client:
            return await client.get(link)

    async def post(
        self, link: str, choice: str = "approve", comment: str = "", **more: str
    ) -> httpx.Response:
        """Open a link and press a button of its page."""
        page = await self.get(link)
        given = {"form": form_of(page), "choice": choice, "comment": comment, **more}
        async with self.browser() as client:
            return await client.post(link, data=given)


def form_of(page: httpx.Response) -> str:
    """What the page's form carries; empty where there is no form."""
    found = re.search(r'name="form" value="([0-9a-f]+)"', page.text)
    return found.group(1) if found else ""


def words(page: httpx.Response) -> str:
    """The page's text."""
    body = page.text.split("<body>")[1]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())

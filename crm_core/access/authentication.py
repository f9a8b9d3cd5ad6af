"""Turns a request's credential into an actor; remembers it for at most three seconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import update

from crm_core.access.models import ApiToken
from crm_core.access.queries import actor_of_token
from crm_core.actors import Actor
from crm_core.errors import Language, Unauthenticated
from crm_core.work import Services

REMEMBERED_SECONDS = 3.0
MOST_REMEMBERED = 10_000
USE_NOTED_EVERY = timedelta(minutes=5)


class Authenticator:
    """Actors by token. Revocation, disabling and role changes take effect within three seconds in every process."""

    def __init__(self, services: Services, timer: Callable[[], float] = time.monotonic) -> None:
        """`timer` gives seconds for the memory's age."""
        self._services = services
        self._timer = timer
        self._known: OrderedDict[str, tuple[float, Actor]] = OrderedDict()
        self._noted: dict[UUID, float] = {}

    async def actor(self, authorization: str | None, language: Language) -> Actor:
        """The actor of an `Authorization: Bearer …` header; `Unauthenticated` otherwise."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthenticated
        token = token.strip()
        known = self._known.get(token)
        if known is not None and self._timer() - known[0] < REMEMBERED_SECONDS:
            return replace(known[1], language=language)
        self._known.pop(token, None)
        services = self._services
        actor = await actor_of_token(
            services.database.fetch, services.registry, token, services.clock(), language
        )
        self._known[token] = (self._timer(), actor)
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return actor

    async def note_use(self, actor: Actor) -> None:
        """Write down that a token was used, at most every five minutes."""
        if actor.token_id is None:
            return
        last = self._noted.get(actor.token_id)
        if last is not None and self._timer() - last < USE_NOTED_EVERY.total_seconds():
            return
        self._noted[actor.token_id] = self._timer()
        table = ApiToken.__table__
        async with self._services.database.transaction() as session:
            await session.execute(
                update(table).where(table.c.id == actor.token_id).values(last_used_at=self._services.clock())
            )

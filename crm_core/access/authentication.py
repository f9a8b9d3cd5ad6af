"""Turns a request's credential into an actor; remembers it for at most three seconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import update

from crm_core.access.models import ApiToken
from crm_core.access.queries import actor_of_token
from crm_core.actors import Actor
from crm_core.errors import Language, Unauthenticated
from crm_core.work import Services

REMEMBERED_SECONDS = 3.0
MOST_REMEMBERED = 10_000
USE_NOTED_SECONDS = 300.0


@dataclass(slots=True)
class _Remembered:
    """What a token stood for at a time (seconds of the timer), in each language it was asked in."""

    since: float
    actors: dict[Language, Actor]

    def speaking(self, language: Language) -> Actor:
        actor = self.actors.get(language)
        if actor is None:
            actor = replace(next(iter(self.actors.values())), language=language)
            self.actors[language] = actor
        return actor


class Authenticator:
    """Actors by token. Revocation, disabling and role changes take effect within three seconds in every process."""

    def __init__(self, services: Services, timer: Callable[[], float] = time.monotonic) -> None:
        """`timer` gives seconds for the memory's age."""
        self._services = services
        self._timer = timer
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._noted: dict[UUID, float] = {}

    async def actor(self, authorization: str | None, language: Language) -> Actor:
        """The actor of an `Authorization: Bearer …` header; `Unauthenticated` otherwise."""
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthenticated
        token = token.strip()
        known = self._known.get(token)
        if known is not None and self._timer() - known.since < REMEMBERED_SECONDS:
            return known.speaking(language)
        self._known.pop(token, None)
        services, begun = self._services, self._timer()
        actor = await actor_of_token(
            services.database.fetch, services.registry, token, services.clock(), language
        )
        self._known[token] = _Remembered(begun, {language: actor})
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return actor

    def is_use_due(self, actor: Actor) -> bool:
        """Whether it is to be written down that a token was used: at most every five minutes."""
        if actor.token_id is None:
            return False
        last = self._noted.get(actor.token_id)
        return last is None or self._timer() - last >= USE_NOTED_SECONDS

    async def note_use(self, actor: Actor) -> None:
        """Write down that a token was used, where that is due."""
        if actor.token_id is None or not self.is_use_due(actor):
            return
        self._noted[actor.token_id] = self._timer()
        table = ApiToken.__table__
        async with self._services.database.transaction() as session:
            await session.execute(
                update(table).where(table.c.id == actor.token_id).values(last_used_at=self._services.clock())
            )

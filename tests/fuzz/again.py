"""The same document once more: by somebody else whose rights reach as far, and with other values. The statement may be an old one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crm_core.actors import Actor
from tests.fuzz.actors import below, some
from tests.fuzz.data import World
from tests.fuzz.documents import Document
from tests.fuzz.pools import Pools

_ID = re.compile(r"\b([a-z]{2,5})_[0-9a-f]{32}\b")
MOST = 7


def twin(world: World, actor: Actor, chance: random.Random) -> Actor:
    """Another person in other teams, with the same permissions and reach in the same lines."""
    people = [row["id"] for row in world.rows["users"] if row["disabled_at"] is None]
    teams = {line: some(world, chance, line) if found else found for line, found in actor.teams.items()}
    subtree = {line: below(world, found) for line, found in teams.items()}
    other = chance.choice([one for one in people if one != actor.user_id])
    return replace(actor, user_id=other, name=f"twin of {actor.name}", teams=teams, subtree=subtree)


def changed(asked: Document, pools: Pools, chance: random.Random) -> Document:
    """The document with other ids in its text, and other ids and numbers in its variables."""

    def another(found: re.Match[str]) -> str:
        return chance.choice(pools.by_prefix.get(found[1]) or [found[0]])

    def text(value: str) -> str:
        return _ID.sub(another, value)

    return replace(asked, text=text(asked.text), variables=_changed(asked.variables, text, chance))


def _changed(value: Any, text: Callable[[str], str], chance: random.Random) -> Any:
    if isinstance(value, dict):
        return {key: _changed(one, text, chance) for key, one in value.items()}
    if isinstance(value, list):
        return [_changed(one, text, chance) for one in value]
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return chance.choice((value, value + 1, chance.randrange(MOST)))
    return value

"""Who asks: an administrator, nobody in particular, and people with random reach in random lines."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from crm_core.actors import Actor, Reach
from tests.fuzz.data import World
from tests.fuzz.probe import LINES

FORMS = (
    "own",
    "team",
    "subtree",
    "line",
    "all",
    "mixed",
    "mixed",
    "mixed",
    "blind",
    "tokenless",
    "teamless",
    "scattered",
)
BLIND = ("customer.phone", "probe.secret", "user.read")


def administrator(world: World) -> Actor:
    """Somebody who may do everything in every line."""
    scopes = dict.fromkeys(world.registry.scopes, Reach.ALL)
    return Actor(world.ids("users")[0], "administrator", grants=dict.fromkeys(sorted(LINES), scopes))


def actors(world: World, seed: int, count: int = 16) -> list[Actor]:
    """So many actors, the same for a seed: first the administrator, and one who may nothing."""
    chance = random.Random(f"actors:{seed}")
    people = [row["id"] for row in world.rows["users"] if row["disabled_at"] is None]
    nobody = Actor(chance.choice(people), "nobody")
    made = [_actor(world, chance, chance.choice(people), FORMS[n % len(FORMS)]) for n in range(count - 2)]
    return [administrator(world), nobody, *made]


def _actor(world: World, chance: random.Random, user: UUID, form: str) -> Actor:
    lines = chance.sample(sorted(LINES), chance.choice((1, 2, 2, 3)))
    grants = {line: _scopes(world, chance, form) for line in sorted(lines)}
    teams = {line: _teams(world, user, line) for line in sorted(lines)}
    if form == "mixed" and chance.random() < 0.7:
        teams = {line: found | some(world, chance, line) for line, found in teams.items()}
    subtree = {line: below(world, found) for line, found in teams.items()}
    actor = Actor(user, f"{form} in {'+'.join(sorted(lines))}", grants, teams, subtree)
    if form == "teamless":
        return replace(actor, teams={}, subtree={})
    return replace(actor, grants={line: {} for line in grants}) if form == "tokenless" else actor


def _scopes(world: World, chance: random.Random, form: str) -> Mapping[str, Reach]:
    scopes = sorted(world.registry.scopes)
    if form.upper() in Reach.__members__:
        return dict.fromkeys(scopes, Reach[form.upper()])
    narrow: Sequence[Reach] = (Reach.OWN, Reach.TEAM, Reach.SUBTREE, Reach.LINE)
    common = chance.choice(narrow)
    if form == "blind":
        kept = [s for s in scopes if s not in BLIND and chance.random() < 0.9]
        return dict.fromkeys(kept, chance.choice((Reach.LINE, Reach.TEAM)))
    if form == "scattered":
        return {s: chance.choice(narrow) for s in scopes if chance.random() < 0.6}
    return {
        s: common if chance.random() < 0.8 else chance.choice(narrow)
        for s in scopes
        if chance.random() < 0.93
    }


def _teams(world: World, user: UUID, line: str) -> frozenset[UUID]:
    of_line = {t["id"] for t in world.rows["teams"] if t["line"] == line}
    return frozenset(
        m["team_id"] for m in world.rows["team_members"] if m["user_id"] == user and m["team_id"] in of_line
    )


def some(world: World, chance: random.Random, line: str) -> frozenset[UUID]:
    """Some teams of a line."""
    of_line = [t["id"] for t in world.rows["teams"] if t["line"] == line]
    return frozenset(chance.sample(of_line, min(len(of_line), chance.choice((0, 1, 2)))))


def below(world: World, teams: frozenset[UUID]) -> frozenset[UUID]:
    """These teams with all below them."""
    found = set(teams)
    while True:
        more = {t["id"] for t in world.rows["teams"] if t["parent_id"] in found} - found
        if not more:
            return frozenset(found)
        found |= more

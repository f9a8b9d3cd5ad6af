"""The differential run: documents asked compiled and interpreted, on every database, and what came of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_core.actors import Actor
from crm_core.graphql.build import core_schema
from crm_core.graphql.fields import Field
from crm_core.testing.kit import Kit
from tests.fuzz.actors import actors, administrator
from tests.fuzz.again import changed, twin
from tests.fuzz.comparing import Said, say, shrunk
from tests.fuzz.data import World, described, put
from tests.fuzz.documents import Document, Generator
from tests.fuzz.pools import Pools, paths

ENOUGH = 8
"""So many kinds of differences are reported in full; a run ends when there are more."""
SHARE = 0.95
AGAIN = 4
"""Every so manieth document is asked once more, and every mutation: its payload is read in other ways."""


@dataclass
class Findings:
    """What a run found on one database, and between them."""

    database: str
    documents: int = 0
    again: int = 0
    """So many were asked once more, by somebody else and with other values."""
    remembered: int = 0
    """So many of these by a statement built before."""
    python: int = 0
    """Documents whose every root is answered by Python or by introspection: there is nothing to compile."""
    valid: int = 0
    compiled: int = 0
    differences: int = 0
    kinds: dict[str, str] = field(default_factory=dict)
    """One difference of each kind in full, made small."""
    reasons: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Share of the valid documents that were answered by a compiled plan."""
        return self.compiled / self.valid if self.valid else 1.0

    def line(self, seed: int) -> str:
        """The result in one line."""
        return (
            f"documents {self.documents} ({self.python} of Python alone; {self.again} asked again, {self.remembered} by an old plan)  "
            f"compiled {100 * self.share:.1f} %  differences {self.differences}  "
            f"({self.database}) seed {seed}"
        )


class Fuzz:
    """One world on several databases, and documents for it."""

    def __init__(self, kits: Mapping[str, Kit], seed: int) -> None:
        """Ask these deployments, all of the same schema."""
        self.kits, self.seed = kits, seed
        first = next(iter(kits.values()))
        self.world = World(first.services.registry)
        self.pools = Pools(self.world)
        self.generator = Generator(core_schema(first.schema), self.pools, seed)
        self.actors = actors(self.world, seed)
        self.known = frozenset(self.pools.ids)
        self.found = {name: Findings(name) for name in kits}
        self.between: list[str] = []

    async def prepare(self) -> None:
        """Write the rows everywhere and take cursors."""
        for crm in self.kits.values():
            await put(crm, self.world)
        first = next(iter(self.kits.values()))
        roots = {
            q.name: q.target
            for q in first.services.registry.queries
            if isinstance(q, Field) and q.kind == "query_connection"
        }

        async def ask(text: str) -> Any:
            answer = await first.ask(text, administrator(self.world), compiled=False)
            assert not answer.errors, (text, answer.errors[:2])
            return answer.data

        await self.pools.harvest(ask, paths(self.world.registry.types, roots))

    def actor(self, number: int) -> Actor:
        """Who asks the document of this number."""
        return self.actors[number * 7 % len(self.actors)]

    async def run(self, numbers: Sequence[int]) -> None:
        """Ask the documents of these numbers."""
        for number in numbers:
            asked, actor = self.generator.document(number), self.actor(number)
            await self.one(number, asked, actor)
            if number % AGAIN == 0 or asked.text.startswith("mutation"):
                await self.again(number, asked, actor)
            if any(len(f.kinds) >= ENOUGH for f in self.found.values()) or len(self.between) >= ENOUGH:
                break

    async def one(self, number: int, asked: Document, actor: Actor) -> None:
        """Ask one document in every way."""
        plain: dict[str, Said] = {}
        for name, crm in self.kits.items():
            interpreted = await say(crm, asked, actor, self.known, compiled=False)
            compiled = await say(crm, asked, actor, self.known, compiled=True)
            plain[name] = interpreted
            self._count(self.found[name], interpreted, compiled)
            await self._compared(number, asked, actor, name, interpreted, compiled)
        first, *others = plain
        for other in others:
            if not plain[first].broke and not plain[other].broke and not plain[first].alike(plain[other]):
                self.between.append(await self._between(number, asked, actor, first, other))

    async def again(self, number: int, asked: Document, actor: Actor) -> None:
        """Ask a document once more where it was asked just now, as somebody else and with other values."""
        chance = random.Random(f"again:{self.seed}:{number}")
        other = twin(self.world, actor, chance)
        asked = changed(asked, self.pools, chance)
        for name, crm in self.kits.items():
            found, built = self.found[name], crm.executor.plans.built
            compiled = await say(crm, asked, other, self.known, compiled=True)
            found.again += 1
            found.remembered += compiled.compiled and crm.executor.plans.built == built
            interpreted = await say(crm, asked, other, self.known, compiled=False)
            await self._compared(number, asked, other, name, interpreted, compiled)

    async def _compared(
        self, number: int, asked: Document, actor: Actor, name: str, interpreted: Said, compiled: Said
    ) -> None:
        if not interpreted.broke and not compiled.broke and interpreted.same_as(compiled):
            return
        found = self.found[name]
        found.differences += 1
        kind = kind_of(interpreted, compiled, len(found.kinds))
        if kind not in found.kinds:
            found.kinds[kind] = await self._difference(number, asked, actor, name)

    def _count(self, found: Findings, interpreted: Said, compiled: Said) -> None:
        found.documents += 1
        found.codes.update(code_of(error) for error, _ in interpreted.errors)
        if (compiled.reason or "").startswith(("resolver", "introspection")):
            found.python += 1
        elif interpreted.valid:
            found.valid += 1
            found.compiled += compiled.compiled
            if not compiled.compiled:
                found.reasons[compiled.reason or "?"] += 1

    async def _difference(self, number: int, asked: Document, actor: Actor, name: str) -> str:
        crm = self.kits[name]

        async def ways(one: Document) -> tuple[Said, Said]:
            return (
                await say(crm, one, actor, self.known, compiled=False),
                await say(crm, one, actor, self.known, compiled=True),
            )

        start = await ways(asked)

        async def differs(one: Document) -> bool:
            interpreted, compiled = await ways(one)
            if start[0].broke or start[1].broke:
                return (interpreted.broke, compiled.broke) == (start[0].broke, start[1].broke)
            return not interpreted.same_as(compiled) and not interpreted.broke and not compiled.broke

        small = await shrunk(asked, differs)
        interpreted, compiled = await ways(small)
        return self._report(
            number, small, actor, {f"{name} interpreted": interpreted, f"{name} compiled": compiled}
        )

    async def _between(self, number: int, asked: Document, actor: Actor, first: str, other: str) -> str:
        async def both(one: Document) -> tuple[Said, Said]:
            return (
                await say(self.kits[first], one, actor, self.known, compiled=False),
                await say(self.kits[other], one, actor, self.known, compiled=False),
            )

        async def differs(one: Document) -> bool:
            here, there = await both(one)
            return not here.alike(there) and here.broke == there.broke == ""

        small = await shrunk(asked, differs)
        here, there = await both(small)
        return self._report(number, small, actor, {first: here, other: there})

    def _report(self, number: int, asked: Document, actor: Actor, said: Mapping[str, Said]) -> str:
        grants = {line: {s: int(r) for s, r in scopes.items()} for line, scopes in actor.grants.items()}
        answers = "\n".join(
            f"  {name}: {one.data[:3000]}\n    errors: {one.errors}" for name, one in said.items()
        )
        return (
            f"seed {self.seed} document {number} operation {asked.operation}\n{asked.text}\n"
            f"  variables: {described(asked.variables)}\n  actor: {actor.name} {actor.user_id} {described(grants)[:3000]}\n{answers}"
        )

    def report(self) -> str:
        """Everything a person wants to know."""
        lines = [found.line(self.seed) for found in self.found.values()]
        for found in self.found.values():
            lines += [
                f"    not compiled ({found.database}): {n} × {why}" for why, n in found.reasons.most_common(8)
            ]
            lines += [f"DIFFERENCE {text}" for text in found.kinds.values()]
        if len(self.kits) > 1:
            lines.append(f"differences between databases {len(self.between)}  seed {self.seed}")
        return "\n".join([*lines, *(f"BETWEEN {text}" for text in self.between)])

    def problems(self) -> list[str]:
        """What must not be: any difference, or less than the share that must compile."""
        lines = [f.line(self.seed) for f in self.found.values() if f.differences or f.share < SHARE]
        return lines + [f"differences between databases {len(self.between)}"] * bool(self.between)


def kind_of(interpreted: Said, compiled: Said, count: int) -> str:
    """What kind of difference it is: one of each is shown; of those in data alone, several."""
    if interpreted.broke or compiled.broke:
        return f"{interpreted.broke}/{compiled.broke}"
    codes = {code_of(error) for error, _ in set(interpreted.errors) ^ set(compiled.errors)}
    return "errors " + ",".join(sorted(codes)) if codes else f"data {count // 2}"


def code_of(error: str) -> str:
    """The code of an error in its compared form."""
    return str(json.loads(error)[1])


__all__ = ["Findings", "Fuzz"]

"""Asks an instance over HTTP, everybody with a token of his own."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

AT_ONCE: Final = 5
"""Mutations of one document; an instance takes no more unless its deployer says so."""
PATIENCE: Final = 120.0
"""Seconds to wait for a job."""
_ERRORS: Final = "userErrors { code message field rule }"


class Refused(Exception):
    """The instance refused; `codes` are its reasons."""

    def __init__(self, what: str, errors: Sequence[dict[str, Any]]) -> None:
        """`errors` are user errors of a mutation, or those of an answer."""
        self.codes = [one.get("code") or one.get("extensions", {}).get("code", "") for one in errors]
        said = "; ".join(f"{code} {one['message']}" for code, one in zip(self.codes, errors, strict=True))
        super().__init__(f"{what}: {said}")


@dataclass(frozen=True, slots=True)
class Wish:
    """A mutation: its field, its input, and what is wanted of the outcome, e.g. `eliteTeam { id }`."""

    name: str
    input: dict[str, Any]
    wanted: str = ""

    @property
    def kind(self) -> str:
        """Name of the type of its input."""
        return f"{self.name[0].upper()}{self.name[1:]}Input"


@dataclass
class Instance:
    """A served instance: where it is, the line acted in, and how often each mutation was sent and how long it took."""

    url: str
    line: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE))
    spent: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The address without `/graphql`."""
        return self.url.removesuffix("/graphql")

    def note(self, name: str, many: int, seconds: float) -> None:
        """Count a request."""
        known, sum_ = self.spent.get(name, (0, 0.0))
        self.spent[name] = (known + many, sum_ + seconds)


@dataclass(frozen=True)
class Person:
    """Somebody with an account and its token. Without a `line` he asks for all of his."""

    at: Instance
    id: str
    name: str
    token: str
    line: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks, and in which line."""
        line = {"x-crm-line": self.line} if self.line else {}
        return {"authorization": f"Bearer {self.token}", **line}

    def ask(self, text: str, **variables: Any) -> dict[str, Any]:
        """The data of a query."""
        began = time.monotonic()
        data = self._data(text, variables)
        self.at.note("(queries)", 1, time.monotonic() - began)
        return data

    def do(self, *wishes: Wish) -> list[dict[str, Any]]:
        """What came of each mutation, in order.

        Raises:
            Refused: one of them was.
        """
        done: list[dict[str, Any]] = []
        for start in range(0, len(wishes), AT_ONCE):
            done += self._together(wishes[start : start + AT_ONCE])
        return done

    def one(self, name: str, wanted: str = "", /, **given: Any) -> dict[str, Any]:
        """What came of a single mutation; `wanted` of the record, e.g. `eliteTeam { id }`."""
        return self.do(Wish(name, given, wanted))[0]

    def is_refused(self, name: str, /, **given: Any) -> list[str]:
        """The reasons why a mutation is refused; none: it was not."""
        try:
            self.one(name, **given)
        except Refused as refused:
            return refused.codes
        return []

    def put(self, content: bytes) -> str:
        """The path of a file in the store, after it was sent there."""
        answer = self.at.http.post(f"{self.at.root}/papers", content=content, headers=self.headers)
        answer.raise_for_status()
        return str(answer.json()["path"])

    def get(self, paper: str) -> bytes:
        """A file, by the id of the record that stands for it."""
        answer = self.at.http.get(f"{self.at.root}/papers/{paper}", headers=self.headers)
        answer.raise_for_status()
        return answer.content

    def _together(self, wishes: Sequence[Wish]) -> list[dict[str, Any]]:
        names = [f"w{place}" for place in range(len(wishes))]
        given = ", ".join(f"${name}: {one.kind}!" for name, one in zip(names, wishes, strict=True))
        fields = " ".join(
            f"{name}: {one.name}(input: ${name}) {{ {one.wanted} {_ERRORS} }}"
            for name, one in zip(names, wishes, strict=True)
        )
        began = time.monotonic()
        data = self._data(
            f"mutation({given}) {{ {fields} }}", dict(zip(names, (w.input for w in wishes), strict=True))
        )
        self.at.note(wishes[0].name, len(wishes), time.monotonic() - began)
        done = [data[name] for name in names]
        for one, payload in zip(wishes, done, strict=True):
            if payload["userErrors"]:
                raise Refused(f"{self.name}: {one.name}", payload["userErrors"])
        return done

    def _data(self, text: str, variables: dict[str, Any]) -> dict[str, Any]:
        asked = {"query": text, "variables": variables}
        answer = self.at.http.post(self.at.url, json=asked, headers=self.headers).json()
        if answer.get("errors"):
            raise Refused(f"{self.name}: {text.strip()[:80]}", answer["errors"])
        found: dict[str, Any] = answer["data"]
        return found


def until(found: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it took too long.
    """
    deadline = time.monotonic() + PATIENCE
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


def hire(admin: Person, people: Sequence[tuple[str, str, str]], line: str) -> list[Person]:
    """Accounts with a role in the line and a token each; `people` are login, name and role.

    `admin` has no line: who has no role in a line yet is not seen from there.
    """
    made = admin.do(
        *(Wish("userCreate", {"login": login, "name": name}, "user { id }") for login, name, _ in people)
    )
    users = [payload["user"]["id"] for payload in made]
    kept = [secrets.token_hex(32) for _ in people]
    wishes = []
    for user, secret, (_, _, role) in zip(users, kept, people, strict=True):
        digest = hashlib.sha256(secret.encode()).hexdigest()
        wishes.append(Wish("roleGrant", {"userId": user, "role": role, "line": line}))
        wishes.append(
            Wish(
                "tokenCreate",
                {"userId": user, "name": "a year of a branch", "secretHash": digest},
                "apiToken { id }",
            )
        )
    tokens = [payload["apiToken"]["id"] for payload in admin.do(*wishes)[1::2]]
    return [
        Person(admin.at, user, name, f"crm_{token.removeprefix('tok_')}_{secret}", line)
        for user, token, secret, (_, name, _) in zip(users, tokens, kept, people, strict=True)
    ]

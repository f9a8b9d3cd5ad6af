"""What is measured: each operation as a GraphQL document with variables, and the same request to the other servers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.reads.data import Asked

Variables = Mapping[str, Any]
Ask = Callable[[str, Variables], Any]
"""Asks the product: document and variables in, `data` out."""

_CUSTOMER = "id number name"

Q1: Final = """
query One($id: ID!) {
  customer(id: $id) {
    id number name grade stage province city
    owner { id name }
    contacts(first: 10) { nodes { id name title isKeyPerson phones { number use } } }
    interactions(first: 10) { nodes { id kind channel subject occurredAt performer { id name } } }
  }
}"""
Q2: Final = """
query ByGradeAndRegion($grade: CustomerGrade!, $province: String!) {
  customers(first: 50, where: { grade: { eq: $grade }, province: { eq: $province } }) {
    nodes { id number name grade province city createdAt owner { id name } }
  }
}"""
Q3: Final = """
query Nested($after: String) {
  customers(first: 50, after: $after) {
    nodes {
      id name
      owner { name }
      contacts(first: 10) { nodes { id name title isKeyPerson } }
      interactions(first: 3) { nodes { id kind subject occurredAt } }
    }
  }
}"""
Q4: Final = """
query Page($after: String) {
  interactions(first: 100, after: $after) {
    nodes { id kind subject occurredAt customer { id name } }
    pageInfo { hasNextPage endCursor }
  }
}"""
Q5: Final = """
query Search($text: String!) {
  customers(first: 20, where: { search: $text }) { nodes { id number name } }
}"""
M1: Final = """
mutation Log($line: String!, $input: InteractionLogInput!) {
  interactionLog(line: $line, input: $input) {
    interaction { id kind status subject occurredAt customer { id name } performer { name } }
    userErrors { code }
  }
}"""
DOCUMENTS: Final = {"Q1": Q1, "Q2": Q2, "Q3": Q3, "Q4": Q4, "Q5": Q5, "M1": M1}
TITLES: Final = {
    "Q1": "one customer, contacts, last 10 interactions",
    "Q2": "50 customers by grade and region, owner",
    "Q3": "50 customers x contacts x last 3 interactions",
    "Q4": "100 interactions in the middle of the list",
    "Q5": "search of two characters",
    "M1": "record an interaction (audit, outbox)",
}

PLAIN: Final = {
    "Q1": Q1.replace("contacts(first: 10) { nodes {", "contacts(first: 10) {")
    .replace("use } } }", "use } }")
    .replace("interactions(first: 10) { nodes {", "interactions(first: 10) {")
    .replace("performer { id name } } }", "performer { id name } }"),
    "Q2": """
query ByGradeAndRegion($grade: String!, $province: String!) {
  customers(first: 50, grade: $grade, province: $province) {
    id number name grade province city createdAt owner { id name }
  }
}""",
    "Q3": """
query Nested($after: ID) {
  customers(first: 50, after: $after) {
    id name
    owner { name }
    contacts(first: 10) { id name title isKeyPerson }
    interactions(first: 3) { id kind subject occurredAt }
  }
}""",
    "Q4": """
query Page($after: ID) {
  interactions(first: 100, after: $after) { id kind subject occurredAt customer { id name } }
}""",
    "Q5": "query Search($text: String!) { customers(first: 20, search: $text) { id number name } }",
    "M1": """
mutation Log($line: String!, $customerId: ID!, $kind: String!, $subject: String!, $content: String!) {
  interactionLog(line: $line, customerId: $customerId, kind: $kind, subject: $subject, content: $content) {
    id kind status subject occurredAt customer { id name } performer { name }
  }
}""",
}
"""The same for the plain server, whose schema has lists instead of connections."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One request in the three forms: variables for the product, for the plain server, and for the floor."""

    product: Variables
    plain: Variables
    floor: Variables


def variants(name: str, asked: Asked, ask: Ask) -> list[Variant]:
    """What one actor asks for in this operation; cursors are taken from the product's own answers."""
    return list(_VARIANTS[name](asked, ask))


def _same(variables: Variables) -> Variant:
    return Variant(variables, variables, variables)


def _q1(asked: Asked, _ask: Ask) -> Iterator[Variant]:
    return (_same({"id": key}) for key in asked.customers)


def _q2(asked: Asked, _ask: Ask) -> Iterator[Variant]:
    return (_same({"grade": grade, "province": province}) for grade, province in asked.regions)


_CURSORS: Final = """
query Cursors($moment: DateTime!) {
  customers(first: 10, where: { createdAt: { lte: $moment } }) { edges { cursor node { id } } }
}"""


def _q3(asked: Asked, ask: Ask) -> Iterator[Variant]:
    for moment in asked.moments:
        for edge in ask(_CURSORS, {"moment": moment})["customers"]["edges"]:
            after = {"after": edge["node"]["id"]}
            yield Variant({"after": edge["cursor"]}, after, after)


_MIDDLE: Final = """
query Middle($moment: DateTime!, $after: String) {
  interactions(first: 100, after: $after, where: { occurredAt: { lte: $moment } }) {
    edges { cursor node { id occurredAt } }
  }
}"""
_PAGES: Final = 5


def _q4(asked: Asked, ask: Ask) -> Iterator[Variant]:
    after = None
    for _ in range(_PAGES):
        edges = ask(_MIDDLE, {"moment": asked.middle, "after": after})["interactions"]["edges"]
        for edge in edges:
            after, node = edge["cursor"], edge["node"]
            floor = {"at": node["occurredAt"], "id": node["id"]}
            yield Variant({"after": after}, {"after": node["id"]}, floor)
        if not edges:
            return


def _q5(asked: Asked, _ask: Ask) -> Iterator[Variant]:
    return (_same({"text": text}) for text in asked.texts)


def _m1(asked: Asked, _ask: Ask) -> Iterator[Variant]:
    for place, (customer, line) in enumerate(asked.logs):
        given = {
            "customerId": customer,
            "kind": ("call", "wechat", "sms")[place % 3],
            "subject": f"电话跟进 {place}",
            "content": "客户在比较两款车型，关心油耗与保养费用。",
        }
        flat = {"line": line, **given}
        yield Variant({"line": line, "input": given}, flat, flat)


_VARIANTS: Final[Mapping[str, Callable[[Asked, Ask], Iterator[Variant]]]] = {
    "Q1": _q1, "Q2": _q2, "Q3": _q3, "Q4": _q4, "Q5": _q5, "M1": _m1,
}  # fmt: skip


# -- over HTTP


def bodies(contestant: str, name: str, given: Sequence[Variant]) -> tuple[str, list[bytes]]:
    """Path and bodies of the requests to one kind of server."""
    if contestant == "floor":
        return f"/{name.lower()}", [_json(one.floor) for one in given]
    if contestant == "plain":
        return "/graphql", [_json({"query": PLAIN[name], "variables": one.plain}) for one in given]
    return "/graphql", [_json({"query": DOCUMENTS[name], "variables": one.product}) for one in given]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def post(port: int, token: str, path: str, body: bytes) -> Any:
    """One request, its answer parsed."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)  # our own server
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"data": None, "errors": [f"{error.code} {error.read()[:300].decode(errors='replace')}"]}


def asker(port: int, token: str) -> Ask:
    """Asks a running product."""

    def ask(document: str, variables: Variables) -> Any:
        answer = post(port, token, "/graphql", _json({"query": document, "variables": variables}))
        if answer.get("errors"):
            raise RuntimeError(f"the product refused: {answer['errors'][:2]}")
        return answer["data"]

    return ask

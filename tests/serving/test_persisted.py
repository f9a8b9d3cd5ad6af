"""Persisted documents: known by their id, taught by clients, and where they are the only ones answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_core.app import create_app
from crm_core.errors import ConfigurationError
from crm_core.graphql.execution import REMEMBERED
from crm_core.graphql.persisted import LONGEST_TAUGHT, MOST_TAUGHT, Persisted
from crm_core.settings import Settings
from tests.serving.conftest import Web, codes

LINES = "query Lines {\n  businessLines {\n    nodes {\n      code\n    }\n  }\n}"
ONE = "query One($id: ID!) { node(id: $id) { id } }"
OTHER = "{ businessLines { nodes { name } } }"
INTROSPECTION = "{ __schema { queryType { name } } }"
BOTH = {"data": {"businessLines": {"nodes": [{"code": "east"}, {"code": "west"}]}}}


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def apollo(text: str, *, query: str | None = None, version: int = 1) -> dict[str, Any]:
    """A request as Apollo's clients send it."""
    body = {"extensions": {"persistedQuery": {"version": version, "sha256Hash": hashed(text)}}}
    return body | ({"query": query} if query else {})


def manifest(folder: Path, content: object) -> Path:
    file = folder / "documents.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


@asynccontextmanager
async def serving(web: Web, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A second app on the same database, with further settings."""
    app = create_app(web.services.settings.model_copy(update=settings), candidates=(), clock=web.clock)
    async with app.router.lifespan_context(app):
        transport, bearer = httpx.ASGITransport(app), {"authorization": f"Bearer {web.token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://crm", headers=bearer) as client:
            yield client


@pytest.fixture(scope="module")
async def known(web: Web, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A server that knows two documents and answers any."""
    file = manifest(tmp_path_factory.mktemp("known"), {hashed(LINES): LINES, "lines-1": LINES, "one": ONE})
    async with serving(web, persisted_documents=file) as client:
        yield client


@pytest.fixture(scope="module")
async def strict(web: Web, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A server that answers its one document alone."""
    operation = {"id": hashed(LINES), "name": "Lines", "type": "query", "body": LINES}
    content = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    file = manifest(tmp_path_factory.mktemp("strict"), content)
    async with serving(web, persisted_documents=file, only_persisted=True) as client:
        yield client


async def asked(client: httpx.AsyncClient, body: dict[str, Any], token: str | None = None) -> httpx.Response:
    bearer = {"authorization": f"Bearer {token}"} if token else {}
    return await client.post("/graphql", json=body, headers=bearer)


def without_cost(response: httpx.Response) -> dict[str, Any]:
    answer: dict[str, Any] = response.json()
    answer.pop("extensions", None)
    return answer


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": hashed(LINES)},
        {"documentId": f"sha256:{hashed(LINES)}"},
        {"documentId": f"sha256:{hashed(LINES).upper()}"},
        {"documentId": "lines-1"},
        apollo(LINES),
        apollo(LINES, query=LINES),
        {"documentId": "lines-1", "operationName": "Lines", "variables": {}},
    ],
)
async def test_a_document_of_the_manifest_is_answered_by_its_id(
    known: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert without_cost(await asked(known, body)) == BOTH


async def test_a_persisted_document_takes_variables(known: httpx.AsyncClient) -> None:
    answer = await asked(known, {"documentId": "one", "variables": {"id": "no id"}})
    assert codes(answer) != ["PERSISTED_QUERY_NOT_FOUND"]
    assert answer.json()["data"] == {"node": None}


async def test_a_document_is_asked_by_get(known: httpx.AsyncClient) -> None:
    html = {"accept": "text/html,*/*"}
    by_id = await known.get("/graphql", params={"documentId": hashed(LINES)}, headers=html)
    assert without_cost(by_id) == BOTH
    extensions = json.dumps(apollo(LINES)["extensions"])
    assert without_cost(await known.get("/graphql", params={"extensions": extensions})) == BOTH


async def test_beside_a_manifest_other_documents_are_answered(known: httpx.AsyncClient) -> None:
    assert "errors" not in (await asked(known, {"query": OTHER})).json()


async def test_an_unknown_id_is_told_so_that_clients_send_the_text(web: Web) -> None:
    text = "query Taught { businessLines { nodes { code } } }"
    first = await asked(web.client, apollo(text), web.token)
    assert (first.status_code, codes(first)) == (200, ["PERSISTED_QUERY_NOT_FOUND"])
    assert first.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    for body in (apollo(text, query=text), apollo(text), {"documentId": f"sha256:{hashed(text)}"}):
        assert without_cost(await asked(web.client, body, web.token)) == BOTH


async def test_a_text_that_has_not_the_hash_it_claims_is_refused(known: httpx.AsyncClient) -> None:
    for body in (apollo(LINES, query=OTHER), {"documentId": "lines-1", "query": OTHER}):
        assert codes(await asked(known, body)) == ["BAD_USER_INPUT"]
    assert codes(await asked(known, apollo(OTHER))) == ["PERSISTED_QUERY_NOT_FOUND"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"documentId": 5}, "BAD_REQUEST"),
        ({"documentId": ""}, "BAD_REQUEST"),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": []}}}, "BAD_REQUEST"),
        ({"extensions": [hashed(LINES)]}, "BAD_REQUEST"),
        ({"documentId": "lines-1", "query": 7}, "BAD_REQUEST"),
        ({"extensions": {"persistedQuery": {"version": 1}}}, "BAD_REQUEST"),
        (apollo(LINES, version=2), "PERSISTED_QUERY_NOT_SUPPORTED"),
    ],
)
async def test_a_malformed_id_is_refused(known: httpx.AsyncClient, body: dict[str, Any], code: str) -> None:
    answer = await asked(known, body)
    assert (answer.status_code, codes(answer)) == (400, [code])


@pytest.mark.parametrize(
    "body",
    [
        {"query": OTHER},
        {"query": INTROSPECTION},
        {"query": LINES + " "},
        {"query": "{"},
        apollo(OTHER, query=OTHER),
        apollo(LINES, query=OTHER),
    ],
)
async def test_where_only_persisted_documents_are_answered_any_other_is_refused(
    strict: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert codes(await asked(strict, body)) == ["PERSISTED_DOCUMENT_REQUIRED"]


async def test_where_only_persisted_documents_are_answered_nothing_is_taught(
    strict: httpx.AsyncClient,
) -> None:
    await asked(strict, apollo(OTHER, query=OTHER))
    assert codes(await asked(strict, apollo(OTHER))) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_the_persisted_text_itself_is_as_good_as_its_id(strict: httpx.AsyncClient) -> None:
    for body in ({"query": LINES}, {"documentId": hashed(LINES)}, apollo(LINES), apollo(LINES, query=LINES)):
        assert without_cost(await asked(strict, body)) == BOTH


async def test_an_id_does_not_replace_the_credential(strict: httpx.AsyncClient) -> None:
    answer = await strict.post(
        "/graphql", json={"documentId": hashed(LINES)}, headers={"authorization": "Bearer x"}
    )
    assert answer.status_code == 401


async def test_more_documents_are_persisted_than_the_executor_remembers(web: Web, tmp_path: Path) -> None:
    many = {f"q{n}": f"query Q{n} {{ a{n}: viewer {{ name }} }}" for n in range(REMEMBERED + 50)}
    mark = {f"q{n}": f"a{n}" for n in range(REMEMBERED + 50)}
    async with serving(web, persisted_documents=manifest(tmp_path, many), only_persisted=True) as client:
        for _ in range(2):  # by the second turn each was forgotten once
            for name, key in mark.items():
                answer = without_cost(await asked(client, {"documentId": name}))
                assert answer == {"data": {key: {"name": "Admin"}}}


# -- the start


async def refusal(web: Web, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        async with serving(web, **settings):
            pass
    return str(refused.value)


async def test_the_server_does_not_start_with_documents_that_are_not_valid(web: Web, tmp_path: Path) -> None:
    gone, broken = "query Gone { businessLines { nodes { colour } } }", "query Broken {"
    file = manifest(tmp_path, {hashed(LINES): LINES, "g": gone, "b": broken})
    words = await refusal(web, persisted_documents=file)
    assert all(word in words for word in ("Gone", "colour", "Broken", str(file)))
    assert "query Lines" not in words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "not a map"),
        ({"a": 5}, "a has no document text"),
        ({"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}, "version 1"),
        ({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"body": "{"}]}, "no id"),
        (
            {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "x"}]},
            "no document",
        ),
    ],
)
async def test_a_manifest_of_another_form_is_refused(
    web: Web, tmp_path: Path, content: object, words: str
) -> None:
    assert words in await refusal(web, persisted_documents=manifest(tmp_path, content))


async def test_a_manifest_that_is_missing_is_refused(web: Web, tmp_path: Path) -> None:
    assert "cannot be read" in await refusal(web, persisted_documents=tmp_path / "none.json")
    assert "needs persisted_documents" in await refusal(web, only_persisted=True)


def test_documents_persisted_by_name_are_off_unless_configured() -> None:
    assert (Settings().persisted_documents, Settings().only_persisted) == (None, False)


# -- what clients teach is bounded


def test_the_server_remembers_the_latest_taught_documents_only() -> None:
    persisted = Persisted({})
    texts = [f"query Q{number} {{ a }}" for number in range(MOST_TAUGHT + 1)]
    for text in texts:
        persisted.text(text, hashed(text))
    assert persisted.text(None, hashed(texts[-1])) == texts[-1]
    with pytest.raises(Exception, match="PersistedQueryNotFound"):
        persisted.text(None, hashed(texts[0]))


def test_very_long_documents_are_answered_but_not_remembered() -> None:
    persisted, text = Persisted({}), "{ a }" + " " * LONGEST_TAUGHT
    assert persisted.text(text, hashed(text)) == text
    with pytest.raises(Exception, match="PersistedQueryNotFound"):
        persisted.text(None, hashed(text))

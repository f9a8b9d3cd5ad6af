"""API tokens over HTTP: who is let in, how far a bound token reaches, how soon a revocation counts."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from crm_core import ids
from crm_core.access.authentication import Authenticator
from crm_core.access.models import ApiToken
from crm_core.access.queries import show_token
from crm_core.actors import Actor, Reach
from crm_core.errors import Unauthenticated
from crm_core.graphql.serving import GraphQLServer
from crm_core.logs import logger
from crm_core.testing.kit import Kit
from crm_core.work import perform

LINES = "{ businessLines { nodes { code } } }"
SCOPES = {"user.read": Reach.LINE, "audit.read": Reach.LINE, "audit.review": Reach.LINE}


@pytest.fixture
async def client(crm: Kit) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the GraphQL endpoint with its real authentication."""
    server = GraphQLServer(
        crm.services,
        crm.schema,
        authenticator=Authenticator(crm.services),
        perform=perform,
        log=logger("error", io.StringIO()),
    )
    app = Starlette(routes=[Route("/graphql", server.handle, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crm") as client:
        yield client


@pytest.fixture
async def auditor(crm: Kit) -> Actor:
    """Reads users and the usage log in both lines."""
    return await crm.actor("auditor", SCOPES, lines=("east", "west"))


async def ask(client: httpx.AsyncClient, token: str, query: str = LINES, **headers: str) -> httpx.Response:
    bearer = {"authorization": f"Bearer {token}"}
    return await client.post("/graphql", json={"query": query}, headers=bearer | headers)


def codes(response: httpx.Response) -> list[str]:
    return [e["extensions"]["code"] for e in response.json()["errors"]]


async def lines_seen(client: httpx.AsyncClient, token: str) -> list[str]:
    nodes: list[dict[str, str]] = (await ask(client, token)).json()["data"]["businessLines"]["nodes"]
    return [n["code"] for n in nodes]


async def test_without_a_good_token_nobody_is_let_in(
    crm: Kit, client: httpx.AsyncClient, auditor: Actor
) -> None:
    good = await crm.token(auditor)
    head, key, secret = good.split("_")
    strangers = show_token(ids.uuid7(), secret)
    for header in ("", "Bearer", "Bearer ", "Basic abc", "Bearer abc", f"Bearer {head}_{key}_", f"Bearer {good}0",
                   f"Bearer {strangers}", f"Bearer {head}_{key}_{'0' * len(secret)}"):  # fmt: skip
        answer = await client.post(
            "/graphql", json={"query": LINES}, headers={"authorization": header} if header else {}
        )
        assert (answer.status_code, codes(answer)) == (401, ["UNAUTHENTICATED"]), header
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await ask(client, good)).status_code == 200


async def test_an_expired_token_is_refused_from_that_moment_on(
    crm: Kit, client: httpx.AsyncClient, auditor: Actor
) -> None:
    late = await crm.token(auditor, expires_at=crm.clock() + timedelta(hours=1))
    gone = await crm.token(auditor, expires_at=crm.clock() + timedelta(minutes=1))
    crm.clock.advance(minutes=1)
    assert (await ask(client, late)).status_code == 200
    assert (await ask(client, gone)).status_code == 401


async def test_no_token_is_made_that_would_have_expired(crm: Kit, auditor: Actor) -> None:
    body = {"user_id": auditor.user_id, "name": "old", "secret_hash": "0" * 64, "expires_at": crm.clock()}
    outcome = await crm.perform("token.create", body)
    assert [(e.code, e.field) for e in outcome.errors] == [("EXPIRED_ALREADY", "expiresAt")]


async def test_a_revoked_token_and_a_disabled_user_are_out_within_five_seconds(
    crm: Kit, auditor: Actor
) -> None:
    seconds = [0.0]
    door = Authenticator(crm.services, lambda: seconds[0])
    first, second = await crm.token(auditor), await crm.token(auditor)
    for token in (first, second):
        assert (await door.actor(f"Bearer {token}", "en")).user_id == auditor.user_id
    await crm.done("tokenRevoke", input={"id": ids.show("tok", UUID(first.split("_")[1]))})
    seconds[0] = 5.0
    with pytest.raises(Unauthenticated):
        await door.actor(f"Bearer {first}", "en")
    await door.actor(f"Bearer {second}", "en")
    assert auditor.user_id is not None
    await crm.done("userUpdate", input={"id": ids.show("usr", auditor.user_id), "disabled": True})
    seconds[0] = 10.0
    with pytest.raises(Unauthenticated):
        await door.actor(f"Bearer {second}", "en")


async def test_within_its_time_a_token_gives_the_same_actor_in_each_language(
    crm: Kit, auditor: Actor
) -> None:
    seconds = [0.0]
    door = Authenticator(crm.services, lambda: seconds[0])
    bearer = f"Bearer {await crm.token(auditor)}"
    first, chinese = await door.actor(bearer, "en"), await door.actor(bearer, "zh-CN")
    assert (first.language, chinese.language) == ("en", "zh-CN")
    assert await door.actor(bearer, "en") is first
    assert await door.actor(bearer, "zh-CN") is chinese
    seconds[0] = 3.0
    assert await door.actor(bearer, "en") is not first


async def test_a_role_taken_back_ends_its_permissions_within_five_seconds(crm: Kit, auditor: Actor) -> None:
    seconds = [0.0]
    door = Authenticator(crm.services, lambda: seconds[0])
    token = await crm.token(auditor)
    assert (await door.actor(f"Bearer {token}", "en")).may("audit.read", "east")
    assert auditor.user_id is not None
    given = {"userId": ids.show("usr", auditor.user_id), "role": "role of auditor", "line": "east"}
    await crm.done("roleRevoke", input=given)
    seconds[0] = 5.0
    again = await door.actor(f"Bearer {token}", "en")
    assert (again.lines, again.may("audit.read", "east")) == (("west",), False)


async def test_a_token_bound_to_a_line_acts_and_sees_in_that_line_only(
    crm: Kit, client: httpx.AsyncClient, auditor: Actor
) -> None:
    bound = await crm.token(auditor, lines=["west"])
    assert await lines_seen(client, await crm.token(auditor)) == ["east", "west"]
    assert await lines_seen(client, bound) == ["west"]
    other = await ask(client, bound, **{"x-crm-line": "east"})
    assert codes(other) == ["UNKNOWN_LINE"]
    review = 'mutation { usageReview(line: "%s", input: {periodFrom: "2025-11-01", periodTo: "2025-11-02", findings: "ok"}) { userErrors { code } } }'
    refused = (await ask(client, bound, review % "east")).json()["data"]["usageReview"]
    assert [e["code"] for e in refused["userErrors"]] == ["UNKNOWN_LINE"]
    done = (await ask(client, bound, review % "west")).json()["data"]["usageReview"]
    assert done["userErrors"] == []


async def test_a_token_bound_to_a_line_never_reaches_all_lines(crm: Kit, client: httpx.AsyncClient) -> None:
    bound = await crm.token(crm.administrator, lines=["east"])
    assert await lines_seen(client, bound) == ["east"]
    entries = "{ auditEntries { nodes { line } } apiTokens { totalCount } }"
    data = (await ask(client, bound, entries)).json()["data"]
    assert {n["line"] for n in data["auditEntries"]["nodes"]} <= {"east"}
    assert data["apiTokens"]["totalCount"] == len(
        [t for t in await crm.rows(ApiToken) if t.user_id == crm.administrator.user_id]
    )


async def test_a_token_bound_to_scopes_has_no_others(
    crm: Kit, client: httpx.AsyncClient, auditor: Actor
) -> None:
    bound = await crm.token(auditor, scopes=["user.read"])
    denied = await ask(client, bound, "{ auditEntries { totalCount } users { totalCount } }")
    assert codes(denied) == ["FORBIDDEN"]
    assert denied.json()["data"]["auditEntries"] is None
    assert denied.json()["data"]["users"]["totalCount"] == 2
    review = 'mutation { usageReview(line: "west", input: {periodFrom: "2025-11-01", periodTo: "2025-11-02", findings: "ok"}) { userErrors { code } } }'
    refused: dict[str, Any] = (await ask(client, bound, review)).json()["data"]["usageReview"]
    assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]


async def test_a_bound_token_gains_nothing_its_user_has_not(
    crm: Kit, client: httpx.AsyncClient, auditor: Actor
) -> None:
    bound = await crm.token(auditor, scopes=["access.admin", "user.read"], lines=["east"])
    refused = await ask(
        client, bound, 'mutation { teamCreate(input: {line: "east", name: "x"}) { userErrors { code } } }'
    )
    assert [e["code"] for e in refused.json()["data"]["teamCreate"]["userErrors"]] == ["FORBIDDEN"]
    assert await lines_seen(client, bound) == ["east"]


async def test_a_token_for_unknown_scopes_or_lines_is_refused(crm: Kit, auditor: Actor) -> None:
    assert auditor.user_id is not None
    given = {"userId": ids.show("usr", auditor.user_id), "name": "x", "secretHash": "0" * 64}
    unknown = await crm.change("tokenCreate", input=given | {"scopes": ["x.y"], "lines": ["north"]})
    assert [(e["code"], e["field"]) for e in unknown["userErrors"]] == [
        ("UNKNOWN_SCOPE", "scopes.0"),
        ("UNKNOWN_LINE", "lines.0"),
    ]
    short = await crm.change("tokenCreate", input=given | {"secretHash": "abc"})
    assert [e["field"] for e in short["userErrors"]] == ["secretHash"]

"""GraphQL over HTTP: credentials, media types, bad input, and what each is answered with."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from tests.serving.conftest import Web, administrator_token, codes, done

NEWER = {"accept": "application/graphql-response+json"}
LINES = "{ businessLines { nodes { code } } }"
CREATE = """
mutation($login: String!, $key: String, $dry: Boolean) {
  userCreate(input: { login: $login, name: "Bo" }, idempotencyKey: $key, dryRun: $dry) {
    user { id version login name } replayed userErrors { code message field }
  }
}
"""
FIND = "query($login: String!) { users(where: { login: { eq: $login } }) { totalCount nodes { name } } }"
UPDATE = """
mutation($input: UserUpdateInput!, $version: Int) {
  userUpdate(input: $input, expectedVersion: $version) { user { name email version } userErrors { code message field } }
}
"""


@pytest.fixture
def login() -> str:
    return secrets.token_hex(6)


# -- credentials


async def test_without_a_token_nothing_is_answered(web: Web) -> None:
    answer = await web.client.post("/graphql", json={"query": LINES})
    assert (answer.status_code, codes(answer)) == (401, ["UNAUTHENTICATED"])
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer crm_00_x", "Basic YTpi", "Bearer"])
async def test_a_bad_credential_is_refused(web: Web, header: str) -> None:
    answer = await web.client.post("/graphql", json={"query": LINES}, headers={"authorization": header})
    assert (answer.status_code, codes(answer)) == (401, ["UNAUTHENTICATED"])


async def test_an_expired_token_is_refused_and_says_so(web: Web) -> None:
    token = await administrator_token(web.services, timedelta(hours=1))
    web.clock.advance(hours=2)
    answer = await web.ask(LINES, token=token)
    assert (answer.status_code, codes(answer)) == (401, ["UNAUTHENTICATED"])
    assert "expired" in answer.json()["errors"][0]["message"]


# -- bodies


async def post(web: Web, content: bytes, **headers: str) -> httpx.Response:
    given = {"authorization": f"Bearer {web.token}", "content-type": "application/json"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await web.client.post("/graphql", content=content, headers=given | named)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{nonsense", "BAD_REQUEST"),
        (b"", "BAD_REQUEST"),
        (b'"text"', "BAD_REQUEST"),
        (b"{}", "BAD_REQUEST"),
        (b'{"query": 1}', "BAD_REQUEST"),
        (b'{"query": "{ __typename }", "variables": [1]}', "BAD_REQUEST"),
        (b'{"query": "{ __typename }", "operationName": 1}', "BAD_REQUEST"),
        (b'{"query": "{ __typename }", "extensions": 1}', "BAD_REQUEST"),
        (b'[{"query": "{ __typename }"}]', "BATCH_REFUSED"),
        (b'{"query": "{ __typename \xff }"}', "BAD_REQUEST"),
        (b'{"query": "{ __typename }", "variables": {"a": "\\u0000"}}', "BAD_REQUEST"),
        (b'{"query": "query A { __typename } query B { __typename }"}', "BAD_USER_INPUT"),
        (b'{"query": "query A { __typename }", "operationName": "C"}', "BAD_USER_INPUT"),
        (
            b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
            "BAD_REQUEST",
        ),
    ],
)
async def test_a_malformed_body_is_a_bad_request(web: Web, content: bytes, code: str) -> None:
    answer = await post(web, content)
    assert (answer.status_code, codes(answer)) == (400, [code])


async def test_invalid_utf8_is_named_with_its_place(web: Web) -> None:
    answer = await post(web, b'{"query": "\xe4\xb8"}')
    assert "not UTF-8 at byte 11" in answer.json()["errors"][0]["message"]


async def test_a_body_of_two_megabytes_is_too_large(web: Web) -> None:
    answer = await post(web, json.dumps({"query": LINES + "#" * 2_000_000}).encode())
    assert (answer.status_code, codes(answer)) == (413, ["BODY_TOO_LARGE"])


async def test_a_large_body_of_unknown_length_is_cut_off(web: Web) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    given = {"authorization": f"Bearer {web.token}", "content-type": "application/json"}
    answer = await web.client.post("/graphql", content=chunks(), headers=given)
    assert (answer.status_code, codes(answer)) == (413, ["BODY_TOO_LARGE"])


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/graphql", "application/json; charset=gb18030", ""]
)
async def test_other_content_types_are_not_read(web: Web, kind: str) -> None:
    answer = await post(web, b'{"query": "{ __typename }"}', content_type=kind)
    assert (answer.status_code, codes(answer)) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


async def test_a_charset_of_utf8_is_welcome(web: Web) -> None:
    answer = await post(web, b'{"query": "{ __typename }"}', content_type='application/json; charset="UTF-8"')
    assert answer.json()["data"] == {"__typename": "Query"}


# -- status and media type


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ businessLines { nodes { code", "GRAPHQL_PARSE_FAILED"),
        ("{ businessLines { nodes { colour } } }", "GRAPHQL_VALIDATION_FAILED"),
        ('{ businessLines(first: "two") { nodes { code } } }', "GRAPHQL_VALIDATION_FAILED"),
        ("{" + "a " * 6000 + "}", "TOO_MANY_TOKENS"),
        ("{" * 150 + "}" * 150, "GRAPHQL_PARSE_FAILED"),
        ("{ " + "".join(f"a{i}: __typename " for i in range(31)) + "}", "TOO_MANY_ALIASES"),
        ("{ users { nodes { " + "teams { members { " * 6 + "id" + " } }" * 6 + " } } }", "TOO_DEEP"),
        ("{ users(first: 100) { nodes { " + "teams { members { " * 3 + "id" + " } }" * 3 + " } } }", "TOO_COSTLY"),
        ("mutation { " + "".join(f'm{i}: userCreate(input: {{ login: "x", name: "x" }}) {{ replayed }} ' for i in range(6)) + "}", "TOO_MANY_MUTATIONS"),
        ("subscription { x }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($n: Int!) { businessLines(first: $n) { nodes { code } } }", "BAD_USER_INPUT"),
        ("{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)  # fmt: skip
async def test_what_graphql_refuses_is_told_by_code_and_by_status_to_newer_clients(
    web: Web, query: str, code: str
) -> None:
    older, newer = await web.ask(query), await web.ask(query, headers=NEWER)
    assert (older.status_code, newer.status_code) == (200, 400)
    assert codes(older)[0] == codes(newer)[0] == code
    assert "data" not in newer.json()
    assert newer.headers["content-type"].startswith("application/graphql-response+json")


async def test_an_answer_in_part_is_a_success_with_errors(web: Web) -> None:
    answer = await web.ask('{ node(id: "nonsense") { id } businessLines { nodes { code } } }', headers=NEWER)
    assert (answer.status_code, codes(answer)) == (200, ["INVALID_ID"])
    assert answer.json()["data"]["businessLines"]["nodes"] == [{"code": "east"}, {"code": "west"}]


async def test_an_unknown_id_is_null_without_error(web: Web) -> None:
    answer = await web.ask('{ user(id: "usr_' + "0" * 32 + '") { id } }')
    assert answer.json()["data"] == {"user": None}
    assert "errors" not in answer.json()


async def test_a_client_that_accepts_neither_form_is_told_so(web: Web) -> None:
    answer = await web.ask(LINES, headers={"accept": "text/csv"})
    assert (answer.status_code, codes(answer)) == (406, ["NOT_ACCEPTABLE"])


@pytest.mark.parametrize("levels", [240, 480, 900])
async def test_variables_nested_too_deeply_are_the_callers_fault(web: Web, levels: int) -> None:
    deep: dict[str, object] = {"code": {"eq": "x"}}
    for _ in range(levels):
        deep = {"not": deep}
    answer = await web.ask(
        "query($w: BusinessLineWhere) { businessLines(where: $w) { nodes { id } } }", w=deep
    )
    assert answer.status_code == 200
    assert codes(answer)[0] != "INTERNAL"


# -- GET


async def test_queries_may_come_by_get(web: Web) -> None:
    parameters = {
        "query": "query($n: Int) { businessLines(first: $n) { nodes { code } } }",
        "variables": '{"n": 1}',
    }
    answer = await web.client.get(
        "/graphql", params=parameters, headers={"authorization": f"Bearer {web.token}"}
    )
    assert answer.json()["data"] == {"businessLines": {"nodes": [{"code": "east"}]}}


async def test_mutations_may_not_come_by_get(web: Web) -> None:
    bearer = {"authorization": f"Bearer {web.token}"}
    query = 'mutation { userCreate(input: { login: "get", name: "Bo" }) { replayed } }'
    answer = await web.client.get("/graphql", params={"query": query}, headers=bearer)
    assert (answer.status_code, codes(answer)) == (405, ["METHOD_NOT_ALLOWED"])
    assert answer.headers["allow"] == "POST"
    found = await web.ask('{ users(where: { login: { eq: "get" } }) { totalCount } }')
    assert found.json()["data"]["users"]["totalCount"] == 0


async def test_get_without_a_query_or_with_bad_variables_is_a_bad_request(web: Web) -> None:
    bearer = {"authorization": f"Bearer {web.token}"}
    for parameters in (
        {},
        {"query": LINES, "variables": "{nonsense"},
        {"query": LINES, "variables": '"\\u0000"'},
    ):
        assert (await web.client.get("/graphql", params=parameters, headers=bearer)).status_code == 400


async def test_other_methods_are_not_allowed(web: Web) -> None:
    assert (await web.client.put("/graphql", content=b"")).status_code == 405


# -- line, language, request id, cost


async def test_the_line_header_narrows_what_is_read(web: Web) -> None:
    await done(web.services, "team.create", name="一组", line="east")
    await done(web.services, "team.create", name="二组", line="west")
    asked = "{ teams { nodes { line } } businessLines { nodes { code } } }"
    answer = await web.ask(asked, headers={"x-crm-line": "west"})
    assert answer.json()["data"] == {
        "teams": {"nodes": [{"line": "west"}]},
        "businessLines": {"nodes": [{"code": "west"}]},
    }


async def test_an_unknown_line_in_the_header_is_refused_in_the_callers_language(web: Web) -> None:
    answer = await web.ask(LINES, headers={"x-crm-line": "north", "accept-language": "zh-CN,zh;q=0.9"})
    assert codes(answer) == ["UNKNOWN_LINE"]
    assert answer.json()["errors"][0]["message"] == "您不在业务线 north 内，或该业务线不存在。"


async def test_refusals_come_in_the_language_of_the_client(web: Web) -> None:
    query = 'mutation { userCreate(input: { login: "bo", name: "" }) { userErrors { code message } } }'
    english = (await web.ask(query)).json()["data"]["userCreate"]["userErrors"][0]
    chinese = (await web.ask(query, headers={"accept-language": "zh"})).json()["data"]["userCreate"][
        "userErrors"
    ][0]
    assert english["code"] == chinese["code"]
    assert english["message"] != chinese["message"]


async def test_a_request_id_is_kept_or_made_and_stands_in_the_log(web: Web) -> None:
    kept = await web.ask(LINES, headers={"x-request-id": "abc-123"})
    made = await web.ask(LINES, headers={"x-request-id": "bad id"})
    assert kept.headers["x-request-id"] == "abc-123"
    assert re.fullmatch(r"[0-9a-f]{12}-\d+", made.headers["x-request-id"])
    entries = web.logged("request")[-2:]
    assert [e["request_id"] for e in entries] == ["abc-123", made.headers["x-request-id"]]
    assert [e["status"] for e in entries] == [200, 200]


async def test_the_cost_stands_in_every_answer(web: Web) -> None:
    answer = await web.ask("{ businessLines(first: 10) { nodes { code } } }")
    assert answer.json()["extensions"]["cost"] == {"requested": 3, "limit": 10_000}


BRANCHES = "customers(first: 100) { nodes { branches(first: 100) { nodes { branches(first: 100) { nodes { id } } } } } }"
CHANGE = 'userUpdate(input: {id: "usr_x", title: "x"}) { userErrors { code } }'
MANY = "{or: [" + '{name: {eq: "x"}}, ' * 400 + "]}"
ALL = " ".join(f"a{n}: customers(where: $w) {{ totalCount }}" for n in range(10))


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{ customers { nodes { " + "parent { " * 15 + "id" + " }" * 15 + " } } }", "TOO_DEEP"),
        ("{ " + " ".join(f"a{n}: viewer {{ name }}" for n in range(40)) + " }", "TOO_MANY_ALIASES"),
        ("mutation { " + " ".join(f"a{n}: {CHANGE}" for n in range(9)) + " }", "TOO_MANY_MUTATIONS"),
        (f"{{ {BRANCHES} }}", "TOO_COSTLY"),
        (f"query($w: CustomerWhere = {MANY}) {{ {ALL} }}", "TOO_COSTLY"),
    ],
)
async def test_a_document_beyond_the_limits_is_neither_planned_nor_asked(
    web: Web, document: str, code: str
) -> None:
    server, sent = await web.app.state.house.server(), list[str]()
    plans, heard = server._executor.plans, web.services.database.heard
    assert (await web.ask("{ viewer { name } }")).json()["data"]
    built = plans.built
    assert built > 0
    heard.append(sent.append)
    try:
        assert codes(await web.ask(document)) == [code]
    finally:
        heard.remove(sent.append)
    assert plans.built == built
    assert sent == []


# -- writing


async def test_a_stale_expected_version_is_refused(web: Web, login: str) -> None:
    user = (await web.ask(CREATE, login=login)).json()["data"]["userCreate"]["user"]
    changed = await web.ask(UPDATE, input={"id": user["id"], "name": "Bob"}, version=user["version"])
    assert changed.json()["data"]["userUpdate"]["user"]["name"] == "Bob"
    stale = await web.ask(UPDATE, input={"id": user["id"], "name": "Ben"}, version=user["version"])
    assert [e["code"] for e in stale.json()["data"]["userUpdate"]["userErrors"]] == ["STALE_VERSION"]


async def test_an_idempotency_key_repeats_and_refuses_another_body(web: Web, login: str) -> None:
    first = (await web.ask(CREATE, login=login, key="k" + login)).json()["data"]["userCreate"]
    again = (await web.ask(CREATE, login=login, key="k" + login)).json()["data"]["userCreate"]
    other = (await web.ask(CREATE, login=login + "2", key="k" + login)).json()["data"]["userCreate"]
    assert again["user"]["id"] == first["user"]["id"]
    assert again["replayed"] is True
    assert [e["code"] for e in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_omitted_stays_and_null_empties(web: Web, login: str) -> None:
    user = (await web.ask(CREATE, login=login)).json()["data"]["userCreate"]["user"]
    await web.ask(UPDATE, input={"id": user["id"], "email": "bo@example.com"})
    kept = await web.ask(UPDATE, input={"id": user["id"], "name": "Bob"})
    assert kept.json()["data"]["userUpdate"]["user"]["email"] == "bo@example.com"
    emptied = await web.ask(UPDATE, input={"id": user["id"], "email": None})
    assert emptied.json()["data"]["userUpdate"]["user"]["email"] is None
    refused = await web.ask(UPDATE, input={"id": user["id"], "name": None})
    assert [e["code"] for e in refused.json()["data"]["userUpdate"]["userErrors"]] == ["REQUIRED"]


async def test_a_dry_run_shows_what_would_be_and_leaves_nothing(web: Web, login: str) -> None:
    shown = (await web.ask(CREATE, login=login, dry=True)).json()["data"]["userCreate"]
    assert shown["user"]["login"] == login
    found = await web.ask(FIND, login=login)
    assert found.json()["data"]["users"]["totalCount"] == 0


async def test_a_dry_run_ends_before_the_next_mutation_of_the_document(web: Web, login: str) -> None:
    query = """
    mutation($login: String!) {
      dry: userCreate(input: { login: $login, name: "Dry" }, dryRun: true) {
        user { name teams { id } grants { id } } userErrors { code }
      }
      wet: userCreate(input: { login: $login, name: "Wet" }) { user { name } userErrors { code } }
      again: userCreate(input: { login: $login, name: "Late" }, dryRun: true) { user { name } userErrors { code } }
    }
    """
    data = (await web.ask(query, login=login)).json()["data"]
    assert data["dry"] == {"user": {"name": "Dry", "teams": [], "grants": []}, "userErrors": []}
    assert data["wet"] == {"user": {"name": "Wet"}, "userErrors": []}
    assert [e["code"] for e in data["again"]["userErrors"]] == ["LOGIN_TAKEN"]
    found = await web.ask(FIND, login=login)
    assert found.json()["data"]["users"] == {"totalCount": 1, "nodes": [{"name": "Wet"}]}


async def test_the_same_document_is_answered_again_with_other_variables(web: Web) -> None:
    query = "query($n: Int) { businessLines(first: $n) { nodes { code } } }"
    counts = [len((await web.ask(query, n=n)).json()["data"]["businessLines"]["nodes"]) for n in (1, 2, 1, 0)]
    assert counts == [1, 2, 1, 0]

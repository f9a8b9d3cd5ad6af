"""Users, teams, roles and tokens through the API."""

from crm_core.actors import Reach
from crm_core.testing.kit import Kit

USERS = "{ users(orderBy: [{name: ASC}]) { totalCount nodes { id name version teams { name } } pageInfo { hasNextPage } } }"


async def test_a_new_user_is_listed_with_his_teams(crm: Kit) -> None:
    team = await crm.team("showroom")
    await crm.actor("li", {"user.read": Reach.LINE}, team=team)
    found = await crm.data(USERS)
    assert found["users"]["totalCount"] == 2
    assert [u["name"] for u in found["users"]["nodes"]] == ["admin", "li"]
    assert found["users"]["nodes"][1]["teams"] == [{"name": "showroom"}]


async def test_a_login_is_used_once(crm: Kit) -> None:
    given = {"login": "li", "name": "李"}
    first = await crm.done("userCreate", input=given, select="user { id name version }")
    assert first["user"]["version"] == 1
    second = await crm.change("userCreate", input=given, language="zh-CN", select="user { id }")
    assert second["user"] is None
    assert second["userErrors"] == [
        {"code": "LOGIN_TAKEN", "message": "登录名 li 已被使用。", "field": "login", "rule": None}
    ]


async def test_pages_follow_one_another_in_both_directions(crm: Kit) -> None:
    for name in "abcde":
        await crm.actor(name, {})
    page = "query($after: String) { users(first: 2, after: $after, orderBy: [{name: DESC}]) { nodes { name } pageInfo { endCursor hasNextPage } } }"
    seen, after = [], None
    while True:
        found = (await crm.data(page, after=after))["users"]
        seen += [n["name"] for n in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert seen == ["e", "d", "c", "b", "admin", "a"]
    back = await crm.data(
        "{ users(last: 2, orderBy: [{name: DESC}]) { nodes { name } pageInfo { hasPreviousPage } } }"
    )
    assert [n["name"] for n in back["users"]["nodes"]] == ["admin", "a"]
    assert back["users"]["pageInfo"]["hasPreviousPage"]


async def test_omitted_is_not_null_in_an_update(crm: Kit) -> None:
    made = await crm.done(
        "userCreate", input={"login": "w", "name": "王", "email": "w@example.com"}, select="user { id }"
    )
    user = made["user"]["id"]
    await crm.done("userUpdate", input={"id": user, "title": "顾问"})
    kept = await crm.done("userUpdate", input={"id": user}, select="user { email title version }")
    assert kept["user"] == {"email": "w@example.com", "title": "顾问", "version": 3}
    cleared = await crm.done("userUpdate", input={"id": user, "email": None}, select="user { email }")
    assert cleared["user"]["email"] is None
    refused = await crm.change("userUpdate", input={"id": user, "name": None}, select="user { id }")
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [("REQUIRED", "name")]


async def test_a_stale_version_is_refused_and_nothing_changes(crm: Kit) -> None:
    made = await crm.done("userCreate", input={"login": "w", "name": "王"}, select="user { id }")
    user = made["user"]["id"]
    await crm.done("userUpdate", input={"id": user, "title": "a"}, expectedVersion=1)
    stale = await crm.change(
        "userUpdate", input={"id": user, "title": "b"}, expectedVersion=1, select="user { id }"
    )
    assert [e["code"] for e in stale["userErrors"]] == ["STALE_VERSION"]
    assert (await crm.data("query($id: ID!) { user(id: $id) { title version } }", id=user))["user"] == {
        "title": "a",
        "version": 2,
    }


async def test_an_idempotency_key_performs_once(crm: Kit) -> None:
    given = {"login": "once", "name": "一"}
    first = await crm.done("userCreate", input=given, idempotencyKey="k1", select="user { id } replayed")
    again = await crm.done("userCreate", input=given, idempotencyKey="k1", select="user { id } replayed")
    assert again == {**first, "replayed": True}
    other = await crm.change("userCreate", input={**given, "name": "二"}, idempotencyKey="k1")
    assert [e["code"] for e in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_a_dry_run_shows_what_would_be_and_leaves_nothing(crm: Kit) -> None:
    shown = await crm.done(
        "userCreate", input={"login": "dry", "name": "试"}, dryRun=True, select="user { id name }"
    )
    assert shown["user"]["name"] == "试"
    assert (await crm.data('{ users(where: {name: {eq: "试"}}) { totalCount } }'))["users"]["totalCount"] == 0


async def test_every_change_is_audited_and_announced(crm: Kit) -> None:
    await crm.done("userCreate", input={"login": "w", "name": "王"}, reason="new colleague")
    entries = await crm.data(
        '{ auditEntries(where: {kind: {eq: "user.create"}}) { nodes { reason actorName changes } } }'
    )
    latest = entries["auditEntries"]["nodes"][0] if entries["auditEntries"]["nodes"] else None
    assert latest is not None
    assert latest["reason"] == "new colleague"


async def test_lists_take_a_fixed_number_of_statements(crm: Kit) -> None:
    for n in range(6):
        await crm.actor(f"u{n}", {})
    document = "{ users { nodes { id name teams { name } grants { role { name } } } totalCount } }"
    for compiled, count in ((True, 1), (False, 5)):
        with crm.statements() as sent:
            await crm.data(document, compiled=compiled)
        assert len(sent) == count, sent

"""What stands beside /graphql: health, metrics, the page for people."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from crm_core.app import create_app, keyring_of
from crm_core.errors import ConfigurationError
from crm_core.graphql.page import ASSETS
from crm_core.settings import Settings
from crm_core.testing.kit import INDEX_KEY, KEYS
from tests.serving.conftest import Web

HTML = {"accept": "text/html,application/xhtml+xml"}


async def test_the_process_is_alive_and_ready(web: Web) -> None:
    assert (await web.client.get("/livez")).text == "ok\n"
    ready = await web.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "quarantined": {}})


async def test_metrics_count_requests_errors_and_statements(web: Web) -> None:
    def number(text: str, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    names = (
        'crm_requests_total{operation="query",status="200"}',
        'crm_errors_total{code="GRAPHQL_PARSE_FAILED"}',
        "crm_statements_total",
    )
    before = (await web.client.get("/metrics")).text
    await web.ask("{ businessLines { nodes { code } } }")
    await web.ask("{")
    after = await web.client.get("/metrics")
    assert after.headers["content-type"].startswith("text/plain")
    assert [number(after.text, n) - number(before, n) for n in names[:2]] == [1, 1]
    assert number(after.text, names[2]) > number(before, names[2])


async def test_a_browser_gets_a_page_that_loads_nothing_from_elsewhere(web: Web) -> None:
    page = await web.client.get("/graphql", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page.text)
    for control in ("token", "line"):
        assert f'id="{control}"' in page.text


@pytest.mark.parametrize("installed", [True, False])
async def test_the_page_is_graphiql_where_its_files_are_and_a_plain_one_where_not(
    tmp_path: Path,
    installed: bool,  # noqa: FBT001  # given by pytest
) -> None:
    for name in ASSETS if installed else ():
        (tmp_path / name).write_text(f"/* {name} */")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/crm.db",
        keys=KEYS,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=INDEX_KEY,  # type: ignore[arg-type]
        graphiql_assets=tmp_path,
    )
    app = create_app(settings, candidates=())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crm") as client:
        page = (await client.get("/graphql", headers=HTML)).text
        asset = await client.get("/graphql/assets/graphiql.min.js")
    assert ("React.createElement(GraphiQL" in page) is installed
    assert ('id="query"' in page) is not installed
    assert asset.status_code == (200 if installed else 404)


async def test_files_beside_the_assets_are_not_served(tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    folder.mkdir()
    (tmp_path / "crm.toml").write_text("secret")
    for name in ASSETS:
        (folder / name).write_text("")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/crm.db",
        keys=KEYS,  # type: ignore[arg-type]  # pydantic makes the secret
        index_key=INDEX_KEY,  # type: ignore[arg-type]
        graphiql_assets=folder,
    )
    app = create_app(settings, candidates=())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crm") as client:
        answer = await client.get("/graphql/assets/%2e%2e/crm.toml")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("keys", "index_key"),
    [("", ""), (KEYS, ""), ("nonsense", INDEX_KEY), (KEYS, "c2hvcnQ=")],
    ids=["none", "no index key", "no keys", "short index key"],
)
def test_wrong_or_missing_keys_are_named(keys: str, index_key: str) -> None:
    settings = Settings(keys=keys, index_key=index_key)  # type: ignore[arg-type]  # pydantic makes the secrets
    with pytest.raises(ConfigurationError, match="keys"):
        keyring_of(settings)

"""Behind a pooler that gives its connections to somebody else after each transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import make_url, text

from crm_core.db.session import open_database
from crm_core.testing.kit import Kit
from tests.db.pooler import pooling

READ = "query ($n: Int!) { customers(first: $n) { nodes { name lines { line } } totalCount } }"
WRITE = """mutation ($n: String!) { customerCreate(line: "east", input: {name: $n, kind: PERSON}) {
  customer { name } userErrors { code } } }"""


@pytest.mark.parametrize("crm_dialect", ["postgresql"])
async def test_every_transaction_may_get_another_server(crm: Kit) -> None:
    settings = crm.services.settings
    async with pooling(make_url(settings.database_url)) as (pooler, url):
        pooled = settings.model_copy(
            update={
                "database_url": url.render_as_string(hide_password=False),
                "database_pooler": "transaction",
            }
        )
        database = open_database(pooled)
        behind = Kit(
            replace(crm.services, settings=pooled, database=database),
            crm.schema,
            crm.clock,
            crm.administrator,
        )
        try:

            async def client(number: int) -> None:
                for turn in range(4):
                    name = f"{number}/{turn}"
                    made = await behind.data(WRITE, n=name)
                    assert made["customerCreate"] == {"customer": {"name": name}, "userErrors": []}
                    found = await behind.data(READ, compiled=True, n=1 + turn)
                    assert len(found["customers"]["nodes"]) == min(1 + turn, found["customers"]["totalCount"])
                    interpreted = await behind.data(READ, compiled=False, n=1)
                    assert len(interpreted["customers"]["nodes"]) == 1

            await asyncio.gather(*(client(number) for number in range(6)))
            zone = await database.fetch(text("SELECT current_setting('timezone')"))
        finally:
            await database.dispose()
    assert zone[0][0] == "UTC"
    assert pooler.refused == []
    assert pooler.transactions > 24
    assert (await crm.data("{ customers { totalCount } }"))["customers"]["totalCount"] == 24

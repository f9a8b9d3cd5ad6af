"""The PostgreSQL server of the test kit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from crm_core.testing import postgres


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ask(url: str, statement: str) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(statement))).scalar()
    finally:
        await engine.dispose()


async def test_a_database_is_copied_from_a_template_and_dropped(
    postgres_server: postgres.Server, tmp_path: Path
) -> None:
    name = tmp_path.name.replace("-", "_")
    connection = await asyncpg.connect(postgres_server.create_database(name).replace("+asyncpg", ""))
    await connection.execute("CREATE TABLE 客户 AS SELECT '华信' AS name")
    await connection.close()
    copy = postgres_server.create_database(f"{name}_copy", template=name)
    assert await ask(copy, "SELECT name FROM 客户") == "华信"
    for each in (name, f"{name}_copy"):
        postgres_server.drop_database(each)
    with pytest.raises(DBAPIError, match="does not exist"):
        await ask(copy, "SELECT 1")


async def test_the_embedded_server_starts_and_leaves_nothing_behind() -> None:
    with postgres.start({"CRM_TEST_POSTGRES_KIND": "embedded"}) as server:
        assert server.kind == "embedded"
        assert server.folder is not None
        assert await ask(server.url("postgres"), "SELECT 1") == 1
        assert await ask(server.url("postgres"), "SHOW timezone") == "Asia/Shanghai"
    assert not Path(server.folder).exists()


def test_a_given_server_is_used_as_it_is_and_never_stopped() -> None:
    given = postgres.start({"CRM_TEST_POSTGRES": "postgresql://crm:s%40fe@db.example:5433/postgres"})
    assert given.kind == "given"
    assert given.url("test_1") == "postgresql+asyncpg://crm:s%40fe@db.example:5433/test_1"
    given.stop()


def test_an_unknown_kind_is_an_error_and_not_a_skip() -> None:
    with pytest.raises(postgres.PostgresUnavailableError, match="known: system, embedded"):
        postgres.start({"CRM_TEST_POSTGRES_KIND": "none"})


def test_a_server_ends_when_its_owner_was_killed() -> None:
    script = "import os; from crm_core.testing import postgres; print(postgres.start().folder, flush=True); os.abort()"
    kept = {name: value for name, value in os.environ.items() if name != "CRM_TEST_POSTGRES"}
    killed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=kept
    )
    folder = Path(killed.stdout.strip())
    assert folder.name.startswith("crm-postgres-")
    deadline = time.monotonic() + postgres.PATIENCE
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()

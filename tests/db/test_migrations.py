"""Migrations: from nothing to the head on both databases, one line of revisions per distribution, one process at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from crm_core import ids, migrate
from crm_core.db.session import Database, open_database
from crm_core.errors import ConfigurationError
from crm_core.loader import Candidate, installed, load
from crm_core.registry import Registry
from crm_core.settings import LineSettings, Settings
from crm_core.testing.postgres import Server
from tests.graphql.shelf import SHELF
from tests.loader.made import candidate, module

HEAD = '''"""A revision of a test."""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a deployment whose database is empty."""
    return Settings(database_url=_empty(request, tmp_path), lines={"east": LineSettings(plugins=["shelf"])})


def _empty(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'crm.db'}"
    server: Server = request.getfixturevalue("postgres_server")
    return server.create_database(f"migrated_{ids.uuid7().hex}")


def loaded(settings: Settings, *plugins: Candidate, broken: Mapping[str, str] | None = None) -> Registry:
    return load(settings, plugins, broken)


def revisions(folder: Path, *bodies: tuple[str, str]) -> Path:
    """A folder of revisions: what each does, and what undoes it."""
    folder.mkdir(exist_ok=True)
    before = None
    for number, (up, down) in enumerate(bodies, 1):
        revision = f"memo_{number:04}"
        content = HEAD.format(revision=revision, before=before, upgrade=up, downgrade=down)
        (folder / f"{number:02}.py").write_text(content, "utf-8")
        before = revision
    return folder


def memo(folder: Path) -> Candidate:
    return candidate("memo", module(crm_migrations=lambda: folder))


def with_memo(settings: Settings) -> Settings:
    return settings.model_copy(update={"lines": {"east": LineSettings(plugins=["memo"])}})


async def opened(settings: Settings, question: Any) -> Any:
    """The answer of the database to a question on a connection."""
    database = open_database(settings)
    try:
        async with database.connection() as connection:
            return await connection.run_sync(question)
    finally:
        await database.dispose()


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def lacking(settings: Settings, registry: Registry) -> dict[str, str]:
    database: Database = open_database(settings)
    try:
        return await migrate.behind(database, registry)
    finally:
        await database.dispose()


async def test_from_nothing_to_the_head_the_models_and_the_database_agree(settings: Settings) -> None:
    registry = loaded(settings, SHELF)
    assert set(await lacking(settings, registry)) == {"core", "shelf"}
    report = await migrate.upgrade(settings, registry)
    assert report.failed == {}
    assert set(report.at) == {"core", "shelf"}
    assert await lacking(settings, registry) == {}
    assert await migrate.drift(settings, registry) == {}


async def test_every_installed_plugin_migrates_without_drift(settings: Settings) -> None:
    found = installed()
    settings = settings.model_copy(update={"lines": {"east": LineSettings(plugins=[c.name for c in found])}})
    registry = load(settings, found)
    report = await migrate.upgrade(settings, registry)
    assert report.failed == {}
    assert await migrate.drift(settings, registry) == {}


async def test_migrating_again_changes_nothing(settings: Settings) -> None:
    registry = loaded(settings, SHELF)
    first = await migrate.upgrade(settings, registry)
    assert await migrate.upgrade(settings, registry) == first


async def test_the_core_stands_alone_when_a_plugin_is_gone_and_its_tables_stay(settings: Settings) -> None:
    await migrate.upgrade(settings, loaded(settings, SHELF))
    alone = settings.model_copy(update={"lines": {"east": LineSettings()}})
    registry = loaded(alone)
    assert await lacking(alone, registry) == {}
    assert await migrate.drift(alone, registry) == {}
    await migrate.upgrade(alone, registry)
    assert {"shelf_items", "crm_shelf_version", "users"} <= await opened(alone, tables)


async def test_each_distribution_has_its_own_version_table(settings: Settings) -> None:
    await migrate.upgrade(settings, loaded(settings, SHELF))

    def versions(connection: Connection) -> dict[str, int]:
        found = [sa.table(name) for name in tables(connection) if name.endswith("_version")]
        return {
            t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in found
        }

    assert await opened(settings, versions) == {"crm_core_version": 1, "crm_shelf_version": 1}


async def test_down_and_up_again_gives_the_same_database(settings: Settings) -> None:
    registry = loaded(settings, SHELF)
    await migrate.upgrade(settings, registry)
    before = await opened(settings, tables)
    for line in reversed(registry.migrations):
        await _downgraded(
            settings,
            line.folder,
            line.version_table,
            frozenset(t.__tablename__ for t in registry.tables[line.owner]),
        )
    left = {t for t in await opened(settings, tables) if not t.endswith("_version")}
    assert left == set(), "a downgrade leaves nothing of its revision"
    await migrate.upgrade(settings, registry)
    assert await opened(settings, tables) == before
    assert await migrate.drift(settings, registry) == {}


async def _downgraded(settings: Settings, folder: Path, version_table: str, ours: frozenset[str]) -> None:
    def down(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(migrate.ENVIRONMENT))
        config.set_main_option("version_locations", str(folder))
        config.set_main_option("path_separator", "newline")
        config.attributes.update(connection=connection, version_table=version_table, tables=ours)
        command.downgrade(config, "base")

    engine = migrate._engine(settings)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(down)
            await connection.commit()
    finally:
        await engine.dispose()


SCRIPT = """
import asyncio, sys
from crm_core import migrate
from crm_core.loader import load
from crm_core.settings import LineSettings, Settings
settings = Settings(database_url=sys.argv[1], lines={"east": LineSettings()})
asyncio.run(migrate.upgrade(settings, load(settings, ())))
print("done")
"""


async def test_two_processes_that_migrate_at_once_take_turns(settings: Settings) -> None:
    async def other() -> tuple[int | None, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, settings.database_url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, problems = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode, out, problems

    for code, out, problems in await asyncio.gather(other(), other()):
        assert (code, out) == (0, b"done\n"), problems.decode()[-2000:]
    alone = settings.model_copy(update={"lines": {"east": LineSettings()}})
    assert await lacking(alone, loaded(alone)) == {}


async def test_two_tasks_of_one_process_that_migrate_at_once_take_turns(settings: Settings) -> None:
    registry = loaded(settings, SHELF)
    reports = await asyncio.wait_for(
        asyncio.gather(*(migrate.upgrade(settings, registry) for _ in range(3))), 60
    )
    assert all(report == reports[0] for report in reports)


CREATE = "op.create_table('memo_a', sa.Column('id', sa.Integer(), primary_key=True)); op.execute('INSERT INTO memo_a VALUES (1)')"
CHILD = (
    "op.create_table('memo_b', sa.Column('id', sa.Integer(), primary_key=True), "
    "sa.Column('a_id', sa.Integer(), sa.ForeignKey('memo_a.id', ondelete='CASCADE'))); "
    "op.execute('INSERT INTO memo_b VALUES (1, 1)')"
)
REBUILD = "with op.batch_alter_table('memo_a', recreate='always') as b: b.add_column(sa.Column('more', sa.Integer()))"
DANGLE = "op.execute('UPDATE memo_b SET a_id = 99')"
only_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@only_sqlite
async def test_a_rebuilt_table_does_not_take_its_children_with_it(settings: Settings, tmp_path: Path) -> None:
    folder = revisions(tmp_path / "memo", (CREATE, "pass"), (CHILD, "pass"), (REBUILD, "pass"))
    report = await migrate.upgrade(with_memo(settings), loaded(with_memo(settings), memo(folder)))
    assert report.failed == {}
    children = await opened(settings, lambda c: c.execute(text("SELECT id, a_id FROM memo_b")).all())
    assert [tuple(child) for child in children] == [(1, 1)]


@only_sqlite
async def test_a_revision_that_breaks_a_foreign_key_is_undone_and_named(
    settings: Settings, tmp_path: Path
) -> None:
    folder = revisions(tmp_path / "memo", (CREATE, "pass"), (CHILD, "pass"), (DANGLE, "pass"))
    deployed = with_memo(settings)
    report = await migrate.upgrade(deployed, loaded(deployed, memo(folder)))
    assert "memo_0003 breaks 1 foreign key" in report.failed["memo"]
    assert "memo_b row 1" in report.failed["memo"]
    assert await opened(settings, lambda c: c.execute(text("SELECT a_id FROM memo_b")).scalar()) == 1
    assert (
        await opened(settings, lambda c: c.execute(text("SELECT version_num FROM crm_memo_version")).scalar())
        == "memo_0002"
    )


async def test_a_failing_revision_of_a_plugin_keeps_what_stood_before_it(
    settings: Settings, tmp_path: Path
) -> None:
    fails = "op.create_table('memo_c', sa.Column('id', sa.Integer())); raise ValueError('no more')"
    folder = revisions(tmp_path / "memo", (CREATE, "pass"), (fails, "pass"))
    deployed = with_memo(settings)
    report = await migrate.upgrade(deployed, loaded(deployed, memo(folder)))
    assert report.failed == {"memo": "ValueError: no more"}
    assert set(report.at) == {"core"}
    found = await opened(settings, tables)
    assert "memo_a" in found
    assert "memo_c" not in found
    database = open_database(deployed)
    try:
        noted = await migrate.failures(database)
        assert noted == report.failed
        quarantined = loaded(deployed, memo(folder), broken=noted)
        assert quarantined.quarantined_in("east") is not None
        assert await migrate.behind(database, quarantined) == {}
    finally:
        await database.dispose()


async def test_a_folder_that_is_not_there_is_the_plugins_failure(settings: Settings, tmp_path: Path) -> None:
    deployed = with_memo(settings)
    report = await migrate.upgrade(deployed, loaded(deployed, memo(tmp_path / "nowhere")))
    assert set(report.failed) == {"memo"}


async def test_what_lacks_a_revision_is_behind(settings: Settings, tmp_path: Path) -> None:
    deployed = with_memo(settings)
    folder = revisions(tmp_path / "memo", (CREATE, "pass"))
    await migrate.upgrade(deployed, loaded(deployed, memo(folder)))
    assert await lacking(deployed, loaded(deployed, memo(folder))) == {}
    revisions(folder, (CREATE, "pass"), (CHILD, "pass"))
    assert await lacking(deployed, loaded(deployed, memo(folder))) == {
        "memo": "at memo_0001, needs memo_0002"
    }
    (folder / "03.py").write_text("syntax error")
    assert "cannot be read" in (await lacking(deployed, loaded(deployed, memo(folder))))["memo"]


async def test_lines_roles_and_settings_are_brought_in_step(settings: Settings) -> None:
    registry = loaded(settings, SHELF)
    await migrate.upgrade(settings, registry)
    more = settings.model_copy(update={"lines": {"east": LineSettings(name="东"), "west": LineSettings()}})
    await migrate.upgrade(more, loaded(more))
    lines = await opened(
        more, lambda c: c.execute(text("SELECT code, name FROM business_lines ORDER BY code")).all()
    )
    assert [tuple(line) for line in lines] == [("east", "东"), ("west", "west")]


async def test_an_unmigrated_database_has_no_failures_to_tell(settings: Settings) -> None:
    database = open_database(settings)
    try:
        assert await migrate.failures(database) == {}
    finally:
        await database.dispose()
    assert issubclass(migrate.Behind, ConfigurationError)

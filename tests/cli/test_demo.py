"""The demo company: made once, the same again, and only its own file touched."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from crm_core.demo import prepare


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_demo_company_is_made_once_and_waits_for_a_signature(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    environ = {"CRM_DATABASE_URL": "sqlite:////nowhere/real.db", "CRM_PORT": "8123"}
    made = await prepare(folder, environ, candidates=(), customers=20)
    again = await prepare(folder, environ, candidates=(), customers=20)
    assert again.token == made.token
    assert made.settings.port == 8123
    assert made.settings.database_url == f"sqlite:///{folder.absolute()}/demo.db"
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "crm.toml").stat().st_mode) == 0o600
    with sqlite3.connect(folder / "demo.db") as database:
        counts = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # our own names
            for table in ("customers", "customer_lines", "interactions", "tasks", "contacts")
        }
        waiting = database.execute("SELECT kind, state FROM approvals").fetchall()
        audited = database.execute(
            "SELECT count(*) FROM audit_entries WHERE kind = 'customer.create'"
        ).fetchone()[0]
    assert counts["customers"] == counts["customer_lines"] == audited == 60
    assert min(counts.values()) > 0
    assert waiting == [("customer.move_stage", "PENDING")]


async def test_a_half_made_company_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "demo.db.new").write_text("half made")
    made = await prepare(tmp_path, {}, candidates=(), customers=4)
    assert made.token.startswith("crm_")
    assert not (tmp_path / "demo.db.new").exists()

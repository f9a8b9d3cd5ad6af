"""Stored documents are checked when they are stored, when a process starts, and before an upgrade."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from crm_core.cli import run
from crm_core.schema import sdl
from crm_core.testing.kit import INDEX_KEY, KEYS
from crm_core.webhooks.documents import unfit_documents
from crm_core.webhooks.models import WebhookEndpoint
from crm_core.webhooks.sending import Sender
from tests.webhooks.conftest import Post


async def with_unfit_document(post: Post) -> str:
    made = await post.endpoint(document="query($subject: ID!) { customer(id: $subject) { name } }")
    async with post.crm.database.transaction() as session:
        await session.execute(update(WebhookEndpoint.__table__).values(document="{ nothingOfTheKind }"))
    return made


async def test_a_process_tells_at_its_start_which_documents_fit_no_more(
    post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await with_unfit_document(post)
    stop = asyncio.Event()
    stop.set()
    async with Sender(post.crm.services) as sender:
        await sender.run(stop)
    told = capsys.readouterr().err
    assert made in told
    assert "nothingOfTheKind" in told


async def test_a_fitting_document_of_an_endpoint_in_use_is_no_trouble(post: Post) -> None:
    await post.endpoint(document="query($subject: ID!) { customer(id: $subject) { name } }")
    services = post.crm.services
    assert not await unfit_documents(services.registry, services.settings.limits, services.database)


@pytest.mark.parametrize("crm_dialect", ["sqlite"])
async def test_a_check_before_an_upgrade_names_documents_the_new_schema_does_not_answer(
    post: Post, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await with_unfit_document(post)
    services = post.crm.services
    config, earlier = tmp_path / "crm.toml", tmp_path / "earlier.graphql"
    config.write_text(
        f'database_url = "{services.settings.database_url}"\nkeys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n'
        "[lines.east]\nplugins = []\n[lines.west]\nplugins = []\n"
    )
    earlier.write_text(sdl(services.registry))
    words = ["--config", str(config), "schema", "check", "--configured", "--against", str(earlier)]
    assert await asyncio.to_thread(run, words) == 1
    assert f"breaking {made}" in capsys.readouterr().out

"""`crm notices` as an operator uses it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crm_core.cli import run
from crm_core.testing.kit import INDEX_KEY, KEYS
from tests.notices.sinks import MailSink, mail_sink


@contextmanager
def elsewhere() -> Iterator[MailSink]:
    """A mail server in a thread of its own."""
    ready, sinks, loop = threading.Event(), [], asyncio.new_event_loop()

    async def serve() -> None:
        async with mail_sink() as sink:
            sinks.append(sink)
            ready.set()
            await over.wait()

    over = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(5)
    try:
        yield sinks[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, MailSink]]:
    """Settings of a migrated deployment with one user, and its mail server."""
    folder = tmp_path_factory.mktemp("deployment")
    file = folder / "crm.toml"
    with elsewhere() as sink:
        file.write_text(
            f'database_url = "sqlite:///{folder}/crm.db"\nstore = "{folder}/store"\n'
            f'keys = "{KEYS}"\nindex_key = "{INDEX_KEY}"\n[lines.east]\n'
            f'[notices]\nsmtp_host = "127.0.0.1"\nsmtp_port = {sink.port}\nsmtp_security = "none"\n'
            'smtp_sender = "crm@example.com"\n',
            encoding="utf-8",
        )
        assert run(["--config", str(file), "db", "upgrade"]) == 0
        assert run(["--config", str(file), "users", "create", "alice@example.com", "--name", "Alice"]) == 0
        yield file, sink


def test_sending_when_nothing_is_due_says_so(
    deployed: tuple[Path, MailSink], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", str(deployed[0]), "notices", "send"]) == 0
    assert "Tried 0" in capsys.readouterr().out


def test_a_test_notice_needs_a_user_a_channel_and_an_address(
    deployed: tuple[Path, MailSink], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code, words in (
        (["nobody", "mail"], 2, "No user nobody"),
        (["alice@example.com", "pigeon"], 2, "there are bot, mail"),
        (["alice@example.com", "mail"], 1, "has no address"),
    ):
        assert run(["--config", str(deployed[0]), "notices", "test", *arguments]) == code
        assert words in " ".join(capsys.readouterr().err.split())


def test_a_test_notice_is_sent_at_once_or_the_reason_is_said(
    deployed: tuple[Path, MailSink], capsys: pytest.CaptureFixture[str]
) -> None:
    file, sink = deployed
    _set_email(file.parent / "crm.db")
    again = ["--config", str(file), "notices", "test", "alice@example.com", "mail"]
    assert run(again) == 0
    assert "Sent to alice@example.com" in capsys.readouterr().out
    assert sink.mails[0]["Subject"] == "测试通知"
    sink.answers = ["550 no such mailbox"]
    assert run(again) == 1
    assert "550 no such mailbox" in capsys.readouterr().err


def _set_email(database: Path) -> None:

    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE users SET email = login")
    connection.close()

"""What a server tells of its requests: one line of log, counters; and how it spares itself when all is in place."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from crm_core.app import COLLECTED_AFTER, create_app
from crm_core.graphql.serving import Served
from crm_core.logs import library_config, logger
from crm_core.metrics import MOST_REASONS, Metrics
from tests.serving.conftest import Web


def logged(**fields: Any) -> dict[str, Any]:
    stream = io.StringIO()
    logger("info", stream).info("request", **fields)
    assert stream.getvalue().count("\n") == 1
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def test_an_event_is_one_line_of_json_with_its_level_and_time() -> None:
    line = logged(operation="query", codes=["A"], actor=None, milliseconds=1.5)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {
        "event": "request",
        "level": "info",
        "operation": "query",
        "codes": ["A"],
        "actor": None,
        "milliseconds": 1.5,
    }


def test_text_in_any_language_is_written_as_it_is() -> None:
    stream = io.StringIO()
    logger("info", stream).info("华信\nline two")
    assert "华信\\nline two" in stream.getvalue()


def test_values_json_has_no_form_for_do_not_break_the_log() -> None:
    line = logged(big=2**70, reason="\ud800", thing=object, key=UUID(int=1), keyed={1: "one"})
    assert line["big"] == 2**70
    assert "class" in line["thing"]
    assert logged(key=UUID(int=1))["key"] == str(UUID(int=1))


def test_an_error_is_logged_with_its_traceback_but_without_the_values_at_hand() -> None:
    stream, token = io.StringIO(), "secret-" + "token"
    try:
        raise ValueError("gone", len(token))
    except ValueError as error:
        logger("info", stream).error("INTERNAL", exc_info=error)
    logged = json.loads(stream.getvalue())["exception"][0]
    assert (logged["exc_type"], logged["frames"][0]["name"][:7]) == ("ValueError", "test_an")
    assert token not in stream.getvalue()


def test_libraries_log_no_values_at_hand_either() -> None:
    formatters: Any = library_config("info")["formatters"]
    arguments, token = dict(formatters["json"]), "secret-" + "token"
    formatter = arguments.pop("()")(**arguments)
    try:
        raise ValueError(len(token))
    except ValueError:
        record = logging.LogRecord("library", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    line = formatter.format(record)
    assert json.loads(line)["exception"][0]["exc_type"] == "ValueError"
    assert token not in line


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    log = logger("warning", stream)
    log.info("request")
    log.warning("slow")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["slow"]


def test_a_log_to_a_file_is_there_at_once(tmp_path: Any) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        logger("info", stream).info("request")
        assert json.loads((tmp_path / "log").read_text("utf-8"))["event"] == "request"


def test_requests_are_counted_by_operation_status_and_code() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.served(Served("query", 200, 0.01, ("NOT_FOUND",)))
    metrics.served(Served("query", 503, 0.01, ()))
    text = metrics.text().decode()
    for line in (
        'crm_requests_total{operation="query",status="200"} 2.0',
        'crm_requests_total{operation="query",status="503"} 1.0',
        'crm_request_seconds_count{operation="query"} 3.0',
        'crm_errors_total{code="NOT_FOUND"} 2.0',
    ):
        assert line in text


def test_reads_are_counted_by_path_and_reason() -> None:
    metrics = Metrics()
    metrics.read("compiled")
    metrics.read("compiled")
    metrics.read("interpreted", "introspection")
    text = metrics.text().decode()
    assert 'crm_reads_total{path="compiled",reason=""} 2.0' in text
    assert 'crm_reads_total{path="interpreted",reason="introspection"} 1.0' in text


def test_reasons_never_flood_the_metrics() -> None:
    metrics = Metrics()
    for number in range(MOST_REASONS * 3):
        metrics.read("interpreted", f"reason-{number}")
    text = metrics.text().decode()
    assert text.count("crm_reads_total{") == MOST_REASONS + 1
    assert f'reason="other"}} {MOST_REASONS * 2}.0' in text


async def test_a_process_is_tuned_once_when_everything_is_put_together(web: Web) -> None:
    settled: list[str] = []
    app = create_app(web.services.settings, candidates=(), settled=lambda: settled.append("settled"))
    assert settled == []
    async with app.router.lifespan_context(app):
        await app.state.house.server()
        assert settled == ["settled"]


def test_the_collector_leaves_alone_what_a_server_starts_with() -> None:
    """In a process of its own: it is tuned for good."""
    words = "import gc; from crm_core.app import spare_the_collector as spare; spare(); "
    shown = "print(gc.get_threshold(), gc.get_freeze_count() > 50_000)"
    done = subprocess.run([sys.executable, "-c", words + shown], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{COLLECTED_AFTER} True"

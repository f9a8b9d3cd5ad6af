"""Receipts from files and from billing's requests: read whatever the spelling, in portions, going on after a crash."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import orjson
import pytest
from openpyxl import Workbook
from starlette.applications import Starlette
from starlette.routing import Route

from crm_core import ids, papers
from crm_core.audit.models import AuditEntry
from crm_core.incoming.models import IncomingRequest, IncomingSource
from crm_core.incoming.processing import work_off as work_off_requests
from crm_core.incoming_http import HOOKS_ROUTE, incoming_hooks
from crm_core.jobs.models import QueuedJob
from crm_core.jobs.running import work_off
from crm_core.logs import logger
from crm_core.outbox.models import OutboxEvent
from crm_core.work import Services
from crm_telecom_elite.receipts.commands import READING_JOB
from crm_telecom_elite.receipts.models import EliteReceipt, EliteReceiptBatch
from crm_telecom_elite.receipts.testing import BATCH, codes, receipt, record, user
from crm_telecom_elite.settings import TelecomEliteSettings
from crm_telecom_elite.testing import PLUGIN, Branch

HEADER = ("流水号", "用户号码", "账期", "收款日期", "金额", "冲正流水号")
TOKEN = "a-token-of-sixteen-or-more"


def as_csv(rows: Sequence[Sequence[str]], encoding: str = "utf-8", header: Sequence[str] = HEADER) -> bytes:
    """A file of these rows."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode(encoding)


async def handed_in(branch: Branch, content: bytes, **more: Any) -> dict[str, Any]:
    """The payload of handing in a file that was uploaded."""
    paper = papers.keep(branch.crm.services.store, content, branch.crm.clock())
    given = {"title": "十月实收", "mediaType": "text/csv", "path": paper.path, **more}
    return await branch.crm.change("eliteReceiptsImport", branch.finance, input=given, select=BATCH)


async def imported(branch: Branch, content: bytes, **more: Any) -> dict[str, Any]:
    """The batch after the job has read the file."""
    payload = await handed_in(branch, content, **more)
    assert payload["userErrors"] == [], payload["userErrors"]
    await work_off(branch.crm.services)
    return await batch_of(branch, payload["eliteReceiptBatch"]["id"])


async def batch_of(branch: Branch, key: str) -> dict[str, Any]:
    asked = f"query($id: ID!) {{ {BATCH.replace('eliteReceiptBatch', 'eliteReceiptBatch(id: $id)')} }}"
    found: dict[str, Any] = (await branch.crm.data(asked, branch.finance, id=key))["eliteReceiptBatch"]
    return found


def portions(branch: Branch, rows: int, problems: int = 100) -> None:
    """Read files in portions of so many rows."""
    registry = branch.crm.services.registry
    settings = TelecomEliteSettings(receipt_rows=rows, most_problems=problems)
    changed = replace(registry, settings={**registry.settings, PLUGIN: settings})
    branch.crm.services = replace(branch.crm.services, registry=changed)


# -- files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_a_file_is_recorded_whatever_its_encoding(branch: Branch, encoding: str) -> None:
    one = await user(branch, await branch.member())
    rows = [
        ("F1", one["number"], "2025-10", "2025-11-01", "88.80", ""),
        ("F2", one["number"], "202511", "2025/11/2", "¥1,200.05", ""),
        ("F3", one["number"], "2025年10月", "2025年11月3日", "-8.8", "F1"),
        ("合计", "", "", "", "1280.05", ""),
    ]
    batch = await imported(branch, as_csv(rows, encoding))
    assert (batch["source"], batch["state"], batch["problems"]) == ("FILE", "DONE", [])
    assert (batch["rows"], batch["recorded"], batch["refused"], batch["amount"]) == (3, 3, 0, "1280.05")
    found = {row.number: row for row in await branch.crm.rows(EliteReceipt)}
    assert [(found[n].bill_month, found[n].received_on.isoformat(), found[n].amount) for n in ("F1", "F2", "F3")] == [
        ("2025-10", "2025-11-01", 8880), ("2025-11", "2025-11-02", 120005), ("2025-10", "2025-11-03", -880),
    ]  # fmt: skip


async def test_a_workbook_is_recorded_with_english_headers_in_any_order(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    book, out = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(["amount", "receivedOn", "bill month", "user_number", "number"])
    sheet.append([88.8, "2025-11-01", "2025-10", one["number"], 1001])
    book.save(out)
    batch = await imported(branch, out.getvalue())
    assert (batch["recorded"], batch["amount"]) == (1, "88.80")
    (row,) = await branch.crm.rows(EliteReceipt)
    assert row.number == "1001"


async def test_wrong_rows_are_refused_one_by_one_and_the_others_recorded(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    number = one["number"]
    rows = [
        ("", number, "2025-10", "2025-11-01", "1.00", ""),
        ("W2", "nobody", "2025-10", "2025-11-01", "1.00", ""),
        ("W3", number, "2025-13", "2025-11-01", "1.00", ""),
        ("W4", number, "2025-10", "2025-11-31", "1.00", ""),
        ("W5", number, "2025-10", "2025-11-01", "1.005", ""),
        ("W6", number, "2025-10", "2025-11-01", "viel", ""),
        ("W7", number, "2025-10", "2025-11-01", "1.00", "nothing"),
        ("OK", number, "2025-10", "2025-11-01", "1.00", ""),
    ]
    batch = await imported(branch, as_csv(rows))
    assert (batch["state"], batch["rows"], batch["recorded"], batch["refused"]) == ("DONE", 8, 1, 7)
    wrong, unknown = "TELECOM_ELITE_RECEIPT_CELL_WRONG", "TELECOM_ELITE_RECEIPT_USER_UNKNOWN"
    assert [(p["row"], p["code"]) for p in batch["problems"]] == [
        (2, wrong), (3, unknown), (4, wrong), (5, wrong), (6, wrong), (7, wrong),
        (8, "TELECOM_ELITE_CORRECTED_UNKNOWN"),
    ]  # fmt: skip
    month = batch["problems"][2]
    assert month["zh"] == "账期：2025-13 不是有效的月份（如 2025-11）。"
    assert month["en"] == "账期: 2025-13 cannot be read as a month such as 2025-11."


async def test_no_more_problems_are_kept_than_the_settings_say(branch: Branch) -> None:
    portions(branch, 10, problems=3)
    rows = [(f"N{n}", "nobody", "2025-10", "2025-11-01", "1.00", "") for n in range(25)]
    batch = await imported(branch, as_csv(rows))
    assert (batch["refused"], [p["row"] for p in batch["problems"]]) == (25, [2, 3, 4])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (as_csv([("1", "2", "3")], header=("流水号", "用户号码", "账期")), "收款日期 (received_on)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", "old Excel workbook"),
        (as_csv([]), "no rows"),
    ],
)
async def test_a_file_that_cannot_be_read_fails_as_a_whole(branch: Branch, content: bytes, said: str) -> None:
    batch = await imported(branch, content)
    assert (batch["state"], batch["recorded"]) == ("FAILED", 0)
    assert said in " ".join(p["en"] for p in batch["problems"])
    kinds = [e.kind for e in await branch.crm.rows(OutboxEvent) if e.kind.startswith("elite_receipts")]
    assert kinds == ["elite_receipts.handed_in", "elite_receipts.import_failed"]
    (job,) = await branch.crm.rows(QueuedJob)
    assert job.state == "DEAD"


async def test_a_paper_that_is_not_there_is_refused_at_once(branch: Branch) -> None:
    given = {"title": "x", "mediaType": "text/csv", "path": f"papers/ab/ab{'0' * 62}"}
    refused = await branch.crm.change("eliteReceiptsImport", branch.finance, input=given)
    assert codes(refused) == [("PAPER_UNREADABLE", "path")]


async def test_a_file_is_read_in_portions_each_told_and_audited(branch: Branch) -> None:
    portions(branch, 10)
    one = await user(branch, await branch.member())
    rows = [(f"P{n}", one["number"], "2025-10", "2025-11-01", "1.00", "") for n in range(25)]
    batch = await imported(branch, as_csv(rows))
    assert (batch["recorded"], batch["amount"]) == (25, "25.00")
    told = [
        e.data["recorded_now"]
        for e in await branch.crm.rows(OutboxEvent)
        if e.kind == "elite_receipts.recorded"
    ]
    assert sorted(told) == [5, 10, 10]
    read = [e.command for e in await branch.crm.rows(AuditEntry) if e.kind == "elite_receipts.read"]
    assert sorted((c["first"], c["last"]) for c in read) == [(0, 0), (1, 10), (11, 20), (21, 25)]
    (job,) = await branch.crm.rows(QueuedJob)
    assert (job.state, job.progress_done, job.progress_total) == ("DONE", 25, 25)


async def test_corrections_are_recorded_last_however_far_before_they_stand(branch: Branch) -> None:
    portions(branch, 2)
    one = await user(branch, await branch.member())
    rows = [("C0", one["number"], "2025-10", "2025-11-01", "-9.00", "C9")]
    rows += [(f"C{n}", one["number"], "2025-10", "2025-11-01", "9.00", "") for n in range(1, 10)]
    batch = await imported(branch, as_csv(rows))
    assert (batch["recorded"], batch["refused"], batch["amount"]) == (10, 0, "72.00")


class Torn(Exception):
    """The process is gone."""


def torn_after(services: Services, steps: int) -> Services:
    """Services whose reading job breaks off after so many words of progress."""
    job = services.registry.jobs[READING_JOB]

    async def run(given: Services, context: Any, about: Any) -> Any:
        tell, told = context.progress, count(1)

        async def progress(*said: Any, **more: Any) -> None:
            await tell(*said, **more)
            if next(told) > steps:
                raise Torn

        context.progress = progress
        return await job.run(given, context, about)

    jobs = {**services.registry.jobs, job.name: replace(job, run=run)}
    return replace(services, registry=replace(services.registry, jobs=jobs))


async def test_a_reading_that_was_cut_off_goes_on_and_records_nothing_twice(branch: Branch) -> None:
    portions(branch, 10)
    one = await user(branch, await branch.member())
    rows = [(f"R{n}", one["number"], "2025-10", "2025-11-01", "1.00", "") for n in range(35)]
    payload = await handed_in(branch, as_csv(rows))
    services = branch.crm.services
    await work_off(torn_after(services, 2))
    (cut,) = await branch.crm.rows(EliteReceiptBatch)
    assert (cut.state, cut.recorded) == ("READING", 10)
    branch.crm.clock.advance(minutes=5)
    await work_off(services)
    batch = await batch_of(branch, payload["eliteReceiptBatch"]["id"])
    assert (batch["state"], batch["rows"], batch["recorded"], batch["known"]) == ("DONE", 35, 35, 0)
    assert batch["amount"] == "35.00"


async def test_the_same_file_again_tries_what_was_refused_once_more(branch: Branch) -> None:
    member = await branch.member()
    one = await user(branch, member)
    content = as_csv([
        ("S1", one["number"], "2025-10", "2025-11-01", "1.00", ""),
        ("S2", "new", "2025-10", "2025-11-01", "2.00", ""),
    ])  # fmt: skip
    first = await imported(branch, content)
    assert (first["recorded"], first["refused"]) == (1, 1)
    await user(branch, member, number="new")
    second = await imported(branch, content)
    assert second["id"] == first["id"]
    assert (second["recorded"], second["known"], second["refused"], second["problems"]) == (1, 1, 0, [])


async def test_a_file_that_is_being_read_is_given_back_as_it_stands(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    content = as_csv([("T1", one["number"], "2025-10", "2025-11-01", "1.00", "")])
    first, second = await handed_in(branch, content), await handed_in(branch, content)
    assert first["eliteReceiptBatch"] == second["eliteReceiptBatch"]
    assert len(await branch.crm.rows(QueuedJob)) == 1
    other = await handed_in(branch, content + b"\n", reference=first["eliteReceiptBatch"]["reference"])
    assert codes(other) == [("TELECOM_ELITE_REFERENCE_TAKEN", "reference")]


async def test_whoever_may_no_longer_record_receipts_has_his_file_refused(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    payload = await handed_in(branch, as_csv([("T1", one["number"], "2025-10", "2025-11-01", "1.00", "")]))
    user_id = ids.show("usr", branch.finance.user_id)  # type: ignore[arg-type]  # he has an account
    await branch.crm.perform("role.revoke", {"user_id": user_id, "role": "elite_finance", "line": "elite"})
    await work_off(branch.crm.services)
    asked = "{ eliteReceiptBatches { nodes { id state recorded problems } } }"
    (batch,) = (await branch.crm.data(asked, branch.centre))["eliteReceiptBatches"]["nodes"]
    assert batch["id"] == payload["eliteReceiptBatch"]["id"]
    assert (batch["state"], batch["recorded"], batch["problems"][0]["code"]) == ("FAILED", 0, "FORBIDDEN")


# -- by HTTP


async def source(branch: Branch) -> Any:
    """A source whose requests the handler takes, acting as the finance department."""
    body = {
        "name": "billing", "verifier": "STATIC_TOKEN", "secret": {"secret": TOKEN}, "handler": "elite_receipts",
        "actorId": ids.show("usr", branch.finance.user_id),  # type: ignore[arg-type]  # he has an account
    }  # fmt: skip
    await branch.crm.done("incomingCreate", acting=branch.line, input=body)
    (row,) = await branch.crm.rows(IncomingSource)
    return row


async def sent(branch: Branch, path: str, body: Any) -> int:
    """The status of a request, which is processed after it."""

    async def services() -> Any:
        return branch.crm.services

    hooks = incoming_hooks(services, logger("error", io.StringIO()))
    app = Starlette(routes=[Route(HOOKS_ROUTE, hooks, methods=["POST"])])
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crm") as client:
        answer = await client.post(f"/hooks/{path}", content=orjson.dumps(body), headers=headers)
    await work_off_requests(branch.crm.services)
    return answer.status_code


async def test_billing_sends_receipts_and_sends_them_again(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    path = (await source(branch)).path_key
    body = {
        "reference": "2025-11-03/1",
        "receipts": [receipt(one, "12.50"), {**receipt(one, "1.00"), "userNumber": "nobody"}],
    }
    assert await sent(branch, path, body) == 202
    assert await sent(branch, path, {**body, "receipts": body["receipts"][:1]}) == 202
    (batch,) = await branch.crm.rows(EliteReceiptBatch)
    assert (batch.reference, batch.source, batch.state) == ("2025-11-03/1", "WEBHOOK", "DONE")
    assert (batch.rows, batch.recorded, batch.known, batch.refused, batch.amount) == (3, 1, 1, 1, 1250)
    assert {row.state for row in await branch.crm.rows(IncomingRequest)} == {"DONE"}


async def test_a_large_request_is_recorded_in_one_transaction(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    path = (await source(branch)).path_key
    await sent(branch, path, {"reference": "big", "receipts": [receipt(one, "1.00") for _ in range(1_200)]})
    (batch,) = await branch.crm.rows(EliteReceiptBatch)
    assert (batch.rows, batch.recorded, batch.amount) == (1_200, 1_200, 120_000)


async def test_a_request_of_another_form_is_refused_as_a_whole(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    path = (await source(branch)).path_key
    wrong = {**receipt(one, "1.00"), "billMonth": "October", "amount": "1.005"}
    assert await sent(branch, path, {"reference": "x", "receipts": [receipt(one, "1.00"), wrong]}) == 202
    (request,) = await branch.crm.rows(IncomingRequest)
    assert request.state == "FAILED"
    assert sorted((e["code"], e["field"]) for e in request.errors) == [
        ("INVALID_DECIMAL_MAX_PLACES", "receipts.1.amount"),
        ("INVALID_STRING_PATTERN_MISMATCH", "receipts.1.billMonth"),
    ]
    assert await branch.crm.rows(EliteReceipt) == []


async def test_a_reference_of_billing_is_not_added_to_by_hand(branch: Branch) -> None:
    one = await user(branch, await branch.member())
    path = (await source(branch)).path_key
    await sent(branch, path, {"reference": "theirs", "receipts": [receipt(one, "1.00")]})
    given = {"reference": "theirs", "receipts": [receipt(one, "1.00")]}
    refused = await branch.crm.change("eliteReceiptsRecord", branch.finance, input=given)
    assert codes(refused) == [("TELECOM_ELITE_REFERENCE_TAKEN", "reference")]
    assert (await record(branch, receipt(one, "2.00")))["recorded"] == 1

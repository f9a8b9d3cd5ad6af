"""Importing whole files: what is written, refused, remembered, resumed and held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.actors import Actor, Reach, system
from crm_core.audit.models import AuditEntry
from crm_core.contacts.models import Contact
from crm_core.customers.models import Customer, CustomerExternalId, CustomerLine, CustomerPhone
from crm_core.imports.mapping import Subject
from crm_core.imports.models import ImportFinding, ImportRun, OnError, UpdateBy
from crm_core.imports.request import Request, Summary
from crm_core.imports.rows import guarded, unguarded
from crm_core.imports.runner import run_import
from crm_core.interactions.models import Interaction
from crm_core.jobs.running import work_off
from crm_core.outbox.models import OutboxEvent
from crm_core.testing.kit import Kit
from tests.imports.made_up import (
    CUSTOMER_COLUMNS,
    INTERACTION_COLUMNS,
    contact_with,
    firm,
    person,
    read,
    write,
)

AS_OF = date(2025, 10, 31)
SYSTEM = system(("east", "west"))


async def bring(crm: Kit, file: Path, subject: Subject, actor: Actor = SYSTEM, **changes: Any) -> Summary:
    request = Request(subject, file, "east", AS_OF, source="old", on_error=OnError.REJECT_ROWS)
    return await run_import(crm.services, actor, replace(request, **changes))


async def customers(crm: Kit, folder: Path, rows: Sequence[Mapping[str, str]], **changes: Any) -> Summary:
    changes.setdefault("rejects", folder / "rejects.csv")
    return await bring(
        crm, write(folder / "customers.csv", CUSTOMER_COLUMNS, rows), Subject.CUSTOMERS, **changes
    )


async def interactions(crm: Kit, folder: Path, rows: Sequence[Mapping[str, str]], **changes: Any) -> Summary:
    file = write(folder / "interactions.csv", INTERACTION_COLUMNS, rows, "utf-8-sig")
    return await bring(crm, file, Subject.INTERACTIONS, **changes)


# -- customers


async def test_a_row_lands_in_customer_line_phones_and_contact(crm: Kit, tmp_path: Path) -> None:
    row = firm(1, 最近联系日期="2025年10月3日", 最近联系内容="回访", 销售顾问="admin", 备注="好")
    row |= {"手机": "139 0000 0001/138-0000-0002", "座机": "0830-3358934转801"}
    summary = await customers(crm, tmp_path, [row])
    assert (summary.tally.created, summary.tally.rejected) == (1, 0)
    customer, line = (await crm.rows(Customer))[0], (await crm.rows(CustomerLine))[0]
    assert (customer.name, customer.kind, customer.province, customer.origin) == (
        "样例1贸易有限公司", "ORGANISATION", "四川省", "IMPORT",
    )  # fmt: skip
    assert (line.grade, line.interest, line.consultant_name) == ("B", "样车 1.5", "admin")
    assert (line.first_visit_on, line.last_contact_on) == (date(2025, 3, 1), date(2025, 10, 3))
    assert (line.last_contact_text, line.owner_id) == ("回访", crm.administrator.user_id)
    phones = {p.e164: p.extension for p in await crm.rows(CustomerPhone)}
    assert phones == {"+8613900000001": None, "+8613800000002": None, "+868303358934": "801"}
    assert [c.name for c in await crm.rows(Contact)] == ["联系1"]


async def test_the_same_file_again_changes_nothing(crm: Kit, tmp_path: Path) -> None:
    rows = [person(n) for n in range(1, 6)] + [firm(9)]
    first = await customers(crm, tmp_path, rows)
    before = await _everything(crm)
    second = await customers(crm, tmp_path, rows)
    assert (first.tally.created, second.tally.created) == (6, 0)
    assert (second.tally.unchanged, second.tally.updated) == (6, 0)
    assert await _everything(crm) == before


async def _everything(crm: Kit) -> list[list[Any]]:
    events = [e for e in await crm.rows(OutboxEvent) if e.subject_type != "ImportRun"]
    tables = (Customer, CustomerLine, CustomerPhone, CustomerExternalId, Contact)
    return [events, *[sorted(await crm.rows(model)) for model in tables]]


async def test_every_customer_goes_through_the_command_with_audit_and_event(crm: Kit, tmp_path: Path) -> None:
    summary = await customers(crm, tmp_path, [person(1), person(2)])
    entries = [e for e in await crm.rows(AuditEntry) if e.kind == "customer.create"]
    assert summary.run is not None
    assert [(e.channel, e.line, e.request_id) for e in entries] == [("import", "east", summary.run.hex)] * 2
    kinds = [e.kind for e in await crm.rows(OutboxEvent)]
    assert kinds.count("customer.created") == 2
    assert kinds.count("import.finished") == 1


async def test_only_what_differs_is_written_and_blank_cells_clear_nothing(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1, 备注="老客户"), person(2)])
    again = await customers(crm, tmp_path, [person(1, 备注="", 客户级别="A", 手机="13911112222"), person(2)])
    assert (again.tally.updated, again.tally.unchanged) == (1, 1)
    customer = next(c for c in await crm.rows(Customer) if c.name == "测试1")
    assert customer.remark == "老客户"
    line = next(row for row in await crm.rows(CustomerLine) if row.customer_id == customer.id)
    assert line.grade == "A"
    phones = {p.e164 for p in await crm.rows(CustomerPhone) if p.customer_id == customer.id}
    assert phones == {"+8613900000001", "+8613911112222"}


async def test_reject_all_writes_nothing_when_one_row_is_wrong(crm: Kit, tmp_path: Path) -> None:
    rows = [person(1), person(2, 客户级别="Z"), person(3, 客户名称="长" * 201)]
    summary = await customers(crm, tmp_path, rows, on_error=OnError.REJECT_ALL)
    assert summary.state == "refused"
    assert [e.code for e in summary.errors] == ["IMPORT_FILE_REFUSED"]
    assert summary.tally.rejected == 2
    assert await crm.rows(Customer) == await crm.rows(ImportRun) == await crm.rows(ImportFinding) == []


async def test_a_row_refused_by_its_command_does_not_spoil_its_batch(crm: Kit, tmp_path: Path) -> None:
    summary = await customers(crm, tmp_path, [person(1), person(2, 客户名称="长" * 201), person(3)])
    assert (summary.tally.created, summary.tally.rejected) == (2, 1)
    assert dict(summary.tally.reasons["rejected"]) == {"INVALID_STRING_TOO_LONG": 1}
    assert "客户名称" in read(tmp_path / "rejects.csv")[0]["拒绝原因 Reason"]


async def test_refused_rows_are_corrected_in_the_rejects_file_and_imported_again(
    crm: Kit, tmp_path: Path
) -> None:
    evil = '=HYPERLINK("http://example.com")'
    await customers(
        crm, tmp_path, [person(1), person(2, 客户级别="Z", 详细地址=evil, 手机="+86 13900000002")]
    )
    rejected = read(tmp_path / "rejects.csv")
    assert [(r["原行号 Row"], r["详细地址"], r["手机"]) for r in rejected] == [
        ("3", "'" + evil, "'+86 13900000002")
    ]
    assert "未知的客户级别 Z" in rejected[0]["拒绝原因 Reason"]
    assert "grade Z is not known" in rejected[0]["拒绝原因 Reason"]
    rejected[0]["客户级别"] = "A"
    corrected = write(tmp_path / "mended.csv", list(rejected[0]), rejected, "utf-8-sig")
    summary = await bring(crm, corrected, Subject.CUSTOMERS)
    assert (summary.tally.created, summary.unknown_columns) == (1, ())
    assert evil in {c.address for c in await crm.rows(Customer)}


async def test_lenient_leaves_wrong_fields_blank_and_reports_them(crm: Kit, tmp_path: Path) -> None:
    rows = [person(1, 客户级别="Z", 首次到店日期="2025-02-30"), person(2, 手机="无")]
    summary = await customers(crm, tmp_path, rows, lenient=True)
    assert (summary.tally.created, summary.tally.rejected) == (1, 1)
    assert dict(summary.tally.reasons["blanked"]) == {"GRADE_UNKNOWN": 1, "DATE_NOT_REAL": 1}
    line = (await crm.rows(CustomerLine))[0]
    assert (line.grade, line.first_visit_on) == (None, None)
    assert [f.kind for f in await crm.rows(ImportFinding)] == ["BLANKED", "REFUSED"]


async def test_an_identity_number_that_is_wrong_is_not_kept(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1, **{"身份证号/统一社会信用代码": "110101199001011234"})])
    found = await crm.rows(ImportFinding)
    assert [p["code"] for p in found[0].problems] == ["IDENTITY_NUMBER_INVALID"]
    assert "110101199001011234" not in str(found[0].problems)


async def test_blank_rows_totals_and_exact_duplicates_are_skipped(crm: Kit, tmp_path: Path) -> None:
    summary = await customers(
        crm, tmp_path, [person(1), {}, person(1), {"客户编号": "合计", "客户名称": "1"}]
    )
    assert (summary.tally.read, summary.tally.created, summary.tally.skipped) == (4, 1, 3)
    assert dict(summary.tally.reasons["skipped"]) == {"BLANK": 1, "DUPLICATE": 1, "TOTALS": 1}


async def test_near_duplicates_come_in_and_are_reported_as_a_pair(crm: Kit, tmp_path: Path) -> None:
    rows = [
        person(1),
        person(2, 手机="+86 139-0000-0001"),
        firm(3),
        firm(4, 客户名称="样例3贸易有限责任公司"),
    ]
    summary = await customers(crm, tmp_path, rows)
    assert summary.tally.created == 4
    assert summary.pairs.by_kind() == {"COMPANY": 1, "PHONE": 1}
    told: Any = summary.as_json()["duplicateCandidates"]
    assert {frozenset((pair["a"]["externalId"], pair["b"]["externalId"])) for pair in told["list"]} == {
        frozenset(("K00001", "K00002")),
        frozenset(("K00003", "K00004")),
    }


async def test_a_dry_run_tells_the_same_and_writes_nothing(crm: Kit, tmp_path: Path) -> None:
    rows = [person(1), person(2, 手机="13900000001"), person(3, 客户级别="Z")]
    dry = await customers(crm, tmp_path, rows, dry_run=True)
    assert (dry.state, dry.tally.created, dry.tally.rejected) == ("dry_run", 2, 1)
    assert len(dry.pairs.found) == 1
    assert await crm.rows(Customer) == await crm.rows(ImportRun) == []
    real = await customers(crm, tmp_path, rows)
    assert dry.pairs.by_kind() == real.pairs.by_kind() == {"PHONE": 1}
    assert real.tally.columns() == dry.tally.columns()


async def test_text_is_data(crm: Kit, tmp_path: Path) -> None:
    remark = '第一行\r\n<script>alert(1)</script>, "引号" 😀 ' + "长" * 5000
    summary = await customers(crm, tmp_path, [person(1, 备注=remark, 客户名称="𠮷田")])
    assert summary.tally.created == 1
    customer = (await crm.rows(Customer))[0]
    assert customer.name == "𠮷田"
    assert customer.remark == remark.replace("\r\n", "\n")


async def test_a_customer_without_number_is_found_by_phone_if_asked(crm: Kit, tmp_path: Path) -> None:
    made = await crm.perform(
        "customer.create",
        {"name": "测试1", "customer_kind": "PERSON", "phones": [{"number": "13900000001"}]},
        line="east",
    )
    summary = await customers(crm, tmp_path, [person(1), person(2)], update_existing_by=UpdateBy.PHONE)
    assert (summary.tally.created, summary.tally.updated) == (1, 1)
    numbers = {n.external_id: n.customer_id for n in await crm.rows(CustomerExternalId)}
    assert numbers["K00001"] == made.ids[0]
    again = await customers(crm, tmp_path, [person(1), person(2)], update_existing_by=UpdateBy.PHONE)
    assert again.tally.unchanged == 2


async def test_two_numbers_with_one_phone_stay_two_customers(crm: Kit, tmp_path: Path) -> None:
    rows = [person(1), person(2, 手机="13900000001")]
    first = await customers(crm, tmp_path, rows, update_existing_by=UpdateBy.PHONE)
    again = await customers(crm, tmp_path, rows, update_existing_by=UpdateBy.PHONE)
    assert (first.tally.created, again.tally.unchanged) == (2, 2)


async def test_rows_without_number_change_nothing_the_second_time(crm: Kit, tmp_path: Path) -> None:
    rows = [person(1, 客户编号=""), person(2, 客户编号="")]
    first, again = await customers(crm, tmp_path, rows), await customers(crm, tmp_path, rows)
    assert (first.tally.created, again.tally.created, again.tally.unchanged) == (2, 0, 2)


async def test_a_customer_of_another_line_joins_this_one(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1)], line="west")
    summary = await customers(crm, tmp_path, [person(1)])
    assert (summary.tally.created, summary.tally.updated) == (0, 1)
    assert {row.line for row in await crm.rows(CustomerLine)} == {"east", "west"}
    assert len(await crm.rows(Customer)) == 1


async def test_a_customer_the_importer_does_not_reach_is_refused(crm: Kit, tmp_path: Path) -> None:
    scopes = {"import.run": Reach.LINE, "customer.read": Reach.OWN, "customer.write": Reach.OWN}
    scopes |= {"contact.write": Reach.OWN}
    clerk = await crm.actor("clerk", scopes)
    await customers(crm, tmp_path, [person(1)])
    summary = await customers(crm, tmp_path, [person(1, 客户级别="A"), person(2)], actor=clerk)
    assert dict(summary.tally.reasons["rejected"]) == {"IMPORT_CUSTOMER_NOT_REACHED": 1}
    assert summary.tally.created == 1


# -- interactions


async def test_interactions_know_refused_customers_from_unknown_ones(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1), person(2, 手机="无")])
    rows = [
        contact_with(1, "2025-03-01 09:30"),
        contact_with(2, "2025-03-02 09:30"),
        contact_with(7, "2025-03-02 09:30"),
        contact_with(1, "2025-02-28 23:59"),
        contact_with(1, "2025-02-30 10:00"),
    ]
    summary = await interactions(crm, tmp_path, rows)
    assert summary.tally.created == 1
    assert dict(summary.tally.reasons["rejected"]) == {
        "CUSTOMER_REFUSED": 1, "CUSTOMER_UNKNOWN": 1, "BEFORE_FIRST_VISIT": 1, "TIME_NOT_REAL": 1,
    }  # fmt: skip
    assert summary.unknown_columns == ("录入终端",)


async def test_interactions_come_in_once_with_kind_consultant_and_words(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1)])
    rows = [
        contact_with(1, "2025/3/1 9:30", 下次联系日期="2025/4/1"),
        contact_with(1, "2025/3/1 9:31", 方式="试驾"),
        contact_with(1, "2025/3/1 9:32", 方式="托梦"),
    ]
    first = await interactions(crm, tmp_path, rows)
    again = await interactions(crm, tmp_path, rows)
    assert (first.tally.created, again.tally.created, again.tally.unchanged) == (3, 0, 3)
    found = sorted(await crm.rows(Interaction), key=lambda row: row.occurred_at)
    assert [(i.kind, i.subject) for i in found][::2] == [("call", ""), ("other", "托梦")]
    assert (found[0].consultant_name, found[0].content, found[0].next_on) == (
        "某顾问",
        "询价",
        date(2025, 4, 1),
    )
    assert found[0].occurred_at.isoformat() == "2025-03-01T01:30:00+00:00"
    assert first.tally.reasons["warnings"]["METHOD_UNKNOWN"] == 1


async def test_a_known_interaction_is_updated_in_words(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1)])
    await interactions(crm, tmp_path, [contact_with(1, "2025/3/1 9:30")])
    summary = await interactions(crm, tmp_path, [contact_with(1, "2025/3/1 9:30", 内容="询价并试乘")])
    assert summary.tally.updated == 1
    assert [i.content for i in await crm.rows(Interaction)] == ["询价并试乘"]


# -- interruption


class _Killed(BaseException):
    pass


async def test_an_interrupted_import_goes_on_after_its_last_batch(crm: Kit, tmp_path: Path) -> None:
    rows = [person(n) for n in range(1, 1100)]
    rows[10]["客户级别"] = rows[700]["客户级别"] = "Z"
    file = write(tmp_path / "customers.csv", CUSTOMER_COLUMNS, rows)
    request = Request(
        Subject.CUSTOMERS,
        file,
        "east",
        AS_OF,
        source="old",
        on_error=OnError.REJECT_ROWS,
        rejects=tmp_path / "r.csv",
    )

    def kill(phase: str, _done: int, _total: int | None) -> None:
        if phase == "import":
            raise _Killed

    with pytest.raises(_Killed):
        await run_import(crm.services, SYSTEM, request, kill)
    assert len(await crm.rows(Customer)) == 499
    assert [(r.state, r.position, r.rejected) for r in await crm.rows(ImportRun)] == [("RUNNING", 501, 1)]
    summary = await run_import(crm.services, SYSTEM, request)
    assert summary.resumed_after == 501
    assert (summary.tally.read, summary.tally.created, summary.tally.rejected) == (1099, 1097, 2)
    assert [r["原行号 Row"] for r in read(tmp_path / "r.csv")] == ["12", "702"]
    assert len(await crm.rows(Customer)) == 1097
    assert [r.state for r in await crm.rows(ImportRun)] == ["DONE"]
    assert list((crm.services.store / "imports").iterdir()) == []


# -- who may, and who signs


async def test_importing_takes_the_permission(crm: Kit, tmp_path: Path) -> None:
    clerk = await crm.actor("clerk", {"customer.write": Reach.LINE})
    summary = await customers(crm, tmp_path, [person(1)], actor=clerk)
    assert (summary.state, [e.code for e in summary.errors]) == ("refused", ["FORBIDDEN"])
    assert await crm.rows(Customer) == []


async def test_a_policy_holds_the_whole_import_until_it_is_signed(crm: Kit, tmp_path: Path) -> None:
    boss = await crm.actor("boss", role="line_manager")
    stages = [{"slots": [{"user_id": boss.user_id}]}]
    policy = {"name": "imports", "commands": ["customer.import"], "enabled": True, "stages": stages}
    assert not (await crm.perform("approval_policy.set", policy, line="east")).errors
    rows = [person(1), person(2)]
    held = await customers(crm, tmp_path, rows, actor=crm.administrator)
    again = await customers(crm, tmp_path, rows, actor=crm.administrator)
    assert (held.state, again.state) == ("held", "held")
    assert held.approval == again.approval
    assert await crm.rows(Customer) == []
    signed = await crm.perform("approval.approve", {"id": held.approval}, boss, line="east")
    assert not signed.errors
    await work_off(crm.services)
    assert [(run.state, run.created) for run in await crm.rows(ImportRun)] == [("DONE", 2)]
    assert [run.approval_id for run in await crm.rows(ImportRun)] == [held.approval]


async def test_a_policy_on_customers_holds_each_row_once(crm: Kit, tmp_path: Path) -> None:
    boss = await crm.actor("boss", role="line_manager")
    condition = {"all": [{"field": "grade", "op": "EQ", "value": "VIP"}]}
    policy = {
        "name": "vip", "commands": ["customer.create"], "enabled": True, "condition": condition,
        "stages": [{"slots": [{"user_id": boss.user_id}]}],
    }  # fmt: skip
    assert not (await crm.perform("approval_policy.set", policy, line="east")).errors
    rows = [person(1), person(2, 客户级别="VIP")]
    first = await customers(crm, tmp_path, rows, actor=crm.administrator)
    again = await customers(crm, tmp_path, rows, actor=crm.administrator)
    assert (first.tally.created, first.tally.held) == (1, 1)
    assert (again.tally.unchanged, again.tally.held) == (1, 1)
    held = [f.approval_id for f in await crm.rows(ImportFinding) if f.kind == "HELD"]
    assert held[0] == held[1]


async def test_imports_are_seen_in_their_line_only(crm: Kit, tmp_path: Path) -> None:
    await customers(crm, tmp_path, [person(1), person(2, 客户级别="Z")])
    asked = """{ importRuns { nodes { subject state created rejected tallies
        findings { nodes { row kind externalId problems } } } } }"""
    east = await crm.actor("east", {"import.run": Reach.LINE}, lines=["east"])
    west = await crm.actor("west", {"import.run": Reach.LINE}, lines=["west"])
    run = (await crm.data(asked, east))["importRuns"]["nodes"][0]
    assert (run["subject"], run["state"], run["created"], run["rejected"]) == ("CUSTOMERS", "DONE", 1, 1)
    finding = run["findings"]["nodes"][0]
    assert (finding["row"], finding["kind"], finding["externalId"]) == (3, "REFUSED", "K00002")
    assert (await crm.data(asked, west))["importRuns"]["nodes"] == []


@given(st.text(alphabet="'=+-@\t\rab1", max_size=6))
def test_a_guard_is_taken_off_again_whatever_the_text(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))

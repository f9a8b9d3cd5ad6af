"""The customer archive: papers, transactions, steward, periodic check, approval."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from crm_core.outbox.models import OutboxEvent
from crm_core.papers import keep

House = Any
PAPER = base64.b64encode(b"licence").decode()
FILED = "customerDocument { path sha256 size filedLate filedBy { name } origin category }"


def licence(customer: str, **more: Any) -> dict[str, Any]:
    return {
        "id": customer,
        "category": "BUSINESS_LICENCE",
        "title": "营业执照副本",
        "origin": "SALES_CONTRACT",
        "mediaType": "application/pdf",
        "content": PAPER,
        **more,
    }


@pytest.mark.rule("CS-010")
async def test_papers_are_filed_by_the_steward_of_the_line(house: House) -> None:
    customer = await house.enter("华信")
    assert await house.refused("customerFileDocument", house.li, **licence(customer)) == [
        ("ARCHIVE_KEEPERS_ONLY", None)
    ]
    assert await house.refused("customerFileDocument", house.steward, **licence(customer)) == [
        ("ARCHIVE_KEEPERS_ONLY", None)
    ]
    lines = await house.crm.data("{ businessLines { nodes { id code } } }")
    east = next(node["id"] for node in lines["businessLines"]["nodes"] if node["code"] == "east")
    await house.crm.done("lineAssignSteward", input={"id": east, "userId": house.user(house.steward)})
    assert (await house.read(customer, "steward { name }"))["steward"] == {"name": "孙"}
    filed = await house.do("customerFileDocument", house.steward, FILED, **licence(customer))
    digest = hashlib.sha256(b"licence").hexdigest()
    assert filed["customerDocument"] == {
        "path": f"papers/{digest[:2]}/{digest}",
        "sha256": digest,
        "size": 7,
        "filedLate": False,
        "filedBy": {"name": "孙"},
        "origin": "SALES_CONTRACT",
        "category": "BUSINESS_LICENCE",
    }
    assert (house.crm.services.store / filed["customerDocument"]["path"]).read_bytes() == b"licence"


@pytest.mark.rule("CS-010")
async def test_a_paper_filed_after_three_days_is_marked_late(house: House) -> None:
    customer = await house.enter("华信")
    late = "customerDocument { filedLate }"
    in_time = await house.do(
        "customerFileDocument", house.manager, late, **licence(customer, receivedOn="2025-10-31")
    )
    assert in_time["customerDocument"]["filedLate"] is False
    after = await house.do(
        "customerFileDocument", house.manager, late, **licence(customer, receivedOn="2025-10-30")
    )
    assert after["customerDocument"]["filedLate"] is True
    tomorrow = licence(customer, receivedOn="2025-11-04")
    assert await house.refused("customerFileDocument", house.manager, **tomorrow) == [
        ("IN_THE_FUTURE", "receivedOn")
    ]


async def test_a_paper_in_the_store_is_referred_to_and_nothing_else_of_it(house: House) -> None:
    customer = await house.enter("华信")
    store = house.crm.services.store
    paper = keep(store, b"tax", house.crm.clock())
    given = licence(customer, content=None, path=paper.path, category="TAX_REGISTRATION")
    filed = await house.do("customerFileDocument", house.manager, "customerDocument { path size }", **given)
    assert filed["customerDocument"] == {"path": paper.path, "size": 3}
    (store.parent / "outside").write_text("secret")
    (store / "imports").mkdir()
    (store / "imports" / paper.sha256).write_bytes(b"tax")
    (store / "papers" / "scan.pdf").write_bytes(b"tax")
    changed = keep(store, b"changed", house.crm.clock())
    (store / changed.path).write_bytes(b"otherwise")
    folder = paper.path.rpartition("/")[0]
    for path in (
        "../outside", "/etc/passwd", "papers", folder, "papers/scan.pdf", f"imports/{paper.sha256}",
        f"papers/../imports/{paper.sha256}", f"{folder}/../../imports/{paper.sha256}", f"./{paper.path}",
        f"{folder}/{'0' * 64}", f"{paper.path}\n", changed.path,
    ):  # fmt: skip
        wrong = given | {"path": path}
        assert await house.refused("customerFileDocument", house.manager, **wrong) == [
            ("PAPER_UNREADABLE", "path")
        ], path
    for content in ("***", "", "A" * 1_500_000):
        wrong = licence(customer, content=content)
        assert await house.refused("customerFileDocument", house.manager, **wrong) == [
            ("PAPER_UNREADABLE", "content")
        ]
    assert await house.refused(
        "customerFileDocument", house.manager, **licence(customer, path=paper.path)
    ) == [("PAPER_UNREADABLE", "content")]


async def test_a_dry_run_puts_no_file_into_the_store(house: House) -> None:
    customer = await house.enter("华信")
    await house.crm.done(
        "customerFileDocument", house.manager, input=licence(customer), dryRun=True, acting="east"
    )
    assert not (house.crm.services.store / "papers").exists()


@pytest.mark.rule("CS-003")
async def test_the_origin_of_every_item_of_an_archive_is_recorded(house: House) -> None:
    customer = await house.enter("华信", origin="MARKET_INFORMATION")
    await house.do("customerFileDocument", house.manager, **licence(customer, origin="SALES_CONTRACT"))
    await house.do(
        "customerRecordTransaction", id=customer, doneOn="2025-10-01", description="首单", amount="10.00"
    )
    found = await house.read(
        customer, "origin documents { nodes { origin } } transactions { nodes { origin } }"
    )
    assert found == {
        "origin": "MARKET_INFORMATION",
        "documents": {"nodes": [{"origin": "SALES_CONTRACT"}]},
        "transactions": {"nodes": [{"origin": "SALES_CONTRACT"}]},
    }
    unsaid = licence(customer)
    del unsaid["origin"]
    answer = await house.crm.ask(
        "mutation($i: CustomerFileDocumentInput!) { customerFileDocument(input: $i) { userErrors { code } } }",
        i=unsaid,
    )
    assert answer.errors


@pytest.mark.rule("CS-005")
async def test_an_archive_accumulates_transactions_needs_and_preferences(house: House) -> None:
    customer = await house.enter("华信", needs="每月两车", preferences="上午联系")
    for day, amount in (("2025-09-01", "100.00"), ("2025-10-01", "250.40")):
        await house.do(
            "customerRecordTransaction",
            id=customer,
            doneOn=day,
            description="补货",
            amount=amount,
            productCategory="钢材",
        )
    found = await house.read(
        customer,
        "needs preferences transactions(orderBy: [{doneOn: DESC}]) { totalCount nodes { doneOn amount productCategory recordedBy { name } } }",
    )
    assert found == {
        "needs": "每月两车",
        "preferences": "上午联系",
        "transactions": {
            "totalCount": 2,
            "nodes": [
                {
                    "doneOn": "2025-10-01",
                    "amount": "250.40",
                    "productCategory": "钢材",
                    "recordedBy": {"name": "李"},
                },
                {
                    "doneOn": "2025-09-01",
                    "amount": "100.00",
                    "productCategory": "钢材",
                    "recordedBy": {"name": "李"},
                },
            ],
        },
    }


@pytest.mark.rule("CS-015")
async def test_managers_and_salesmen_see_their_customers_archives_whole_and_as_they_need_them(
    house: House,
) -> None:
    big = await house.enter("华信", city="苏州", grade="A", creditStatus="良好", needs="每月两车")
    await house.enter("明达", city="苏州", grade="B")
    await house.enter("安远", house.wang, city="苏州", grade="A")
    await house.enter("西岸", house.west, line="west", city="苏州", grade="A")
    await house.do("customerFileDocument", house.manager, **licence(big))
    await house.do(
        "customerRecordTransaction", id=big, doneOn="2025-10-01", description="首单", amount="1.00"
    )
    text = """query($w: CustomerWhere, $o: [CustomerOrder!]) { customers(where: $w, orderBy: $o) { nodes {
        name creditStatus needs stage documents { nodes { title } } transactions { nodes { description } } } } }"""
    where, order = {"city": {"eq": "苏州"}, "grade": {"eq": "A"}}, [{"name": "DESC"}]

    async def seen(actor: Any, **asked: Any) -> Any:
        return (await house.crm.data(text, actor, **asked))["customers"]["nodes"]

    whole = {
        "name": "华信",
        "creditStatus": "良好",
        "needs": "每月两车",
        "stage": "CUSTOMER",
        "documents": {"nodes": [{"title": "营业执照副本"}]},
        "transactions": {"nodes": [{"description": "首单"}]},
    }
    by_manager = await seen(house.manager, w=where, o=order)
    assert [one["name"] for one in by_manager] == ["安远", "华信"]
    assert by_manager[1] == whole
    assert [one["name"] for one in await seen(house.manager, w=where, o=[{"name": "ASC"}])] == [
        "华信",
        "安远",
    ]
    assert await seen(house.li, w=where, o=order) == [whole]
    assert [one["name"] for one in await seen(house.li, w={}, o=[{"createdAt": "DESC"}])] == ["明达", "华信"]


async def test_papers_and_transactions_stay_in_the_line_that_has_them(house: House) -> None:
    both = await house.crm.actor("郑", role="line_manager", lines=("east", "west"))
    customer = await house.enter("华信", both)
    await house.do("customerJoinLine", both, line="west", id=customer)
    await house.do("customerFileDocument", both, **licence(customer))
    await house.do(
        "customerRecordTransaction", both, id=customer, doneOn="2025-10-01", description="东", amount="1.00"
    )
    west = await house.crm.actor("冯", role="line_manager", lines=("west",))
    papers = "documents { totalCount } transactions { totalCount }"
    assert await house.read(customer, papers, west) == {
        "documents": {"totalCount": 0},
        "transactions": {"totalCount": 0},
    }
    assert await house.read(customer, papers, both) == {
        "documents": {"totalCount": 1},
        "transactions": {"totalCount": 1},
    }


@pytest.mark.rule("CS-011", "CS-022")
async def test_an_archive_is_due_for_its_check_after_half_a_year(house: House) -> None:
    customer = await house.enter("华信")
    house.crm.clock.advance(days=179)
    await house.enter("明达")
    assert await house.names(reviewDue=True) == []
    house.crm.clock.advance(days=1)
    assert await house.names(reviewDue=True) == ["华信"]
    assert await house.names(reviewDue=False) == ["明达"]
    await house.do("customerReview", id=customer, complete=False, findings="缺税务登记")
    assert await house.names(reviewDue=True) == []
    found = await house.read(
        customer,
        "lines { reviewAccurate reviewComplete reviewCurrent reviewFindings reviewedBy { name } reviewDueAt }",
    )
    assert found["lines"] == [
        {
            "reviewAccurate": True,
            "reviewComplete": False,
            "reviewCurrent": True,
            "reviewFindings": "缺税务登记",
            "reviewedBy": {"name": "李"},
            "reviewDueAt": "2026-10-29T02:00:00.000000Z",
        }
    ]


@pytest.mark.rule("CS-011")
async def test_trading_updates_the_archive_in_step_and_is_no_check_of_it(house: House) -> None:
    customer = await house.enter("华信")
    house.crm.clock.advance(days=179)
    await house.do(
        "customerRecordTransaction", id=customer, doneOn="2026-04-30", description="首单", amount="8.00"
    )
    found = await house.read(customer, "stage updatedAt version transactions { nodes { doneOn amount } }")
    assert found == {
        "stage": "CUSTOMER",
        "updatedAt": "2026-05-01T02:00:00.000000Z",
        "version": 2,
        "transactions": {"nodes": [{"doneOn": "2026-04-30", "amount": "8.00"}]},
    }
    house.crm.clock.advance(days=1)
    assert await house.names(reviewDue=True) == ["华信"]
    await house.do("customerReview", id=customer)
    await house.do(
        "customerRecordTransaction", id=customer, doneOn="2026-05-02", description="补货", amount="9.00"
    )
    assert await house.names(reviewDue=True) == []


@pytest.mark.rule("CS-012")
async def test_an_archive_is_pending_until_the_head_of_marketing_confirms_it(house: House) -> None:
    customer = await house.enter("华信")
    for actor in (house.li, house.manager, house.steward):
        assert await house.refused("customerConfirmArchive", actor, id=customer) == [("FORBIDDEN", None)]
    assert await house.names(archiveState={"eq": "PENDING"}) == ["华信"]
    await house.do("customerConfirmArchive", house.head, id=customer)
    found = await house.read(customer, "archiveState archiveDecidedAt archiveDecidedBy { name }")
    assert found == {
        "archiveState": "CONFIRMED",
        "archiveDecidedAt": "2025-11-03T02:00:00.000000Z",
        "archiveDecidedBy": {"name": "周"},
    }
    assert await house.refused("customerConfirmArchive", house.head, id=customer) == [
        ("ARCHIVE_DECIDED", None)
    ]
    assert (await house.crm.rows(OutboxEvent))[-1].kind == "customer.archive_confirmed"


@pytest.mark.rule("CS-012")
async def test_a_returned_archive_waits_again_once_it_was_mended(house: House) -> None:
    customer = await house.enter("华信")
    await house.do("customerReturnArchive", house.head, id=customer, remark="请补网址")
    assert await house.read(customer, "archiveState archiveRemark") == {
        "archiveState": "RETURNED",
        "archiveRemark": "请补网址",
    }
    assert await house.refused("customerConfirmArchive", house.head, id=customer) == [
        ("ARCHIVE_DECIDED", None)
    ]
    await house.do("customerUpdate", id=customer, website="huaxin.example")
    await house.do("customerConfirmArchive", house.head, id=customer)
    assert (await house.read(customer, "archiveState"))["archiveState"] == "CONFIRMED"


async def returned(house: House) -> str:
    """A customer whose archive was returned to be mended."""
    customer: str = await house.enter("华信", city="苏州", phones=[{"number": "13800138000"}])
    await house.do("customerReturnArchive", house.head, id=customer, remark="请补营业执照")
    return customer


async def state(house: House, customer: str) -> str:
    found: str = (await house.read(customer, "archiveState"))["archiveState"]
    return found


@pytest.mark.rule("CS-012")
@pytest.mark.parametrize("given", [{}, {"city": "苏州"}, {"phones": [{"number": "13800138000"}]}])
async def test_an_update_that_mends_nothing_leaves_the_archive_returned(
    house: House, given: dict[str, Any]
) -> None:
    customer = await returned(house)
    await house.do("customerUpdate", id=customer, **given)
    assert await state(house, customer) == "RETURNED"


@pytest.mark.rule("CS-012")
async def test_filing_the_missing_paper_puts_a_returned_archive_before_its_approver_again(
    house: House,
) -> None:
    customer = await returned(house)
    await house.do("customerFileDocument", house.manager, **licence(customer))
    assert await state(house, customer) == "PENDING"
    event = (await house.crm.rows(OutboxEvent))[-1]
    assert (event.kind, event.after["archive_state"]) == ("customer.document_filed", "PENDING")


@pytest.mark.rule("CS-012")
async def test_a_transaction_or_a_contact_mends_a_returned_archive_too(house: House) -> None:
    customer = await returned(house)
    trade = {"id": customer, "doneOn": "2025-10-01", "description": "首单", "amount": "1.00"}
    await house.do("customerRecordTransaction", **trade)
    assert await state(house, customer) == "PENDING"
    await house.do("customerReturnArchive", house.head, id=customer, remark="请补联系人")
    made = await house.do("contactCreate", None, "contact { id }", customerId=customer, name="王总")
    assert await state(house, customer) == "PENDING"
    await house.do("customerReturnArchive", house.head, id=customer, remark="联系人职务不详")
    contact = made["contact"]["id"]
    await house.do("contactUpdate", id=contact, name="王总")
    assert await state(house, customer) == "RETURNED"
    await house.do("contactUpdate", id=contact, title="总监")
    assert await state(house, customer) == "PENDING"


@pytest.mark.rule("CS-012")
async def test_a_confirmed_archive_stays_confirmed_when_it_changes_later(house: House) -> None:
    customer = await house.enter("华信")
    await house.do("customerConfirmArchive", house.head, id=customer)
    await house.do("customerUpdate", id=customer, city="昆山")
    await house.do("customerFileDocument", house.manager, **licence(customer))
    assert await state(house, customer) == "CONFIRMED"

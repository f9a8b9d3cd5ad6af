"""A customer in several lines: who sees it, owner and team, stage, the salesman's file."""

from __future__ import annotations

from typing import Any

import pytest

from crm_core.actors import Reach
from crm_core.customers.models import CustomerLineChange
from crm_core.customers.stages import STAGES
from crm_core.outbox.models import OutboxEvent

House = Any


async def test_reach_decides_which_customers_of_a_line_are_seen(house: House) -> None:
    await house.enter("李的客户", house.li)
    await house.enter("王的客户", house.wang)
    await house.enter("经理的客户", house.manager)
    await house.enter("西线客户", house.west, line="west")
    assert await house.names(house.li) == ["李的客户"]
    assert await house.names(house.wang) == ["王的客户"]
    assert await house.names(house.leader) == ["李的客户", "王的客户"]
    assert await house.names(house.manager) == ["李的客户", "王的客户", "经理的客户"]
    assert await house.names(house.west) == ["西线客户"]
    mixed = await house.crm.actor("郑", role="line_manager")
    assert mixed.user_id is not None
    await house.crm.done("roleGrant", input={"userId": house.user(mixed), "role": "sales", "line": "west"})
    mixed = await house.crm.again(mixed.user_id)
    await house.enter("郑的西线客户", mixed, line="west")
    assert await house.names(mixed) == ["李的客户", "王的客户", "经理的客户", "郑的西线客户"]


async def test_a_customer_out_of_reach_is_not_found_by_commands_either(house: House) -> None:
    customer = await house.enter("李的客户", house.li)
    for mutation in ("customerUpdate", "customerArchive", "customerReview"):
        assert await house.refused(mutation, house.wang, id=customer) == [("NOT_FOUND", "id")]
    assert await house.refused("customerMoveStage", house.wang, id=customer, stage="CUSTOMER") == [
        ("NOT_FOUND", "id")
    ]
    assert await house.read(customer, "id", house.wang) is None


async def test_each_line_keeps_its_own_view_of_a_shared_customer(house: House) -> None:
    crm = house.crm
    both = await crm.actor("郑", role="line_manager", lines=("east", "west"))
    customer = await house.enter("华信", both, grade="A")
    refused = await crm.change("customerJoinLine", both, input={"id": customer})
    assert refused["userErrors"][0]["code"] == "LINE_REQUIRED"
    west = await crm.actor("冯", {"customer.read": Reach.LINE}, lines=("west",))
    assert await house.read(customer, "id", west) is None
    await house.do("customerJoinLine", both, line="west", id=customer, grade="VIP", stage="CUSTOMER")
    view = "grade stage lines { line grade stage owner { name } }"
    assert await house.read(customer, view, both) == {
        "grade": "A",
        "stage": "PROSPECT",
        "lines": [
            {"line": "east", "grade": "A", "stage": "PROSPECT", "owner": {"name": "郑"}},
            {"line": "west", "grade": "VIP", "stage": "CUSTOMER", "owner": {"name": "郑"}},
        ],
    }
    seen = await house.read(customer, "grade stage lines { line }", west)
    assert seen == {"grade": "VIP", "stage": "CUSTOMER", "lines": [{"line": "west"}]}
    assert await house.names(both, grade={"eq": "A"}) == ["华信"]
    assert await house.names(both, grade={"eq": "VIP"}) == []
    assert await house.names(west, grade={"eq": "VIP"}) == ["华信"]
    assert await house.names(both, lines={"grade": {"eq": "VIP"}}) == ["华信"]
    assert await house.names(both, line="west") == ["华信"]
    taken = [("CUSTOMER_ALREADY_IN_LINE", "line")]
    assert await house.refused("customerJoinLine", both, line="west", id=customer) == taken


async def test_a_command_acts_only_in_a_line_where_the_customer_is_reached(house: House) -> None:
    both = await house.crm.actor("郑", role="line_manager", lines=("east", "west"))
    customer = await house.enter("华信", both)
    strange = [("CUSTOMER_NOT_IN_LINE", "id")]
    assert await house.refused("customerSetLine", both, line="west", id=customer, grade="B") == strange
    assert await house.refused("customerUpdate", both, line="west", id=customer, city="苏州") == strange


async def test_assigning_moves_the_customer_and_keeps_the_former_owner_in_its_history(house: House) -> None:
    customer = await house.enter("华信")
    assert await house.refused("customerAssign", house.li, id=customer, ownerId=house.user(house.wang)) == [
        ("FORBIDDEN", None)
    ]
    await house.do("customerAssign", house.manager, id=customer, ownerId=house.user(house.wang))
    assert await house.names(house.li) == []
    assert await house.names(house.wang, ownerId={"eq": house.user(house.wang)}) == ["华信"]
    assert await house.names(house.wang, owner={"name": {"eq": "王"}}) == ["华信"]
    found = await house.read(
        customer,
        "version team { name } lines { history { nodes { what old new by { name } } } }",
        house.manager,
    )
    assert found["version"] == 2
    assert found["team"] == {"name": "一组"}
    assert found["lines"][0]["history"]["nodes"] == [
        {"what": "OWNER", "old": house.user(house.li), "new": house.user(house.wang), "by": {"name": "钱"}},
        {"what": "JOINED", "old": None, "new": "east", "by": {"name": "李"}},
    ]
    event = (await house.crm.rows(OutboxEvent))[-1]
    assert (event.kind, event.line, event.data["after_owner"]) == (
        "customer.assigned",
        "east",
        house.user(house.wang),
    )


async def test_an_owner_must_have_a_role_in_the_line_and_a_team_must_be_of_it(house: House) -> None:
    customer = await house.enter("华信")
    other = await house.crm.team("西一组", line="west")
    both = await house.crm.actor("郑", role="line_manager", lines=("east", "west"))
    stranger, team = house.user(house.west), f"tea_{other.hex}"
    found = await house.refused("customerAssign", both, id=customer, ownerId=stranger, teamId=team)
    assert found == [("OWNER_NOT_IN_LINE", "ownerId"), ("OTHER_LINE", "teamId")]
    assert await house.refused("customerAssign", both, id=customer) == [("REQUIRED", "ownerId")]


async def test_entering_for_somebody_else_takes_the_permission_to_assign(house: House) -> None:
    given = {"name": "华信", "kind": "ORGANISATION", "ownerId": house.user(house.wang)}
    assert await house.refused("customerCreate", house.li, **given) == [("FORBIDDEN", None)]
    made = await house.do(
        "customerCreate", house.leader, "customer { owner { name } team { name } }", **given
    )
    assert made["customer"] == {"owner": {"name": "王"}, "team": {"name": "一组"}}


async def test_bulk_assigning_is_all_or_nothing_and_names_each_it_cannot_assign(house: House) -> None:
    ours = [await house.enter(f"客户{n}") for n in range(3)]
    foreign = await house.enter("经理的客户", house.manager)
    wang = house.user(house.wang)
    found = await house.refused("customerBulkAssign", house.leader, ids=[*ours, foreign], ownerId=wang)
    assert found == [("NOT_FOUND", "ids.3")]
    assert await house.names(house.wang) == []
    done = await house.do(
        "customerBulkAssign", house.leader, "customers { name version }", ids=ours, ownerId=wang
    )
    assert done["customers"] == [{"name": f"客户{n}", "version": 2} for n in range(3)]
    assert await house.names(house.wang) == ["客户0", "客户1", "客户2"]
    assigned = [e for e in await house.crm.rows(OutboxEvent) if e.kind == "customer.assigned"]
    assert len({e.subject_id for e in assigned}) == len(assigned) == 3


async def test_a_bulk_command_takes_at_most_a_hundred(house: House) -> None:
    customer = await house.enter("华信")
    found = await house.refused("customerBulkTag", ids=[customer] * 101, tags=["x"])
    assert found == [("TOO_MANY", "ids")]


async def test_tags_are_put_on_once_and_taken_off(house: House) -> None:
    first, second = await house.enter("华信", tags=["重点"]), await house.enter("明达")
    await house.do("customerBulkTag", ids=[first, second], tags=["重点", "展会"])
    assert await house.names(tag="重点") == ["华信", "明达"]
    assert (await house.read(first, "version"))["version"] == 2
    await house.do("customerUntag", id=first, tags=["重点", "没有的"])
    assert await house.names(tag="重点") == ["明达"]
    await house.do("customerTag", id=first, tags=["展会"])
    assert await house.read(first, "version tags { name }") == {"version": 3, "tags": [{"name": "展会"}]}


@pytest.mark.rule("CS-001", "CS-027")
async def test_a_prospect_becomes_a_customer_when_he_trades(house: House) -> None:
    customer = await house.enter("华信", relation="INDIRECT")
    assert await house.names(stage={"eq": "PROSPECT"}, relation={"eq": "INDIRECT"}) == ["华信"]
    assert await house.names(stage={"eq": "CUSTOMER"}) == []
    await house.do(
        "customerRecordTransaction", id=customer, doneOn="2025-11-01", description="首单", amount="1200.50"
    )
    assert await house.names(stage={"eq": "CUSTOMER"}, relation={"eq": "INDIRECT"}) == ["华信"]
    stages = [(c.old, c.new) for c in await house.crm.rows(CustomerLineChange) if c.what == "STAGE"]
    assert stages == [("PROSPECT", "CUSTOMER")]


@pytest.mark.rule("CS-001")
@pytest.mark.parametrize("stage", STAGES.states)
async def test_who_trades_is_a_customer_whatever_he_was_unless_he_is_on_the_blacklist(
    house: House, stage: str
) -> None:
    customer = await house.enter("华信")
    if stage != "PROSPECT":
        given = {"id": customer, "stage": stage}
        await house.crm.done("customerMoveStage", house.manager, input=given, reason="经核实", acting="east")
    await house.do(
        "customerRecordTransaction", id=customer, doneOn="2025-11-01", description="补货", amount="1200.50"
    )
    expected = "BLACKLISTED" if stage == "BLACKLISTED" else "CUSTOMER"
    assert (await house.read(customer, "stage"))["stage"] == expected
    event = (await house.crm.rows(OutboxEvent))[-1]
    assert event.kind == "customer.transaction_recorded"
    assert event.data["became_customer"] is (stage in {"PROSPECT", "DORMANT", "LOST"})


async def test_stages_move_only_along_their_lifecycle(house: House) -> None:
    customer = await house.enter("华信")
    for stage in ("CUSTOMER", "DORMANT", "LOST", "PROSPECT", "LOST", "CUSTOMER"):
        moved = await house.do("customerMoveStage", id=customer, stage=stage, select="customer { stage }")
        assert moved["customer"]["stage"] == stage
    assert await house.refused("customerMoveStage", id=customer, stage="PROSPECT") == [
        ("ILLEGAL_MOVE", "stage")
    ]
    again = await house.do("customerMoveStage", id=customer, stage="CUSTOMER", select="customer { version }")
    assert again["customer"]["version"] == 7


async def test_the_blacklist_takes_its_permission_and_a_reason(house: House) -> None:
    customer = await house.enter("华信")
    given = {"id": customer, "stage": "BLACKLISTED"}
    assert await house.refused("customerMoveStage", house.li, **given) == [("FORBIDDEN", None)]
    assert await house.refused("customerMoveStage", house.manager, **given) == [("REQUIRED", "reason")]
    entry = {"name": "恶意", "kind": "PERSON", "stage": "BLACKLISTED"}
    assert await house.refused("customerCreate", house.li, **entry) == [("FORBIDDEN", None)]
    await house.crm.done("customerMoveStage", house.manager, input=given, reason="多次拖欠", acting="east")
    found = await house.read(customer, "stage lines { history(first: 1) { nodes { what new reason } } }")
    assert found["stage"] == "BLACKLISTED"
    assert found["lines"][0]["history"]["nodes"] == [
        {"what": "STAGE", "new": "BLACKLISTED", "reason": "多次拖欠"}
    ]
    assert await house.refused("customerMoveStage", house.li, id=customer, stage="CUSTOMER") == [
        ("ILLEGAL_MOVE", "stage")
    ]


@pytest.mark.rule("CS-018")
async def test_the_salesman_keeps_a_file_of_each_customer(house: House) -> None:
    customer = await house.enter("李雷", kind="PERSON", productCategory="家用轿车", deposit="5000.00")
    await house.do("customerSetLine", id=customer, paymentMethod="贷款", loanPaymentOn="2025-12-15")
    file = "lines { productCategory paymentMethod deposit loanPaymentOn cardState }"
    assert (await house.read(customer, file))["lines"] == [
        {
            "productCategory": "家用轿车",
            "paymentMethod": "贷款",
            "deposit": "5000.00",
            "loanPaymentOn": "2025-12-15",
            "cardState": "VALID",
        }
    ]
    await house.do("customerSetLine", id=customer, deposit=None, grade="B")
    found = await house.read(
        customer, "grade version lines { deposit paymentMethod cardState history { nodes { what old new } } }"
    )
    assert found["lines"][0]["deposit"] is None
    assert found["lines"][0]["paymentMethod"] == "贷款"
    assert found["version"] == 3
    assert {(h["what"], h["old"], h["new"]) for h in found["lines"][0]["history"]["nodes"]} == {
        ("GRADE", None, "B"),
        ("JOINED", None, "east"),
    }


@pytest.mark.rule("CS-002")
async def test_one_database_holds_the_customers_of_every_department(house: House) -> None:
    crm = house.crm
    seller = await crm.actor("陈", role="line_manager", lines=("east",))
    user = house.user(seller)
    await crm.done("userUpdate", input={"id": user, "department": "多经部"})
    customer = await house.enter("华信", seller)
    await house.enter("明达", department="联营办")
    office = "customers(orderBy: [{name: ASC}]) { nodes { lines { department collectedBy { name } } } }"
    found = (await crm.data(f"{{ {office} }}"))["customers"]["nodes"]
    assert [row["lines"][0] for row in found] == [
        {"department": "多经部", "collectedBy": {"name": "陈"}},
        {"department": "联营办", "collectedBy": {"name": "李"}},
    ]
    assert await house.names(house.manager, lines={"department": {"eq": "多经部"}}) == ["华信"]
    assert customer

"""What is shown in part cannot be found out by asking."""

from crm_core.actors import Actor, Reach
from crm_core.testing.kit import Kit

READ = {"customer.read": Reach.LINE, "customer.write": Reach.LINE}
COUNT = (
    "query($where: CustomerWhere) { customers(where: $where) { totalCount nodes { phones { number raw } } } }"
)


async def entered(crm: Kit) -> None:
    given = {"name": "李明", "kind": "PERSON", "phones": [{"number": "13211421881"}]}
    await crm.done("customerCreate", input=given, acting="east")


async def test_a_masked_number_is_found_by_its_last_four_digits_and_no_more(crm: Kit) -> None:
    await entered(crm)
    assistant = await crm.actor("assistant", READ)
    found = await crm.data(COUNT, assistant, where={"search": "1881"})
    assert found["customers"] == {
        "totalCount": 1,
        "nodes": [{"phones": [{"number": "132****1881", "raw": "****1881"}]}],
    }
    for longer in ("21881", "421881", "13211421881"):
        assert (await crm.data(COUNT, assistant, where={"search": longer}))["customers"]["totalCount"] == 0
    refused = await crm.ask(COUNT, assistant, where={"or": [{"phone": "13211421881"}]})
    assert refused.codes == ["FORBIDDEN"]


async def test_who_sees_numbers_finds_them_whole(crm: Kit) -> None:
    await entered(crm)
    seller = await crm.actor("seller", {**READ, "customer.phone": Reach.LINE})
    for where in ({"search": "13211421881"}, {"phone": "132-1142-1881"}):
        found = (await crm.data(COUNT, seller, where=where))["customers"]
        assert (found["totalCount"], found["nodes"][0]["phones"][0]["number"]) == (1, "+8613211421881")


async def test_ones_own_customers_do_not_open_everybodys_numbers(crm: Kit) -> None:
    await entered(crm)
    narrow: Actor = await crm.actor("narrow", {**READ, "customer.phone": Reach.OWN})
    found = (await crm.data(COUNT, narrow))["customers"]
    assert found["nodes"][0]["phones"][0]["number"] == "132****1881"


async def test_an_identity_number_in_the_audit_trail_cannot_be_found_out_by_trying(crm: Kit) -> None:
    number = "11010519491231002X"
    given = {"name": "王伟", "kind": "PERSON", "identityNumber": number}
    done = await crm.done("customerCreate", input=given, acting="east", select="customer { id }")
    asked = "query($id: String) { auditEntries(where: {subjectId: {eq: $id}}) { nodes { command changes } } }"
    (entry,) = (await crm.data(asked, id=done["customer"]["id"]))["auditEntries"]["nodes"]
    hidden = entry["command"]["identity_number"]
    assert hidden.startswith("*** ")
    assert hidden == f"*** {crm.services.keyring.blind(number, 'customer.create.identity_number')[:12]}"
    assert number not in str(entry)


async def test_a_change_that_waits_for_a_signature_shows_no_number_either(crm: Kit) -> None:
    await entered(crm)
    assistant = await crm.actor("assistant", {**READ, "approval.request": Reach.OWN})
    await crm.actor("manager", role="line_manager")
    stages = [{"slots": [{"role": "line_manager"}]}]
    policy = {"name": "numbers", "commands": ["customer.update"], "stages": stages}
    await crm.done("approvalPolicySet", input=policy, acting="east")
    (customer,) = (await crm.data("{ customers { nodes { id } } }"))["customers"]["nodes"]
    given = {"id": customer["id"], "phones": [{"number": "13800138000"}]}
    shown = await crm.done(
        "customerUpdate", assistant, input=given, acting="east", select="approval { diff }"
    )
    changed = {line["field"]: (line["before"], line["after"]) for line in shown["approval"]["diff"]}
    assert {"e164", "raw"} <= changed.keys()
    assert "13211421881" not in str(shown)

"""The sign-off chains of companies, as policy files alone, played through the API by people of their roles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals import overdue
from crm_core.audit.models import AuditEntry
from crm_core.cli.approvals import _imported
from crm_core.loader import Candidate
from crm_core.notices.models import Notice
from crm_core.testing.kit import Kit, Prepare
from tests.approvals.chains_plugin import CANDIDATE, Paper

EXAMPLES = Path(__file__).parents[2] / "examples" / "approvals"
SHOWN = """approval { id state subject results title requester { name } createdAt validUntil
  tasks { stage stageName state answer automatic role dueAt overdue at user { name } signer { name } }
  filings { form department place endedAt filedOn keeper { name } filedBy { name } } }"""
NOT_HIS_TURN = {"APPROVAL_NOT_YOURS", "NOT_FOUND", "APPROVAL_FINISHED"}
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": ("chains",)}


@pytest.fixture
def crm_candidates() -> Sequence[Candidate]:
    return (CANDIDATE,)


@dataclass
class Firm:
    """A line with an applicant, `boss` who leads his team, and one person per role, hired when he is first needed."""

    crm: Kit
    applicant: Actor
    boss: Actor
    people: dict[str, Actor] = field(default_factory=dict)

    async def rules(self, name: str) -> None:
        """Bring in a file of the examples as `crm approvals import` does."""
        done = await _imported(self.crm.services, EXAMPLES / f"{name}.yaml", "east", dry_run=False)
        assert done is not None, "the file is not clean"
        assert [one.words for one in done if one.refused] == []

    async def hire(self, role: str) -> Actor:
        """Who holds this role; `boss` leads the applicant's team."""
        if role == "boss":
            return self.boss
        if role not in self.people:
            self.people[role] = await self.crm.actor(role, role=role)
        return self.people[role]

    async def ask(self, mutation: str, by: Actor | None = None, **given: Any) -> dict[str, Any]:
        """The request as which a command waits."""
        payload = await self.crm.done(mutation, by or self.applicant, input=given, select=SHOWN)
        assert payload["approval"] is not None, "it was not held"
        found: dict[str, Any] = payload["approval"]
        return found

    async def submit(self, record: str, by: Actor | None = None) -> dict[str, Any]:
        """The request in which a record is signed."""
        payload = await self.crm.done(
            "approvalSubmit", by or self.applicant, input={"record": record}, select=SHOWN
        )
        found: dict[str, Any] = payload["approval"]
        return found

    async def sign(self, approval: dict[str, Any], role: str, verb: str = "Approve", **more: Any) -> Any:
        """The request after this role's signature."""
        given = {"id": approval["id"], **more}
        payload = await self.crm.done(f"approval{verb}", await self.hire(role), input=given, select=SHOWN)
        return payload["approval"]

    async def cannot(self, approval: dict[str, Any], role: str) -> None:
        """It is not this role's turn."""
        who = await self.hire(role)
        refused = await self.crm.change("approvalApprove", who, input={"id": approval["id"]})
        assert {e["code"] for e in refused["userErrors"]} <= NOT_HIS_TURN, refused
        assert refused["userErrors"], f"{role} signed"

    async def in_turn(self, approval: dict[str, Any], *steps: str) -> Any:
        """Each step signs – `a+b` together, in either order – and nobody of a later step before."""
        for role in {role for step in steps for role in step.split("+")}:
            await self.hire(role)
        for number, step in enumerate(steps):
            for later in steps[number + 1 :]:
                for role in later.split("+"):
                    await self.cannot(approval, role)
            for role in reversed(step.split("+")):
                assert (await self.look(approval))["state"] == "PENDING"
                await self.sign(approval, role)
        return await self.look(approval)

    async def look(self, approval: dict[str, Any]) -> Any:
        """The request now."""
        text = f"query($id: ID!) {{ {SHOWN.replace('approval {', 'approval(id: $id) {', 1)} }}"
        return (await self.crm.data(text, id=approval["id"]))["approval"]

    async def papers(self, form: str) -> list[str]:
        """Titles of the forms of a kind that took effect."""
        return [row.title for row in await self.crm.rows(Paper) if row.form == form]

    async def refused(self, mutation: str, by: Actor | None = None, **given: Any) -> list[str]:
        """Codes of the refusals."""
        payload = await self.crm.change(mutation, by or self.applicant, input=given)
        return [e["code"] for e in payload["userErrors"]]

    def at(self, year: int, month: int, day: int, hour: int = 10) -> None:
        """Turn the clock to this hour in Shanghai."""
        self.crm.clock.now = datetime(year, month, day, hour, tzinfo=SHANGHAI).astimezone(
            self.crm.clock.now.tzinfo
        )

    async def tick(self) -> None:
        """Let the clock do what is due."""
        await overdue.run(self.crm.services)


async def opened(crm: Kit) -> Firm:
    team = await crm.team("一组")
    applicant = await crm.actor("applicant", role="applicant", team=team)
    await crm.perform("role.grant", {"user_id": applicant.user_id, "role": "sales", "line": "east"})
    boss = await crm.actor("boss", role="sales_manager", team=team, leads=True)
    return Firm(crm, await crm.again(applicant.user_id), boss)


@pytest.fixture
def crm_prepared(request: pytest.FixtureRequest) -> Prepare | None:
    return opened if "firm" in request.fixturenames else None


@pytest.fixture
def firm(crm: Kit) -> Firm:
    made: Firm = crm.prepared
    return replace(made, crm=crm, people={})


def signers(approval: Any) -> list[tuple[str, str]]:
    """Stage and signer of every signature, in order."""
    done = [t for t in approval["tasks"] if t["answer"] == "APPROVE"]
    return [(t["stageName"], t["signer"]["name"]) for t in done]


def open_(approval: Any) -> list[str]:
    """Who is asked now."""
    tasks = [t for t in approval["tasks"] if t["state"] == "OPEN"]
    return [t["user"]["name"] if t["user"] else t["role"] for t in tasks]


# -- forms that take effect with the last signature


@pytest.mark.parametrize(
    ("file", "mutation", "given", "steps"),
    [
        pytest.param(
            "gift", "giftRequest", {"amount": "1000.00"}, ["market_specialist", "boss"],
            marks=pytest.mark.rule("CS-202"), id="gift",
        ),
        pytest.param(
            "gift", "giftRequest", {"amount": "1000.01"}, ["market_specialist", "boss", "general_manager"],
            marks=pytest.mark.rule("CS-202"), id="dear gift",
        ),
        pytest.param(
            "gift", "exhibitionRequestMoney", {"amount": "1.00"}, ["boss", "general_manager"],
            marks=pytest.mark.rule("CS-202"), id="exhibition money",
        ),
        pytest.param(
            "credit-limit", "creditSetLimit", {"amount": "300000.00"},
            ["customer_manager", "market_manager", "sales_vice_gm"],
            marks=pytest.mark.rule("CS-213"), id="credit limit",
        ),
        pytest.param(
            "credit-limit", "creditSetLimit", {"amount": "400000.00"},
            ["customer_manager", "market_manager", "sales_vice_gm", "general_manager"],
            marks=pytest.mark.rule("CS-213"), id="high credit limit",
        ),
        pytest.param(
            "customer-expense", "entertainmentClaim", {"amount": "2000.00"}, ["boss", "finance_manager"],
            marks=pytest.mark.rule("CS-213"), id="entertainment",
        ),
        pytest.param(
            "customer-expense", "entertainmentClaim", {"amount": "2000.01"},
            ["department_head", "general_manager", "finance_manager"],
            marks=pytest.mark.rule("CS-213"), id="dear entertainment",
        ),
        pytest.param(
            "customer-expense", "budgetSet", {"amount": "9.00"}, ["department_head", "finance_manager"],
            marks=pytest.mark.rule("CS-213"), id="budget",
        ),
        pytest.param(
            "customer-expense", "budgetChange", {"amount": "9.00"}, ["department_head", "finance_manager"],
            marks=pytest.mark.rule("CS-213"), id="change of a budget by the original chain",
        ),
        pytest.param(
            "everyday", "criteriaSet", {}, ["sales_manager+service_manager", "general_manager"],
            marks=pytest.mark.rule("CS-190"), id="criteria set jointly, then approved",
        ),
        pytest.param(
            "everyday", "projectEnd", {"statement": "无纠纷"}, ["review_group"],
            marks=pytest.mark.rule("CS-196"), id="end of a project",
        ),
        pytest.param(
            "everyday", "projectRegister", {}, ["review_group"],
            marks=pytest.mark.rule("CS-196"), id="a project that is taken up again is registered anew",
        ),
        pytest.param(
            "everyday", "surveyPlan", {"amount": "9.00"}, ["survey_supervisor", "general_manager"],
            marks=pytest.mark.rule("CS-197"), id="survey plan",
        ),
        pytest.param(
            "everyday", "surveyReport", {}, ["survey_supervisor", "general_manager"],
            marks=pytest.mark.rule("CS-197"), id="survey report",
        ),
        pytest.param(
            "everyday", "contractSign", {}, ["customer_development_supervisor"],
            marks=pytest.mark.rule("CS-198"), id="contract",
        ),
        pytest.param(
            "everyday", "testReportCorrect", {}, ["authorised_signatory"],
            marks=pytest.mark.rule("CS-199"), id="corrected test report",
        ),
        pytest.param(
            "everyday", "planPromote", {"amount": "9.00"}, ["general_manager"],
            marks=pytest.mark.rule("CS-201"), id="promotion plan",
        ),
        pytest.param(
            "everyday", "planSell", {}, ["general_manager"], marks=pytest.mark.rule("CS-201"), id="sales plan"
        ),
        pytest.param(
            "everyday", "sealTakeOut", {}, ["sales_assistant+sales_manager"],
            marks=pytest.mark.rule("CS-203"), id="contract seal",
        ),
        pytest.param(
            "everyday", "carDispatch", {}, ["boss"], marks=pytest.mark.rule("CS-206"), id="company car"
        ),
        pytest.param(
            "everyday", "bonusPay", {"amount": "9.00"}, ["general_affairs", "general_manager", "hr"],
            marks=pytest.mark.rule("CS-208"), id="service bonus",
        ),
        pytest.param("everyday", "memoFile", {}, ["boss"], marks=pytest.mark.rule("CS-209"), id="memo"),
        pytest.param(
            "everyday", "agreementMake", {"amount": "5000.01"}, ["service_manager", "general_manager"],
            marks=pytest.mark.rule("CS-210"), id="agreement",
        ),
        pytest.param(
            "everyday", "complaintSettle", {}, ["service_manager"],
            marks=pytest.mark.rule("CS-211"), id="complaint",
        ),
        pytest.param(
            "everyday", "staffHireElite", {}, ["province_hr+group_customer_department"],
            marks=pytest.mark.rule("CS-214"), id="key account staff",
        ),
    ],
)  # fmt: skip
async def test_a_form_takes_effect_with_the_last_signature_of_its_chain_and_not_before(
    firm: Firm, file: str, mutation: str, given: dict[str, Any], steps: list[str]
) -> None:
    await firm.rules(file)
    for role in [role for step in steps for role in step.split("+")]:
        await firm.hire(role)
    asked = await firm.ask(mutation, title="申请", **given)
    form = (await firm.crm.data("{ approvals { nodes { kind } } }"))["approvals"]["nodes"][0]["kind"]
    await firm.cannot(asked, "board")  # somebody who signs elsewhere
    assert await firm.papers(form) == []
    done = await firm.in_turn(asked, *steps)
    assert (done["state"], await firm.papers(form)) == ("APPROVED", ["申请"])
    assert {name for _, name in signers(done)} == {role for step in steps for role in step.split("+")}


@pytest.mark.rule("CS-202", "CS-210")
async def test_what_one_signer_refuses_never_takes_effect(firm: Firm) -> None:
    await firm.rules("gift")
    await firm.hire("market_specialist")
    asked = await firm.ask("giftRequest", title="茶叶", amount="100.00")
    await firm.sign(asked, "market_specialist")
    refused = await firm.sign(asked, "boss", "Reject", comment="超预算")
    assert (refused["state"], await firm.papers("gift.request")) == ("REJECTED", [])


@pytest.mark.rule("CS-210")
async def test_nobody_promises_beyond_his_authority(firm: Firm) -> None:
    await firm.rules("everyday")
    await firm.rules("credit-limit")
    for role in ("service_manager", "customer_manager", "market_manager", "sales_vice_gm", "general_manager"):
        await firm.hire(role)
    small = await firm.ask("agreementMake", title="补件", amount="5000.00")
    await firm.cannot(small, "general_manager")
    assert (await firm.sign(small, "service_manager"))["state"] == "APPROVED"
    large = await firm.ask("agreementMake", title="赔偿", amount="5000.01")
    assert open_(await firm.sign(large, "service_manager")) == ["general_manager"]
    assert await firm.papers("agreement.make") == ["补件"]
    assert await firm.refused("creditSetLimit", title="x", amount="1000000.01") == ["APPROVAL_FORBIDDEN"]


@pytest.mark.rule("CS-211")
async def test_the_service_department_decides_what_the_policies_give_it(firm: Firm) -> None:
    await firm.rules("everyday")
    for role in ("service_manager", "sales_manager", "general_manager"):
        await firm.hire(role)
    for mutation, kind in (("complaintSettle", "complaint.settle"), ("agreementMake", "agreement.make")):
        asked = await firm.ask(mutation, title="a", amount="1.00")
        await firm.sign(asked, "service_manager", "Reject", comment="不同意")
        assert await firm.papers(kind) == []
    joint = await firm.ask("criteriaSet", title="a")
    await firm.sign(joint, "sales_manager")
    assert open_(await firm.look(joint)) == ["service_manager"]


@pytest.mark.rule("CS-196")
async def test_every_member_of_the_review_group_agrees_to_the_end_of_a_project(firm: Firm) -> None:
    await firm.rules("everyday")
    first, second = [await firm.crm.actor(name, role="review_group") for name in ("first", "second")]
    assert await firm.refused("projectEnd", title="a", statement="") == ["INVALID_STRING_TOO_SHORT"]
    asked = await firm.ask("projectEnd", title="a", statement="尾款已结")
    for who in (first, second):
        assert await firm.papers("project.end") == []
        await firm.crm.done("approvalApprove", who, input={"id": asked["id"]})
    assert await firm.papers("project.end") == ["a"]


@pytest.mark.rule("CS-197")
async def test_a_survey_report_is_shown_to_the_departments(firm: Firm) -> None:
    await firm.rules("everyday")
    for role in ("survey_supervisor", "general_manager", "department_head"):
        await firm.hire(role)
    asked = await firm.ask("surveyReport", title="满意度")
    shown = "{ approvals(where: {copied: true}) { nodes { id } } }"
    head = await firm.hire("department_head")
    assert (await firm.crm.data(shown, head))["approvals"]["nodes"] == []
    await firm.sign(asked, "survey_supervisor")
    assert (await firm.crm.data(shown, head))["approvals"]["nodes"] == [{"id": asked["id"]}]


# -- archives, persons, visits, stages: commands of the core


@pytest.mark.rule("CS-012", "CS-189")
async def test_an_archive_is_looked_at_by_its_steward_then_confirmed_by_the_head_of_marketing(
    firm: Firm,
) -> None:
    await firm.rules("customer-archive")
    for role in ("steward", "marketing_gm"):
        await firm.hire(role)
    names = "{ customers { nodes { name city } } }"
    asked = await firm.ask("customerCreate", name="华信", kind="ORGANISATION")
    assert (await firm.crm.data(names))["customers"]["nodes"] == []
    done = await firm.in_turn(asked, "steward", "marketing_gm")
    assert signers(done) == [("档案管理员审核", "steward"), ("营销总公司总经理审批", "marketing_gm")]
    assert (await firm.crm.data(names))["customers"]["nodes"] == [{"name": "华信", "city": None}]
    change = await firm.ask("customerUpdate", id=done["subject"], city="苏州")
    returned = await firm.sign(change, "steward", "Return", comment="请附执照")
    assert (returned["state"], open_(returned)) == ("RETURNED", ["applicant"])
    await firm.crm.done("approvalResubmit", firm.applicant, input={"id": change["id"]})
    await firm.in_turn(change, "steward", "marketing_gm")
    assert (await firm.crm.data(names))["customers"]["nodes"] == [{"name": "华信", "city": "苏州"}]


@pytest.mark.rule("CS-064", "CS-192")
async def test_a_change_of_a_customers_persons_is_signed_by_manager_and_director_and_filed_by_the_clerk(
    firm: Firm,
) -> None:
    customer = await _customer(firm)
    made = await firm.crm.done(
        "contactCreate",
        firm.applicant,
        input={"customerId": customer, "name": "王总"},
        select="contact { id }",
    )
    person = made["contact"]["id"]
    await firm.rules("contact-change")
    for role in ("sales_manager", "sales_director", "sales_clerk"):
        await firm.hire(role)
    asked = await firm.ask("contactUpdate", id=person, title="总监")
    done = await firm.in_turn(asked, "sales_manager", "sales_director", "sales_clerk")
    assert [name for _, name in signers(done)] == ["sales_manager", "sales_director", "sales_clerk"]
    assert await _title(firm, person) == "总监"
    filed = await firm.sign(done, "sales_clerk", "File", form="ORIGINAL", department="销售部")
    assert [(f["form"], f["department"], f["keeper"]["name"]) for f in filed["filings"]] == [
        ("ORIGINAL", "销售部", "sales_clerk")
    ]


@pytest.mark.rule("CS-064", "CS-192")
async def test_a_change_of_persons_without_approval_is_void(firm: Firm) -> None:
    customer = await _customer(firm)
    await firm.rules("contact-change")
    for role in ("sales_manager", "sales_director", "sales_clerk"):
        await firm.hire(role)
    asked = await firm.ask("contactCreate", customerId=customer, name="李工")
    await firm.sign(asked, "sales_manager")
    refused = await firm.sign(asked, "sales_director", "Reject", comment="无依据")
    assert refused["state"] == "REJECTED"
    found = await firm.crm.data("{ contacts { nodes { name } } }")
    assert found["contacts"]["nodes"] == []


async def _customer(firm: Firm) -> str:
    given = {"name": "华信", "kind": "ORGANISATION"}
    made = await firm.crm.done("customerCreate", firm.applicant, input=given, select="customer { id }")
    return str(made["customer"]["id"])


async def _title(firm: Firm, person: str) -> str | None:
    found = await firm.crm.data("query($id: ID!) { contact(id: $id) { title } }", id=person)
    title: str | None = found["contact"]["title"]
    return title


@pytest.mark.rule("CS-191")
async def test_a_visit_plan_goes_to_the_superior_before_it_stands(firm: Firm) -> None:
    customer = await _customer(firm)
    await firm.rules("everyday")
    given: dict[str, Any] = {
        "customerId": customer,
        "kind": "visit",
        "plannedAt": "2025-11-04T10:00:00+08:00",
    }
    plan = {"purposes": ["LEARN_NEEDS"], "target": "年度框架协议"}
    asked = await firm.ask("interactionPlan", **given, visit=plan)
    plans = "{ interactions { nodes { status } } }"
    assert open_(asked) == ["boss"]
    assert (await firm.crm.data(plans))["interactions"]["nodes"] == []
    await firm.sign(asked, "boss")
    assert len((await firm.crm.data(plans))["interactions"]["nodes"]) == 1


@pytest.mark.rule("CS-195")
async def test_a_vip_is_lowered_by_the_owning_unit_within_five_days(firm: Firm) -> None:
    await firm.rules("everyday")
    firm.at(2025, 11, 6)  # Thursday
    asked = await firm.ask("vipDowngrade", title="降为优选")
    (task,) = asked["tasks"]
    assert (open_(asked), task["dueAt"]) == (["boss"], "2025-11-11T10:00:00.000000Z")
    firm.at(2025, 11, 11, 18)
    await firm.tick()
    assert (await firm.look(asked))["tasks"][0]["overdue"] is True
    await firm.sign(asked, "boss")
    assert await firm.papers("vip.downgrade") == ["降为优选"]


@pytest.mark.rule("CS-195")
async def test_a_customer_is_blacklisted_once_the_marketing_division_has_verified_it(firm: Firm) -> None:
    customer = await _customer(firm)
    await firm.rules("everyday")
    await firm.hire("marketing_division")
    chief = await firm.hire("line_manager")
    stage = "query($id: ID!) { customer(id: $id) { lines { stage } } }"
    payload = await firm.crm.done(
        "customerMoveStage",
        chief,
        input={"id": customer, "stage": "BLACKLISTED"},
        reason="重大损失",
        select=SHOWN,
    )
    assert (await firm.crm.data(stage, id=customer))["customer"]["lines"] == [{"stage": "PROSPECT"}]
    await firm.in_turn(payload["approval"], "marketing_division")
    assert (await firm.crm.data(stage, id=customer))["customer"]["lines"] == [{"stage": "BLACKLISTED"}]


# -- what is refused outright


@pytest.mark.rule("CS-193")
async def test_a_special_fee_is_applied_for_before_the_contract_is_signed_and_void_after(firm: Firm) -> None:
    contract = await _contract(firm)
    await firm.rules("special-fee")
    steps = ("sales_manager", "sales_director", "finance_manager")
    for role in steps:
        await firm.hire(role)
    asked = await firm.ask("feeRequest", id=contract, amount="800.00")
    signed = {"id": contract, "signedOn": "2025-11-03"}
    await firm.crm.done("contractSetSigned", firm.applicant, input=signed)
    late = await firm.crm.change("feeRequest", firm.applicant, input={"id": contract, "amount": "1.00"})
    assert [(e["code"], "签订合同后申请一律无效" in e["message"]) for e in late["userErrors"]] == [
        ("APPROVAL_FORBIDDEN", True)
    ]
    assert (await firm.in_turn(asked, *steps))["state"] == "APPROVED"  # it was applied for in time
    assert await firm.papers("fee.request") == ["框架合同"]


@pytest.mark.rule("CS-193")
async def test_a_special_fee_returned_is_not_applied_for_again_after_the_signing(firm: Firm) -> None:
    contract = await _contract(firm)
    await firm.rules("special-fee")
    for role in ("sales_manager", "sales_director", "finance_manager"):
        await firm.hire(role)
    asked = await firm.ask("feeRequest", id=contract, amount="800.00")
    await firm.sign(asked, "sales_manager", "Return", comment="金额过高")
    await firm.crm.done("contractSetSigned", firm.applicant, input={"id": contract, "signedOn": "2025-11-03"})
    assert await firm.refused("approvalResubmit", id=asked["id"]) == ["APPROVAL_FORBIDDEN"]
    assert (await firm.look(asked))["state"] == "RETURNED"


async def _contract(firm: Firm) -> str:
    made = await firm.crm.done(
        "contractSign", firm.applicant, input={"title": "框架合同"}, select="paper { id }"
    )
    return str(made["paper"]["id"])


@pytest.mark.rule("CS-207")
async def test_a_probationary_salesman_is_taken_on_by_the_sales_manager_and_filed_by_administration(
    firm: Firm,
) -> None:
    await firm.rules("everyday")
    for role in ("sales_manager", "office"):
        await firm.hire(role)
    for months, sold in ((1, 9), (9, 4)):
        early = await firm.refused("staffRegularise", title="小赵", months=months, sold=sold)
        assert early == ["APPROVAL_FORBIDDEN"]
    asked = await firm.ask("staffRegularise", title="小赵", months=2, sold=5)
    assert await firm.papers("staff.regularise") == []
    done = await firm.in_turn(asked, "sales_manager")
    assert await firm.papers("staff.regularise") == ["小赵"]
    keeper = await firm.hire("office")
    filed = await firm.sign(
        done, "sales_manager", "File", form="ORIGINAL", department="行政部", keeperId=_user(keeper)
    )
    assert [(f["department"], f["keeper"]["name"]) for f in filed["filings"]] == [("行政部", "office")]


def _user(actor: Actor) -> str:
    assert actor.user_id is not None
    return ids.show("usr", actor.user_id)


# -- how long an approval is valid, and for what


@pytest.mark.rule("CS-205")
async def test_a_permit_is_valid_on_the_day_only_and_for_its_place(firm: Firm) -> None:
    await firm.rules("everyday")
    await firm.hire("general_affairs")
    asked = await firm.ask("hotWorkBegin", title="焊接", place="A栋")
    done = await firm.in_turn(asked, "general_affairs")
    assert done["validUntil"] == "2025-11-03T16:00:00.000000Z"
    begun = {"title": "切割", "place": "A栋"}
    again = await firm.crm.done(
        "hotWorkBegin", firm.applicant, input=begun, select="paper { title } approval { id }"
    )
    assert again == {"userErrors": [], "paper": {"title": "切割"}, "approval": None}
    logged = [row for row in await firm.crm.rows(AuditEntry) if row.kind == "hot_work.begin"][-1]
    assert ids.show("apr", logged.approval_id) == asked["id"]
    elsewhere = await firm.ask("hotWorkBegin", title="焊接", place="B栋")
    assert open_(elsewhere) == ["general_affairs"]
    firm.at(2025, 11, 4, 0)
    assert open_(await firm.ask("hotWorkBegin", title="焊接", place="A栋")) == ["general_affairs"]


@pytest.mark.rule("CS-205")
async def test_a_permit_is_nobody_elses(firm: Firm) -> None:
    await firm.rules("everyday")
    await firm.hire("general_affairs")
    asked = await firm.ask("hotWorkBegin", title="焊接", place="A栋")
    await firm.in_turn(asked, "general_affairs")
    other = await firm.crm.actor("other", role="applicant")
    assert open_(await firm.ask("hotWorkBegin", other, title="焊接", place="A栋")) == ["general_affairs"]


# -- a monthly sheet checked by three, in working days


async def _sheet(firm: Firm, total: str = "1000.00") -> str:
    given = {"month": "2025-11", "total": total}
    made = await firm.crm.done("expenseSheetFile", firm.applicant, input=given, select="expenseSheet { id }")
    return str(made["expenseSheet"]["id"])


async def _state(firm: Firm) -> str:
    found = await firm.crm.data("{ expenseSheets { nodes { state } } }")
    return str(found["expenseSheets"]["nodes"][0]["state"])


CHECKING = ("sales_clerk", "sales_manager", "accountant", "finance_manager")


@pytest.fixture
async def checked(firm: Firm) -> Firm:
    """A firm with the rules of the sheet and all who check it, on the third working day of December 2025."""
    await firm.rules("expense-sheet")
    for role in (*CHECKING, "regional_director", "general_manager"):
        await firm.hire(role)
    firm.at(2025, 12, 3)
    return firm


@pytest.mark.rule("CS-193", "CS-213")
async def test_a_sheet_filed_by_the_third_working_day_is_checked_by_three_until_the_eighth(
    checked: Firm,
) -> None:
    asked = await checked.submit(await _sheet(checked))
    assert (await _state(checked), asked["tasks"][0]["dueAt"]) == ("PENDING", "2025-12-04T10:00:00.000000Z")
    checked.at(2025, 12, 4, 17)
    await checked.cannot(asked, "finance_manager")
    after = await checked.sign(asked, "sales_clerk")
    assert [t["dueAt"] for t in after["tasks"] if t["state"] == "OPEN"] == ["2025-12-08T10:00:00.000000Z"]
    checked.at(2025, 12, 8, 17)
    after = await checked.sign(asked, "sales_manager")
    eighth = {t["dueAt"] for t in after["tasks"] if t["state"] == "OPEN"}
    assert eighth == {"2025-12-10T10:00:00.000000Z"}
    assert await _state(checked) == "PENDING"
    done = await checked.sign(asked, "accountant")
    assert (done["state"], await _state(checked)) == ("APPROVED", "VALID")
    assert signers(done) == [
        ("销售文员检核", "sales_clerk"),
        ("销售部经理检核", "sales_manager"),
        ("财务检核", "accountant"),
    ]


@pytest.mark.rule("CS-193", "CS-213")
async def test_a_sheet_that_misses_a_signature_is_void(checked: Firm) -> None:
    asked = await checked.submit(await _sheet(checked))
    for role in ("sales_clerk", "sales_manager"):
        await checked.sign(asked, role)
    checked.at(2025, 12, 5, 18)
    await checked.tick()
    after = await checked.look(asked)
    assert (after["state"], await _state(checked)) == ("REJECTED", "VOID")
    assert next(t["automatic"] for t in after["tasks"] if t["answer"] == "REJECT") is True


@pytest.mark.rule("CS-213")
async def test_who_checks_is_reminded_and_a_late_check_goes_up(checked: Firm) -> None:
    asked = await checked.submit(await _sheet(checked))
    checked.at(2025, 12, 4, 16)
    await checked.tick()
    clerk = await checked.hire("sales_clerk")
    heard = {row.kind for row in await checked.crm.rows(Notice) if row.user_id == clerk.user_id}
    assert "approval.reminder" in heard
    await checked.sign(asked, "sales_clerk")
    checked.at(2025, 12, 8, 18)
    await checked.tick()
    assert open_(await checked.look(asked)) == ["regional_director"]
    await checked.cannot(asked, "sales_manager")


@pytest.mark.rule("CS-213")
async def test_more_sign_a_dearer_sheet(checked: Firm) -> None:
    dear = await checked.submit(await _sheet(checked, "20000.00"))
    done = await checked.in_turn(dear, "sales_clerk", "sales_manager", "regional_director", "finance_manager")
    assert done["state"] == "APPROVED"
    dearest = await checked.submit(await _sheet(checked, "100000.00"))
    for role in ("sales_clerk", "sales_manager", "regional_director", "general_manager", "accountant"):
        assert (await checked.look(dearest))["state"] == "PENDING"
        await checked.sign(dearest, role)
    assert (await checked.look(dearest))["state"] == "APPROVED"


@pytest.mark.rule("CS-193")
async def test_the_original_is_kept_by_finance_and_a_copy_by_sales(checked: Firm) -> None:
    asked = await checked.submit(await _sheet(checked))
    early = await checked.crm.change(
        "approvalFile",
        await checked.hire("sales_clerk"),
        input={"id": asked["id"], "form": "COPY", "department": "销售部"},
    )
    assert [(e["code"], e["rule"]) for e in early["userErrors"]] == [("APPROVAL_NOT_SIGNED", "CS-193")]
    for role in ("sales_clerk", "sales_manager", "accountant"):
        await checked.sign(asked, role)
    await checked.sign(asked, "sales_clerk", "File", form="ORIGINAL", department="销售部")
    await checked.sign(asked, "accountant", "File", form="ORIGINAL", department="财务部", place="3号柜")
    kept = await checked.sign(asked, "sales_clerk", "File", form="COPY", department="销售部")
    now = [f for f in kept["filings"] if f["endedAt"] is None]
    assert [(f["form"], f["department"], f["place"], f["keeper"]["name"]) for f in now] == [
        ("ORIGINAL", "财务部", "3号柜", "accountant"),
        ("COPY", "销售部", "", "sales_clerk"),
    ]
    assert len(kept["filings"]) == 3  # the original passed through sales
    ahead = {"id": asked["id"], "form": "COPY", "department": "x", "filedOn": "2025-12-04"}
    clerk = await checked.hire("sales_clerk")
    assert await checked.refused("approvalFile", clerk, **ahead) == ["APPROVAL_FILED_AHEAD"]
    assert await checked.refused("approvalFile", checked.applicant, **ahead) == ["FORBIDDEN"]


# -- controlled documents

CONTROLLED = """controlledDocument { id state number title department issue revision pages year
  preparedOn reviewedOn approvedOn reviewDueOn
  preparedBy { name } reviewedBy { name } approvedBy { name } }"""


@pytest.fixture
async def office(firm: Firm) -> Firm:
    """A firm with the rules of controlled documents; the applicant may draft them."""
    await firm.rules("controlled-documents")
    for role in ("department_head", "general_manager", "office", "service_manager"):
        await firm.hire(role)
    await firm.crm.perform(
        "role.grant", {"user_id": firm.applicant.user_id, "role": "steward", "line": "east"}
    )
    firm.applicant = await firm.crm.again(firm.applicant.user_id)
    return firm


async def _draft(firm: Firm, kind: str = "POLICY", number: str = "ZD-055", **more: Any) -> str:
    given = {"documentKind": kind, "number": number, "title": "劳务费管理制度", "department": "营销中心"}
    made = await firm.crm.done(
        "controlledDocumentDraft",
        firm.applicant,
        input={**given, "pages": 1, **more},
        select="controlledDocument { id }",
    )
    return str(made["controlledDocument"]["id"])


async def _document(firm: Firm, key: str) -> Any:
    text = CONTROLLED.replace("controlledDocument {", "controlledDocument(id: $id) {", 1)
    return (await firm.crm.data(f"query($id: ID!) {{ {text} }}", id=key))["controlledDocument"]


@pytest.mark.rule("CS-187", "CS-188")
async def test_a_controlled_document_names_who_prepared_reviewed_and_approved_it_and_when(
    office: Firm,
) -> None:
    office.at(2025, 12, 26)
    document = await _draft(office)
    asked = await office.submit(document)
    office.at(2025, 12, 29)
    await office.sign(asked, "department_head")
    office.at(2025, 12, 30)
    await office.sign(asked, "general_manager")
    assert await _document(office, document) == {
        "id": document, "state": "IN_FORCE", "number": "ZD-055", "title": "劳务费管理制度",
        "department": "营销中心", "issue": 1, "revision": 0, "pages": 1, "year": None,
        "preparedBy": {"name": "applicant"}, "preparedOn": "2025-12-26",
        "reviewedBy": {"name": "department_head"}, "reviewedOn": "2025-12-29",
        "approvedBy": {"name": "general_manager"}, "approvedOn": "2025-12-30",
        "reviewDueOn": None,
    }  # fmt: skip


@pytest.mark.rule("CS-187")
async def test_an_annual_table_names_its_year_and_nobody_signs_his_own(office: Firm) -> None:
    table = await _draft(office, "TABLE", "T-3", year=2025)
    asked = await office.submit(table)
    assert asked["title"].endswith("2025")
    await office.cannot(asked, "general_manager")
    mine = await office.crm.change("approvalApprove", office.applicant, input={"id": asked["id"]})
    assert mine["userErrors"] != []
    assert (await _document(office, table))["state"] == "PENDING"


@pytest.mark.rule("CS-188", "CS-200")
async def test_a_revision_counts_on_and_replaces_what_was_in_force_once_it_is_signed(office: Firm) -> None:
    old = await _draft(office, reviewMonths=12)
    await office.in_turn(await office.submit(old), "department_head", "general_manager")
    assert (await _document(office, old))["reviewDueOn"] == "2026-11-03"
    due = "{ controlledDocuments(where: {reviewDue: true}) { nodes { id } } }"
    assert (await office.crm.data(due))["controlledDocuments"]["nodes"] == []
    office.at(2026, 11, 3)
    assert (await office.crm.data(due))["controlledDocuments"]["nodes"] == [{"id": old}]
    made = await office.crm.done(
        "controlledDocumentRevise", office.applicant, input={"id": old, "pages": 2}, select=CONTROLLED
    )
    new = made["controlledDocument"]
    assert (new["state"], new["issue"], new["revision"]) == ("DRAFT", 1, 1)
    asked = await office.submit(new["id"])
    locked = await office.refused("controlledDocumentUpdate", id=new["id"], pages=3)
    assert locked == ["APPROVAL_LOCKED"]
    assert (await _document(office, old))["state"] == "IN_FORCE"
    await office.in_turn(asked, "department_head", "general_manager")
    states = [(await _document(office, key))["state"] for key in (old, new["id"])]
    assert states == ["REPLACED", "IN_FORCE"]
    settled = await office.refused("controlledDocumentUpdate", id=new["id"], pages=3)
    assert settled == ["CONTROLLED_DOCUMENT_SETTLED"]
    assert (await office.crm.data(due))["controlledDocuments"]["nodes"] == []


@pytest.mark.rule("CS-188")
async def test_no_two_documents_bear_one_number_issue_and_revision(office: Firm) -> None:
    first = await _draft(office)
    given: dict[str, Any] = {"documentKind": "POLICY", "number": "ZD-055", "title": "x"}
    given |= {"department": "y", "pages": 1}
    assert await office.refused("controlledDocumentDraft", **given) == ["CONTROLLED_DOCUMENT_EXISTS"]
    early = await office.refused("controlledDocumentRevise", id=first)
    assert early == ["CONTROLLED_DOCUMENT_NOT_IN_FORCE"]


@pytest.mark.rule("CS-200")
async def test_the_internal_customer_policy_is_changed_by_the_whole_board_alone(office: Firm) -> None:
    first, second = [await office.crm.actor(name, role="board") for name in ("first", "second")]
    document = await _draft(office, number="NK-01")
    asked = await office.submit(document)
    await office.sign(asked, "department_head")
    await office.cannot(asked, "general_manager")
    for who in (first, second):
        assert (await _document(office, document))["state"] == "PENDING"
        await office.crm.done("approvalApprove", who, input={"id": asked["id"]})
    assert (await _document(office, document))["state"] == "IN_FORCE"


@pytest.mark.rule("CS-200")
async def test_implementing_rules_are_filed_with_customer_relations(office: Firm) -> None:
    document = await _draft(office, "RULES", "XZ-1")
    done = await office.in_turn(await office.submit(document), "department_head", "service_manager")
    filed = await office.sign(done, "service_manager", "File", form="COPY", department="客户关系管理部")
    assert [f["department"] for f in filed["filings"]] == ["客户关系管理部"]


@pytest.mark.rule("CS-204")
async def test_a_departments_form_is_approved_by_the_general_manager_and_then_printed_by_the_office(
    office: Firm,
) -> None:
    form = await _draft(office, "FORM", "BG-7")
    await office.in_turn(await office.submit(form), "general_manager", "office")
    assert (await _document(office, form))["state"] == "IN_FORCE"


@pytest.mark.rule("CS-187")
async def test_a_document_returned_or_refused_is_a_draft_again(office: Firm) -> None:
    document = await _draft(office)
    asked = await office.submit(document)
    await office.sign(asked, "department_head", "Return", comment="补充附件")
    assert (await _document(office, document))["state"] == "DRAFT"
    await office.crm.done("approvalResubmit", office.applicant, input={"id": asked["id"]})
    assert (await _document(office, document))["state"] == "PENDING"
    await office.sign(asked, "department_head", "Reject", comment="不需要")
    assert (await _document(office, document))["state"] == "DRAFT"
    office.crm.clock.advance(days=1)
    await office.in_turn(await office.submit(document), "department_head", "general_manager")
    assert (await _document(office, document))["state"] == "IN_FORCE"


async def test_who_may_not_read_controlled_documents_sees_none(office: Firm) -> None:
    document = await _draft(office)
    stranger = await office.hire("hr")
    text = "query($id: ID!) { controlledDocument(id: $id) { id } }"
    assert (await office.crm.ask(text, stranger, id=document)).codes == ["FORBIDDEN"]

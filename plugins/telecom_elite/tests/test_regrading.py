"""Promotion, demotion and changes of post through the API: from results to a signed posting, never further by itself."""

from typing import Any

import pytest

from crm_core import ids
from crm_core.actors import Actor
from crm_core.approvals import overdue
from crm_core.approvals.models import Approval
from crm_core.outbox.models import OutboxEvent
from crm_telecom_elite.members.models import EliteMember, ElitePosting
from crm_telecom_elite.months import later
from crm_telecom_elite.regrading.models import EliteRegrade
from crm_telecom_elite.testing import Branch

KPI = {"marketPeriod": "CULTIVATION", "m": "90", "s": "70", "d": "80"}
QUARTERS = ("2025-Q1", "2025-Q2", "2025-Q3", "2025-Q4")
SCORES = {"A": 40, "B": 30, "C": 20}
"""Users developed that make this result with an attitude of 50."""


async def confirmed(branch: Branch, made: dict[str, Any]) -> str:
    found: str = made["eliteAppraisal"]["id"]
    await branch.crm.done("eliteAppraisalConfirm", branch.centre, input={"ids": [found]})
    return found


async def quarterly(branch: Branch, member: str, results: str, first: str = "2025-Q1") -> list[str]:
    """Confirmed results of a member of the headquarters, quarter by quarter; his team's come with them."""
    crm, centre, made = branch.crm, branch.centre, []
    for quarter, result in zip(QUARTERS[QUARTERS.index(first) :], results, strict=False):
        given = {"teamId": branch.hq, "quarter": quarter, **KPI}
        team = await crm.change("eliteAppraisalRateTeam", centre, input=given, select="eliteAppraisal { id }")
        if not team["userErrors"]:
            await confirmed(branch, team)
        given = {"memberId": member, "period": quarter, "result": result}
        made.append(
            await confirmed(
                branch,
                await crm.done(
                    "eliteAppraisalRateMember", centre, input=given, select="eliteAppraisal { id }"
                ),
            )
        )
    return made


async def monthly(branch: Branch, member: str, results: str, first: str = "2025-01") -> list[str]:
    """Confirmed results of a member of the region, month by month."""
    made = []
    for number, result in enumerate(results):
        given = {
            "memberId": member,
            "period": later(first, number),
            "users": SCORES[result],
            "usersReason": "手工统计",
            "attitude": "50",
        }
        rated = await branch.crm.done(
            "eliteAppraisalRateMember", branch.centre, input=given, select="eliteAppraisal { id }"
        )
        made.append(await confirmed(branch, rated))
    return made


async def hq_member(branch: Branch, grade: str = "营销经理", letter: str = "A", **more: Any) -> str:
    return await branch.member(grade=grade, letter=letter, entered_on="2024-01-01", **more)


async def regional(branch: Branch, grade: str = "营销经理", letter: str = "A", **more: Any) -> str:
    more = {"post": "customer_manager", "entered_on": "2024-01-01", **more}
    return await branch.member(team=branch.regional, grade=grade, letter=letter, **more)


async def regrades(branch: Branch, actor: Actor | None = None) -> list[dict[str, Any]]:
    asked = (
        "{ eliteRegrades { nodes { id kind state rule cause derivation qualified decision effectiveOn"
        " fromStep { grade letter } toStep { grade letter } member { id } } } }"
    )
    data = await branch.crm.data(asked, actor or branch.hr)
    return list(reversed(data["eliteRegrades"]["nodes"]))


def steps(row: dict[str, Any]) -> tuple[str, str | None]:
    names = [one and f"{one['grade']}{one['letter']}" for one in (row["fromStep"], row["toStep"])]
    return str(names[0]), names[1]


async def refused(
    branch: Branch, mutation: str, by: Actor, **given: Any
) -> list[tuple[str, str | None, str | None]]:
    payload = await branch.crm.change(mutation, by, acting=branch.line, input=given)
    return [(e["code"].removeprefix("TELECOM_ELITE_"), e["field"], e["rule"]) for e in payload["userErrors"]]


async def submitted(branch: Branch, row: dict[str, Any], by: Actor | None = None) -> None:
    await branch.crm.done(
        "approvalSubmit", by or branch.centre, acting=branch.line, input={"record": row["id"]}
    )


async def signed(branch: Branch, row: dict[str, Any], *signers: Actor, verb: str = "Approve") -> str:
    """The state of the request after these answers."""
    key, state = ids.read_as("erg", row["id"]), ""
    for signer in signers:
        latest = max(one.id for one in await branch.crm.rows(Approval) if one.subject_id == key)
        payload = await branch.crm.done(
            f"approval{verb}",
            signer,
            input={"id": ids.show("apr", latest)},
            select="approval { state }",
        )
        state = payload["approval"]["state"]
    return state


async def rung(branch: Branch, member: str) -> tuple[str, str]:
    """The rung and first day of a member's last posting."""
    asked = "query($id: ID!) { eliteMember(id: $id) { postings { validFrom step { grade letter } } } }"
    data = await branch.crm.data(asked, branch.hr, id=member)
    last = max(data["eliteMember"]["postings"], key=lambda one: one["validFrom"])
    return f"{last['step']['grade']}{last['step']['letter']}", last["validFrom"]


# -- the headquarters' ladder


@pytest.mark.rule("MO-011", "MO-013", "MO-055", "MO-065", "OT-107", "OT-117", "OT-120")
async def test_two_a_propose_a_step_up_that_holds_once_hr_signed(branch: Branch) -> None:
    member = await hq_member(branch)
    cause = await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    assert (row["kind"], row["state"], row["rule"], row["cause"]) == ("STEP_UP", "PROPOSED", "MO-055", cause)
    assert steps(row) == ("营销经理A", "营销经理B")
    assert [step["label"] for step in row["derivation"]] == ["2025-Q1", "2025-Q2", "A in a row"]
    assert await rung(branch, member) == ("营销经理A", "2024-01-01")
    await submitted(branch, row)
    assert await signed(branch, row, branch.hr) == "APPROVED"
    (row,) = await regrades(branch)
    assert (row["state"], row["effectiveOn"]) == ("APPROVED", "2025-12-01")
    assert await rung(branch, member) == ("营销经理B", "2025-12-01")


@pytest.mark.rule("MO-055", "OT-117")
async def test_from_the_top_step_a_passed_review_leads_to_the_lowest_step_of_the_next_grade(
    branch: Branch,
) -> None:
    member = await hq_member(branch, letter="C")
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    assert steps(row) == ("营销经理C", "营销顾问A")
    assert await refused(branch, "approvalSubmit", branch.centre, record=row["id"]) == [
        ("UNREVIEWED", "record", "MO-055")
    ]
    passed = {"id": row["id"], "qualified": True, "note": "具备营销顾问任职资格"}
    await branch.crm.done("eliteRegradeReviewQualification", branch.centre, input=passed)
    await submitted(branch, row)
    assert await signed(branch, row, branch.hr) == "APPROVED"
    assert (await rung(branch, member))[0] == "营销顾问A"


@pytest.mark.rule("MO-055", "OT-117")
async def test_who_fails_the_review_stays_on_the_top_step(branch: Branch) -> None:
    member = await hq_member(branch, letter="C")
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    failed = {"id": row["id"], "qualified": False, "note": "方案能力不足"}
    await branch.crm.done("eliteRegradeReviewQualification", branch.centre, input=failed)
    (row,) = await regrades(branch)
    assert (row["state"], row["qualified"], row["decision"]) == ("REJECTED", False, "方案能力不足")
    assert (await rung(branch, member))[0] == "营销经理C"
    assert await refused(branch, "approvalSubmit", branch.centre, record=row["id"]) != []
    await quarterly(branch, member, "A", "2025-Q3")
    assert len(await regrades(branch)) == 1  # the two are used up


@pytest.mark.rule("MO-055")
async def test_a_step_within_the_grade_takes_no_review(branch: Branch) -> None:
    member = await hq_member(branch)
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    given = {"id": row["id"], "qualified": True, "note": "x"}
    assert await refused(branch, "eliteRegradeReviewQualification", branch.centre, **given) == [
        ("NO_REVIEW", "id", "MO-055")
    ]


@pytest.mark.rule("MO-056", "MO-065", "OT-117")
async def test_two_c_from_the_lowest_step_lead_to_the_highest_of_the_grade_below(branch: Branch) -> None:
    member = await hq_member(branch, "高级营销顾问", "A")
    await quarterly(branch, member, "CC")
    (row,) = await regrades(branch)
    assert (row["kind"], row["rule"], steps(row)) == ("STEP_DOWN", "MO-056", ("高级营销顾问A", "营销顾问C"))
    await submitted(branch, row)
    await signed(branch, row, branch.hr)
    assert (await rung(branch, member))[0] == "营销顾问C"


@pytest.mark.rule("MO-055", "MO-056")
async def test_beyond_the_ends_of_the_ladder_nothing_is_proposed(branch: Branch) -> None:
    branch.crm.clock.advance(days=60)
    top, bottom = await hq_member(branch, "高级营销顾问", "C"), await hq_member(branch)
    await quarterly(branch, top, "AACC")
    await quarterly(branch, bottom, "CC")
    (row,) = await regrades(branch)
    assert (row["member"]["id"], row["kind"]) == (top, "STEP_DOWN")


@pytest.mark.rule("MO-055")
async def test_a_third_a_proposes_nothing_and_a_fourth_the_next_step(branch: Branch) -> None:
    branch.crm.clock.advance(days=60)
    member = await hq_member(branch)
    await quarterly(branch, member, "AAA")
    (row,) = await regrades(branch)
    await quarterly(branch, member, "A", "2025-Q4")
    assert len(await regrades(branch)) == 1  # one is open
    await submitted(branch, row)
    await signed(branch, row, branch.hr)
    _, second = await regrades(branch)
    assert steps(second) == ("营销经理B", "营销经理C")
    await submitted(branch, second)
    assert await signed(branch, second, branch.hr) == "APPROVED"
    assert (await rung(branch, member))[0] == "营销经理C"


# -- the regional ladder


@pytest.mark.rule("MO-076", "OT-123")
async def test_three_a_within_two_quarters_propose_a_step_up(branch: Branch) -> None:
    member = await regional(branch)
    cause = await monthly(branch, member, "ABACA")
    (row,) = await regrades(branch)
    assert (row["kind"], row["rule"], steps(row)) == ("STEP_UP", "MO-076", ("营销经理A", "营销经理B"))
    assert row["cause"] == [cause[0], cause[2], cause[4]]
    assert row["derivation"][-1]["label"] == "A within the window"


@pytest.mark.rule("MO-076", "OT-123")
async def test_at_the_regional_top_the_review_leads_to_senior_marketing_manager(branch: Branch) -> None:
    member = await regional(branch, letter="C")
    await monthly(branch, member, "AAA")
    (row,) = await regrades(branch)
    assert steps(row) == ("营销经理C", "高级营销经理A")
    assert row["derivation"][-1]["label"] == "A in a row"
    assert await refused(branch, "approvalSubmit", branch.centre, record=row["id"]) == [
        ("UNREVIEWED", "record", "MO-055")
    ]


@pytest.mark.rule("MO-077", "OT-123")
async def test_three_c_move_down_and_at_the_lowest_step_only_propose_an_end(branch: Branch) -> None:
    higher, lowest = await regional(branch, letter="B"), await regional(branch)
    await monthly(branch, higher, "CCC")
    await monthly(branch, lowest, "CCC")
    down, end = await regrades(branch)
    assert {one["derivation"][-1]["label"] for one in (down, end)} == {"C in a row"}
    assert (down["kind"], steps(down)) == ("STEP_DOWN", ("营销经理B", "营销经理A"))
    assert (end["kind"], end["rule"], steps(end)) == ("TERMINATION", "MO-077", ("营销经理A", None))
    assert await refused(branch, "approvalSubmit", branch.centre, record=end["id"]) == [
        ("UNDECIDED", "record", "MO-077")
    ]


@pytest.mark.rule("MO-077")
async def test_a_signed_termination_ends_nothing_by_itself(branch: Branch) -> None:
    member = await regional(branch)
    await monthly(branch, member, "CCC")
    (row,) = await regrades(branch)
    given = {"id": row["id"], "terminate": True, "decision": "依据劳动合同法第四十条，经培训仍不胜任"}
    assert (await refused(branch, "eliteRegradeDecide", branch.centre, **given))[0][0] == "FORBIDDEN"
    await branch.crm.done("eliteRegradeDecide", branch.hr, input=given)
    await submitted(branch, row)
    assert await signed(branch, row, branch.hr) == "PENDING"
    assert await signed(branch, row, branch.leader) == "APPROVED"
    (row,) = await regrades(branch)
    assert (row["state"], row["decision"]) == ("APPROVED", given["decision"])
    (person,) = await branch.crm.rows(EliteMember)
    (posting,) = await branch.crm.rows(ElitePosting)
    assert (person.state, person.ended_on, posting.valid_to) == ("REGULAR", None, None)


@pytest.mark.rule("MO-077")
async def test_human_resources_may_decide_that_a_contract_goes_on(branch: Branch) -> None:
    member = await regional(branch)
    await monthly(branch, member, "CCC")
    (row,) = await regrades(branch)
    kept = {"id": row["id"], "terminate": False, "decision": "先行培训"}
    await branch.crm.done("eliteRegradeDecide", branch.hr, input=kept)
    (row,) = await regrades(branch)
    assert (row["state"], row["decision"]) == ("REJECTED", "先行培训")


# -- applying, signing, taking back


@pytest.mark.rule("MO-012", "MO-013", "OT-107")
async def test_a_post_of_another_series_is_applied_for_and_signed_by_hr_and_the_leader(
    branch: Branch,
) -> None:
    member = await hq_member(branch)
    product = await branch.post("product_manager")
    step = await branch.step("HQ", "营销经理", "B")
    given = {"memberId": member, "postId": product, "stepId": step, "reason": "产品能力突出"}
    assert (await refused(branch, "eliteRegradeApplyForPost", branch.manager, **given))[0][0] == "FORBIDDEN"
    await branch.crm.done(
        "eliteRegradeApplyForPost", branch.centre, input={**given, "effectiveOn": "2025-11-01"}
    )
    assert await refused(branch, "eliteRegradeApplyForPost", branch.centre, **given) == [
        ("REGRADE_OPEN", "memberId", "MO-013")
    ]
    (row,) = await regrades(branch)
    await submitted(branch, row)
    assert await signed(branch, row, branch.hr) == "PENDING"
    assert await signed(branch, row, branch.leader) == "APPROVED"
    (person,) = await branch.crm.rows(EliteMember)
    assert ids.show("elp", person.post_id) == product
    assert await rung(branch, member) == ("营销经理B", "2025-11-01")


@pytest.mark.rule("MO-012")
async def test_a_held_application_shows_rungs_to_whom_the_pay_is_shown_alone(branch: Branch) -> None:
    member, crm = await hq_member(branch), branch.crm
    policy = {"name": "posts", "commands": ["elite_regrade.apply_for_post"], "stages": [
        {"slots": [{"role": "elite_hr"}]},
    ]}  # fmt: skip
    await crm.done("approvalPolicySet", acting=branch.line, input=policy)
    given = {"memberId": member, "postId": await branch.post("product_manager"), "reason": "产品能力突出"}
    selected = "approval { id diff }"
    held = await crm.done("eliteRegradeApplyForPost", branch.centre, input=given, select=selected)
    asked = "query($id: ID!) { approval(id: $id) { diff } }"

    async def rungs(actor: Actor) -> set[Any]:
        diff = (await crm.data(asked, actor, id=held["approval"]["id"]))["approval"]["diff"]
        assert {line["field"] for line in diff} >= {"fromStepId", "toStepId", "toPostId"}
        assert next(one["after"] for one in diff if one["field"] == "toPostId") != "***"
        return {line["after"] for line in diff if line["field"] in ("fromStepId", "toStepId")}

    step = ids.read_as("els", await branch.step("HQ", "营销经理", "A"))
    assert await rungs(branch.centre) == {"***"}, "who asked sees no pay"
    assert {str(one).replace("-", "") for one in await rungs(branch.hr)} == {step.hex}
    assert {one["after"] for one in held["approval"]["diff"] if "StepId" in one["field"]} == {"***"}


@pytest.mark.rule("MO-011", "OT-107")
async def test_within_a_series_steps_follow_from_results_alone(branch: Branch) -> None:
    member = await hq_member(branch)
    manager, own = await branch.post("team_manager"), await branch.post("marketing_manager")
    step = await branch.step("HQ", "营销经理", "C")
    given = {"memberId": member, "postId": manager, "reason": "拟任团队经理"}
    applied = "eliteRegradeApplyForPost"
    assert await refused(branch, applied, branch.centre, **given, stepId=step) == [
        ("BY_RESULTS", "stepId", "MO-011")
    ]
    assert await refused(branch, applied, branch.centre, **{**given, "postId": own}) == [
        ("SAME_POST", "postId", "MO-012")
    ]
    assert await refused(branch, applied, branch.centre, **given) == []  # his step stays


@pytest.mark.rule("MO-013")
async def test_the_day_of_a_change_may_be_set_before_it_is_handed_in(branch: Branch) -> None:
    member = await hq_member(branch)
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    set_ = {"id": row["id"], "effectiveOn": "2025-11-15"}
    await branch.crm.done("eliteRegradeSchedule", branch.centre, input=set_)
    await submitted(branch, row)
    assert (await refused(branch, "eliteRegradeSchedule", branch.centre, **set_))[0][0] == "APPROVAL_LOCKED"
    await signed(branch, row, branch.hr)
    assert await rung(branch, member) == ("营销经理B", "2025-11-15")


@pytest.mark.rule("MO-013")
async def test_who_applies_does_not_sign(branch: Branch) -> None:
    member = await hq_member(branch)
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    assert (await refused(branch, "approvalSubmit", branch.hr, record=row["id"]))[0][
        0
    ] == "APPROVAL_NO_SIGNER"
    assert await rung(branch, member) == ("营销经理A", "2024-01-01")


@pytest.mark.rule("MO-013")
async def test_a_deadline_moves_nobody(branch: Branch) -> None:
    late = {"workingHours": "1", "then": "APPROVE"}
    stages = [{"slots": [{"role": "elite_hr"}], "deadline": late}]
    given = {"name": "elite regrade", "stages": stages}
    await branch.crm.done("approvalPolicySet", acting=branch.line, input=given)
    member = await hq_member(branch)
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    await submitted(branch, row)
    branch.crm.clock.advance(days=2)
    await overdue.run(branch.crm.services)
    (approval,) = await branch.crm.rows(Approval)
    assert approval.state == "CONFLICT"
    assert [reason["code"] for reason in approval.reasons] == ["TELECOM_ELITE_REGRADE_UNSIGNED"]
    assert (await rung(branch, member))[0] == "营销经理A"


@pytest.mark.rule("MO-013")
async def test_refused_by_hr_a_change_leaves_everything_as_it_was(branch: Branch) -> None:
    member = await hq_member(branch)
    await quarterly(branch, member, "CC")
    assert await regrades(branch) == []  # nothing below
    better = await hq_member(branch, letter="B")
    await quarterly(branch, better, "CC")
    (row,) = await regrades(branch)
    await submitted(branch, row)
    assert await signed(branch, row, branch.hr, verb="Reject") == "REJECTED"
    (row,) = await regrades(branch)
    assert row["state"] == "REJECTED"
    assert (await rung(branch, better))[0] == "营销经理B"


async def test_a_request_taken_back_leaves_the_proposal(branch: Branch) -> None:
    member = await hq_member(branch)
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    await submitted(branch, row)
    assert await signed(branch, row, branch.centre, verb="Withdraw") == "WITHDRAWN"
    (row,) = await regrades(branch)
    assert row["state"] == "PROPOSED"
    await submitted(branch, row)


@pytest.mark.rule("MO-065")
async def test_an_appraisal_that_moved_somebody_is_corrected_only_after_that_is_withdrawn(
    branch: Branch,
) -> None:
    member = await hq_member(branch)
    _first, second = await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    corrected = {"id": second, "reason": "误填", "result": "B"}
    assert await refused(branch, "eliteAppraisalCorrect", branch.centre, **corrected) == [
        ("APPRAISAL_USED", "id", "MO-065")
    ]
    given = {"id": row["id"], "reason": "更正考核"}
    await branch.crm.done("eliteRegradeWithdraw", branch.centre, input=given)
    await branch.crm.done("eliteAppraisalCorrect", branch.centre, input=corrected)
    assert [one["state"] for one in await regrades(branch)] == ["WITHDRAWN"]
    await branch.crm.done(
        "eliteAppraisalCorrect", branch.centre, input={**corrected, "result": "A", "reason": "复核"}
    )
    assert [one["state"] for one in await regrades(branch)] == ["WITHDRAWN", "PROPOSED"]


async def test_months_confirmed_out_of_order_move_as_those_in_order(branch: Branch) -> None:
    member = await regional(branch)
    await monthly(branch, member, "A", "2025-03")
    await monthly(branch, member, "A", "2025-01")
    assert await regrades(branch) == []
    await monthly(branch, member, "A", "2025-02")
    (row,) = await regrades(branch)
    assert [step["label"] for step in row["derivation"][:3]] == ["2025-01", "2025-02", "2025-03"]


@pytest.mark.rule("MO-076")
async def test_a_team_is_confirmed_with_as_few_questions_as_one_member(branch: Branch) -> None:
    people = [await regional(branch) for _ in range(9)]
    months = {month: await rated(branch, people, month) for month in ("2025-08", "2025-09", "2025-10")}
    one, others = [drafts[0] for drafts in months.values()], [drafts[1:] for drafts in months.values()]
    few = await questions(branch, one)
    assert await questions(branch, [draft for drafts in others for draft in drafts]) == few
    assert [row["kind"] for row in await regrades(branch)] == ["STEP_UP"] * 9


async def rated(branch: Branch, people: list[str], month: str) -> list[str]:
    """Drafts of a month, each an A."""
    each = {"attitude": "50", "users": 40, "usersReason": "手工统计"}
    ratings = [{"memberId": one, **each} for one in people]
    made = await branch.crm.done(
        "eliteAppraisalRateMonth",
        branch.centre,
        input={"teamId": branch.regional, "month": month, "ratings": ratings},
        select="eliteAppraisals { id }",
    )
    return [one["id"] for one in made["eliteAppraisals"]]


async def questions(branch: Branch, drafts: list[str]) -> int:
    """How many statements confirming takes that ask for something."""
    with branch.crm.statements() as sent:
        await branch.crm.done("eliteAppraisalConfirm", branch.centre, input={"ids": drafts})
    return len([one for one in sent if one.startswith("SELECT")])


async def test_a_change_is_announced_at_every_step(branch: Branch) -> None:
    member = await hq_member(branch)
    await quarterly(branch, member, "AA")
    (row,) = await regrades(branch)
    await submitted(branch, row)
    await signed(branch, row, branch.hr)
    events = [one for one in await branch.crm.rows(OutboxEvent) if one.subject_type == "EliteRegrade"]
    assert [one.kind.split(".")[1] for one in events] == ["proposed", "changed", "approved"]
    (stored,) = await branch.crm.rows(EliteRegrade)
    assert stored.version == len(events) == 3


# -- who sees what


async def test_rungs_are_seen_by_whom_the_pay_is_and_changes_by_nobody_else_of_the_team(
    branch: Branch,
) -> None:
    one, two, three = branch.members
    own = await hq_member(branch, user=one)
    await hq_member(branch, user=two)
    await regional(branch, user=three)
    await quarterly(branch, own, "AA")

    async def seen(actor: Actor) -> list[tuple[str, str | None]]:
        rows = await regrades(branch, await branch.crm.again(actor.user_id))
        return [("seen", row["toStep"] and row["toStep"]["letter"]) for row in rows]

    assert await seen(one) == [("seen", "B")]
    for stranger in (two, three, branch.manager, branch.regional_leader):
        assert await seen(stranger) == []
    for paying in (branch.hr, branch.finance, branch.leader):
        assert await seen(paying) == [("seen", "B")]
    assert await seen(branch.centre) == [("seen", None)]  # it applies, and sees no pay

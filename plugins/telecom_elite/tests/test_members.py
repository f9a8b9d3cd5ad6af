"""Members: the way from candidate to leaver, establishment, postings, training."""

from collections.abc import Mapping
from typing import Any

import pytest

from crm_core import ids
from crm_core.access.models import TeamMember
from crm_telecom_elite.members.models import EliteMember, ElitePosting, EliteTerm
from crm_telecom_elite.testing import PLUGIN, Branch

STATE = "query($id: ID!) { eliteMember(id: $id) { state } }"
POSTINGS = "query($id: ID!) { eliteMember(id: $id) { eliteTeam { id } post { code } postings { validFrom validTo eliteTeam { id } step { grade letter } reason } } }"
TERMS = "query($id: ID!) { eliteMember(id: $id) { terms { package validFrom validTo rule } } }"


async def refused(branch: Branch, verb: str, **given: Any) -> list[tuple[str, str, str | None]]:
    """Code, field and rule of what is refused to the human resources."""
    payload = await branch.crm.change(f"eliteMember{verb}", branch.hr, input=given, acting=branch.line)
    return [(e["code"].removeprefix("TELECOM_ELITE_"), e["field"], e["rule"]) for e in payload["userErrors"]]


async def state(branch: Branch, member: str) -> str:
    """The state of a member."""
    found: str = (await branch.crm.data(STATE, branch.hr, id=member))["eliteMember"]["state"]
    return found


async def approved(branch: Branch, member: str, department: str, **more: Any) -> dict[str, Any]:
    """After the approval of a department of the provincial company."""
    said = {"approvedOn": "2025-10-20", "reference": "粤〔2025〕8号", **more}
    payload = await branch.act("ApproveByProvince", id=member, department=department, **said)
    found: dict[str, Any] = payload["eliteMember"]
    return found


async def entered(branch: Branch, on: str = "2025-10-08", **more: Any) -> str:
    """A member who entered, in training."""
    member = await branch.ready(await branch.candidate(**more), "2025-07-20")
    await branch.act("Enter", id=member, enteredOn=on, stepId=await branch.step("HQ", "营销经理", "A"))
    return member


# -- approvals, medical check, entry


@pytest.mark.rule("MO-001", "MO-016", "OT-100")
@pytest.mark.parametrize("first", ["HR", "GROUP_CUSTOMER"])
async def test_nobody_moves_on_before_both_provincial_departments_approved(
    branch: Branch, first: str
) -> None:
    member = await branch.candidate()
    other = "GROUP_CUSTOMER" if first == "HR" else "HR"
    medical = {"id": member, "passedOn": "2025-10-21", "hospital": "深圳市人民医院"}
    assert (await approved(branch, member, first))["state"] == "CANDIDATE"
    assert await refused(branch, "PassMedical", **medical) == [("ILLEGAL_MOVE", "id", "MO-020")]
    step = await branch.step("HQ", "营销经理", "A")
    enter = {"id": member, "enteredOn": "2025-11-03", "stepId": step}
    assert await refused(branch, "Enter", **enter) == [("ILLEGAL_MOVE", "id", "MO-001")]
    assert (await approved(branch, member, other))["state"] == "PROVINCE_APPROVED"
    await branch.act("PassMedical", **medical)
    await branch.act("Enter", **enter)


@pytest.mark.rule("MO-001", "OT-100")
async def test_a_department_approves_once_and_not_in_the_future(branch: Branch) -> None:
    member = await branch.candidate()
    said = {"id": member, "department": "HR", "reference": "粤〔2025〕8号"}
    assert await refused(branch, "ApproveByProvince", **said, approvedOn="2025-11-04") == [
        ("MEMBER_IN_FUTURE", "approvedOn", None)
    ]
    await approved(branch, member, "HR")
    assert await refused(branch, "ApproveByProvince", **said, approvedOn="2025-10-21") == [
        ("APPROVED_ALREADY", "department", "MO-001")
    ]


@pytest.mark.rule("MO-020", "OT-108")
async def test_nobody_enters_before_the_medical_check(branch: Branch) -> None:
    member = await branch.candidate()
    for department in ("HR", "GROUP_CUSTOMER"):
        await approved(branch, member, department)
    step = await branch.step("HQ", "营销经理", "A")
    enter = {"id": member, "enteredOn": "2025-10-22", "stepId": step}
    assert await refused(branch, "Enter", **enter) == [("ILLEGAL_MOVE", "id", "MO-001")]
    await branch.act("PassMedical", id=member, passedOn="2025-10-23", hospital="深圳市人民医院")
    assert await refused(branch, "Enter", **enter) == [("BEFORE_MEDICAL", "enteredOn", "MO-020")]


@pytest.mark.rule("MO-017")
async def test_a_candidate_who_is_not_hired_stays_out(branch: Branch) -> None:
    member = await branch.candidate()
    payload = await branch.act("Reject", id=member, why="宁缺勿滥")
    assert payload["eliteMember"]["state"] == "REJECTED"
    (row,) = await branch.crm.rows(EliteMember)
    assert row.ended_reason == "宁缺勿滥"
    said = {"id": member, "department": "HR", "approvedOn": "2025-11-01", "reference": "粤〔2025〕8号"}
    assert await refused(branch, "ApproveByProvince", **said) == [("ILLEGAL_MOVE", "id", "MO-001")]


@pytest.mark.rule("MO-010", "MO-021", "OT-107", "OT-109")
async def test_an_entry_fixes_post_step_probation_and_contract(branch: Branch) -> None:
    member = await entered(branch, "2025-10-08")
    seen = await branch.crm.data(
        "query($id: ID!) { eliteMember(id: $id) { state enteredOn probationUntil contractUntil"
        " postings { validFrom validTo reason rule post { code } step { grade letter } } } }",
        branch.hr,
        id=member,
    )
    assert seen["eliteMember"] == {
        "state": "IN_TRAINING", "enteredOn": "2025-10-08", "probationUntil": "2026-01-07",
        "contractUntil": "2026-10-07",
        "postings": [
            {"validFrom": "2025-10-08", "validTo": None, "reason": "ENTRY", "rule": "MO-010",
             "post": {"code": "marketing_manager"}, "step": {"grade": "营销经理", "letter": "A"}},
        ],
    }  # fmt: skip


async def test_a_step_of_the_other_kind_of_team_is_refused(branch: Branch) -> None:
    member = await branch.ready(await branch.candidate())
    step = await branch.step("REGIONAL", "营销经理", "A")
    assert await refused(branch, "Enter", id=member, enteredOn="2025-11-03", stepId=step) == [
        ("STEP_OF_OTHER_KIND", "stepId", "MO-055")
    ]


@pytest.mark.rule("MO-018", "OT-108")
async def test_how_a_candidate_was_found_is_on_record(branch: Branch) -> None:
    text = "query($id: ID!) { eliteMember(id: $id) { channel } }"
    for channel in ("DIRECT_SALES", "INTERNAL", "EXTERNAL"):
        member = await branch.candidate(channel=channel)
        assert (await branch.crm.data(text, branch.hr, id=member))["eliteMember"]["channel"] == channel
    unsaid = await branch.candidate()
    seen = await branch.crm.data(text, branch.hr, id=unsaid)
    assert seen["eliteMember"]["channel"] == "EXTERNAL", "by advertisement unless said otherwise"


async def test_an_account_belongs_to_one_present_member(branch: Branch) -> None:
    first = await branch.candidate(user=branch.members[0])
    who = ids.show("usr", branch.members[0].user_id or ids.uuid7())
    given = {
        "teamId": branch.hq,
        "postId": await branch.post("marketing_manager"),
        "name": "甲",
        "origin": "RECRUIT",
    }
    assert await refused(branch, "Propose", **given, userId=who) == [("ACCOUNT_TAKEN", "userId", None)]
    await branch.act("Reject", id=first, why="未录用")
    await branch.act("Propose", **given, userId=who)


# -- packages


@pytest.mark.rule("MO-030", "MO-036", "MO-037", "MO-038", "OT-111", "OT-115")
@pytest.mark.parametrize(
    ("origin", "found"),
    [
        ("RECRUIT", [("PACKAGE_2", "2025-10-01", None, "MO-037"), ("PACKAGE_1", "2025-03-10", "2025-10-01", "MO-037")]),
        ("TRANSFEREE", [("PACKAGE_2", "2025-10-01", None, "MO-036"), ("TRANSFER", "2025-03-10", "2025-10-01", "MO-036")]),
        ("DIRECT_SALES", [("PACKAGE_2", "2025-03-10", None, "MO-038")]),
    ],
)  # fmt: skip
async def test_an_entry_brings_the_packages_of_the_origin(
    branch: Branch, origin: str, found: list[Any]
) -> None:
    member = await branch.member(origin=origin, entered_on="2025-03-10")
    seen = await branch.crm.data(TERMS, branch.hr, id=member)
    terms = [tuple(term.values()) for term in seen["eliteMember"]["terms"]]
    assert terms == found


@pytest.mark.rule("MO-037")
async def test_the_months_of_the_first_package_are_a_dated_figure(branch: Branch) -> None:
    given = {"name": "package_1_months", "teamKind": "HQ", "validFrom": "2025-05-01", "value": "3"}
    await branch.crm.done("eliteRateSet", branch.hr, input=given)
    before, after = await branch.member(entered_on="2025-04-30"), await branch.member(entered_on="2025-05-01")
    for member, switch in ((before, "2025-11-01"), (after, "2025-08-01")):
        seen = await branch.crm.data(TERMS, branch.hr, id=member)
        assert seen["eliteMember"]["terms"][0]["validFrom"] == switch


@pytest.mark.rule("MO-036", "OT-115")
async def test_who_comes_from_the_establishment_enters_with_his_original_pay_known(branch: Branch) -> None:
    member = await branch.ready(await branch.candidate(origin="TRANSFEREE", originalBonus=None))
    step = await branch.step("HQ", "营销经理", "A")
    enter = {"id": member, "enteredOn": "2025-11-03", "stepId": step}
    assert await refused(branch, "Enter", **enter) == [("ORIGINAL_PAY_MISSING", "id", "MO-036")]
    await branch.act("Update", id=member, originalBonus="2000.00")
    await branch.act("Enter", **enter)


@pytest.mark.rule("MO-036", "OT-115")
async def test_who_comes_from_the_establishment_is_graded_when_package_two_begins(branch: Branch) -> None:
    member = await branch.member(origin="TRANSFEREE", entered_on="2025-03-10")
    await branch.act("Grade", id=member, stepId=await branch.step("HQ", "营销顾问", "B"))
    seen = await branch.crm.data(POSTINGS, branch.hr, id=member)
    steps = [(p["validFrom"], p["step"]["grade"], p["reason"]) for p in seen["eliteMember"]["postings"]]
    assert steps == [("2025-10-01", "营销顾问", "GRADING"), ("2025-03-10", "营销经理", "ENTRY")]
    recruit = await branch.member()
    step = await branch.step("HQ", "营销顾问", "B")
    assert await refused(branch, "Grade", id=recruit, stepId=step) == [("NOT_GRADED_ANEW", "id", "MO-036")]


# -- establishment


@pytest.mark.rule("MO-019", "OT-108")
async def test_nobody_is_proposed_beyond_the_establishment(branch: Branch) -> None:
    given = {"teamKind": "HQ", "year": 2025, "target": "1600000"}
    await branch.crm.done("eliteEstablishmentSet", branch.hr, input=given)
    first, _ = await branch.candidate(), await branch.candidate()
    asked = {
        "teamId": branch.hq,
        "postId": await branch.post("marketing_manager"),
        "name": "甲",
        "origin": "RECRUIT",
    }
    assert await refused(branch, "Propose", **asked) == [("BEYOND_ESTABLISHMENT", "teamId", "MO-019")]
    await branch.candidate(branch.regional)
    await branch.act("Reject", id=first, why="未录用")
    await branch.act("Propose", **asked)


class TestWhereItOnlyMarks:
    """A deployment that lets candidates beyond the establishment through."""

    @pytest.fixture
    def crm_settings(self) -> Mapping[str, Any]:
        return {"rooms": {PLUGIN: {"recruit_within_establishment": False}}}

    @pytest.mark.rule("MO-019")
    async def test_a_candidate_beyond_the_establishment_is_marked(self, branch: Branch) -> None:
        given = {"teamKind": "HQ", "year": 2025, "target": "800000"}
        await branch.crm.done("eliteEstablishmentSet", branch.hr, input=given)
        text = "query($id: ID!) { eliteMember(id: $id) { beyondEstablishment } }"
        for beyond in (False, True):
            seen = await branch.crm.data(text, branch.hr, id=await branch.candidate())
            assert seen["eliteMember"]["beyondEstablishment"] is beyond


# -- training, coaching, probation


@pytest.mark.rule("MO-023", "OT-110")
async def test_nobody_starts_before_exam_and_coaching_and_hears_all_that_is_missing(branch: Branch) -> None:
    member = await entered(branch)
    assert await refused(branch, "Start", id=member, startedOn="2025-11-03") == [
        ("EXAM_MISSING", "id", "MO-023"),
        ("COACHING_MISSING", "id", "MO-023"),
    ]
    await branch.act(
        "PassExam", id=member, trainedFrom="2025-10-08", trainedUntil="2025-10-17", passedOn="2025-10-17"
    )
    assert await refused(branch, "Start", id=member, startedOn="2025-11-03") == [
        ("COACHING_MISSING", "id", "MO-023")
    ]
    await branch.act("Coach", id=member, coachName="老李", coachedFrom="2025-10-18")
    assert await refused(branch, "Start", id=member, startedOn="2025-11-03") == [
        ("COACHING_SHORT", "startedOn", "MO-023")
    ]


@pytest.mark.rule("MO-023", "OT-110")
async def test_coaching_takes_two_months_to_the_day(branch: Branch) -> None:
    member = await entered(branch, "2025-08-01")
    await branch.act(
        "PassExam", id=member, trainedFrom="2025-08-01", trainedUntil="2025-08-08", passedOn="2025-08-08"
    )
    await branch.act("Coach", id=member, coachName="老李", coachedFrom="2025-08-09")
    assert await refused(branch, "Start", id=member, startedOn="2025-10-08") == [
        ("COACHING_SHORT", "startedOn", "MO-023")
    ]
    payload = await branch.act("Start", id=member, startedOn="2025-10-09")
    assert payload["eliteMember"]["state"] == "PROBATION"


@pytest.mark.rule("MO-023", "OT-110")
@pytest.mark.parametrize(
    ("until", "fits"),
    [("2025-10-16", False), ("2025-10-17", True), ("2025-10-26", True), ("2025-10-27", False)],
)
async def test_the_classroom_phase_takes_one_or_two_weeks(branch: Branch, until: str, fits: object) -> None:
    member = await entered(branch, "2025-10-13")
    exam = {"id": member, "trainedFrom": "2025-10-13", "trainedUntil": until, "passedOn": "2025-11-01"}
    wrong = [] if fits else [("CLASSROOM_LENGTH", "trainedUntil", "MO-023")]
    assert await refused(branch, "PassExam", **exam) == wrong


@pytest.mark.rule("MO-023", "OT-110")
async def test_the_exam_follows_the_training(branch: Branch) -> None:
    member = await entered(branch, "2025-10-08")
    exam = {"id": member, "trainedFrom": "2025-10-08", "trainedUntil": "2025-10-17", "passedOn": "2025-10-16"}
    assert await refused(branch, "PassExam", **exam) == [("EXAM_BEFORE_TRAINING", "passedOn", "MO-023")]


@pytest.mark.rule("MO-023", "OT-110")
async def test_a_coach_is_one_senior_colleague(branch: Branch) -> None:
    senior, fresh, member = await branch.member(), await entered(branch), await entered(branch)
    exam = {"trainedFrom": "2025-10-08", "trainedUntil": "2025-10-17", "passedOn": "2025-10-17"}
    await branch.act("PassExam", id=member, **exam)
    coach = {"id": member, "coachedFrom": "2025-10-18"}
    for none_or_two in ({}, {"coachId": senior, "coachName": "老李"}):
        assert await refused(branch, "Coach", **coach, **none_or_two) == [("ONE_COACH", "coachId", "MO-023")]
    for unfit in (fresh, member):
        assert await refused(branch, "Coach", **coach, coachId=unfit) == [
            ("COACH_UNFIT", "coachId", "MO-023")
        ]
    await branch.act("Coach", **coach, coachId=senior)


@pytest.mark.rule("MO-021", "OT-109")
async def test_probation_lasts_its_three_months(branch: Branch) -> None:
    member = await branch.member(entered_on="2025-08-04")
    assert await state(branch, member) == "PROBATION"  # the probation ends on 2025-11-03, today
    assert await refused(branch, "Confirm", id=member) == [("IN_PROBATION", "id", "MO-021")]
    branch.crm.clock.advance(days=1)
    assert (await branch.act("Confirm", id=member))["eliteMember"]["state"] == "REGULAR"


@pytest.mark.rule("MO-025", "OT-110")
async def test_levels_of_each_of_the_three_subjects_are_taken_in_order(branch: Branch) -> None:
    member = await entered(branch)
    lower_first = [("LEVEL_BEFORE", "level", "MO-025")]
    for area in ("TEAM_MANAGEMENT", "MOTIVATION", "EXPERTISE"):  # what was passed of one counts for no other
        await train(branch, member, area=area, level="ELEMENTARY", passed=False)
        assert await trained(branch, member, area=area, level="INTERMEDIATE") == lower_first, area
        await train(branch, member, area=area, level="ELEMENTARY")
        skipped = await trained(branch, member, area=area, level="ADVANCED")
        assert skipped == lower_first, "the level right below comes first"
        await train(branch, member, area=area, level="INTERMEDIATE")
        await train(branch, member, area=area, level="ADVANCED")
    trained_at_entry = await branch.member()
    await train(branch, trained_at_entry, area="EXPERTISE", level="INTERMEDIATE")


@pytest.mark.rule("MO-026")
async def test_a_course_is_kept_with_its_days_result_and_score(branch: Branch) -> None:
    member = await branch.member()
    await train(branch, member, heldOn="2025-10-09", heldUntil="2025-10-11", passed=False, score="58.5")
    await train(branch, member, area="MOTIVATION", heldOn="2025-10-08")
    text = "query($id: ID!) { eliteMember(id: $id) { trainings { kind subject level heldOn heldUntil passed score } } }"
    (later, earlier, _entry) = (await branch.crm.data(text, branch.hr, id=member))["eliteMember"]["trainings"]
    assert later == {
        "kind": "IMPROVEMENT", "subject": "TEAM_MANAGEMENT", "level": "ELEMENTARY",
        "heldOn": "2025-10-09", "heldUntil": "2025-10-11", "passed": False, "score": "58.5",
    }  # fmt: skip
    assert (earlier["heldUntil"], earlier["passed"], earlier["score"]) == ("2025-10-08", True, None)


@pytest.mark.rule("MO-024", "OT-110")
async def test_promotion_trainings_are_counted_by_kind_of_team(branch: Branch) -> None:
    regional = await branch.member(team=branch.regional, post="customer_manager")
    await train(branch, await branch.member(), training="PROMOTION", heldOn="2025-09-01")
    await train(branch, regional, training="PROMOTION", heldOn="2025-09-02")
    await train(branch, regional, training="IMPROVEMENT", heldOn="2025-09-03")
    text = """query($k: EliteTeamKind!) {
        elitePromotionTrainings(line: "elite", teamKind: $k, year: 2025) { held warning } }"""
    for kind in ("HQ", "REGIONAL"):
        seen = await branch.crm.data(text, branch.centre, k=kind)
        assert seen["elitePromotionTrainings"] == {"held": 1, "warning": None}, kind


@pytest.mark.rule("MO-024", "OT-110")
async def test_a_year_without_or_with_more_than_two_promotion_trainings_is_told(branch: Branch) -> None:
    first, second = await branch.member(entered_on="2024-03-01"), await branch.member(entered_on="2024-03-01")
    text = (
        'query($y: Int!) { elitePromotionTrainings(line: "elite", teamKind: HQ, year: $y) { held warning } }'
    )
    for day in ("2024-12-30", "2025-03-03", "2025-09-01"):
        for member in (first, second):
            await train(branch, member, training="PROMOTION", heldOn=day)
    found = [await branch.crm.data(text, branch.centre, y=year) for year in (2023, 2024, 2025)]
    assert [one["elitePromotionTrainings"]["held"] for one in found] == [0, 1, 2]
    assert [one["elitePromotionTrainings"]["warning"] for one in found] == [
        "0 promotion training(s) were held in 2023, there should be 1 to 2.", None, None,
    ]  # fmt: skip
    await train(branch, first, training="PROMOTION", heldOn="2025-10-09")
    (more,) = (await branch.crm.data(text, branch.centre, y=2025)).values()
    assert (more["held"], more["warning"] is None) == (3, False)


async def train(branch: Branch, member: str, **more: Any) -> None:
    """The Centre records a course."""
    assert await trained(branch, member, **more) == []


async def trained(branch: Branch, member: str, **more: Any) -> list[tuple[str, str, str | None]]:
    """What is refused of a course that the Centre records."""
    given = {"id": member, "training": "IMPROVEMENT", "area": "TEAM_MANAGEMENT", "level": "ELEMENTARY",
             "heldOn": "2025-10-10", **more}  # fmt: skip
    payload = await branch.crm.change("eliteTrainingRecord", branch.centre, input=given)
    return [(e["code"].removeprefix("TELECOM_ELITE_"), e["field"], e["rule"]) for e in payload["userErrors"]]


# -- transfer and end


async def test_a_transfer_closes_one_posting_and_opens_the_next(branch: Branch) -> None:
    member = await branch.member(user=branch.members[0])
    step, post = await branch.step("REGIONAL", "营销经理", "B"), await branch.post("customer_manager")
    given = {"id": member, "teamId": branch.regional, "validFrom": "2025-10-01"}
    assert await refused(branch, "Transfer", **given) == [("STEP_OF_OTHER_KIND", "stepId", "MO-055")]
    await branch.act("Transfer", **given, stepId=step, postId=post)
    seen = (await branch.crm.data(POSTINGS, branch.hr, id=member))["eliteMember"]
    assert (seen["eliteTeam"]["id"], seen["post"]["code"]) == (branch.regional, "customer_manager")
    assert [
        (p["validFrom"], p["validTo"], p["eliteTeam"]["id"], p["step"]["letter"]) for p in seen["postings"]
    ] == [
        ("2025-10-01", None, branch.regional, "B"),
        ("2025-03-01", "2025-10-01", branch.hq, "A"),
    ]
    assert await teams_of(branch, 0) == await teams_of(branch, 2)
    assert await refused(branch, "Transfer", **given | {"validFrom": "2025-09-01"}) == [
        ("LATER_POSTED", "validFrom", None)
    ]
    assert await refused(branch, "Transfer", **given | {"validFrom": "2025-02-01"}) == [
        ("LATER_POSTED", "validFrom", None)
    ]


async def test_a_transfer_said_beforehand_takes_effect_on_its_day(branch: Branch) -> None:
    member = await branch.member(user=branch.members[0])
    other = await branch.team("HQ")
    await branch.act("Transfer", id=member, teamId=other, validFrom="2025-11-04")
    seen = (await branch.crm.data(POSTINGS, branch.hr, id=member))["eliteMember"]
    assert (seen["eliteTeam"]["id"], seen["postings"][0]["eliteTeam"]["id"]) == (branch.hq, other)
    before = await teams_of(branch, 0)
    await _settled(branch)
    assert await teams_of(branch, 0) == before
    branch.crm.clock.advance(days=1)
    await _settled(branch)
    seen = (await branch.crm.data(POSTINGS, branch.hr, id=member))["eliteMember"]
    assert seen["eliteTeam"]["id"] == other
    assert await teams_of(branch, 0) != before


async def test_nobody_is_put_anywhere_before_he_entered(branch: Branch) -> None:
    member = await branch.candidate()
    given = {"id": member, "teamId": branch.regional, "validFrom": "2025-11-03"}
    assert await refused(branch, "Transfer", **given) == [("NO_POSTING", "validFrom", None)]


@pytest.mark.rule("MO-050", "OT-116")
async def test_who_is_manager_is_said_by_the_role_of_his_post_day_by_day(branch: Branch) -> None:
    member = await branch.member(post="team_manager", user=branch.members[0])
    assert await leads(branch, 0)
    given = {"id": member, "teamId": branch.hq, "validFrom": "2025-11-01"}
    await branch.act("Transfer", **given, postId=await branch.post("marketing_manager"))
    assert not await leads(branch, 0)
    text = "query($id: ID!) { eliteMember(id: $id) { postings { validFrom post { role } } } }"
    seen = await branch.crm.data(text, branch.hr, id=member)
    assert [(p["validFrom"], p["post"]["role"]) for p in seen["eliteMember"]["postings"]] == [
        ("2025-11-01", "MARKETING_MANAGER"),
        ("2025-03-01", "TEAM_MANAGER"),
    ]


@pytest.mark.rule("MO-022", "OT-109")
@pytest.mark.parametrize("cause", ["HR_RULES", "PRE_POST", "ON_POST"])
async def test_a_membership_ends_by_a_recorded_decision_and_pay_with_it(branch: Branch, cause: str) -> None:
    member = await branch.member(user=branch.members[0])
    end = {"id": member, "endedOn": "2025-10-31", "cause": cause}
    unsaid = await refused(branch, "Terminate", **end, decision="  ")
    assert [(code, path) for code, path, _ in unsaid] == [("INVALID_STRING_TOO_SHORT", "decision")]
    payload = await branch.act("Terminate", **end, decision="人力资源部 2025-10-30 决定")
    assert payload["eliteMember"]["state"] == "TERMINATED"
    for model in (ElitePosting, EliteTerm):
        assert [str(row.valid_to) for row in await branch.crm.rows(model)][-1] == "2025-11-01"
    assert await teams_of(branch, 0) == set()
    assert await refused(branch, "Confirm", id=member) == [("ILLEGAL_MOVE", "id", "MO-021")]


@pytest.mark.rule("MO-022")
async def test_no_membership_ends_tomorrow_or_before_it_began(branch: Branch) -> None:
    member = await branch.member()
    end = {"id": member, "cause": "RESIGNED", "decision": "本人申请"}
    assert await refused(branch, "Terminate", **end, endedOn="2025-11-04") == [
        ("MEMBER_IN_FUTURE", "endedOn", None)
    ]
    assert await refused(branch, "Terminate", **end, endedOn="2025-02-28") == [
        ("BEFORE_ENTRY", "endedOn", None)
    ]


@pytest.mark.rule("MO-023")
async def test_only_the_human_resources_move_members(branch: Branch) -> None:
    member = await branch.candidate()
    for who in (branch.centre, branch.manager, branch.finance, branch.leader, branch.members[0]):
        payload = await branch.crm.change("eliteMemberReject", who, input={"id": member, "why": "-"})
        assert [e["code"] for e in payload["userErrors"]] == ["FORBIDDEN"]


@pytest.mark.rule("MO-052", "OT-118")
async def test_benefits_of_today_are_shown_to_who_sees_his_pay(branch: Branch) -> None:
    member = await branch.member(entered_on="2025-05-03")
    text = "query($id: ID!) { eliteMember(id: $id) { benefits } }"
    seen = await branch.crm.data(text, branch.hr, id=member)
    assert seen["eliteMember"]["benefits"] == ["SOCIAL_INSURANCE", "COMMUNICATION", "SHORT_TERM"]


async def test_every_step_of_a_membership_is_an_event(branch: Branch) -> None:
    member = await branch.member()
    await branch.crm.passed_on()
    seen = await branch.crm.data("{ events(first: 100) { nodes { kind subjectId } } }")
    kinds = [e["kind"] for e in seen["events"]["nodes"] if e["subjectId"] == member]
    assert sorted(kinds) == sorted(
        [
            "elite_member.proposed",
            *["elite_member.approved"] * 2,
            "elite_member.entered",
            *["elite_member.moved"] * 5,
        ]
    )
    assert len(await branch.crm.rows(EliteMember)) == 1


async def teams_of(branch: Branch, number: int) -> set[Any]:
    """Teams of the line the account of a member belongs to."""
    who = branch.members[number].user_id
    return {row.team_id for row in await branch.crm.rows(TeamMember) if row.user_id == who}


async def leads(branch: Branch, number: int) -> bool:
    """Whether the account of a member leads a team."""
    who = branch.members[number].user_id
    return any(row.leads for row in await branch.crm.rows(TeamMember) if row.user_id == who)


async def _settled(branch: Branch) -> None:
    """The clockwork of the plugin has run."""
    (chore,) = (one for one in branch.crm.services.registry.chores if one.name == "telecom_elite.settle")
    await chore.run(branch.crm.services)

"""Posts, the pay ladder and its standards: one rung up or down, and who may see what a rung pays."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.testing.kit import Kit
from crm_telecom_elite.ladder.climbing import Ladder, Rung
from crm_telecom_elite.ladder.models import EliteStandard, EliteStepLetter
from crm_telecom_elite.ladder.seeding import GRADES
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.testing import Branch

A, B, C = EliteStepLetter.A, EliteStepLetter.B, EliteStepLetter.C
STEPS = "query($kind: EliteTeamKind!) { eliteSteps(first: 50, where: { teamKind: { eq: $kind } }, orderBy: [{ rank: ASC }]) { nodes { grade letter } } }"


def ladder(kind: EliteTeamKind) -> Ladder:
    """The ladder a line begins with."""
    rungs = [(grade, letter) for grade in GRADES[kind] for letter in EliteStepLetter]
    return Ladder(Rung(UUID(int=rank), *rung, rank) for rank, rung in enumerate(rungs))


def rung(found: Ladder, grade: str, letter: EliteStepLetter) -> Rung:
    """One of its rungs."""
    return next(one for one in found.rungs if (one.grade, one.letter) == (grade, letter))


@pytest.mark.rule("MO-055", "OT-117")
def test_a_step_up_within_a_grade_is_one_letter_and_needs_no_review() -> None:
    hq = ladder(EliteTeamKind.HQ)
    climb = hq.up(rung(hq, "营销经理", A))
    assert climb is not None
    assert (climb.to.grade, climb.to.letter, climb.reviewed) == ("营销经理", B, False)


@pytest.mark.rule("MO-055", "OT-117")
def test_from_the_top_of_a_grade_a_review_leads_to_the_lowest_step_of_the_next() -> None:
    hq = ladder(EliteTeamKind.HQ)
    climb = hq.up(rung(hq, "营销经理", C))
    assert climb is not None
    assert (climb.to.grade, climb.to.letter, climb.reviewed) == ("营销顾问", A, True)


@pytest.mark.rule("MO-056", "OT-117")
def test_from_the_lowest_of_a_grade_a_step_down_leads_to_the_highest_of_the_one_below() -> None:
    hq = ladder(EliteTeamKind.HQ)
    below = hq.down(rung(hq, "高级营销顾问", A))
    assert below is not None
    assert (below.grade, below.letter) == ("营销顾问", C)


@pytest.mark.rule("MO-077", "OT-123")
def test_below_the_lowest_step_of_all_there_is_nothing_and_above_the_highest_neither() -> None:
    for kind in EliteTeamKind:
        found = ladder(kind)
        assert found.down(rung(found, "营销经理", A)) is None
        assert found.up(found.rungs[-1]) is None


@pytest.mark.rule("MO-076", "OT-123")
def test_the_next_grade_of_a_regional_team_is_the_senior_marketing_manager() -> None:
    regional = ladder(EliteTeamKind.REGIONAL)
    climb = regional.up(rung(regional, "营销经理", C))
    assert climb is not None
    assert (climb.to.grade, climb.to.letter, climb.reviewed) == ("高级营销经理", A, True)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """A ladder of some grades, each with its letters from A up, at any ranks."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    names = [
        (f"grade {place}", letter)
        for place, size in enumerate(sizes)
        for letter in list(EliteStepLetter)[:size]
    ]
    ranks = draw(st.lists(st.integers(1, 1000), min_size=len(names), max_size=len(names), unique=True))
    return Ladder(Rung(uuid4(), *name, rank) for name, rank in zip(names, sorted(ranks), strict=True))


@pytest.mark.rule("MO-055", "MO-056")
@given(ladders(), st.data())
def test_a_step_up_and_a_step_down_undo_each_other(found: Ladder, data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(found.rungs))
    climb = found.up(one)
    if climb is not None:
        assert found.down(climb.to) == one
        assert climb.reviewed is (climb.to.grade != one.grade)
        assert climb.to.letter == (A if climb.reviewed else chr(ord(one.letter) + 1))
    below = found.down(one)
    if below is not None:
        again = found.up(below)
        assert again is not None
        assert again.to == one
        if below.grade != one.grade:
            highest = max(r.letter for r in found.rungs if r.grade == below.grade)
            assert (one.letter, below.letter) == (A, highest)


def test_a_ladder_whose_grade_is_torn_apart_is_refused() -> None:
    torn = [
        Rung(uuid4(), grade, letter, rank)
        for rank, (grade, letter) in enumerate([("x", A), ("y", A), ("x", B)])
    ]
    with pytest.raises(ValueError, match="out of order"):
        Ladder(torn)
    with pytest.raises(ValueError, match="out of order"):
        Ladder([Rung(uuid4(), "x", B, 1), Rung(uuid4(), "x", A, 2)])


@pytest.mark.rule("MO-007", "OT-103")
async def test_a_line_begins_with_the_posts_of_the_rules_in_three_series(branch: Branch) -> None:
    seen = await branch.crm.data("{ elitePosts(first: 50) { nodes { title series } } }", branch.members[0])
    series = {post["title"]: post["series"] for post in seen["elitePosts"]["nodes"]}
    assert series == {
        "团队经理": "MARKETING", "团队组长": "MARKETING", "营销经理": "MARKETING", "高级营销经理": "MARKETING",
        "营销顾问": "MARKETING", "高级营销顾问": "MARKETING", "产品经理": "PRODUCT", "服务经理": "SERVICE",
        "客户经理": "MARKETING", "技术支持人员": "SERVICE",
    }  # fmt: skip


@pytest.mark.rule("MO-055", "MO-056", "MO-076")
async def test_a_line_begins_with_the_ladders_of_the_examples(branch: Branch) -> None:
    hq = await branch.crm.data(STEPS, branch.hr, kind="HQ")
    assert [step["grade"] + step["letter"] for step in hq["eliteSteps"]["nodes"]] == [
        "营销经理A", "营销经理B", "营销经理C", "营销顾问A", "营销顾问B", "营销顾问C",
        "高级营销顾问A", "高级营销顾问B", "高级营销顾问C",
    ]  # fmt: skip
    regional = await branch.crm.data(STEPS, branch.hr, kind="REGIONAL")
    assert [step["grade"] + step["letter"] for step in regional["eliteSteps"]["nodes"]] == [
        "营销经理A", "营销经理B", "营销经理C", "高级营销经理A", "高级营销经理B", "高级营销经理C",
    ]  # fmt: skip


async def test_a_line_without_the_plugin_has_no_posts(branch: Branch, crm: Kit) -> None:
    seen = await crm.data('{ elitePosts(first: 50, where: { line: { eq: "office" } }) { totalCount } }')
    assert seen["elitePosts"]["totalCount"] == 0


@pytest.mark.rule("OT-103")
async def test_a_post_is_set_up_once_and_its_words_may_change(branch: Branch) -> None:
    given = {
        "code": "key_account_manager",
        "title": "大客户经理",
        "series": "MARKETING",
        "role": "MARKETING_MANAGER",
    }
    made = await branch.crm.done("elitePostCreate", branch.centre, input=given, select="elitePost { id }")
    again = await branch.crm.change("elitePostCreate", branch.centre, input=given)
    assert [(e["code"], e["field"]) for e in again["userErrors"]] == [("TELECOM_ELITE_POST_TAKEN", "code")]
    changed = await branch.crm.done(
        "elitePostUpdate",
        branch.centre,
        input={"id": made["elitePost"]["id"], "qualification": "本科，三年以上集团客户营销经验"},
        select="elitePost { title qualification }",
    )
    assert changed["elitePost"] == {"title": "大客户经理", "qualification": "本科，三年以上集团客户营销经验"}


@pytest.mark.rule("MO-055")
async def test_a_rung_is_added_where_its_grade_stays_in_one_piece(branch: Branch) -> None:
    given = {"teamKind": "REGIONAL", "grade": "首席营销经理", "letter": "A", "rank": 70}
    await branch.crm.done("eliteStepCreate", branch.hr, input=given)
    torn = await branch.crm.change("eliteStepCreate", branch.hr, input=given | {"letter": "B", "rank": 15})
    assert [(e["code"], e["rule"]) for e in torn["userErrors"]] == [
        ("TELECOM_ELITE_STEP_OUT_OF_ORDER", "MO-055")
    ]
    taken = await branch.crm.change("eliteStepCreate", branch.hr, input=given | {"rank": 80})
    assert [e["code"] for e in taken["userErrors"]] == ["TELECOM_ELITE_STEP_TAKEN"]


@pytest.mark.rule("MO-032", "MO-035")
async def test_a_standard_holds_from_its_day_and_is_seen_by_who_sees_all_pay(branch: Branch) -> None:
    await branch.standard("营销经理", "A", "4000", "1500")
    await branch.standard("营销经理", "A", "4200", "1500", validFrom="2025-07-01")
    await branch.standard("营销经理", "A", "4100", "1500", validFrom="2025-07-01")
    text = "query($id: ID!) { eliteStep(id: $id) { grade standards { validFrom salary bonus } } }"
    step = await branch.step("HQ", "营销经理", "A")
    seen = await branch.crm.data(text, branch.finance, id=step)
    assert seen["eliteStep"]["standards"] == [
        {"validFrom": "2025-07-01", "salary": "4100.00", "bonus": "1500.00"},
        {"validFrom": "2025-01-01", "salary": "4000.00", "bonus": "1500.00"},
    ]
    for who in (branch.manager, branch.members[0]):
        hidden = await branch.crm.data(text, who, id=step)
        assert hidden["eliteStep"] == {"grade": "营销经理", "standards": []}
    refused = await branch.crm.ask(text, branch.centre, id=step)
    assert refused.codes == ["FORBIDDEN"]


async def test_what_a_rung_pays_leaves_the_house_in_no_event(branch: Branch) -> None:
    await branch.standard("营销经理", "A", "4000", "1500")
    assert len(await branch.crm.rows(EliteStandard)) == 1
    refused = await branch.crm.change(
        "eliteStandardSet",
        branch.centre,
        input={
            "id": await branch.step("HQ", "营销经理", "A"),
            "validFrom": "2025-01-01",
            "salary": "1",
            "bonus": "0",
        },
    )
    assert [e["code"] for e in refused["userErrors"]] == ["FORBIDDEN"]

"""Appraisals and tasks through the API: who rates whom, what is counted, what stands and what may be corrected."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert

from crm_core import ids
from crm_core.actors import Actor
from crm_core.outbox.models import OutboxEvent
from crm_telecom_elite.appraisals.models import EliteAppraisal
from crm_telecom_elite.members.models import EliteMember
from crm_telecom_elite.months import month_of
from crm_telecom_elite.testing import Branch
from crm_telecom_elite.users.models import EliteUser

SHOWN = "eliteAppraisal { id state score result inputs derivation }"
KPI = {"marketPeriod": "CULTIVATION", "m": "90", "s": "70", "d": "80"}


async def rate_team(branch: Branch, quarter: str = "2025-Q3", **more: Any) -> dict[str, Any]:
    given = {"teamId": branch.hq, "quarter": quarter, **KPI, **more}
    made = await branch.crm.done("eliteAppraisalRateTeam", branch.centre, input=given, select=SHOWN)
    found: dict[str, Any] = made["eliteAppraisal"]
    return found


async def team_stands(branch: Branch, quarter: str = "2025-Q3", **more: Any) -> str:
    made = await rate_team(branch, quarter, **more)
    await confirm(branch, made["id"])
    return str(made["id"])


async def rate(
    branch: Branch, member: str, period: str, by: Actor | None = None, **more: Any
) -> dict[str, Any]:
    given = {"memberId": member, "period": period, **more}
    made = await branch.crm.done("eliteAppraisalRateMember", by or branch.centre, input=given, select=SHOWN)
    found: dict[str, Any] = made["eliteAppraisal"]
    return found


async def confirm(branch: Branch, *appraisals: str) -> None:
    await branch.crm.done("eliteAppraisalConfirm", branch.centre, input={"ids": list(appraisals)})


async def refused(
    branch: Branch, mutation: str, by: Actor, **given: Any
) -> list[tuple[str, str | None, str | None]]:
    payload = await branch.crm.change(mutation, by, acting=branch.line, input=given)
    return [(e["code"].removeprefix("TELECOM_ELITE_"), e["field"], e["rule"]) for e in payload["userErrors"]]


async def develop(branch: Branch, member: str, number: int, on: str = "2025-10-15", **more: Any) -> None:
    """So many users of a member, activated on a day."""
    day = date.fromisoformat(on)
    rows = [
        {
            "id": ids.uuid7(), "created_at": branch.crm.clock(), "updated_at": branch.crm.clock(), "version": 1,
            "line": branch.line, "number": ids.uuid7().hex, "member_id": ids.read_as("elm", member),
            "activated_on": day, "first_month": month_of(day), "last_month": month_of(day),
            "group_user": True, "legacy": False, **more,
        }
        for _ in range(number)
    ]  # fmt: skip
    async with branch.crm.database.transaction() as session:
        await session.execute(insert(EliteUser), rows)


async def regional(branch: Branch, **more: Any) -> str:
    return await branch.member(team=branch.regional, post="customer_manager", **more)


# -- the headquarters: by quarters, the team first


@pytest.mark.rule("MO-060", "MO-061", "MO-063", "MO-064", "OT-120")
async def test_a_team_is_rated_for_its_quarter_and_shows_how(branch: Branch) -> None:
    growing = await rate_team(branch)
    assert (growing["state"], growing["score"], growing["result"]) == ("DRAFT", "83", "A")
    assert growing["derivation"][0] == {
        "label": "KPI = M, S, D by weight",
        "label_zh": "KPI＝M、S、D 加权",
        "formula": "60% × 90 + 30% × 70 + 10% × 80",
        "value": "83",
        "rule": "MO-063",
    }
    reaping = await rate_team(branch, marketPeriod="HARVEST")
    assert (reaping["id"], reaping["score"], reaping["result"]) == (growing["id"], "77", "B")


@pytest.mark.rule("MO-006", "MO-061", "OT-102")
async def test_only_the_centre_rates_a_team_and_confirms(branch: Branch) -> None:
    given = {"teamId": branch.hq, "quarter": "2025-Q3", **KPI}
    assert await refused(branch, "eliteAppraisalRateTeam", branch.manager, **given) == [
        ("CENTRE_ONLY", None, "MO-006")
    ]
    team = await rate_team(branch)
    assert await refused(branch, "eliteAppraisalConfirm", branch.manager, ids=[team["id"]]) == [
        ("CENTRE_ONLY", None, "MO-006")
    ]
    assert (await branch.crm.change("eliteAppraisalConfirm", branch.hr, input={"ids": [team["id"]]}))[
        "userErrors"
    ][0]["code"] == "FORBIDDEN"


@pytest.mark.rule("MO-061", "OT-120")
async def test_members_are_rated_after_their_team(branch: Branch) -> None:
    member = await branch.member()
    given = {"memberId": member, "period": "2025-Q3", "result": "A"}
    assert await refused(branch, "eliteAppraisalRateMember", branch.manager, **given) == [
        ("TEAM_FIRST", "period", "MO-061")
    ]
    await rate_team(branch)  # a draft is not enough
    assert len(await refused(branch, "eliteAppraisalRateMember", branch.manager, **given)) == 1
    await team_stands(branch)
    made = await rate(branch, member, "2025-Q3", branch.manager, result="A")
    assert (made["score"], made["result"]) == (None, "A")


@pytest.mark.rule("MO-061", "MO-065")
async def test_a_members_kpi_takes_the_weights_of_his_teams_period(branch: Branch) -> None:
    member = await branch.member()
    await team_stands(branch, marketPeriod="HARVEST")
    made = await rate(branch, member, "2025-Q3", branch.manager, m="90", s="70", d="80")
    assert (made["score"], made["result"], made["derivation"][0]["rule"]) == ("77", "B", "MO-064")
    other = {"m": "90", "s": "70", "d": "80", "result": "C", "memberId": member, "period": "2025-Q3"}
    assert await refused(branch, "eliteAppraisalRateMember", branch.manager, **other) == [
        ("RESULT_REASON", "remark", "MO-061")
    ]
    made = await rate(branch, member, "2025-Q3", m="90", s="70", d="80", result="C", remark="团队名额")
    assert (made["score"], made["result"], made["derivation"][-1]["formula"]) == ("77", "C", "B → C")


@pytest.mark.rule("MO-061")
async def test_results_fit_the_distribution_a_line_entered(branch: Branch) -> None:
    people = [await branch.member() for _ in range(4)]
    quota = {"teamResult": "A", "validFrom": "2025-01-01", "mostA": "30", "leastC": "25"}
    await branch.crm.done("eliteResultQuotaSet", branch.hr, acting="elite", input=quota)
    await team_stands(branch)
    drafts = [
        (await rate(branch, one, "2025-Q3", result=result))["id"]
        for one, result in zip(people, "AABB", strict=True)
    ]
    assert await refused(branch, "eliteAppraisalConfirm", branch.centre, ids=drafts[:2]) == [
        ("DISTRIBUTION", "ids", "MO-061")
    ]
    await confirm(branch, drafts[0])
    await rate(branch, people[1], "2025-Q3", result="B")
    await confirm(branch, *drafts[1:3])
    assert len(await refused(branch, "eliteAppraisalConfirm", branch.centre, ids=drafts[3:])) == 1
    await rate(branch, people[3], "2025-Q3", result="C")
    await confirm(branch, drafts[3])


@pytest.mark.rule("MO-061")
async def test_without_a_distribution_nothing_is_forced_and_none_asks_for_more_than_all(
    branch: Branch,
) -> None:
    people = [await branch.member() for _ in range(2)]
    await team_stands(branch)
    drafts = [(await rate(branch, one, "2025-Q3", result="A"))["id"] for one in people]
    await confirm(branch, *drafts)
    quota = {"teamResult": "A", "validFrom": "2025-01-01", "mostA": "60", "leastC": "50"}
    assert await refused(branch, "eliteResultQuotaSet", branch.hr, **quota) == [
        ("QUOTA_TOO_MUCH", "leastC", "MO-061")
    ]


# -- regions: by months, users counted


@pytest.mark.rule("MO-070", "MO-071", "MO-072", "OT-121")
async def test_group_users_developed_in_the_month_are_counted(branch: Branch) -> None:
    member = await regional(branch)
    await develop(branch, member, 28)
    await develop(branch, member, 3, on="2025-09-30")
    await develop(branch, member, 3, on="2025-11-01")
    await develop(branch, member, 3, group_user=False)
    await develop(branch, member, 3, legacy=True)
    made = await rate(branch, member, "2025-10", branch.regional_leader, attitude="70")
    assert (made["score"], made["result"]) == ("70", "B")
    assert made["inputs"] == {"users": 28, "counted": True, "attitude": "70", "probation": False}
    assert [step["formula"] for step in made["derivation"][:3]] == ["28 / 40 × 90", "70 / 100 × 10", "63 + 7"]


@pytest.mark.rule("MO-072")
async def test_another_number_of_users_is_given_with_a_reason(branch: Branch) -> None:
    member = await regional(branch)
    given = {"memberId": member, "period": "2025-10", "attitude": "80", "users": 36}
    assert await refused(branch, "eliteAppraisalRateMember", branch.centre, **given) == [
        ("USERS_REASON", "usersReason", "MO-072")
    ]
    made = await rate(branch, member, "2025-10", attitude="80", users=36, usersReason="系统漏录")
    assert (made["score"], made["result"]) == ("89", "A")


@pytest.mark.rule("MO-075", "OT-122")
async def test_probation_is_that_of_the_months_last_day(branch: Branch) -> None:
    inside = await regional(branch, entered_on="2025-08-01")  # probation to 2025-10-31
    over = await regional(branch, entered_on="2025-07-31")  # to 2025-10-30
    for one in (inside, over):
        await develop(branch, one, 18)
    young = await rate(branch, inside, "2025-10", attitude="90")
    assert (young["score"], young["result"], young["inputs"]["probation"]) == ("90", "A", True)
    old = await rate(branch, over, "2025-10", attitude="90")
    assert (old["score"], old["result"], old["inputs"]["probation"]) == ("49.5", "C", False)


@pytest.mark.rule("MO-070", "MO-072")
async def test_a_month_is_rated_for_the_whole_team_with_few_statements(branch: Branch) -> None:
    people = [await regional(branch) for _ in range(9)]
    for one in people:
        await develop(branch, one, 32)
    ratings = [{"memberId": one, "attitude": "100"} for one in people]
    given = {"teamId": branch.regional, "month": "2025-10", "ratings": ratings}
    with branch.crm.statements() as sent:
        made = await branch.crm.done(
            "eliteAppraisalRateMonth", branch.regional_leader, input=given, select="eliteAppraisals { score }"
        )
    assert [one["score"] for one in made["eliteAppraisals"]] == ["82"] * 9
    assert len(sent) <= 12, sent
    given["ratings"] = ratings[:8]
    assert await refused(branch, "eliteAppraisalRateMonth", branch.regional_leader, **given) == [
        ("NOT_RATED", "ratings", "MO-070")
    ]


async def test_a_months_rating_refuses_strangers_doubles_and_oneself(branch: Branch) -> None:
    own = await regional(branch, user=branch.regional_leader)
    stranger = await branch.member()
    mate = await regional(branch)
    given = {
        "teamId": branch.regional,
        "month": "2025-10",
        "ratings": [{"memberId": one, "attitude": "1"} for one in (own, stranger, mate, mate)],
    }
    assert await refused(branch, "eliteAppraisalRateMonth", branch.regional_leader, **given) == [
        ("OWN_APPRAISAL", "ratings.0.memberId", "MO-006"),
        ("NOT_SEATED", "ratings.1.memberId", None),
        ("RATED_TWICE", "ratings.3.memberId", None),
    ]
    given["ratings"] = [{"memberId": mate, "attitude": "1"}]
    payload = await branch.crm.change("eliteAppraisalRateMonth", branch.regional_leader, input=given)
    assert payload["userErrors"] == []  # the Centre rates the leader


@pytest.mark.rule("MO-060", "MO-070")
async def test_each_kind_of_team_has_its_own_periods_and_figures(branch: Branch) -> None:
    here, there = await branch.member(), await regional(branch)
    rated = "eliteAppraisalRateMember"
    wrong = [("WRONG_PERIOD", "period", "MO-060")]
    assert await refused(branch, rated, branch.centre, memberId=here, period="2025-10", result="A") == wrong
    assert (
        await refused(branch, rated, branch.centre, memberId=there, period="2025-Q3", attitude="1") == wrong
    )
    assert await refused(branch, rated, branch.centre, memberId=there, period="2025-10", result="A") == [
        ("NOT_OF_SCHEME", "result", "MO-060"),
        ("REQUIRED", "attitude", None),
    ]
    given = {"teamId": branch.regional, "quarter": "2025-Q3", **KPI}
    assert await refused(branch, "eliteAppraisalRateTeam", branch.centre, **given) == [
        ("WRONG_PERIOD", "quarter", "MO-060")
    ]
    month: dict[str, Any] = {"teamId": branch.hq, "month": "2025-10"}
    month["ratings"] = [{"memberId": here, "attitude": "50"}]
    assert await refused(branch, "eliteAppraisalRateMonth", branch.centre, **month) == [
        ("WRONG_PERIOD", "month", "MO-060")
    ]
    await team_stands(branch)
    stray = {"memberId": here, "period": "2025-Q3", "result": "A", "attitude": "50"}
    assert await refused(branch, rated, branch.centre, **stray) == [("NOT_OF_SCHEME", "attitude", "MO-060")]


async def test_a_period_is_rated_from_its_last_day_on(branch: Branch) -> None:
    member = await regional(branch)
    given = {"memberId": member, "period": "2025-11", "attitude": "80"}
    assert await refused(branch, "eliteAppraisalRateMember", branch.centre, **given) == [
        ("PERIOD_OPEN", "period", None)
    ]
    branch.crm.clock.advance(days=27)
    await rate(branch, member, "2025-11", attitude="80")


async def test_nobody_rates_himself_and_no_manager_another_team(branch: Branch) -> None:
    own = await branch.member(post="team_manager", user=branch.manager)
    other = await regional(branch)
    await team_stands(branch)
    assert await refused(
        branch, "eliteAppraisalRateMember", branch.manager, memberId=own, period="2025-Q3", result="A"
    ) == [("OWN_APPRAISAL", "memberId", "MO-006")]
    (found,) = await refused(
        branch, "eliteAppraisalRateMember", branch.manager, memberId=other, period="2025-10", attitude="1"
    )
    assert found[0] == "NOT_FOUND"
    await rate(branch, own, "2025-Q3", result="B")


# -- what stands


async def test_a_confirmed_appraisal_is_not_rated_again(branch: Branch) -> None:
    member = await regional(branch)
    made = await rate(branch, member, "2025-10", attitude="80")
    await confirm(branch, made["id"])
    given = {"memberId": member, "period": "2025-10", "attitude": "100"}
    assert await refused(branch, "eliteAppraisalRateMember", branch.centre, **given) == [
        ("ILLEGAL_MOVE", "period", None)
    ]
    assert await refused(branch, "eliteAppraisalConfirm", branch.centre, ids=[made["id"]]) == [
        ("ILLEGAL_MOVE", "ids.0", None)
    ]


async def test_a_correction_counts_users_anew_and_says_why(branch: Branch) -> None:
    member = await regional(branch)
    await develop(branch, member, 20)
    made = await rate(branch, member, "2025-10", attitude="80")
    assert (made["score"], made["result"]) == ("53", "C")
    draft = await refused(branch, "eliteAppraisalCorrect", branch.centre, id=made["id"], reason="x")
    assert draft == [("ILLEGAL_MOVE", "id", None)]
    await confirm(branch, made["id"])
    await develop(branch, member, 8)
    corrected = await branch.crm.done(
        "eliteAppraisalCorrect",
        branch.centre,
        input={"id": made["id"], "reason": "补录用户", "attitude": "70"},
        select=SHOWN,
    )
    found = corrected["eliteAppraisal"]
    assert (found["state"], found["score"], found["result"]) == ("CONFIRMED", "70", "B")
    assert await refused(
        branch, "eliteAppraisalCorrect", branch.regional_leader, id=made["id"], reason="x"
    ) == [("CENTRE_ONLY", None, "MO-006")]
    events = [row for row in await branch.crm.rows(OutboxEvent) if row.subject_type == "EliteAppraisal"]
    assert [row.kind.split(".")[1] for row in events] == ["rated", "confirmed", "corrected"]
    assert events[-1].data == {"why": "补录用户"}


@pytest.mark.rule("MO-061")
async def test_a_teams_result_stays_once_members_stand_on_it(branch: Branch) -> None:
    member = await branch.member()
    team = await team_stands(branch)
    mine = await rate(branch, member, "2025-Q3", m="90", s="70", d="80")
    await confirm(branch, mine["id"])
    given = {"id": team, "reason": "误填"}
    assert await refused(branch, "eliteAppraisalCorrect", branch.centre, **given, m="10") == [
        ("MEMBERS_RATED", "id", "MO-061")
    ]
    assert await refused(branch, "eliteAppraisalCorrect", branch.centre, **given, m="95") == []  # still A
    corrected = await branch.crm.done(
        "eliteAppraisalCorrect",
        branch.centre,
        input={"id": mine["id"], "reason": "误填", "s": "60"},
        select=SHOWN,
    )
    assert corrected["eliteAppraisal"]["score"] == "80"


# -- tasks


POINTS = [
    {"point": "新签集团客户", "side": "MARKETING", "target": "12", "project": "政企一期"},
    {"point": "集团收入", "side": "SELLING", "target": "800000"},
]


@pytest.mark.rule("MO-062", "OT-120")
async def test_the_manager_breaks_the_next_quarter_down_and_sees_what_is_missing(branch: Branch) -> None:
    first, second = await branch.member(name="张三"), await branch.member(name="李四")
    given = {"teamId": branch.hq, "quarter": "2026-Q1", "points": [{**POINTS[0], "memberId": first}]}
    asked = (
        "query($id: ID!) { eliteTeam(id: $id) { taskWarnings tasks { nodes { point member { name } } } } }"
    )

    async def warnings(**more: Any) -> list[str]:
        seen = await branch.crm.data(asked, branch.manager, id=branch.hq, **more)
        return list(seen["eliteTeam"]["taskWarnings"])

    assert await warnings() == [
        "张三 has no task in 2026-Q1.",
        "李四 has no task in 2026-Q1.",
        "The side MARKETING has no task in 2026-Q1.",
        "The side SELLING has no task in 2026-Q1.",
    ]
    given["points"] = [{**POINTS[0], "memberId": first}, POINTS[1]]
    await branch.crm.done("eliteTaskSet", branch.manager, input=given, select="eliteTasks { id }")
    assert await warnings(language="zh-CN") == [
        "2026-Q1 考核点“集团收入”尚未落实到人。",
        "李四 在 2026-Q1 没有任务。",
    ]
    given["points"] = [{**POINTS[0], "memberId": first}, {**POINTS[1], "memberId": second}]
    await branch.crm.done("eliteTaskSet", branch.manager, input=given)
    assert await warnings() == []
    seen = await branch.crm.data(asked, branch.manager, id=branch.hq)
    assert {one["point"] for one in seen["eliteTeam"]["tasks"]["nodes"]} == {"新签集团客户", "集团收入"}


@pytest.mark.rule("MO-062")
async def test_task_scores_are_the_basis_of_a_members_appraisal(branch: Branch) -> None:
    member = await branch.member()
    points = [{**one, "memberId": member} for one in (*POINTS, {**POINTS[0], "point": "走访"})]
    made = await branch.crm.done(
        "eliteTaskSet",
        branch.manager,
        input={"teamId": branch.hq, "quarter": "2025-Q4", "points": points},
        select="eliteTasks { id }",
    )
    for task, score in zip(made["eliteTasks"], ("100", "70", "80"), strict=True):
        given = {"id": task["id"], "actual": "10", "score": score}
        await branch.crm.done("eliteTaskReport", branch.manager, input=given)
    again = {"teamId": branch.hq, "quarter": "2025-Q4", "points": points}
    assert await refused(branch, "eliteTaskSet", branch.manager, **again) == [
        ("TASKS_REPORTED", "quarter", "MO-062")
    ]
    branch.crm.clock.advance(days=60)
    await team_stands(branch, "2025-Q4")
    rated = await rate(branch, member, "2025-Q4", branch.manager, d="80")
    assert (rated["score"], rated["derivation"][0]["formula"]) == ("83", "(100 + 80) / 2")


@pytest.mark.rule("MO-062")
async def test_tasks_are_a_quarters_that_is_not_over_of_ones_own_hq_team(branch: Branch) -> None:
    member = await branch.member(user=branch.manager)
    given = {"teamId": branch.hq, "quarter": "2025-Q3", "points": POINTS}
    assert await refused(branch, "eliteTaskSet", branch.manager, **given) == [
        ("QUARTER_OVER", "quarter", "MO-062")
    ]
    (found,) = await refused(branch, "eliteTaskSet", branch.regional_leader, **given)
    assert found[:2] == ("FORBIDDEN", "teamId")
    given = {"teamId": branch.regional, "quarter": "2025-Q4", "points": POINTS}
    assert (await refused(branch, "eliteTaskSet", branch.centre, **given))[0][0] == "WRONG_PERIOD"
    made = await branch.crm.done(
        "eliteTaskSet",
        branch.manager,
        input={"teamId": branch.hq, "quarter": "2025-Q4", "points": [{**POINTS[0], "memberId": member}]},
        select="eliteTasks { id }",
    )
    own = {"id": made["eliteTasks"][0]["id"], "actual": "12", "score": "100"}
    assert await refused(branch, "eliteTaskReport", branch.manager, **own) == [
        ("OWN_APPRAISAL", "id", "MO-006")
    ]


# -- who sees what


@pytest.mark.rule("MO-006")
async def test_a_member_sees_his_own_appraisal_and_tasks_a_manager_his_team(branch: Branch) -> None:
    one, two, three = branch.members
    first, second = await branch.member(user=one), await branch.member(user=two)
    third = await regional(branch, user=three)
    points = [{**POINTS[0], "memberId": first}, {**POINTS[1], "memberId": second}]
    given = {"teamId": branch.hq, "quarter": "2025-Q4", "points": points}
    await branch.crm.done("eliteTaskSet", branch.manager, input=given)
    await team_stands(branch)
    for member in (first, second):
        await rate(branch, member, "2025-Q3", result="B")
    await rate(branch, third, "2025-10", attitude="50")
    asked = "{ eliteAppraisals { nodes { member { id } } } eliteTasks { nodes { member { id } } } }"

    async def seen(actor: Actor) -> tuple[list[str], list[str]]:
        data = await branch.crm.data(asked, await branch.crm.again(actor.user_id))
        lists = (data["eliteAppraisals"]["nodes"], data["eliteTasks"]["nodes"])
        names = {first: "1", second: "2", third: "3"}
        found = [
            sorted(names[n["member"]["id"]] if n["member"] else "team" for n in nodes) for nodes in lists
        ]
        return found[0], found[1]

    assert await seen(one) == (["1"], ["1"])
    assert await seen(two) == (["2"], ["2"])
    assert await seen(three) == (["3"], [])
    assert await seen(branch.manager) == (["1", "2", "team"], ["1", "2"])
    assert await seen(branch.regional_leader) == (["3"], [])
    for everybody in (branch.centre, branch.hr, branch.finance, branch.leader):
        assert await seen(everybody) == (["1", "2", "3", "team"], ["1", "2"])


async def test_a_member_who_left_within_the_month_may_still_be_rated(branch: Branch) -> None:
    member = await regional(branch)
    said = {"id": member, "endedOn": "2025-10-20", "cause": "RESIGNED", "decision": "本人辞职，部门同意"}
    await branch.act("Terminate", **said)
    made = await rate(branch, member, "2025-10", attitude="50")
    assert made["result"] == "C"
    (row,) = [r for r in await branch.crm.rows(EliteMember) if ids.show("elm", r.id) == member]
    assert row.state == "TERMINATED"
    assert {r.member_id for r in await branch.crm.rows(EliteAppraisal)} == {row.id}

"""Appraisals of a month or quarter, and the changes of step that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from elite_branch.world import LEADING, Branch, Member, Posting, Team, first_day, last_day, later, month_of

_STEPS: Final = "fromStep { grade letter } toStep { grade letter }"


def appraise(branch: Branch, month: str) -> list[str]:
    """Rate and confirm everybody who is due; what differs from what his users and attitude should give."""
    wrong: list[str] = []
    for team in branch.teams:
        if team.kind == "REGIONAL":
            wrong += _month(branch, team, month)
        elif month[5:] in ("03", "06", "09", "12"):
            _quarter(branch, team, month)
    return wrong


def _month(branch: Branch, team: Team, month: str) -> list[str]:
    """The leader rates his team, the Centre rates the leader and confirms all."""
    day = last_day(month)
    attitudes = {
        one.id: min(100, 55 + one.skill + branch.rng.randint(0, 5)) for one in branch.sitting(team, day)
    }
    leader = branch.led_by(team, day)
    ratings = [
        {"memberId": key, "attitude": str(value)} for key, value in attitudes.items() if key != leader.id
    ]
    wanted = "{ id result member { id } }"
    rated = leader.account.one(
        "eliteAppraisalRateMonth", f"eliteAppraisals {wanted}", teamId=team.id, month=month, ratings=ratings
    )["eliteAppraisals"]
    rated.append(
        branch.centre.one(
            "eliteAppraisalRateMember", f"eliteAppraisal {wanted}", memberId=leader.id, period=month,
            attitude=str(attitudes[leader.id]),
        )["eliteAppraisal"]
    )  # fmt: skip
    branch.centre.one("eliteAppraisalConfirm", ids=[one["id"] for one in rated])
    wrong = []
    for one in rated:
        member = next(m for m in branch.members if m.id == one["member"]["id"])
        expected = _result(branch, member, month, attitudes[member.id])
        branch.results[member.id, month] = expected
        if expected != one["result"]:
            wrong.append(f"{month} {member.name}: result {one['result']}, by hand {expected}")
    return wrong


def _result(branch: Branch, member: Member, month: str, attitude: int) -> str:
    many = sum(1 for one in branch.users if one.member is member and month_of(one.activated_on) == month)
    probation = last_day(month) <= member.probation_until
    target, sales, weight = (20, 70, 30) if probation else (40, 90, 10)
    score = Decimal(many) / target * sales + Decimal(attitude) * weight / 100
    return "A" if score >= 80 else "B" if score >= 60 else "C"  # noqa: PLR2004  # the bands of the rules


def _quarter(branch: Branch, team: Team, month: str) -> None:
    """The Centre rates the team of the headquarters first, then its members."""
    quarter = f"{month[:4]}-Q{int(month[5:]) // 3}"
    made = branch.centre.one(
        "eliteAppraisalRateTeam", "eliteAppraisal { id }", teamId=team.id, quarter=quarter,
        marketPeriod="HARVEST", m="90", s="84", d="80",
    )["eliteAppraisal"]  # fmt: skip
    branch.centre.one("eliteAppraisalConfirm", ids=[made["id"]])
    rated = []
    for place, member in enumerate(branch.sitting(team, last_day(month))):
        score = str(95 - 9 * place)
        found = branch.centre.one(
            "eliteAppraisalRateMember", "eliteAppraisal { id result }", memberId=member.id, period=quarter,
            m=score, s=score, d=score,
        )["eliteAppraisal"]  # fmt: skip
        rated.append(found["id"])
        branch.results[member.id, quarter] = found["result"]
    branch.centre.one("eliteAppraisalConfirm", ids=rated)


# -- what follows from them


def regrade(branch: Branch, month: str) -> Sequence[str]:
    """Apply for what the results call for, from the first of the month after; what became of it, in words.

    The first end of a contract that is proposed is decided on and signed; of the others human resources decide that
    the contract goes on.
    """
    text = f"""{{ eliteRegrades(first: 100, where: {{ state: {{ eq: PROPOSED }} }}) {{
        nodes {{ id kind {_STEPS} member {{ id }} }} }} }}"""
    found = branch.hr.ask(text)["eliteRegrades"]["nodes"]
    said = Counter[str]()
    for one in found:
        member = next(m for m in branch.members if m.id == one["member"]["id"])
        if one["kind"] == "TERMINATION":
            said[_ended(branch, one["id"], member, month)] += 1
        else:
            said[_moved(branch, one, member, first_day(later(month, 1)))] += 1
    return [f"{words}: {many}" for words, many in sorted(said.items())]


def _moved(branch: Branch, one: dict[str, Any], member: Member, since: date) -> str:
    """A step up or down that the Centre applies for and human resources sign, who see the rungs."""
    step = one["toStep"]["grade"], one["toStep"]["letter"]
    higher = one["kind"] == "STEP_UP" and one["fromStep"]["grade"] != step[0]
    if higher:
        branch.centre.one("eliteRegradeReviewQualification", id=one["id"], qualified=True, note="评审通过")
    branch.centre.one("eliteRegradeSchedule", id=one["id"], effectiveOn=since.isoformat())
    asked = _submitted(branch, one["id"])
    branch.hr.one("approvalApprove", id=asked, comment="同意")
    last = member.postings[-1]
    member.postings.append(Posting(since, last.team, last.post, step))
    if higher:
        return "up into a higher grade"
    return "up a step" if one["kind"] == "STEP_UP" else "down a step"


def _ended(branch: Branch, key: str, member: Member, month: str) -> str:
    """A contract goes on, or ends with the next month by a decision that human resources and the leader sign."""
    ends = branch.dismissed is None
    words = "三个月考核不合格，经培训仍不能胜任" if ends else "依据劳动合同法第四十条，先行培训，不解除"
    branch.hr.one("eliteRegradeDecide", id=key, terminate=ends, decision=words)
    if not ends:
        return "the end of a contract decided against"
    asked = _submitted(branch, key)
    for signer in (branch.hr, branch.leader):
        signer.one("approvalApprove", id=asked, comment="同意")
    branch.dismissed = member
    end(branch, member, last_day(later(month, 1)), "ON_POST")
    return f"{member.name} is told that his contract ends"


def _submitted(branch: Branch, record: str) -> str:
    asked = branch.centre.one("approvalSubmit", "approval { id }", record=record)
    return str(asked["approval"]["id"])


def end(branch: Branch, member: Member, day: date, cause: str = "RESIGNED") -> None:
    """A membership ends: unless said otherwise the member leaves of his own will."""
    given = {
        "id": member.id,
        "endedOn": day.isoformat(),
        "cause": cause,
        "decision": "本人申请或考核结论，部门同意",
    }
    branch.hr.one("eliteMemberTerminate", **given)
    member.left_on = day


def transfer(branch: Branch, member: Member, team: Team, day: date) -> None:
    """A member goes to another team of his kind; his users stay with the old one."""
    branch.hr.one("eliteMemberTransfer", id=member.id, teamId=team.id, validFrom=day.isoformat())
    last = member.postings[-1]
    assert last.post not in LEADING, "who leads stays"
    member.postings.append(Posting(day, team, last.post, last.step))

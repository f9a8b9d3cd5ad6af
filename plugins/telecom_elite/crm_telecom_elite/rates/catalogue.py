"""Every figure of the rules that may change: its name, unit, rule, and what the rule says for each kind of team."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from crm_telecom_elite.rates.models import EliteTeamKind

BEGINNING: Final = date(2000, 1, 1)
"""From when on the figures of the rules hold, where a line has set nothing."""

_HQ, _REGIONAL = EliteTeamKind.HQ, EliteTeamKind.REGIONAL


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: what it is, in which unit, the rule it comes from, and its seeds by kind of team.

    A figure is within `least` and `most`. `whole` figures have no decimals.
    """

    name: str
    description: str
    unit: str
    rule: str
    seeds: Mapping[EliteTeamKind, Decimal]
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(1_000_000_000)
    whole: bool = False


def _both(name: str, value: str, unit: str, rule: str, description: str, **more: object) -> Figure:
    seeds = {_HQ: Decimal(value), _REGIONAL: Decimal(value)}
    return Figure(name, description, unit, rule, seeds, **more)  # type: ignore[arg-type]  # passed on as given


def _each(
    name: str, hq: str, regional: str, unit: str, rule: str, description: str, **more: object
) -> Figure:
    seeds = {_HQ: Decimal(hq), _REGIONAL: Decimal(regional)}
    return Figure(name, description, unit, rule, seeds, **more)  # type: ignore[arg-type]  # passed on as given


def _one(
    name: str, kind: EliteTeamKind, value: str, unit: str, rule: str, description: str, **more: object
) -> Figure:
    return Figure(name, description, unit, rule, {kind: Decimal(value)}, **more)  # type: ignore[arg-type]  # as given


_FIGURES = (
    # pay packages
    _both("package_1_factor", "1.20", "×", "MO-032", "Package 1: times standard salary and bonus (套餐一系数)."),
    _both("package_1_months", "6", "months", "MO-037", "Months of service on package 1 (套餐一期限).", whole=True),
    _both("package_2_factor", "1.20", "×", "MO-034", "Package 2: times standard salary (套餐二岗位工资系数)."),
    _both("transfer_factor", "1.20", "×", "MO-036", "Times the original pay of who comes from the establishment (联通在编系数)."),
    _both("transfer_months", "6", "months", "MO-036", "Months on the original pay (联通在编期限).", whole=True),
    _both("department_factor", "1", "×", "MO-033", "Department's part in the bonus of package 1 (部门绩效系数)."),
    _both("personal_factor", "1", "×", "MO-033", "Person's part in the bonus of package 1 (个人绩效系数)."),
    _both("correction_months", "3", "months", "MO-034", "Closed months a pay run looks back on for pay that is due otherwise now (追溯调整月数).", whole=True, most=Decimal(24)),
    # commission
    _both("commission_rate", "0.04", "×", "MO-040", "Of what was received (提成比例).", most=Decimal(1)),
    _each("commission_coefficient", "1", "0.9", "×", "MO-041", "By kind of team (提成系数).", most=Decimal(10)),
    _both("commission_months", "18", "months", "MO-042", "Billing months of a user that earn (提成周期).", whole=True, least=Decimal(1)),
    _both("commission_by_receipt", "0", "0/1", "MO-042", "1: the day of receipt decides on the months, not the bill (按收款日计).", whole=True, most=Decimal(1)),
    _both("factor_a", "1", "×", "MO-044", "Factor in the distribution of who got A (A 档系数)."),
    _both("factor_b", "1", "×", "MO-044", "… who got B (B 档系数)."),
    _both("factor_c", "1", "×", "MO-044", "… who got C (C 档系数)."),
    # allowances and benefits
    _both("manager_allowance", "1000", "yuan a month", "MO-050", "For serving as team manager (职务补贴)."),
    _both("manager_allowance_leader", "1", "0/1", "MO-050", "1: team leaders get it too (组长享有职务补贴).", whole=True, most=Decimal(1)),
    _one("car_allowance_team", _HQ, "5000", "yuan a month", "MO-051", "For a team without guaranteed cars (团队车贴)."),
    _one("car_allowance_person", _REGIONAL, "300", "yuan a month", "MO-051", "For each of a team without guaranteed cars (个人车贴)."),
    _both("benefits_short_months", "6", "months", "MO-052", "Service until short-term benefits (短期福利起始).", whole=True),
    _both("benefits_long_months", "12", "months", "MO-052", "Service until long-term benefits (长期福利起始).", whole=True),
    # hiring and training
    _both("contract_months", "12", "months", "MO-021", "Term of the contract (合同期限).", whole=True),
    _both("probation_months", "3", "months", "MO-021", "Probation (试用期).", whole=True),
    _both("classroom_weeks_least", "1", "weeks", "MO-023", "Shortest classroom phase (岗前培训最短).", whole=True),
    _both("classroom_weeks_most", "2", "weeks", "MO-023", "Longest classroom phase (岗前培训最长).", whole=True),
    _both("coaching_months", "2", "months", "MO-023", "Work on site with a colleague (跟岗辅导).", whole=True),
    _both("promotion_trainings_least", "1", "a year", "MO-024", "Fewest promotion trainings (激励晋升培训最少).", whole=True),
    _both("promotion_trainings_most", "2", "a year", "MO-024", "Most promotion trainings (激励晋升培训最多).", whole=True),
    # headcount and composition
    _one("headcount_revenue", _HQ, "800000", "yuan a person and year", "MO-014", "Revenue a person brings (人均创收).", least=Decimal(1)),
    _one("headcount_users", _REGIONAL, "40", "users a person and month", "MO-015", "Users a person develops (人均发展户数).", least=Decimal(1)),
    _one("team_managers", _HQ, "1", "people", "MO-008", "Team managers of a team (团队经理人数).", whole=True),
    _one("marketing_managers_least", _HQ, "1", "people", "MO-008", "Fewest marketing managers (营销经理最少).", whole=True),
    _one("marketing_managers_most", _HQ, "2", "people", "MO-008", "Most marketing managers (营销经理最多).", whole=True),
    _one("product_managers", _HQ, "1", "people", "MO-008", "Product managers of a team (产品经理人数).", whole=True),
    _one("service_managers", _HQ, "1", "people", "MO-008", "Service managers of a team (服务经理人数).", whole=True),
    _one("team_leaders", _REGIONAL, "1", "people", "MO-009", "Leaders of a team (团队组长人数).", whole=True),
    _one("team_size_least", _REGIONAL, "8", "people", "MO-009", "Fewest members, leader included (团队最少人数).", whole=True),
    _one("team_size_most", _REGIONAL, "9", "people", "MO-009", "Most members, leader included (团队最多人数).", whole=True),
    # appraisal
    _one("cultivation_m", _HQ, "0.6", "×", "MO-063", "Weight of M in the cultivation period (培育期 M 权重).", most=Decimal(1)),
    _one("cultivation_s", _HQ, "0.3", "×", "MO-063", "Weight of S (培育期 S 权重).", most=Decimal(1)),
    _one("cultivation_d", _HQ, "0.1", "×", "MO-063", "Weight of D (培育期 D 权重).", most=Decimal(1)),
    _one("harvest_m", _HQ, "0.3", "×", "MO-064", "Weight of M in the harvest period (收获期 M 权重).", most=Decimal(1)),
    _one("harvest_s", _HQ, "0.6", "×", "MO-064", "Weight of S (收获期 S 权重).", most=Decimal(1)),
    _one("harvest_d", _HQ, "0.1", "×", "MO-064", "Weight of D (收获期 D 权重).", most=Decimal(1)),
    _one("sales_target", _REGIONAL, "40", "users a month", "MO-072", "Users to be developed (月发展目标).", least=Decimal(1)),
    _one("sales_weight", _REGIONAL, "90", "points", "MO-071", "Weight of the sales target (销售目标权重)."),
    _one("attitude_weight", _REGIONAL, "10", "points", "MO-071", "Weight of the work attitude (工作态度权重)."),
    _one("probation_target", _REGIONAL, "20", "users a month", "MO-075", "Users to be developed in probation (试用期目标).", least=Decimal(1)),
    _one("probation_sales_weight", _REGIONAL, "70", "points", "MO-075", "Weight of the sales target in probation (试用期销售权重)."),
    _one("probation_attitude_weight", _REGIONAL, "30", "points", "MO-075", "Weight of the attitude in probation (试用期态度权重)."),
    _one("sales_capped", _REGIONAL, "0", "0/1", "MO-072", "1: the sales part is at most its weight (销售得分封顶).", whole=True, most=Decimal(1)),
    _both("band_a", "80", "points", "MO-073", "From which score on a result is A (A 档下限)."),
    _both("band_b", "60", "points", "MO-073", "From which score on a result is B; below it is C (B 档下限)."),
    # promotion and demotion
    _each("in_a_row", "2", "3", "results", "MO-055", "Results A, or C, in a row that move a step (MO-055, MO-076 连续次数).", whole=True, least=Decimal(1)),
    _each("in_window", "0", "3", "results", "MO-076", "Results A, or C, within the window that move a step; 0: none do (累计次数).", whole=True),
    _one("window_quarters", _REGIONAL, "2", "quarters", "MO-076", "Calendar quarters of the window, the present one among them (累计季度数).", whole=True, least=Decimal(1)),
    # plans
    _both("contact_report_days", "3", "working days", "MO-520", "Until the short report on a contact is due (接触简报期限).", whole=True),
    _both("map_open_hours", "8", "hours", "MO-527", "How long who opened a map of key persons may read it (关系图查阅时限).", whole=True, least=Decimal(1)),
    _both("key_person_owners", "2", "people", "MO-528", "Fewest of us among whom a customer's key persons are divided (关键人物最少负责人).", whole=True),
)  # fmt: skip

CATALOGUE: Final[Mapping[str, Figure]] = {figure.name: figure for figure in _FIGURES}
"""Figures by name."""

"""How many people a task is worth (编制核定), and whether a team is composed as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal

from crm_core.errors import Message, UserError
from crm_telecom_elite.ladder.models import ElitePostRole
from crm_telecom_elite.rates.models import EliteTeamKind
from crm_telecom_elite.rates.queries import Rates

_R = ElitePostRole
_WORDS = "The team has {found} {role}, it should have {wanted}."
_WORDS_ZH = "团队现有{role_zh} {found} 人，应为 {wanted} 人。"
COMPOSITION_HQ = Message("TELECOM_ELITE_COMPOSITION", _WORDS, _WORDS_ZH, rule="MO-008")
COMPOSITION_REGIONAL = Message("TELECOM_ELITE_COMPOSITION_REGIONAL", _WORDS, _WORDS_ZH, rule="MO-009")
STRANGE_POST = Message(
    "TELECOM_ELITE_STRANGE_POST",
    "{found} of the team are {role}, which a team of this kind does not have.",
    "团队中有 {found} 名{role_zh}，此类团队不设该岗位。",
)
MESSAGES = (COMPOSITION_HQ, COMPOSITION_REGIONAL, STRANGE_POST)

_NAMES = {
    _R.TEAM_MANAGER: ("team manager(s)", "团队经理"),
    _R.TEAM_LEADER: ("team leader(s)", "团队组长"),
    _R.MARKETING_MANAGER: ("marketing manager(s)", "营销经理"),
    _R.PRODUCT_MANAGER: ("product manager(s)", "产品经理"),
    _R.SERVICE_MANAGER: ("service manager(s)", "服务经理"),
    _R.CUSTOMER_MANAGER: ("customer manager(s)", "客户经理"),
    _R.TECHNICAL_SUPPORT: ("technical support", "技术支持人员"),
}
_EVERYBODY = ("member(s)", "成员")
_OF_HQ = (_R.TEAM_MANAGER, _R.MARKETING_MANAGER, _R.PRODUCT_MANAGER, _R.SERVICE_MANAGER)
_OF_REGION = (_R.TEAM_LEADER, _R.CUSTOMER_MANAGER, _R.SERVICE_MANAGER, _R.TECHNICAL_SUPPORT)


def headcount(kind: EliteTeamKind, target: Decimal, rates: Rates, day: date) -> int:
    """People a task is worth, rounded up (MO-014, MO-015).

    Args:
        kind: of which teams.
        target: revenue of the year in yuan (HQ); users to be developed a month (REGIONAL).
        rates: the figures of the line.
        day: by the figures of this day.
    """
    name = "headcount_revenue" if kind is EliteTeamKind.HQ else "headcount_users"
    exact = target / rates.at(name, kind, day)
    return int(exact.to_integral_value(ROUND_CEILING))


def warnings(
    kind: EliteTeamKind, people: Mapping[ElitePostRole, int], rates: Rates, day: date
) -> list[UserError]:
    """What is unusual in a team of so many people of each role (MO-008, MO-009); nothing of it is forbidden."""
    found = _hq(people, rates, day) if kind is EliteTeamKind.HQ else _regional(people, rates, day)
    return [*found, *_strange(kind, people)]


def _hq(people: Mapping[ElitePostRole, int], rates: Rates, day: date) -> Iterator[UserError]:
    bounds = {
        _R.TEAM_MANAGER: ("team_managers", "team_managers"),
        _R.MARKETING_MANAGER: ("marketing_managers_least", "marketing_managers_most"),
        _R.PRODUCT_MANAGER: ("product_managers", "product_managers"),
        _R.SERVICE_MANAGER: ("service_managers", "service_managers"),
    }
    for role, (least, most) in bounds.items():
        low, high = (rates.whole(name, EliteTeamKind.HQ, day) for name in (least, most))
        yield from _outside(COMPOSITION_HQ, _NAMES[role], people.get(role, 0), low, high)


def _regional(people: Mapping[ElitePostRole, int], rates: Rates, day: date) -> Iterator[UserError]:
    leaders = rates.whole("team_leaders", EliteTeamKind.REGIONAL, day)
    found = people.get(_R.TEAM_LEADER, 0)
    yield from _outside(COMPOSITION_REGIONAL, _NAMES[_R.TEAM_LEADER], found, leaders, leaders)
    least, most = (
        rates.whole(name, EliteTeamKind.REGIONAL, day) for name in ("team_size_least", "team_size_most")
    )
    yield from _outside(COMPOSITION_REGIONAL, _EVERYBODY, _group(people), least, most)


def _group(people: Mapping[ElitePostRole, int]) -> int:
    """Members and leader; technical support belongs to the region, not to one group (MO-009)."""
    return sum(count for role, count in people.items() if role is not _R.TECHNICAL_SUPPORT)


def _strange(kind: EliteTeamKind, people: Mapping[ElitePostRole, int]) -> Iterator[UserError]:
    usual = _OF_HQ if kind is EliteTeamKind.HQ else _OF_REGION
    for role, found in people.items():
        if found and role not in usual:
            name, name_zh = _NAMES[role]
            rule = "MO-008" if kind is EliteTeamKind.HQ else "MO-009"
            yield STRANGE_POST(rule=rule, found=found, role=name, role_zh=name_zh)


def _outside(
    message: Message, names: tuple[str, str], found: int, least: int, most: int
) -> Iterator[UserError]:
    if not least <= found <= most:
        wanted = str(least) if least == most else f"{least}-{most}"
        yield message(found=found, role=names[0], role_zh=names[1], wanted=wanted)

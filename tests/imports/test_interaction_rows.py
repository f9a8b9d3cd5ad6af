"""One row of an interactions file, and what its customer says to it."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from crm_core.imports.cells import Cell
from crm_core.imports.files import Row
from crm_core.imports.interaction_rows import (
    CustomerLookup,
    InteractionDraft,
    InteractionOutcome,
    KnownCustomer,
    RefusedCustomer,
    check_customer,
    check_refused_row,
    parse_interaction,
)
from crm_core.imports.mapping import Subject, suggest
from crm_core.imports.outcomes import Rejected, Severity, Skipped, SkipReason

SHANGHAI = ZoneInfo("Asia/Shanghai")
HEADER = ("日期时间", "客户编号", "方式", "销售顾问", "内容", "下次联系日期")
BINDING = suggest(HEADER, Subject.INTERACTIONS).bind(HEADER)


def _parse(
    when: Cell = "2025-03-01 07:30", number: Cell = " KH1　", method: Cell = "电话 ", next_on: Cell = None
) -> InteractionOutcome:
    return parse_interaction(Row(2, (when, number, method, "甲", "来电\r\n询价", next_on)), BINDING, SHANGHAI)


def _draft(when: Cell = "2025-03-01 07:30", method: Cell = "电话", next_on: Cell = None) -> InteractionDraft:
    outcome = _parse(when, method=method, next_on=next_on)
    assert isinstance(outcome, InteractionDraft), outcome
    return outcome


def test_a_good_row_is_read_in_utc_with_its_local_day() -> None:
    draft = _draft(next_on="2025年4月1日")
    assert draft.occurred_at == datetime(2025, 2, 28, 23, 30, tzinfo=UTC)
    assert draft.local_day == date(2025, 3, 1)
    assert (draft.external_id, draft.method, draft.content) == ("KH1", "CALL", "来电\n询价")
    assert draft.next_on == date(2025, 4, 1)
    assert draft.problems == ()


def test_an_interaction_is_known_by_customer_and_minute() -> None:
    assert _draft("2025-03-01 07:30:05").key == _draft("20250301073059").key == _draft("2025/3/1 7:30").key


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("电话", "CALL"),
        ("短信", "SMS"),
        ("微信", "WECHAT"),
        ("到店", "SHOWROOM_VISIT"),
        ("外出拜访", "VISIT"),
        ("试驾", "TEST_DRIVE"),
    ],
)
def test_every_documented_method_is_known(method: str, kind: str) -> None:
    assert _draft(method=method).method == kind


def test_an_unknown_method_is_reported_and_kept_as_text() -> None:
    draft = _draft(method="传真")
    assert (draft.method, draft.method_text) == (None, "传真")
    assert [(problem.code, problem.severity) for problem in draft.problems] == [
        ("METHOD_UNKNOWN", Severity.WARNING)
    ]


def test_a_wrong_next_day_is_reported_and_left_blank() -> None:
    draft = _draft(next_on="2025-02-30")
    assert draft.next_on is None
    assert [(problem.code, problem.severity) for problem in draft.problems] == [
        ("DATE_NOT_REAL", Severity.WARNING)
    ]


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("2025-02-30 10:00", "TIME_NOT_REAL"),
        ("2025-03-01 25:00", "TIME_NOT_REAL"),
        ("昨天", "TIME_UNREADABLE"),
        (None, "TIME_MISSING"),
    ],
)
def test_a_time_that_does_not_exist_refuses_the_row(when: Cell, code: str) -> None:
    outcome = _parse(when)
    assert isinstance(outcome, Rejected)
    assert [problem.code for problem in outcome.problems] == [code]


def test_a_row_that_names_no_customer_is_refused() -> None:
    outcome = _parse(number="　")
    assert isinstance(outcome, Rejected)
    assert [problem.code for problem in outcome.problems] == ["CUSTOMER_NUMBER_MISSING"]


def test_blank_and_totals_rows_are_skipped() -> None:
    assert parse_interaction(Row(5, (None, " ", "　", None, None, None)), BINDING, SHANGHAI) == Skipped(
        5, SkipReason.BLANK
    )
    totals = Row(6, ("合计", "9", None, None, None, None))
    assert parse_interaction(totals, BINDING, SHANGHAI) == Skipped(6, SkipReason.TOTALS)


@pytest.mark.parametrize(
    ("customer", "code"),
    [
        (None, "CUSTOMER_UNKNOWN"),
        (RefusedCustomer(), "CUSTOMER_REFUSED"),
        (KnownCustomer(date(2025, 3, 2)), "BEFORE_FIRST_VISIT"),
        (KnownCustomer(date(2025, 3, 1)), None),
        (KnownCustomer(None), None),
    ],
)
def test_unknown_refused_and_not_yet_come_are_told_apart(customer: CustomerLookup, code: str | None) -> None:
    problem = check_customer(_draft(), customer, "客户编号")
    assert (problem.code if problem else None) == code


def test_the_first_visit_is_compared_by_local_day() -> None:
    early = _draft("2025-03-01 00:10")
    assert early.occurred_at.date() == date(2025, 2, 28)
    assert check_customer(early, KnownCustomer(date(2025, 3, 1)), "客户编号") is None


def test_a_row_refused_for_its_time_names_its_customers_fault_too() -> None:
    rejected = _parse("2025-02-30 10:00")
    assert isinstance(rejected, Rejected)
    both = check_refused_row(rejected, None, "客户编号")
    assert [problem.code for problem in both.problems] == ["TIME_NOT_REAL", "CUSTOMER_UNKNOWN"]
    assert check_refused_row(rejected, KnownCustomer(None), "客户编号") == rejected

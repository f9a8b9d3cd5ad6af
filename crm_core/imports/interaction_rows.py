"""Reads one row of an interactions file, and judges it against what is known of its customer."""

from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import TypeAlias

from crm_core.imports.cells import Fault, is_blank, is_totals, plain, read_day, read_moment, text, to_utc
from crm_core.imports.files import Row
from crm_core.imports.mapping import Binding
from crm_core.imports.outcomes import Problem, Rejected, Severity, Skipped, SkipReason


@dataclass(frozen=True, slots=True)
class InteractionDraft:
    """An interaction as one row tells it: whose, when (UTC, and the local day), how, by whom, what, what next.

    `method` is None when the file's value (`method_text`) is not on the mapping's list.
    """

    row: int
    external_id: str
    occurred_at: datetime
    local_day: date
    method: str | None
    method_text: str | None
    consultant: str | None
    content: str | None
    next_on: date | None
    problems: tuple[Problem, ...] = ()

    @property
    def key(self) -> tuple[str, datetime]:
        """What tells it from every other: the customer's number and the minute."""
        return self.external_id, self.occurred_at.replace(second=0, microsecond=0)


InteractionOutcome: TypeAlias = InteractionDraft | Rejected | Skipped


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """A customer that exists: the local day of the first visit, None if not yet come or not known."""

    first_visit_on: date | None


@dataclass(frozen=True, slots=True)
class RefusedCustomer:
    """A customer whose own row was refused; the interaction is refused with it, but is not "unknown"."""


CustomerLookup: TypeAlias = KnownCustomer | RefusedCustomer | None
"""What is known of the customer a row names; None: the number is unknown."""


def parse_interaction(row: Row, binding: Binding, zone: tzinfo) -> InteractionOutcome:
    """Read one row of an interactions file (跟进记录); times are local to `zone` and handed out in UTC.

    Refused: no customer number, no time, a time that does not exist. An unknown method and a wrong next day are
    reported, no more.
    """
    if is_blank(row.cells):
        return Skipped(row.number, SkipReason.BLANK)
    external_id = plain(binding.cell(row, "external_id")) or None
    local = _read_time(row, binding, zone)
    if is_totals(row.cells) and not isinstance(local, tuple):
        return Skipped(row.number, SkipReason.TOTALS)
    if external_id is None or isinstance(local, Problem):
        return Rejected(row.number, external_id, _fatal_problems(row, binding, external_id, local))
    problems: list[Problem] = []
    return InteractionDraft(
        row=row.number,
        external_id=external_id,
        occurred_at=local[0],
        local_day=local[1],
        method=_read_method(row, binding, problems),
        method_text=binding.text(row, "method"),
        consultant=binding.text(row, "consultant"),
        content=binding.text(row, "content"),
        next_on=_read_next_day(row, binding, problems),
        problems=tuple(problems),
    )


def check_customer(draft: InteractionDraft, customer: CustomerLookup, column: str) -> Problem | None:
    """What speaks against the interaction in its customer: unknown, refused, or not yet come on that local day.

    `column` is the header of the customer's number, for the report.
    """
    if customer is None:
        return Problem("CUSTOMER_UNKNOWN", column, draft.external_id)
    if isinstance(customer, RefusedCustomer):
        return Problem("CUSTOMER_REFUSED", column, draft.external_id)
    first = customer.first_visit_on
    if first is not None and draft.local_day < first:
        return Problem(
            "BEFORE_FIRST_VISIT", column, draft.local_day.isoformat(), {"first_visit": first.isoformat()}
        )
    return None


def check_refused_row(rejected: Rejected, customer: CustomerLookup, column: str) -> Rejected:
    """A row refused for its time, with what its customer adds: all problems of a row are named."""
    if rejected.external_id is None or isinstance(customer, KnownCustomer):
        return rejected
    code = "CUSTOMER_UNKNOWN" if customer is None else "CUSTOMER_REFUSED"
    added = Problem(code, column, rejected.external_id)
    return Rejected(rejected.row, rejected.external_id, (*rejected.problems, added))


def _read_time(row: Row, binding: Binding, zone: tzinfo) -> tuple[datetime, date] | Problem:
    """The moment in UTC and its local day, or the problem."""
    cell = binding.cell(row, "occurred_at")
    column = binding.column("occurred_at")
    local = read_moment(cell)
    if local is None:
        return Problem("TIME_MISSING", column, "")
    moment = local if isinstance(local, Fault) else to_utc(local, zone)
    if isinstance(moment, Fault) or isinstance(local, Fault):
        return Problem(f"TIME_{moment}", column, text(cell))
    return moment, local.date()


def _fatal_problems(
    row: Row, binding: Binding, external_id: str | None, time: tuple[datetime, date] | Problem
) -> tuple[Problem, ...]:
    problems = [time] if isinstance(time, Problem) else []
    if external_id is None:
        problems.append(Problem("CUSTOMER_NUMBER_MISSING", binding.column("external_id"), ""))
    _read_method(row, binding, problems)
    _read_next_day(row, binding, problems)
    return tuple(problems)


def _read_method(row: Row, binding: Binding, problems: list[Problem]) -> str | None:
    written = binding.cell(row, "method")
    method = binding.meaning("method", written)
    if method is None and text(written):
        column = binding.column("method")
        problems.append(Problem("METHOD_UNKNOWN", column, text(written), {}, Severity.WARNING))
    return method


def _read_next_day(row: Row, binding: Binding, problems: list[Problem]) -> date | None:
    cell = binding.cell(row, "next_on")
    day = read_day(cell)
    if isinstance(day, Fault):
        column = binding.column("next_on")
        problems.append(Problem(f"DATE_{day}", column, text(cell), {}, Severity.WARNING))
        return None
    return day

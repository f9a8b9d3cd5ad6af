"""Every table says which of its columns are personal data."""

from __future__ import annotations

import re

import pytest

from crm_core.db.base import Base, Personal
from crm_core.loader import installed, load
from crm_core.schema import core_registry
from crm_core.settings import LineSettings, Settings

CATEGORIES = {"identity", "contact", "profile", "content", "sensitive"}
LOOKS_PERSONAL = re.compile(
    r"(^|_)(name|pinyin|phone|mobile|email|mail|wechat|address|street|birthday|birth|gender|sex|id_number|identity|"
    r"identity_number|passport|bank|account_number|plate|salary|content|note|notes|remark|findings)(_|$)"
)
NOT_A_PERSON = {
    # names and texts of things, not of people
    "business_lines": {"name"},
    "teams": {"name"},
    "roles": {"name"},
    "api_tokens": {"name"},
    "approval_policies": {"name"},
    "approval_tasks": {"stage_name"},
    "interaction_callback_plans": {"name"},
    "import_runs": {"file_name"},
    "incoming_sources": {"name"},
    "incoming_requests": {"content_type"},
    "webhook_endpoints": {"name"},
    "webhook_deliveries": {"content_type"},
    "chores": {"name"},
    "feed_state": {"name"},
    "jobs": {"name"},
    "job_schedules": {"name"},
    "telecom_elite_rates": {"name", "note"},
    "telecom_elite_standards": {"salary"},
    "telecom_elite_teams": {"name"},
    "telecom_elite_revenue_projects": {"name"},
    "telecom_elite_tenders": {"name"},
}


def tables() -> list[type[Base]]:
    """Tables of the core and of every plugin installed."""
    names = [candidate.name for candidate in installed()]
    registry = load(Settings(lines={"all": LineSettings(plugins=names)}))
    broken = [f"{s.name}: {s.reason}" for s in registry.plugins if s.state == "quarantined"]
    assert not broken
    return [table for of_owner in registry.tables.values() for table in of_owner]


TABLES = tables()


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__tablename__)
def test_every_table_declares_its_personal_columns(table: type[Base]) -> None:
    assert "personal" in vars(table), f"{table.__name__} owes `personal`; {{}} says there is none"
    for column, declared in table.personal.items():
        assert column in table.__table__.c, f"{table.__tablename__} has no column {column}"
        assert isinstance(declared, Personal)
        assert declared.category in CATEGORIES
        assert declared.purpose.strip(), f"{table.__tablename__}.{column} needs a purpose"
        assert declared.retention_days is None or declared.retention_days > 0


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.__tablename__)
def test_columns_that_look_personal_are_declared(table: type[Base]) -> None:
    looking = {c.name for c in table.__table__.c if LOOKS_PERSONAL.search(c.name) and not c.foreign_keys}
    exempt = NOT_A_PERSON.get(table.__tablename__, set())
    assert looking - set(table.personal) - exempt == set()
    assert exempt <= looking, "an exception that is no longer needed"


def test_every_mapped_table_of_the_core_is_answered_to_its_hook() -> None:
    ours = {m.class_ for m in Base.registry.mappers if m.class_.__module__.startswith("crm_core.")}
    answered = {t for of_owner in core_registry().tables.values() for t in of_owner}
    assert {t.__name__ for t in ours - answered} == set()


def test_an_identity_number_is_declared_as_sensitive_wherever_it_stands() -> None:
    for table in TABLES:
        for column in table.__table__.c:
            if re.search(r"identity_number|bank_account|id_number", column.name):
                assert table.personal[column.name].category in {"sensitive", "identity"}, column

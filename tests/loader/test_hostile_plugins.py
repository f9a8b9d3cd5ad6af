"""A plugin may be wrong in many ways: the rest stands, and the lines that rely on it accept no writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from crm_core import migrate
from crm_core.commands import Command
from crm_core.db.session import open_database
from crm_core.errors import ConfigurationError, Fault, UserError
from crm_core.graphql.fields import batch
from crm_core.loader import Candidate, load
from crm_core.registry import PluginState, Registry
from crm_core.schema import sdl
from crm_core.testing.kit import Kit
from crm_core.work import Work
from tests.loader.hostile import HOSTILE
from tests.loader.made import MemoSettings, candidate, deployed, module, sound

REVIEW = {"periodFrom": "2025-11-01", "periodTo": "2025-11-02", "findings": "in order"}


def state_of(registry: Registry, name: str) -> PluginState:
    return next(state for state in registry.plugins if state.name == name)


# -- loading


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_plugin_is_left_out_with_its_reason(case: str) -> None:
    hostile, reason = HOSTILE[case]
    registry = load(deployed(hostile.name), (hostile,))
    state = state_of(registry, hostile.name)
    assert state.state == "quarantined"
    assert reason in state.reason
    assert state.lines == ("east",)
    alone = load(deployed(), ())
    for part in ("commands", "types", "queries", "checks", "scopes", "roles", "messages", "events", "doors"):
        assert getattr(registry, part) == getattr(alone, part), part


def test_a_sound_plugin_is_loaded() -> None:
    registry = load(deployed("memo"), (sound(),))
    assert state_of(registry, "memo") == PluginState("memo", "1.0", "loaded", "", ("east",))
    assert "type MemoNote" in sdl(registry)
    assert registry.quarantined_in("east") is None


def test_a_plugin_that_is_not_installed_is_quarantined() -> None:
    state = state_of(load(deployed("memo"), ()), "memo")
    assert (state.state, state.version, state.reason) == ("quarantined", "-", "not installed (未安装)")


def test_a_plugin_no_line_enables_is_not_even_imported() -> None:
    def load_it() -> object:
        raise AssertionError("imported")

    assert load(deployed(), (candidate("memo", load_it),)).plugins == ()


def test_what_requires_a_quarantined_plugin_is_quarantined_too() -> None:
    broken, _ = HOSTILE["raising hook"]
    first = candidate("first", module(), "crm-memo>=1")
    second = candidate("second", module(), "crm-first")
    apart = candidate("apart", module())
    registry = load(deployed("second", "first", "memo", "apart"), (broken, first, second, apart))
    states = {state.name: state for state in registry.plugins}
    assert {name for name, state in states.items() if state.state == "loaded"} == {"apart"}
    assert states["first"].reason == "requires crm-memo, which is quarantined or not enabled"
    assert states["second"].reason == "requires crm-first, which is quarantined or not enabled"


def test_what_requires_a_plugin_no_line_enables_is_quarantined() -> None:
    registry = load(deployed("first"), (sound(), candidate("first", module(), "crm-memo")))
    assert "not enabled" in state_of(registry, "first").reason


def test_plugins_that_require_one_another_in_a_circle_are_quarantined_and_others_load() -> None:
    one = candidate("one", module(), "crm-two")
    two = candidate("two", module(), "crm-one")
    registry = load(deployed("memo", "one", "two"), (one, two, sound()))
    assert {s.name: s.state for s in registry.plugins} == {
        "memo": "loaded",
        "one": "quarantined",
        "two": "quarantined",
    }
    assert "circle" in state_of(registry, "one").reason


def test_a_plugin_whose_migration_failed_is_quarantined() -> None:
    registry = load(deployed("memo"), (sound(),), {"memo": "OperationalError: no such table"})
    assert state_of(registry, "memo").reason == "migration failed: OperationalError: no such table"


@pytest.mark.parametrize("name", ["core", "access", "Memo", "memo-x", "memo; DROP"])
def test_a_plugin_may_not_take_a_name_of_the_core_or_an_odd_one(name: str) -> None:
    registry = load(deployed(name), (candidate(name, module()),))
    assert "reserved" in state_of(registry, name).reason


def test_of_two_plugins_that_clash_the_later_is_quarantined() -> None:
    twin = candidate("zwilling", sound().load)
    registry = load(deployed("memo", "zwilling"), (sound(), twin))
    assert state_of(registry, "memo").state == "loaded"
    assert "must begin with zwilling" in state_of(registry, "zwilling").reason


def test_a_wrong_setting_of_a_plugin_is_the_deployers_error_and_names_the_key() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown setting memo\.moost"):
        load(deployed("memo", memo={"moost": 3}), (sound(),))
    with pytest.raises(ConfigurationError, match=r"memo\.most"):
        load(deployed("memo", memo={"most": "many"}), (sound(),))


def test_the_settings_of_a_quarantined_or_disabled_plugin_are_no_error() -> None:
    broken, _ = HOSTILE["import error"]
    load(deployed("memo", memo={"most": 3}), (broken,))
    load(deployed(memo={"most": 3}), (sound(),))


def test_a_table_of_settings_nobody_owns_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Unknown setting mermo"):
        load(deployed("memo", mermo={"most": 3}), (sound(),))


def test_settings_reach_the_registry() -> None:
    registry = load(deployed("memo", memo={"most": 3}), (sound(),))
    assert registry.settings["memo"] == MemoSettings(most=3)


# -- running

RUN = (
    "import error",
    "misspelt hook",
    "type clash",
    "field clash",
    "query clash",
    "command clash",
    "raising hook",
)


@pytest.fixture(scope="session")
def failing_migration(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """A plugin whose second revision raises."""
    folder = revisions(
        tmp_path_factory.mktemp("memo") / "revisions", CREATE, "raise ZeroDivisionError('boom')"
    )
    return candidate("memo", module(crm_migrations=lambda: folder))


@pytest.fixture(params=[*RUN, "missing requirement", "failing migration"])
def hostile(request: pytest.FixtureRequest, failing_migration: Candidate) -> Candidate:
    case = str(request.param)
    return failing_migration if case == "failing migration" else HOSTILE[case][0]


@pytest.fixture
def crm_candidates(hostile: Candidate) -> Sequence[Candidate]:
    return (hostile,)


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": ("memo",), "west": ()}


async def test_reads_work_and_only_writes_of_the_lines_that_rely_on_it_are_refused(crm: Kit) -> None:
    assert (await crm.data("{ users { totalCount nodes { name } } teams { totalCount } }"))["users"][
        "totalCount"
    ] == 1
    refused = await crm.change("usageReview", input=REVIEW, line="east", select="usageReview { id }")
    assert refused["usageReview"] is None
    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [("PLUGIN_QUARANTINED", "line")]
    assert "memo" in refused["userErrors"][0]["message"]
    await crm.done("usageReview", input=REVIEW, line="west")
    assert (await crm.data("{ usageReviews { nodes { line } } }"))["usageReviews"]["nodes"] == [
        {"line": "west"}
    ]


async def test_the_refusal_is_worded_in_chinese_too(crm: Kit, hostile: Candidate) -> None:
    refused = await crm.change("usageReview", input=REVIEW, line="east", language="zh-CN")
    assert "已被隔离" in refused["userErrors"][0]["message"]


# -- failing while running


async def _fails(_rows: Sequence[Mapping[str, object]], _context: object) -> Sequence[object]:
    raise ZeroDivisionError("secret detail")


async def _too_few(_rows: Sequence[Mapping[str, object]], _context: object) -> Sequence[object]:
    return ()


async def _wrong_type(rows: Sequence[Mapping[str, object]], _context: object) -> Sequence[object]:
    return [object() for _ in rows]


async def _loud(rows: Sequence[Mapping[str, object]], _context: object) -> Sequence[object]:
    return [str(row["name"]).upper() for row in rows]


async def _raising_check(_work: Work, _command: Command) -> list[UserError]:
    raise ZeroDivisionError("secret detail")


def failing() -> Candidate:
    return candidate(
        "memo",
        module(
            crm_fields=lambda: {
                "User": (
                    batch("memoFails", str, "Fails.", _fails),
                    batch("memoTooFew", str, "Gives too few values.", _too_few),
                    batch("memoWrong", datetime, "Gives no moment.", _wrong_type),
                    batch("memoLoud", str, "The name in capitals.", _loud, needs=("name",)),
                )
            },
            crm_checks=lambda: {"usage.review": (_raising_check,)},
        ),
    )


@pytest.mark.parametrize("hostile", [failing()], ids=["fails while running"])
async def test_a_failing_batch_field_is_null_with_an_error_and_the_rest_stands(crm: Kit) -> None:
    answer = await crm.ask("{ users { nodes { name memoLoud memoFails memoTooFew memoWrong } } }")
    assert answer.data == {
        "users": {
            "nodes": [
                {
                    "name": "admin",
                    "memoLoud": "ADMIN",
                    "memoFails": None,
                    "memoTooFew": None,
                    "memoWrong": None,
                }
            ]
        }
    }
    assert answer.codes == ["PLUGIN_FIELD_FAILED"] * 3
    assert not any("secret" in error["message"] for error in answer.errors)


@pytest.mark.parametrize("hostile", [failing()], ids=["fails while running"])
async def test_a_raising_check_lets_nothing_through(crm: Kit) -> None:
    with pytest.raises(ZeroDivisionError):
        await crm.change("usageReview", input=REVIEW, line="east", idempotencyKey="k")
    left = '{ usageReviews { totalCount } auditEntries(where: {kind: {eq: "usage.review"}}) { totalCount } }'
    assert (await crm.data(left)) == {
        "usageReviews": {"totalCount": 0},
        "auditEntries": {"totalCount": 0},
    }


@pytest.mark.parametrize("hostile", [failing()], ids=["fails while running"])
async def test_a_check_is_asked_only_in_the_lines_that_enable_its_plugin(crm: Kit) -> None:
    elsewhere = await crm.change("usageReview", input=REVIEW, line="west")
    assert elsewhere["userErrors"] == []


# -- failing migrations

REVISION = '''"""One revision."""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
'''


def revisions(folder: Path, *upgrades: str) -> Path:
    """A folder of revisions, one for each body."""
    folder.mkdir(exist_ok=True)
    before = None
    for number, body in enumerate(upgrades, 1):
        revision = f"memo_{number:04}"
        text = REVISION.format(revision=revision, before=before, upgrade=body, downgrade="pass")
        (folder / f"{number:02}.py").write_text(text, "utf-8")
        before = revision
    return folder


CREATE = 'op.create_table("memo_notes", sa.Column("id", sa.Integer(), primary_key=True))'


@pytest.mark.parametrize("hostile", [HOSTILE["import error"][0]], ids=["any"])
@pytest.mark.parametrize(
    "second",
    [
        "raise ZeroDivisionError('boom')",
        "raise SystemExit(1)",
        "op.execute('SELECT nothing FROM nowhere')",
        "syntax error",
    ],
)
async def test_a_failing_migration_is_recorded_and_its_plugin_quarantined(
    crm: Kit, hostile: Candidate, tmp_path: Path, second: str
) -> None:
    folder = revisions(tmp_path / "revisions", f"{CREATE}", f"{CREATE.replace('notes', 'more')}; {second}")
    plugin = candidate("memo", module(crm_migrations=lambda: folder))
    settings = crm.services.settings
    report = await migrate.upgrade(settings, load(settings, (plugin,)))
    assert set(report.failed) == {"memo"}
    database = open_database(settings)
    try:
        noted = await migrate.failures(database)
        assert noted == report.failed
        registry = load(settings, (plugin,), noted)
        assert state_of(registry, "memo").reason.startswith("migration failed: ")
        assert "memo" not in await migrate.behind(database, registry)
        mended = candidate("memo", module(crm_migrations=lambda: revisions(folder, CREATE, "pass")))
        again = await migrate.upgrade(settings, load(settings, (mended,)))
        assert again.failed == {}
        assert again.at["memo"] == "memo_0002"
        assert await migrate.failures(database) == {}
    finally:
        await database.dispose()


@pytest.mark.parametrize("hostile", [HOSTILE["import error"][0]], ids=["any"])
async def test_without_a_fault_nothing_is_recorded(crm: Kit) -> None:
    assert await migrate.failures(crm.database) == {}
    assert not issubclass(Fault, ConfigurationError)

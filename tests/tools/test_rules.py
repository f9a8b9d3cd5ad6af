"""The comparison of RULES.md with the tests that name its rules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools import rules

GENERATED = f"{rules.BEGIN}\n{rules.END}\n"

House = Callable[..., Path]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Writes a repository with one core, its tests and optionally a catalogue beside it."""

    def write(
        listed: str, tests: str = "", *, catalogue: str = "", plugin: str = "", plugin_tests: str = ""
    ) -> Path:
        root = tmp_path / "repository"
        files = {
            root / "crm_core" / "RULES.md": f"# Rules\n\n{listed}\n\n{GENERATED}",
            root / "tests" / "test_it.py": tests,
        }
        if plugin:
            files[root / "plugins" / "shop" / "RULES.md"] = f"{plugin}\n\n{GENERATED}"
            files[root / "plugins" / "shop" / "tests" / "test_shop.py"] = plugin_tests
        if catalogue:
            files[tmp_path / "shared" / "requirements" / "all.md"] = catalogue
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return root

    return write


def marked(*ids: str, above: str = "") -> str:
    words = ", ".join(f'"{each}"' for each in ids)
    return f"import pytest\n{above}\n@pytest.mark.rule({words})\ndef test_it() -> None: ...\n"


def test_a_covered_list_passes_once_its_table_is_written(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    root = house("- CS-001 | A customer is a person or an organisation", marked("CS-001"))
    assert rules.main([], root) == 1
    assert "not as generated" in capsys.readouterr().out
    assert rules.main(["--write"], root) == 0
    assert "1 rules, 1 covered, 0 uncovered, 0 excused" in capsys.readouterr().out
    assert rules.main([], root) == 0
    written = (root / "crm_core" / "RULES.md").read_text(encoding="utf-8")
    assert "| CS-001 | `tests/test_it.py` test_it |" in written
    assert written.startswith("# Rules\n\n- CS-001 | A customer")


def test_a_rule_without_a_test_fails_and_is_named(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    root = house("- CS-001 | One\n- CS-002 | Two", marked("CS-001"))
    assert rules.main(["--write"], root) == 1
    out = capsys.readouterr().out
    assert "uncovered: CS-002" in out
    assert "crm_core: CS-002 has no test" in out


def test_a_marker_of_an_unlisted_rule_fails_with_its_place(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    root = house("- CS-001 | One", marked("CS-001", "CS-099"))
    assert rules.main(["--write"], root) == 1
    assert "tests/test_it.py:3: CS-099 is in no RULES.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    "twice", ["- CS-001 | One\n- CS-001 | Again", "- CS-001 | One\n- CS-001 | not software: no"]
)
def test_a_rule_listed_twice_fails(house: House, capsys: pytest.CaptureFixture[str], twice: str) -> None:
    assert rules.main(["--write"], house(twice, marked("CS-001"))) == 1
    assert "CS-001 is listed twice" in capsys.readouterr().out


def test_a_rule_listed_by_core_and_plugin_fails(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    root = house("- CS-001 | One", marked("CS-001"), plugin="- CS-001 | One")
    assert rules.main(["--write"], root) == 1
    assert "CS-001 is listed by several distributions" in capsys.readouterr().out


def test_a_test_of_a_plugin_covers_the_plugin(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    root = house(
        "- CS-001 | One", marked("CS-001"), plugin="- AD-050 | Signed", plugin_tests=marked("AD-050")
    )
    assert rules.main(["--write"], root) == 0
    assert "shop             1 rules, 1 covered" in capsys.readouterr().out


@pytest.mark.parametrize("mark", ['@pytest.mark.skip(reason="later")', "@pytest.mark.xfail"])
def test_a_test_that_is_not_run_covers_nothing(house: House, mark: str) -> None:
    assert rules.main(["--write"], house("- CS-001 | One", marked("CS-001", above=mark))) == 1


def test_marks_of_modules_classes_and_parameters_count(house: House) -> None:
    tests = (
        "import pytest\n"
        'pytestmark = [pytest.mark.rule("CS-001")]\n'
        '@pytest.mark.rule("CS-002")\nclass TestIt: ...\n'
        '@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.rule("CS-003"))])\n'
        "async def test_n(n: int) -> None: ...\n"
    )
    assert rules.main(["--write"], house("- CS-001 | One\n- CS-002 | Two\n- CS-003 | Three", tests)) == 0


@pytest.mark.parametrize("argument", ["", "RULE", "1", '"CS-001", *MORE'])
def test_a_marker_that_cannot_be_read_fails(
    house: House, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    tests = marked("CS-001") + f"@pytest.mark.rule({argument})\ndef test_other() -> None: ...\n"
    assert rules.main(["--write"], house("- CS-001 | One", tests)) == 1
    assert "takes ids written out as text" in capsys.readouterr().out


def test_an_excuse_needs_an_argument_and_is_counted(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert rules.main(["--write"], house("- CS-001 | not software: a manner of speaking")) == 0
    assert "0 rules, 0 covered, 0 uncovered, 1 excused (0 from" in capsys.readouterr().out
    assert rules.main(["--write"], house("- CS-001 | not software:")) == 1
    assert "CS-001 is excused without an argument" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["- CS-1 | One", "* CS-001 | One", "- CS-001: One"])
def test_a_line_that_only_looks_like_a_rule_fails(
    house: House, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert rules.main(["--write"], house(line)) == 1
    assert "cannot read" in capsys.readouterr().out


def test_a_list_without_its_two_comments_fails(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    root = house("- CS-001 | One", marked("CS-001"))
    (root / "crm_core" / "RULES.md").write_text("- CS-001 | One\n")
    assert rules.main(["--write"], root) == 1
    assert "needs the lines" in capsys.readouterr().out


CATALOGUE = """# All
- CS-001 | A customer is an individual
- CS-002 | Staff smile
## Not software
Duties no system can carry: smile, posture.
## Other
desk
"""


def test_where_no_catalogue_is_at_hand_that_is_said_once_and_is_no_problem(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    root = house("- CS-001 | One", marked("CS-001"))
    assert rules.main(["--write"], root) == 0
    assert capsys.readouterr().out.splitlines().count("catalogue not at hand") == 1
    there = house("- CS-001 | One", marked("CS-001"), catalogue=CATALOGUE)
    rules.main(["--write"], there)
    assert "catalogue not at hand" not in capsys.readouterr().out


def test_where_a_catalogue_is_at_hand_unknown_ids_fail(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    root = house("- CS-001 | One\n- CS-777 | Made up", marked("CS-001", "CS-777"), catalogue=CATALOGUE)
    assert rules.main(["--write"], root) == 1
    out = capsys.readouterr().out
    assert "crm_core: CS-777 is not in the catalogue" in out
    assert "CS-001 is not" not in out


@pytest.mark.parametrize(("quote", "expected"), [("smile", 0), ("desk", 1)])
def test_a_quoted_excuse_must_stand_in_the_catalogues_own_list(
    house: House, quote: str, expected: int
) -> None:
    root = house(f"- CS-002 | not software: «{quote}»", catalogue=CATALOGUE)
    assert rules.main(["--write"], root) == expected

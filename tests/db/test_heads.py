"""Where a folder of revisions ends is read from its files, none of which is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_core.db.heads import head_of


def folder(path: Path, *files: str) -> Path:
    for number, text in enumerate(files):
        (path / f"{number}.py").write_text(text, encoding="utf-8")
    return path


def test_the_head_is_what_no_other_revision_follows(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("raise SystemExit")
    found = folder(
        tmp_path,
        'revision = "c"\ndown_revision = "b"\nraise SystemExit\n',
        'revision: str = "a"\ndown_revision: str | None = None\n\n\ndef upgrade() -> None:\n    pass\n',
        'revision, down_revision, depends_on = "b", "a", None\n',
    )
    assert head_of(found) == "c"


def test_a_revision_that_joins_two_is_the_head(tmp_path: Path) -> None:
    names = ('revision = "a"', 'revision = "b"', 'revision = "c"\ndown_revision = ("a", "b")')
    assert head_of(folder(tmp_path, *names)) == "c"


def test_names_may_stand_below_functions(tmp_path: Path) -> None:
    assert head_of(folder(tmp_path, 'def upgrade():\n    pass\n\n\nrevision = "late"\n')) == "late"


@pytest.mark.parametrize("first", ["@cache\ndef names():\n    pass\n", '"""\ndef is no function here\n"""\n'])
def test_what_stands_before_the_first_function_may_be_cut_anywhere(tmp_path: Path, first: str) -> None:
    assert head_of(folder(tmp_path, f'revision = "a"\ndown_revision = None\n{first}')) == "a"


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ((), FileNotFoundError),
        (("x = 1",), ValueError),
        (("syntax error",), SyntaxError),
        (('revision = "a"', 'revision = "b"'), ValueError),
        (('revision = "a"\ndown_revision = "a"',), FileNotFoundError),
    ],
)
def test_a_folder_without_one_head_is_refused(
    tmp_path: Path, files: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        head_of(folder(tmp_path, *files))

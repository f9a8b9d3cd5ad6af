"""The assets of the query page."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tools import graphiql


def archive(folder: Path, files: dict[str, bytes]) -> str:
    """Write `page-1.0.0.tgz` as npm would and return its digest."""
    path = folder / "page-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_only_the_named_files_are_taken_from_a_package(tmp_path: Path) -> None:
    digest = archive(tmp_path, {"umd/page.js": b"page", "install.js": b"no"})
    target = tmp_path / "target"
    target.mkdir()
    graphiql.unpack(graphiql.Package("page", "1.0.0", digest, {"umd/page.js": "page.js"}), tmp_path, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"page.js": b"page"}


def test_a_package_with_another_digest_is_not_used(tmp_path: Path) -> None:
    archive(tmp_path, {"umd/page.js": b"changed"})
    package = graphiql.Package("page", "1.0.0", "x" * 88, {"umd/page.js": "page.js"})
    with pytest.raises(graphiql.NotFetchedError, match="not the file that was published"):
        graphiql.unpack(package, tmp_path, tmp_path)


def test_without_npm_one_line_says_so_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert graphiql.main(tmp_path) == 0
    said = capsys.readouterr().out
    assert "npm not found" in said
    assert said.count("\n") == 1

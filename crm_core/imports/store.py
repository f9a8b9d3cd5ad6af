"""Keeps imported files in the local store under their SHA-256 until their import is over."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from crm_core.imports import reading


def place(store: Path, sha256: str) -> Path:
    """Where the file with this SHA-256 (hex) is kept."""
    return store / "imports" / sha256


def keep(store: Path, file: Path, now: datetime) -> str:
    """Copy a file into the store, readable by its owner alone; gives its SHA-256 in hex. It is as young as `now`."""
    sha256 = reading.digest(file)
    target = place(store, sha256)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}")
        shutil.copyfile(file, unfinished)
        unfinished.chmod(0o600)
        unfinished.replace(target)
    os.utime(target, (now.timestamp(), now.timestamp()))
    return sha256


def forget(store: Path, sha256: str) -> None:
    """Remove a kept file; it holds personal data and has served."""
    place(store, sha256).unlink(missing_ok=True)

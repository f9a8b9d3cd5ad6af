"""Keeps the secrets of a source sealed, and opens those that hold now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from crm_core.keyring import Keyring


def seal(keyring: Keyring, source: UUID, secret: Mapping[str, str]) -> str:
    """A source's secret, sealed for it alone."""
    return keyring.seal(json.dumps(dict(secret)), _context(source))


def valid_secrets(keyring: Keyring, source: Any, now: datetime) -> Iterator[Mapping[str, str]]:
    """The secrets a request may be signed with now: the current one, and the previous one until its end.

    Raises `KeyringError` when the deployment no longer has the key they were sealed with.
    """
    yield _opened(keyring, source.id, source.sealed)
    if source.previous_sealed and source.previous_until and source.previous_until > now:
        yield _opened(keyring, source.id, source.previous_sealed)


def _opened(keyring: Keyring, source: UUID, sealed: str) -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads(keyring.open(sealed, _context(source)))
    return found


def _context(source: UUID) -> str:
    return f"incoming_sources.sealed:{source.hex}"

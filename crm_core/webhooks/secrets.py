"""Opens and seals what an endpoint keeps secret: its signing secrets and the values of its own headers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from crm_core.keyring import Keyring

SECRET, PREVIOUS, HEADERS = "secret", "previous", "headers"


def sealed(keyring: Keyring, endpoint_id: UUID, what: str, value: str) -> str:
    """A value sealed for one column of one endpoint."""
    return keyring.seal(value, _context(endpoint_id, what))


def opened(keyring: Keyring, endpoint_id: UUID, what: str, value: str) -> str:
    """What was sealed; raises `KeyringError` when its key is gone."""
    return keyring.open(value, _context(endpoint_id, what))


def sealed_headers(keyring: Keyring, endpoint_id: UUID, headers: Mapping[str, str]) -> str | None:
    """The endpoint's own headers, sealed together; None: it has none."""
    return sealed(keyring, endpoint_id, HEADERS, orjson.dumps(dict(headers)).decode()) if headers else None


def headers_of(keyring: Keyring, endpoint: Any) -> Mapping[str, str]:
    """The endpoint's own headers."""
    if endpoint.headers_sealed is None:
        return {}
    found: dict[str, str] = orjson.loads(opened(keyring, endpoint.id, HEADERS, endpoint.headers_sealed))
    return found


def signing_secrets(keyring: Keyring, endpoint: Any, now: datetime) -> list[str]:
    """The secrets that sign now: the current one, and the previous one while it is valid."""
    secrets = [opened(keyring, endpoint.id, SECRET, endpoint.secret_sealed)]
    if endpoint.previous_sealed and endpoint.previous_until and endpoint.previous_until > now:
        secrets.append(opened(keyring, endpoint.id, PREVIOUS, endpoint.previous_sealed))
    return secrets


def asker(user_id: UUID | None, request_id: str | None) -> str:
    """A digest of who asks in which request."""
    return hashlib.sha256(f"{user_id} {request_id}".encode()).hexdigest()


def _context(endpoint_id: UUID, what: str) -> str:
    return f"webhook_endpoints.{what}:{endpoint_id}"

"""Which certificates are trusted when something is sent; they are always checked."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=8)
def certificates(ca_file: Path | None) -> ssl.SSLContext:
    """What verifies a server's certificate and name: by this file, or by what the system trusts. Read once."""
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)

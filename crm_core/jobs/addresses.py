"""Addresses of NATS servers, as settings and commands write them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from crm_core.errors import ConfigurationError

NAME: Final = "crm"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


def addressed(address: str) -> tuple[list[str], str]:
    """The servers of an address, and the name that stands behind the last; `ConfigurationError` when it is none."""
    servers, name = [], NAME
    for one in address.split(","):
        parts = urlsplit(one.strip())
        if parts.scheme not in {"nats", "tls", "ws", "wss"} or not parts.hostname:
            raise ConfigurationError("Write nats://host:port (消息代理地址格式错误)")
        name = parts.path.strip("/") or name
        servers.append(f"{parts.scheme}://{parts.netloc}")
    if not _NAME.fullmatch(name):
        raise ConfigurationError("The name behind the address is letters, digits, _ and - (名称格式错误)")
    return servers, name

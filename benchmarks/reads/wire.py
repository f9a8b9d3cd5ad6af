"""What the other servers share: who is asking, by a cached look-up of his token, and how they are served."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request


@dataclass(frozen=True)
class Caller:
    """An actor: the administrator has no teams and sees everything, the other one those of his teams per line."""

    user: UUID
    name: str
    token_id: UUID
    teams: dict[str, UUID] = field(default_factory=dict)


def callers(folder: Path) -> dict[str, Caller]:
    """Actors of a deployment by the value of their Authorization header."""
    found = json.loads((folder / "asked.json").read_text())
    return {
        f"Bearer {one['token']}": Caller(
            UUID(one["user"]),
            one["name"],
            UUID(one["token_id"]),
            {line: UUID(team) for line, team in one["teams"].items()},
        )
        for one in found.values()
    }


def caller_of(request: Request, known: dict[str, Caller]) -> Caller:
    """Who asks; KeyError for a stranger."""
    return known[request.headers["authorization"]]


def arguments() -> argparse.Namespace:
    """Folder and address of the deployment, port to listen on."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args()


def serve(app: Starlette, port: int) -> None:
    """Serve as the product is served: one process, uvloop, httptools, no access log."""
    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )

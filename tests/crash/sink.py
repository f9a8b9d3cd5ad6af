"""A receiver of webhooks that writes down every arrival before it answers; run as `python -m tests.crash.sink PORT FILE`."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

from aiohttp import web

FAULTS = 0.02
"""Share of arrivals that are answered with 503, so that they come again."""


def app(file: Path) -> web.Application:
    """Writes a line for each arrival: where, webhook-id, digest of the bytes, what the event says of itself, the answer."""
    book = file.open("a", encoding="utf-8", buffering=1)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        status = 503 if random.random() < FAULTS else 200
        data = json.loads(body)["data"]
        line = {
            "endpoint": request.path,
            "id": request.headers["webhook-id"],
            "digest": hashlib.sha256(body).hexdigest(),
            "event": data["id"],
            "subject": data["subjectId"],
            "position": data["position"],
            "status": status,
        }
        book.write(json.dumps(line) + "\n")
        return web.Response(status=status)

    made = web.Application()
    made.router.add_post("/{endpoint}", take)
    return made


if __name__ == "__main__":
    web.run_app(app(Path(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)

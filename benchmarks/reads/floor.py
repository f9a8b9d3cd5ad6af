"""The floor on PostgreSQL: Starlette, an asyncpg pool without reset, SQL by hand, the database's JSON passed through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.reads import wire
from benchmarks.reads.floor_log import log_statement, log_values
from benchmarks.reads.floor_sql import READS
from benchmarks.reads.wire import Caller
from crm_core import ids

CONNECTIONS: Final = 10


def _bigram(text: str) -> list[str]:
    """The search token of two characters."""
    return [f"b{ord(text[0]):x}x{ord(text[1]):x}"]


VALUES: Final[dict[str, Callable[[dict[str, Any]], list[object]]]] = {
    "q1": lambda given: [ids.read_as("cus", given["id"])],
    "q2": lambda given: [given["grade"], given["province"]],
    "q3": lambda given: [ids.read_as("cus", given["after"])],
    "q4": lambda given: [datetime.fromisoformat(given["at"]), ids.read_as("int", given["id"])],
    "q5": lambda given: [_bigram(given["text"])],
}


async def _prepared(connection: Any) -> None:
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary"
    )


async def _no_reset(_connection: Any) -> None:
    return


def app(address: str, known: dict[str, Caller]) -> Starlette:
    """One path per operation; the statements of every caller are written once."""
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        pool = await asyncpg.create_pool(
            address, min_size=CONNECTIONS, max_size=CONNECTIONS, init=_prepared, reset=_no_reset,
            server_settings={"timezone": "UTC", "jit": "off"},
        )  # fmt: skip
        async with pool:
            pools.append(pool)
            yield

    def read(name: str) -> Route:
        statements = {caller.user: READS[name](caller) for caller in known.values()}
        values = VALUES[name]

        async def endpoint(request: Request) -> Response:
            statement, more = statements[wire.caller_of(request, known).user]
            given = values(orjson.loads(await request.body()))
            data = await pools[0].fetchval(statement, *given, *more)
            return Response(b'{"data":' + data + b"}", media_type="application/json")

        return Route(f"/{name}", endpoint, methods=["POST"])

    logs: dict[UUID, tuple[str, list[object]]] = {c.user: log_statement(c) for c in known.values()}

    async def log(request: Request) -> Response:
        caller = wire.caller_of(request, known)
        statement, more = logs[caller.user]
        given = log_values(orjson.loads(await request.body()), caller)
        data = await pools[0].fetchval(statement, *given, *more)
        return Response(b'{"data":' + data + b"}", media_type="application/json")

    routes = [*(read(name) for name in READS), Route("/m1", log, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    given = wire.arguments()
    wire.serve(app(given.address, wire.callers(given.folder)), given.port)

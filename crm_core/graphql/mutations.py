"""Resolvers of generated mutations: input to command, outcome to payload; no rules here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from crm_core.commands import CommandSpec, Options, Outcome
from crm_core.errors import worded
from crm_core.graphql import interpreter
from crm_core.graphql.context import Context, Fetch, Info
from crm_core.graphql.fields import ObjectType


def options_of(arguments: Mapping[str, Any], context: Context) -> Options:
    """What accompanies a command, from the arguments of its mutation."""
    return Options(
        idempotency_key=arguments.get("idempotencyKey"),
        expected_version=arguments.get("expectedVersion"),
        dry_run=bool(arguments.get("dryRun")),
        reason=arguments.get("reason"),
        line=arguments.get("line") or context.line,
        request_id=context.request_id,
    )


def mutation_resolver(spec: CommandSpec) -> Callable[..., Any]:
    """The resolver of a command's mutation field."""

    async def resolve(_root: Any, info: Info, **arguments: Any) -> dict[str, Any]:
        context: Context = info.context
        options = options_of(arguments, context)
        outcome, fetch = await context.perform(spec.kind, arguments["input"], options)
        return {"outcome": outcome, "fetch": fetch or context.fetch}

    return resolve


def payload_resolvers(
    kind: ObjectType, key: str, types: Mapping[str, ObjectType], *, many: bool
) -> Mapping[str, Callable[..., Any]]:
    """Resolvers of a payload type; records are read like any other record, row rules and masks included."""

    async def one(payload: dict[str, Any], info: Info) -> Any:
        outcome: Outcome = payload["outcome"]
        return await _record(kind, outcome.ids[0], payload["fetch"], info) if outcome.ids else None

    async def several(payload: dict[str, Any], info: Info) -> Any:
        outcome: Outcome = payload["outcome"]
        if outcome.errors or outcome.approval:
            return None
        found = await asyncio.gather(*(_record(kind, id_, payload["fetch"], info) for id_ in outcome.ids))
        return [row for row in found if row is not None]

    async def approval(payload: dict[str, Any], info: Info) -> Any:
        outcome: Outcome = payload["outcome"]
        if outcome.approval is None:
            return None
        kind, fetch = types["Approval"], payload["fetch"]
        return await interpreter.record(info.context, info, kind, outcome.approval, fetch, own=True)

    def errors(payload: dict[str, Any], info: Info) -> Any:
        context: Context = info.context
        return [
            {
                "code": error.code,
                "message": worded(error, context.messages, context.language),
                "field": error.field,
                "rule": error.rule,
            }
            for error in payload["outcome"].errors
        ]

    resolvers: dict[str, Callable[..., Any]] = {
        key: several if many else one,
        "userErrors": errors,
        "replayed": lambda payload, _info: payload["outcome"].replayed,
    }
    return {"approval": approval, **resolvers} if "Approval" in types else resolvers


async def _record(kind: ObjectType, key: Any, fetch: Fetch, info: Info) -> Any:
    return await interpreter.record(info.context, info, kind, key, fetch)

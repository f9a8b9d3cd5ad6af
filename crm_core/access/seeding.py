"""Brings business lines and seeded roles in step with the settings and the registry; run by `crm db upgrade`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.access.models import BusinessLine, Role, RoleScope
from crm_core.registry import Registry, RoleTemplate
from crm_core.settings import Settings


async def synchronise(session: AsyncSession, settings: Settings, registry: Registry, now: datetime) -> None:
    """Lines as `crm.toml` declares them (removed ones are retired, never deleted); roles with the scopes offered."""
    known = {line.code: line for line in (await session.execute(select(BusinessLine))).scalars()}
    for code, line in settings.lines.items():
        row = known.pop(code, None) or BusinessLine(code=code, created_at=now)
        row.name, row.plugins, row.retired_at = line.name or code, list(line.plugins), None
        session.add(row)
    for gone in known.values():
        gone.retired_at = gone.retired_at or now
    roles = {role.name: role for role in (await session.execute(select(Role))).scalars()}
    for template in registry.roles.values():
        await _offer(session, roles.get(template.name), template, now)


async def _offer(session: AsyncSession, role: Role | None, template: RoleTemplate, now: datetime) -> None:
    if role is None:
        role = Role(name=template.name, title=template.title, offered=[], created_at=now)
        session.add(role)
        await session.flush()
    new = sorted(set(template.scopes) - set(role.offered))
    for scope in new:
        await session.merge(RoleScope(role_id=role.id, scope=scope, reach=int(template.scopes[scope])))
    if new:
        role.offered = [*role.offered, *new]

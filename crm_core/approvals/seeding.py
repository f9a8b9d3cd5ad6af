"""Offers each line the sign-off policies that rooms and plugins suggest; asked by `crm db upgrade`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.approvals.chain import ApprovalRule
from crm_core.approvals.models import ApprovalPolicy
from crm_core.approvals.queries import last_edition
from crm_core.registry import PolicyTemplate, Registry


async def seed_policies(session: AsyncSession, registry: Registry, now: datetime) -> None:
    """Add to each line the suggested policies it has no edition of; what a line has set itself is left alone."""
    for template in registry.policies:
        spec = registry.commands.get(template.kind)
        for line in sorted(registry.lines_of(spec.owner)) if spec is not None else ():
            if await last_edition(session, line, template.name) is None:
                session.add(_policy(template, line, now))
    await session.flush()


def _policy(template: PolicyTemplate, line: str, now: datetime) -> ApprovalPolicy:
    slot = {"role": template.role, "user_id": None, "rule": ApprovalRule.ANY.value}
    return ApprovalPolicy(
        created_at=now,
        line=line,
        name=template.name,
        title=template.title,
        command_kind=template.kind,
        edition=1,
        enabled=template.enabled,
        priority=100,
        self_approval=False,
        stages=[{"name": template.title, "rule": ApprovalRule.ALL.value, "slots": [slot]}],
        condition={},
        valid_from=now,
    )

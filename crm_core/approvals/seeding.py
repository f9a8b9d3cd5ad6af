"""Offers each line the sign-off policies that rooms and plugins suggest; asked by `crm db upgrade`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from crm_core.approvals.models import ApprovalPolicy
from crm_core.approvals.policies import targets_of
from crm_core.approvals.queries import last_edition
from crm_core.approvals.stages import STAGES, ApprovalSlot, ApprovalStage, PolicyDefinition
from crm_core.approvals.words import ApprovalSelf
from crm_core.registry import PolicyTemplate, Registry


async def seed_policies(session: AsyncSession, registry: Registry, now: datetime) -> None:
    """Add to each line the suggested policies it has no edition of; what a line has set itself is left alone."""
    for template in registry.policies:
        for line in sorted(_lines(template.kind, registry)):
            if await last_edition(session, line, template.name) is None:
                policy = _policy(template, line, now, document=template.kind in registry.documents)
                session.add(policy)
                await session.flush()
                session.add_all(targets_of(policy))
    await session.flush()


def _lines(kind: str, registry: Registry) -> frozenset[str]:
    """Lines with the plugin that has this command or document."""
    spec = registry.commands.get(kind)
    owner = spec.owner if spec is not None else registry.type_owners.get(kind)
    known = spec is not None or kind in registry.documents
    return registry.lines_of(owner or "core") if known else frozenset()


def _policy(template: PolicyTemplate, line: str, now: datetime, *, document: bool) -> ApprovalPolicy:
    given = STAGES.validate_python(list(template.stages), by_name=True, by_alias=True)
    only = ApprovalStage(name=template.title[:120], slots=[ApprovalSlot(role=template.role)])
    definition = PolicyDefinition(
        name=template.name,
        title=template.title,
        commands=[] if document else [template.kind],
        document=template.kind if document else None,
        enabled=template.enabled,
        self_approval=ApprovalSelf(template.self_approval),
        stages=given or [only],
    )
    stored = definition.model_dump(mode="json", by_alias=False, exclude={"valid_from", "valid_to"})
    return ApprovalPolicy(**stored, created_at=now, line=line, edition=1, valid_from=now)

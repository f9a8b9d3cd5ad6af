"""orders are signed by approvals alone.

An order that was signed, but not registered, by the commands of before is a draft again: nobody could register it any
more. It is handed in anew. The permission to register went with those commands. The policies that were offered
switched off, and that nobody has set since, make room for those that are offered in force.

Safety: works with the code of the version before, which reads such orders and lines as well. Few rows are touched:
orders between their signature and their registration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "auto_dealer_0002"
down_revision = "auto_dealer_0001"
branch_labels = None
depends_on = None

_DRAFTS = """
    UPDATE auto_dealer_orders SET state = 'DRAFT', signed_by_id = NULL, signed_at = NULL, version = version + 1
    WHERE state = 'SIGNED'
"""
_PERMISSION = "DELETE FROM role_scopes WHERE scope = 'auto_dealer.order_register'"
_UNTOUCHED = """
    DELETE FROM approval_policies
    WHERE edition = 1 AND NOT enabled
      AND ((name = 'order card' AND document = 'OrderCard') OR (name = 'order change' AND document = 'OrderChange'))
      AND NOT EXISTS (
        SELECT 1 FROM approval_policies AS later
        WHERE later.line = approval_policies.line AND later.name = approval_policies.name AND later.edition > 1
      )
"""


def upgrade() -> None:
    for statement in (_DRAFTS, _PERMISSION, _UNTOUCHED):
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Nothing comes back: whose signature an order had is in the audit trail."""

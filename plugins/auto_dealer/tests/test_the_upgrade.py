"""What the commands of before had left half done, after the upgrade to signatures by approvals alone."""

from sqlalchemy import text

from crm_auto_dealer.orders.models import OrderCard
from crm_auto_dealer.testing import Dealer
from crm_core import ids, migrate
from crm_core.approvals.models import ApprovalPolicy

BEFORE = (
    "UPDATE auto_dealer_orders SET state = 'SIGNED', signed_by_id = owner_id, signed_at = created_at",
    "DELETE FROM approval_targets",
    "UPDATE approval_policies SET enabled = false WHERE line = 'east'",
    """INSERT INTO role_scopes (role_id, scope, reach)
       SELECT id, 'auto_dealer.order_register', 4 FROM roles WHERE name = 'sales_assistant'""",
    "UPDATE crm_auto_dealer_version SET version_num = 'auto_dealer_0001'",
)


async def test_an_order_signed_by_the_command_of_before_is_handed_in_anew(dealer: Dealer) -> None:
    order = await dealer.order()
    async with dealer.crm.database.transaction() as session:
        for statement in BEFORE:
            await session.execute(text(statement))
    services = dealer.crm.services
    report = await migrate.upgrade(services.settings, services.registry, dealer.crm.clock())
    assert report.failed == {}
    (row,) = [r for r in await dealer.crm.rows(OrderCard) if r.id == ids.read_as("ord", order)]
    assert (row.state, row.signed_by_id, row.signed_at) == ("DRAFT", None, None)
    offered = {p.name for p in await dealer.crm.rows(ApprovalPolicy) if p.line == "east" and p.enabled}
    assert offered == {"order card", "order change"}
    await dealer.submit(order)
    await dealer.sign(order, dealer.manager)
    assert (await dealer.sign(order, dealer.assistant))["state"] == "APPROVED"

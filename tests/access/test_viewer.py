"""Who the caller is."""

from crm_core.actors import Reach
from crm_core.testing.kit import Kit


async def test_a_caller_learns_who_he_is_and_what_he_may_do(crm: Kit) -> None:
    seller = await crm.actor("李", {"customer.read": Reach.TEAM}, lines=("west",))
    found = await crm.data("{ viewer { userId name lines { line scopes { scope reach } } } }", seller)
    assert found["viewer"]["name"] == "李"
    assert found["viewer"]["userId"].startswith("usr_")
    assert found["viewer"]["lines"] == [
        {"line": "west", "scopes": [{"scope": "customer.read", "reach": "TEAM"}]}
    ]

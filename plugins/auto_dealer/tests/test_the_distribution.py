"""The distribution as a whole: it loads, and its migrations give what its models say."""

from crm_auto_dealer.testing import PLUGIN, Dealer
from crm_core import migrate
from crm_core.graphql.fields import Field
from crm_core.testing.kit import Kit


async def test_the_plugin_is_loaded_in_its_lines(crm: Kit) -> None:
    (state,) = crm.services.registry.plugins
    assert (state.name, state.state, state.lines) == (PLUGIN, "loaded", ("east", "west"))


async def test_the_migrations_give_what_the_models_say(crm: Kit) -> None:
    assert await migrate.drift(crm.services.settings, crm.services.registry) == {}


async def test_every_scope_used_is_declared(crm: Kit) -> None:
    registry = crm.services.registry
    used = {s for role in registry.roles.values() for s in role.scopes if s.startswith(PLUGIN + ".")}
    used |= {c.command.scope for c in registry.commands.values() if c.owner == PLUGIN}
    used |= {k.scope for k in registry.types.values() if registry.type_owners[k.name] == PLUGIN and k.scope}
    assert used == {name for name in registry.scopes if name.startswith(PLUGIN + ".")}


async def test_every_description_has_its_chinese_term(crm: Kit) -> None:
    registry = crm.services.registry
    types = [k for k in registry.types.values() if registry.type_owners[k.name] == PLUGIN]
    fields: list[Field] = [f for k in types for f in k.fields if f.name not in _OF_EVERY_RECORD]
    texts = {k.name: k.description for k in types} | {f.name: f.description for f in fields}
    assert [name for name, text in texts.items() if not any("\u4e00" <= c <= "\u9fff" for c in text)] == []


async def test_every_change_of_a_record_shows_in_its_version_and_moment(dealer: Dealer) -> None:
    car = await dealer.car()
    drive = await dealer.drive(vehicleId=car)
    order = await dealer.order()
    dealer.crm.clock.advance(hours=1)
    await dealer.crm.done("testDriveCancel", dealer.consultant, input={"id": drive})
    await dealer.move(car, "NOT_READY")
    await dealer.crm.done("orderCancel", dealer.manager, input={"id": order})
    asked = """query($car: ID!, $drive: ID!, $order: ID!) {
      vehicle(id: $car) { version updatedAt } testDrive(id: $drive) { version updatedAt } order(id: $order) { version updatedAt }
    }"""
    seen = await dealer.crm.data(asked, dealer.manager, car=car, drive=drive, order=order)
    later = "2025-11-03T03:00:00.000000Z"
    assert seen == {
        "vehicle": {"version": 3, "updatedAt": later},
        "testDrive": {"version": 2, "updatedAt": later},
        "order": {"version": 2, "updatedAt": later},
    }


async def test_a_page_of_orders_with_its_relations_takes_one_statement(dealer: Dealer) -> None:
    for _ in range(3):
        await dealer.order()
    asked = "{ orders { nodes { id customer { name } consultant { name } changes { state } } } }"
    with dealer.crm.statements() as sent:
        await dealer.crm.data(asked, dealer.manager, compiled=True)
    assert len(sent) == 1, sent


_OF_EVERY_RECORD = {"id", "createdAt", "updatedAt", "version"}

"""What of an actor decides how his reads are built, and what he is in one line."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from crm_core.actors import Actor, Reach, system

ALICE, BOB, TEAM = (UUID(int=number) for number in (1, 2, 3))


def actor(grants: dict[str, dict[str, Reach]] | None = None, user: UUID = ALICE) -> Actor:
    given = {"east": {"customers.read": Reach.TEAM, "customers.write": Reach.OWN}, "west": {}}
    teams = {"east": frozenset({TEAM})}
    return Actor(user, "someone", given if grants is None else grants, teams, teams)


def test_people_with_the_same_permissions_have_the_same_shape() -> None:
    other = replace(actor(user=BOB), name="Bob", teams={}, subtree={}, token_id=BOB)
    assert actor().shape == other.shape
    assert replace(actor(), language="zh-CN").shape != actor().shape
    turned = {"west": {}, "east": {"customers.write": Reach.OWN, "customers.read": Reach.TEAM}}
    assert actor(turned).shape == actor().shape


def test_every_permission_is_part_of_the_shape() -> None:
    shapes = {
        actor().shape,
        actor({}).shape,
        actor({"east": {}}).shape,
        actor({"east": {"customers.read": Reach.TEAM}, "west": {}}).shape,
        actor({"east": {"customers.read": Reach.LINE, "customers.write": Reach.OWN}, "west": {}}).shape,
        actor({"west": {"customers.read": Reach.TEAM, "customers.write": Reach.OWN}, "east": {}}).shape,
        actor({"east": {"customers.read": Reach.TEAM, "customers.write": Reach.OWN}}).shape,
        system().shape,
        system(("east",)).shape,
        replace(actor(), is_system=True).shape,
        replace(actor(), user_id=None).shape,
    }
    assert len(shapes) == 11


def test_in_one_line_an_actor_is_worked_out_once() -> None:
    alice = actor({"east": {"customers.read": Reach.ALL}, "west": {"customers.read": Reach.OWN}})
    east = alice.narrowed("east")
    assert east is not None
    assert east is alice.narrowed("east")
    assert east.grants == {"east": {"customers.read": Reach.LINE}}
    assert (east.teams, east.subtree) == ({"east": frozenset({TEAM})}, {"east": frozenset({TEAM})})
    west = alice.narrowed("west")
    assert west is not None
    assert (west.teams, west.reaches_everything("customers.read")) == ({"west": frozenset()}, False)
    assert alice.narrowed("north") is None

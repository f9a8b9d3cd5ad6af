"""The dealer's part of the demo company: cars, test drives and orders in every state, some waiting for signatures."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from crm_auto_dealer.settings import SLOT
from crm_auto_dealer.vehicles.vin import with_check_digit
from crm_core import ids
from crm_core.actors import Actor

MODELS = (("名图 1.8 领先型", "139800.00"), ("途胜 2.0 尊贵型", "189800.00"), ("悦动 1.6 舒适型", "92800.00"))
COLOURS = ("白", "黑", "银", "红")
_ASSISTANT, _MANAGER = "sales_assistant", "sales_manager"


class Company(Protocol):
    """What the demo company offers while it is being filled."""

    rng: random.Random

    @property
    def now(self) -> datetime:
        """The present of the company, UTC."""
        ...

    def lines_of(self, plugin: str) -> Sequence[str]:
        """Lines that enable the plugin."""
        ...

    def customers(self, line: str) -> Sequence[UUID]:
        """Customers of a line."""
        ...

    async def perform(self, role: str, kind: str, body: Mapping[str, Any], *, line: str) -> UUID:
        """Perform a command as somebody who holds the role in the line; the id of its record."""
        ...

    async def hire(self, login: str, name: str, roles: Iterable[str], line: str | None) -> Actor:
        """A new user with these roles in the line."""
        ...


async def company(demo: Company) -> None:
    """Fill every line that sells cars."""
    for line in demo.lines_of("auto_dealer"):
        cars = [await _car(demo, line, number) for number in range(12)]
        await _test_drives(demo, line, cars[:4])
        await _orders(demo, line, cars[4:])


async def _car(demo: Company, line: str, number: int) -> UUID:
    model, price = MODELS[number % len(MODELS)]
    use = "TEST_DRIVE" if number < 4 else "DISPLAY" if number < 6 else "STOCK"  # noqa: PLR2004
    vin = with_check_digit("LBE" + "".join(demo.rng.choices("ABCDEFGH0123456789", k=8)) + f"{number:06d}")
    body = {"vin": vin, "model": model, "colour": demo.rng.choice(COLOURS), "use": use, "list_price": price}
    car = await demo.perform(_ASSISTANT, "vehicle.create", body, line=line)
    if number < 10:  # noqa: PLR2004  # the last two are still in transit
        await demo.perform(_ASSISTANT, "vehicle.set_state", {"id": car, "state": "READY"}, line=line)
    return car


async def _test_drives(demo: Company, line: str, cars: Sequence[UUID]) -> None:
    first = demo.now - (demo.now - datetime(1970, 1, 1, tzinfo=demo.now.tzinfo)) % SLOT
    for number, customer in enumerate(_some(demo, line, 24)):
        starts_at = first + timedelta(hours=number // len(cars) - 3)
        body = {
            "customer_id": customer,
            "vehicle_id": cars[number % len(cars)],
            "starts_at": starts_at,
            "ends_at": starts_at + 2 * SLOT,
        }
        drive = await demo.perform(_MANAGER, "test_drive.request", body, line=line)
        await _lead_on(demo, line, drive, number)


async def _lead_on(demo: Company, line: str, drive: UUID, number: int) -> None:
    if number % 8 == 3:  # noqa: PLR2004
        await demo.perform(_MANAGER, "test_drive.cancel", {"id": drive}, line=line)
    elif number < 12:  # noqa: PLR2004
        done = {"id": drive, "licence_checked": True, "route": "滨江路环线", "odometer_km": 1200 + 9 * number}
        await demo.perform(_MANAGER, "test_drive.complete", done, line=line)
        if number % 2 == 0:
            said = {"id": drive, "feedback": "起步平顺，后排空间满意", "rating": demo.rng.randint(3, 5)}
            await demo.perform(_MANAGER, "test_drive.record", said, line=line)


async def _orders(demo: Company, line: str, cars: Sequence[UUID]) -> None:
    consultant = await demo.hire(f"consultant.{line}", "林晓燕", ("sales",), line)
    for number, customer in enumerate(_some(demo, line, 16)):
        model, price = MODELS[number % len(MODELS)]
        body: dict[str, Any] = {"customer_id": customer, "model": model, "price": price, "deposit": "5000.00"}
        body["consultant_id"] = consultant.user_id  # nobody signs his own order
        if number < len(cars):
            body["vehicle_id"] = cars[number]
        order = await demo.perform(_MANAGER, "order.create", body, line=line)
        await _follow(demo, line, order, _BEFALL[number % len(_BEFALL)])
        if number == _BEFALL.index(_EFFECTIVE):
            content = {"id": order, "content": {"price": "88800.00"}}
            await demo.perform(_MANAGER, "order.change", content, line=line)


async def _follow(demo: Company, line: str, order: UUID, steps: Sequence[tuple[str, str]]) -> None:
    about = {"id": order}
    for role, kind in steps:
        if kind == "approval.submit":
            handed_in = await demo.perform(role, kind, {"record": ids.show("ord", order)}, line=line)
            about = {"id": handed_in}
        else:
            await demo.perform(role, kind, about, line=line)


_HANDED_IN = ((_MANAGER, "approval.submit"),)
_SIGNED = (*_HANDED_IN, (_MANAGER, "approval.approve"))
_EFFECTIVE = (*_SIGNED, (_ASSISTANT, "approval.approve"))
_BEFALL = ((), _SIGNED, ((_MANAGER, "order.cancel"),), _EFFECTIVE, _HANDED_IN)
"""What befell the orders, in turn: draft, signed but not registered, cancelled, effective, waiting for its signature."""


def _some(demo: Company, line: str, count: int) -> list[UUID]:
    known = list(demo.customers(line))
    return demo.rng.sample(known, min(count, len(known)))

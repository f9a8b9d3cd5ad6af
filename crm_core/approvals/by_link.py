"""Signing by a link: looking changes nothing however often it is done, signing goes through the normal command."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import select

from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Actor
from crm_core.approvals.chain import signable
from crm_core.approvals.links import Link, find, use
from crm_core.approvals.models import Approval, ApprovalTask
from crm_core.approvals.queries import SIGN, held_roles
from crm_core.approvals.showing import Shown, shown
from crm_core.approvals.words import ApprovalTaskState
from crm_core.commands import Command, Options, not_storable, user_errors
from crm_core.db.unit import Unit
from crm_core.errors import Language, Refused, Unauthenticated, UserError, preferred_language, worded
from crm_core.graphql.context import Fetch
from crm_core.notices.models import NoticePreference
from crm_core.work import Services, perform_within

CHANNEL: Final = "link"
"""How audit names what was signed by a link."""


class Choice(StrEnum):
    """What the page offers (审批操作)."""

    APPROVE = "approve"
    REJECT = "reject"
    RETURN = "return"


class Trouble(StrEnum):
    """Why a link does not let anybody sign, or did not just now."""

    UNKNOWN = "unknown"
    NOT_YOURS = "not yours"
    EXPIRED = "expired"
    USED = "used"
    DECIDED = "decided"
    NO_CHOICE = "no choice"
    CHANGED = "changed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page shows. `form` stands where it may be signed; `done` is what was just done, `state` what came of it."""

    language: Language
    trouble: Trouble | None = None
    shown: Shown | None = None
    form: str = ""
    problems: tuple[str, ...] = ()
    comment: str = ""
    done: Choice | None = None
    state: str = ""


class _Gone(Exception):
    pass


async def look(services: Services, token: str, accepted: str | None) -> Answer:
    """The request behind a link as its owner may see it; `accepted` is the header Accept-Language.

    Raises:
        Fault: the database does not answer.
    """
    return (await _looked(services, token, accepted))[0]


async def sign(services: Services, token: str, accepted: str | None, given: Mapping[str, str]) -> Answer:
    """Sign by a link: `given` is the form with `form` (from the page), `choice` and `comment`.

    The link is used up in the transaction that signs: once, or not at all where the command is refused.

    Raises:
        Fault: the database does not answer.
    """
    seen, link = await _looked(services, token, accepted)
    if seen.trouble is not None or link is None:
        return seen
    comment = given.get("comment", "").replace("\r\n", "\n").strip()
    asked = replace(seen, comment=comment)
    if not hmac.compare_digest(given.get("form", "").encode(), seen.form.encode()):
        return replace(asked, trouble=Trouble.CHANGED)
    if given.get("choice") not in set(Choice):
        return replace(asked, trouble=Trouble.NO_CHOICE)
    choice = Choice(given["choice"])
    try:
        await _signed(services, link, choice, comment, seen.language)
    except Refused as refused:
        return replace(asked, trouble=Trouble.REFUSED, problems=_worded(services, refused, seen.language))
    except (_Gone, Unauthenticated):
        again = await look(services, token, accepted)
        return again if again.trouble is not None else replace(again, trouble=Trouble.CHANGED)
    return await _concluded(services, seen, link, choice)


async def _looked(services: Services, token: str, accepted: str | None) -> tuple[Answer, Link | None]:
    fetch = services.database.fetch
    link = await find(fetch, services.keyring, token)
    if link is None:
        return Answer(preferred_language(accepted), Trouble.UNKNOWN), None
    language = await _language(services, link, accepted)
    try:
        actor = await actor_of(fetch, services.registry, link.user, language)
    except Unauthenticated:
        return Answer(language, Trouble.NOT_YOURS), None
    trouble = _trouble(services, link)
    if trouble is not None:
        return Answer(language, trouble, state=link.approval_state), None
    found = await shown(services, fetch, actor, link.approval, language)
    if found is None or not await _may_sign(services, link, actor, found):
        return Answer(language, Trouble.NOT_YOURS), None
    return Answer(language, shown=found, form=_form(services, link, found)), link


def _trouble(services: Services, link: Link) -> Trouble | None:
    if link.used_at is not None:
        return Trouble.USED
    if link.decided:
        return Trouble.DECIDED
    return Trouble.EXPIRED if link.expires_at <= services.clock() else None


async def _may_sign(services: Services, link: Link, actor: Actor, found: Shown) -> bool:
    """Whether this very task still asks for this user, holding what he holds now."""
    fetch, line = services.database.fetch, await _line(services, link)
    roles = [row.name for row in await fetch(held_roles(link.user, line))]
    mine = any(task.id == link.task for task in signable(found.chain, link.user, roles))
    return mine and actor.may(SIGN, line)


async def _line(services: Services, link: Link) -> str:
    table = ApprovalTask.__table__
    (row,) = await services.database.fetch(select(table.c.line).where(table.c.id == link.task))
    return str(row.line)


def _form(services: Services, link: Link, found: Shown) -> str:
    """What only the page of this link knows, as long as it shows the same."""
    return services.keyring.blind(link.id.hex + found.seen, "approval_links.form")


async def _language(services: Services, link: Link, accepted: str | None) -> Language:
    """What the user prefers for notices, else what his browser asks for, else that of the deployment."""
    table = NoticePreference.__table__
    wanted = select(table.c.language).where(table.c.user_id == link.user, table.c.language.is_not(None))
    row = next(iter(await services.database.fetch(wanted.order_by(table.c.channel).limit(1))), None)
    if row is not None or accepted is None:
        usual = row.language if row is not None else services.registry.settings["notices"].language  # type: ignore[attr-defined]  # NoticesSettings
        return "zh-CN" if usual == "zh-CN" else "en"
    return preferred_language(accepted)


# -- signing


async def _signed(services: Services, link: Link, choice: Choice, comment: str, language: Language) -> None:
    command = _command(services, link, choice, comment)
    async with services.database.transaction() as session:
        if not await use(session, link.id, services.clock()):
            raise _Gone
        actor = await actor_of(_fetch(session), services.registry, link.user, language)
        await session.get(Approval, link.approval, with_for_update=True)
        if await _task_state(session, link) != ApprovalTaskState.OPEN.value:
            raise _Gone
        options = Options(channel=CHANNEL, request_id=ids.uuid7().hex)
        await perform_within(services, session, actor, command, options)


def _command(services: Services, link: Link, choice: Choice, comment: str) -> Command:
    """The command of a choice; only the link's own task is signed, while a return is the request's."""
    body: dict[str, Any] = {"id": link.approval, "comment": comment}
    if choice is not Choice.RETURN:
        body["task"] = link.task
    odd = not_storable(body, "")
    if odd:
        raise Refused(*odd)
    try:
        return services.registry.commands[f"approval.{choice.value}"].command.model_validate(body)
    except ValidationError as error:
        raise Refused(*user_errors(error)) from None


async def _task_state(session: Unit, link: Link) -> str | None:
    table = ApprovalTask.__table__
    state: str | None = await session.scalar(select(table.c.state).where(table.c.id == link.task))
    return state


def _fetch(session: Unit) -> Fetch:
    async def fetch(statement: Any) -> Any:
        return (await session.execute(statement)).all()

    return fetch


def _worded(services: Services, refused: Refused, language: Language) -> tuple[str, ...]:
    def words(error: UserError) -> str:
        return worded(error, services.registry.messages, language)

    return tuple(map(words, refused.errors))


async def _concluded(services: Services, seen: Answer, link: Link, choice: Choice) -> Answer:
    """What came of it, as its state is now; with the reasons, where it could not be performed."""
    table = Approval.__table__
    (row,) = await services.database.fetch(
        select(table.c.state, table.c.reasons).where(table.c.id == link.approval)
    )
    said = Refused(*(UserError(**one) for one in row.reasons))
    problems = _worded(services, said, seen.language)
    return Answer(seen.language, done=choice, state=row.state, problems=problems, shown=seen.shown)

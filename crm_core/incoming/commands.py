"""Setting sources up and replacing their secrets; processing requests again, or giving them up."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationError
from sqlalchemy import func, select, update

from crm_core import ids
from crm_core.access.queries import actor_of
from crm_core.actors import Reach
from crm_core.commands import Command, Part, Perform, Ref, omitted, user_errors
from crm_core.errors import INVALID, REQUIRED, Refused, Unauthenticated, UserError, raise_if
from crm_core.incoming import mapping as mappings
from crm_core.incoming import refusals
from crm_core.incoming.addresses import network
from crm_core.incoming.events import (
    IncomingReplayed,
    IncomingRequestDiscarded,
    IncomingRequestReplayed,
    IncomingSecretRotated,
    IncomingSourceCreated,
    IncomingSourceUpdated,
)
from crm_core.incoming.expressions import Wrong
from crm_core.incoming.expressions import check as check_expression
from crm_core.incoming.models import IncomingOrder, IncomingRequest, IncomingSource, IncomingState
from crm_core.incoming.queries import MANAGE, calling_next, source_named
from crm_core.incoming.sealing import seal
from crm_core.incoming.settings import LARGEST, IncomingSettings
from crm_core.incoming.verifier import Verifier
from crm_core.work import Work

SourceId = Annotated[UUID, Ref("IncomingSource", "ins")]
RequestId = Annotated[UUID, Ref("IncomingRequest", "inr")]
ActorId = Annotated[UUID, Ref("User", "usr")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Dedupe = Annotated[str, StringConstraints(pattern=r"^(header:[A-Za-z0-9-]{1,80}|=.{1,900})$")]
AddressText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
LONGEST_OVERLAP: Final = 720
_KEY_BYTES: Final = 32
_REQUESTS = IncomingRequest.__table__


class IncomingSecretInput(Part):
    """What requests are verified with; which of them, the verifier says (密钥)."""

    secret: Secret | None = omitted(description="Secret of a signature, or the token (密钥或令牌).")
    token: Secret | None = omitted(description="Token of a callback; of Feishu the Verification Token.")
    aes_key: Secret | None = omitted(description="EncodingAESKey of a callback; of Feishu the Encrypt Key.")

    def values(self) -> dict[str, str]:
        """The values given, by the names verifiers use."""
        found = {"secret": self.secret, "token": self.token, "aesKey": self.aes_key}
        return {name: value for name, value in found.items() if value is not None}


class _SourceFields(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "IncomingSource"

    options: dict[str, Any] = omitted(description="Options of the verifier (验签选项).")
    addresses: list[AddressText] = omitted(
        max_length=100, description="Addresses and networks it may come from; none: any (IP 白名单)."
    )
    window_seconds: int = omitted(
        ge=0,
        le=86_400,
        description="How far its clock may be from ours, where requests say when they were signed; 0: does not matter "
        "(防重放窗口).",
    )
    body_bytes: int = omitted(ge=1, le=LARGEST, description="Largest body, bytes (正文上限).")
    dedupe: Dedupe | None = omitted(
        description="What tells requests apart: `header:NAME`, or `=` and a JMESPath expression over `body`, `headers` "
        "and `query`; null: the sender's own id, else the digest of the body (去重键)."
    )
    ordered: IncomingOrder = omitted(
        description="Which of its requests wait for the earlier ones: none, those about the same subject, or all (处理顺序)."
    )
    about: Dedupe | None = omitted(
        description="What a request is about, for the order: `header:NAME`, or `=` and an expression, like `dedupe` (排序键)."
    )
    handler: Word | None = omitted(description="Handler of a plugin that processes its requests (处理程序).")
    mapping: list[dict[str, Any]] | None = omitted(
        max_length=mappings.MOST_STEPS,
        description="Or steps that find records and perform commands (字段映射).",
    )
    enabled: bool = omitted(description="Whether it is taken in; at first: yes (启用).")


class CreateIncoming(_SourceFields):
    """Set up a source of incoming webhooks in the line acted in (新增接收来源)."""

    kind = "incoming.create"
    sensitive: ClassVar[frozenset[str]] = frozenset({"secret"})
    name: Name = Field(description="Its name in the line (名称).")
    verifier: Word = Field(
        description="How requests are verified: STANDARD_WEBHOOKS, GITHUB, HMAC, STATIC_TOKEN, WECOM, DINGTALK, FEISHU, "
        "or a plugin's (验签方式)."
    )
    secret: IncomingSecretInput = Field(description="What they are verified with (密钥).")
    actor_id: ActorId = Field(
        description="The user as whom its commands are performed; he may do no more than you (操作账号)."
    )


class UpdateIncoming(_SourceFields):
    """Change a source; what is left out stays as it was (修改接收来源)."""

    kind = "incoming.update"
    subject: ClassVar[str | None] = "id"
    id: SourceId = Field(description="The source (来源).")
    name: Name = omitted(description="Its name in the line (名称).")
    actor_id: ActorId = omitted(description="The user as whom its commands are performed (操作账号).")


class RotateIncomingSecret(Command):
    """Give a source a new secret; the present one holds for a while longer (更换密钥)."""

    kind: ClassVar[str] = "incoming.rotate_secret"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "IncomingSource"
    subject: ClassVar[str | None] = "id"
    sensitive: ClassVar[frozenset[str]] = frozenset({"secret"})
    id: SourceId = Field(description="The source (来源).")
    secret: IncomingSecretInput = Field(description="The new secret (新密钥).")
    overlap_hours: int = Field(
        24, ge=0, le=LONGEST_OVERLAP, description="How long the present one holds too, hours; 0: not at all."
    )


class DisableIncoming(Command):
    """Take nothing more from a source; what was received is processed (停用接收来源)."""

    kind: ClassVar[str] = "incoming.disable"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "IncomingSource"
    subject: ClassVar[str | None] = "id"
    id: SourceId = Field(description="The source (来源).")


class ReplayIncoming(Command):
    """Process a request again that failed or was discarded, with the mapping of now (重新处理)."""

    kind: ClassVar[str] = "incoming.replay"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "IncomingRequest"
    subject: ClassVar[str | None] = "id"
    id: RequestId = Field(description="The request (请求).")


class ReplayFailedIncoming(Command):
    """Process all requests of a source again that failed (重新处理全部失败请求)."""

    kind: ClassVar[str] = "incoming.replay_failed"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "IncomingSource"
    subject: ClassVar[str | None] = "id"
    id: SourceId = Field(description="The source (来源).")


class DiscardIncoming(Command):
    """Give up a request that failed or waits (放弃处理)."""

    kind: ClassVar[str] = "incoming.discard"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "IncomingRequest"
    subject: ClassVar[str | None] = "id"
    id: RequestId = Field(description="The request (请求).")


# -- sources


async def create(work: Work, command: CreateIncoming) -> IncomingSource:
    """The new source, at an address nobody can guess."""
    given, settings = command.given(), _settings(work)
    verifier = _verifier(work, command.verifier)
    secret = command.secret.values()
    given.setdefault("options", {})
    given.setdefault("handler", None)
    given.setdefault("mapping", None)
    given.setdefault("ordered", IncomingOrder.NONE)
    given.setdefault("about", None)
    raise_if((*_problems(work, given, verifier), *_secret_problems(verifier, secret)))
    await _refuse_taken(work, command.name)
    await _refuse_beyond(work, command.actor_id)
    source = IncomingSource(
        line=work.acting_line,
        name=command.name,
        path_key=_unguessable(work),
        verifier=verifier.name,
        options=given["options"],
        sealed="",
        previous_sealed=None,
        previous_until=None,
        addresses=given.get("addresses", []),
        window_seconds=given.get("window_seconds", settings.window_seconds),
        body_bytes=given.get("body_bytes", settings.body_bytes),
        dedupe=given.get("dedupe"),
        ordered=given["ordered"].value,
        about=given["about"],
        handler=given["handler"],
        mapping=given["mapping"],
        actor_id=command.actor_id,
        enabled=given.get("enabled", True),
    )
    source.sealed = seal(work.services.keyring, source.id, secret)
    work.add(source)
    work.record(IncomingSourceCreated.of(source))
    return source


async def update_source(work: Work, command: UpdateIncoming) -> IncomingSource:
    """The source with what was given changed; it may act as nobody who may do more than who changes it."""
    source: IncomingSource = work.subject
    given = {name: value for name, value in command.given().items() if name != "id"}
    if given.get("handler") is not None and "mapping" not in given:
        given["mapping"] = None
    if given.get("mapping") is not None and "handler" not in given:
        given["handler"] = None
    wanted = {n: given.get(n, getattr(source, n)) for n in _TOGETHER}
    raise_if(_problems(work, {**given, **wanted}, _verifier(work, source.verifier)))
    if given.get("name", source.name) != source.name:
        await _refuse_taken(work, given["name"])
    if given.keys() - _HARMLESS:
        await _refuse_beyond(work, given.get("actor_id", source.actor_id))
    for name, value in given.items():
        setattr(source, name, str(value) if name == "ordered" else value)
    work.record(IncomingSourceUpdated.of(source))
    return source


_TOGETHER: Final = ("options", "handler", "mapping", "ordered", "about")
"""What is only right or wrong together."""
_HARMLESS: Final = frozenset({"name", "addresses", "window_seconds", "body_bytes", "enabled"})
"""What can be changed without having a say in what is done as the source's user."""


async def rotate_secret(work: Work, command: RotateIncomingSecret) -> IncomingSource:
    """The source with the new secret; the old one holds until its end. Who knows a secret can make requests."""
    source: IncomingSource = work.subject
    secret = command.secret.values()
    raise_if(_secret_problems(_verifier(work, source.verifier), secret))
    await _refuse_beyond(work, source.actor_id)
    if command.overlap_hours:
        source.previous_sealed = source.sealed
        source.previous_until = work.now + timedelta(hours=command.overlap_hours)
    else:
        source.previous_sealed = source.previous_until = None
    source.sealed = seal(work.services.keyring, source.id, secret)
    work.record(IncomingSecretRotated.of(source))
    return source


async def disable(work: Work, _command: DisableIncoming) -> IncomingSource:
    """The source, disabled."""
    source: IncomingSource = work.subject
    source.enabled = False
    work.record(IncomingSourceUpdated.of(source))
    return source


def _settings(work: Work) -> IncomingSettings:
    settings: IncomingSettings = work.settings_of("incoming")
    return settings


def _unguessable(work: Work) -> str:
    return base64.urlsafe_b64encode(work.services.keyring.random(_KEY_BYTES)).decode().rstrip("=")


def _verifier(work: Work, name: str) -> Verifier:
    found = work.registry.verifiers.get(name)
    if found is None:
        known = ", ".join(sorted(work.registry.verifiers))
        raise Refused(refusals.UNKNOWN_VERIFIER("verifier", verifier=name, known=known))
    return found


def _problems(work: Work, given: Mapping[str, Any], verifier: Verifier) -> Iterator[UserError]:
    """Everything wrong with what a source is set to."""
    try:
        verifier.options.model_validate(given["options"])
    except ValidationError as error:
        yield from _within("options", user_errors(error))
    for position, one in enumerate(given.get("addresses", ())):
        try:
            network(one)
        except ValueError:
            yield INVALID(f"addresses.{position}", problem="no address or network (不是 IP 地址或网段)")
    most = _settings(work).body_bytes
    if given.get("body_bytes", 0) > most:
        yield INVALID("bodyBytes", problem=f"at most {most} here (此处不得超过 {most})")
    yield from _key_problems("dedupe", given.get("dedupe"))
    yield from _key_problems("about", given["about"])
    if given["ordered"] == IncomingOrder.SUBJECT and given["about"] is None:
        yield REQUIRED("about")
    handler, mapping = given["handler"], given["mapping"]
    if (handler is None) == (mapping is None):
        yield refusals.ONE_WAY("mapping")
    elif handler is not None and handler not in work.registry.incoming_handlers:
        known = ", ".join(sorted(work.registry.incoming_handlers)) or "-"
        yield refusals.UNKNOWN_HANDLER("handler", handler=handler, known=known)
    elif mapping is not None:
        yield from _within("mapping", mappings.check(mapping, work.registry, work.acting_line))


def _key_problems(path: str, key: str | None) -> Iterator[UserError]:
    if key is None or not key.startswith("="):
        return
    try:
        check_expression(key[1:])
    except Wrong as wrong:
        yield refusals.WRONG_EXPRESSION(path, expression=key[:80], problem=str(wrong))


def _within(path: str, found: Iterable[UserError]) -> Iterator[UserError]:
    for error in found:
        inner = f"{path}.{error.field}" if error.field else path
        yield UserError(error.code, error.params, inner, error.rule)


def _secret_problems(verifier: Verifier, secret: Mapping[str, str]) -> Iterator[UserError]:
    missing = [name for name in verifier.secrets if name not in secret]
    yield from (REQUIRED(f"secret.{name}") for name in missing)
    for name in sorted(secret.keys() - {*verifier.secrets, *verifier.optional}):
        yield INVALID(f"secret.{name}", problem=f"{verifier.name} has none (该验签方式不使用此项)")
    if not missing and (problem := verifier.problem(secret)) is not None:
        yield INVALID("secret", problem=problem)


async def _refuse_taken(work: Work, name: str) -> None:
    if (await work.session.execute(source_named(work.acting_line, name))).first() is not None:
        raise Refused(refusals.NAME_TAKEN("name", name=name))


async def _refuse_beyond(work: Work, user_id: UUID) -> None:
    """A source may act as nobody who may do more in the line than who sets it up."""
    line, me = work.acting_line, work.actor

    async def fetch(statement: Any) -> Any:
        return (await work.session.execute(statement)).all()

    try:
        grants = (await actor_of(fetch, work.registry, user_id)).grants.get(line)
    except Unauthenticated:
        grants = None
    if grants is None:
        raise Refused(refusals.ACTOR_UNFIT("actorId", line=line))
    own = me.grants.get(line, {})
    beyond = sorted(s for s, reach in grants.items() if min(reach, Reach.LINE) > own.get(s, 0))
    if beyond and not me.is_system:
        raise Refused(refusals.ACTOR_BEYOND("actorId", scope=beyond[0]))


# -- requests


async def replay(work: Work, _command: ReplayIncoming) -> IncomingRequest:
    """The request, waiting again with all its attempts before it."""
    request: IncomingRequest = work.subject
    if request.state not in (IncomingState.FAILED.value, IncomingState.DISCARDED.value):
        raise Refused(refusals.NOT_WAITING("id", state=request.state))
    if request.body is None:
        raise Refused(refusals.BODY_GONE("id"))
    request.state, request.attempts = IncomingState.RECEIVED.value, 0
    request.next_at, request.lease_until, request.finished_at = work.now, None, None
    work.record(IncomingRequestReplayed.of(request, source=ids.show("ins", request.source_id)))
    return request


async def replay_failed(work: Work, _command: ReplayFailedIncoming) -> IncomingSource:
    """The source, all its failed requests waiting again."""
    source: IncomingSource = work.subject
    failed = (
        _REQUESTS.c.source_id == source.id,
        _REQUESTS.c.state == IncomingState.FAILED.value,
        _REQUESTS.c.body.is_not(None),
    )
    many = (
        await work.session.execute(select(func.count()).select_from(_REQUESTS).where(*failed))
    ).scalar_one()
    again = {
        "state": IncomingState.RECEIVED.value, "attempts": 0, "next_at": work.now, "lease_until": None,
        "finished_at": None, "updated_at": work.now, "version": _REQUESTS.c.version + 1,
    }  # fmt: skip
    await work.session.execute(update(_REQUESTS).where(*failed).values(again))
    work.record(IncomingReplayed.of(source, requests=many))
    return source


async def discard(work: Work, _command: DiscardIncoming) -> IncomingRequest:
    """The request, given up."""
    request: IncomingRequest = work.subject
    if request.state not in (IncomingState.FAILED.value, IncomingState.RECEIVED.value):
        raise Refused(refusals.NOT_OPEN("id", state=request.state))
    request.state, request.lease_until = IncomingState.DISCARDED.value, None
    request.finished_at = work.now
    if request.order_key is not None:
        await work.session.flush()
        await work.session.execute(calling_next(request.source_id, request.order_key, work.now))
    work.record(IncomingRequestDiscarded.of(request, source=ids.show("ins", request.source_id)))
    return request


COMMANDS: dict[type[Command], Perform] = {
    CreateIncoming: create,
    UpdateIncoming: update_source,
    RotateIncomingSecret: rotate_secret,
    DisableIncoming: disable,
    ReplayIncoming: replay,
    ReplayFailedIncoming: replay_failed,
    DiscardIncoming: discard,
}

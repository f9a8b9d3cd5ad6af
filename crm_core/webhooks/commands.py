"""Setting up endpoints, and what may be done about deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import Field, StringConstraints
from pydantic.alias_generators import to_snake
from sqlalchemy import update

from crm_core import errors, ids
from crm_core.commands import Command, Part, Perform, Ref, omitted
from crm_core.errors import Message, Refused
from crm_core.notices.notifying import notify
from crm_core.webhooks import checking
from crm_core.webhooks.claiming import settings_of
from crm_core.webhooks.events import (
    WebhookArchived,
    WebhookCreated,
    WebhookPaused,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
    WebhookUpdated,
)
from crm_core.webhooks.filtering import WebhookCondition
from crm_core.webhooks.models import (
    MOST_ERROR,
    WebhookDelivery,
    WebhookDeliveryState,
    WebhookEndpoint,
    WebhookOrder,
    WebhookReplay,
    WebhookState,
)
from crm_core.webhooks.payloads import TEST
from crm_core.webhooks.queries import MANAGE, managers
from crm_core.webhooks.replaying import Asked, replay
from crm_core.webhooks.secrets import PREVIOUS, SECRET, asker, opened, sealed, sealed_headers
from crm_core.webhooks.signing import new_secret
from crm_core.work import Work

EndpointId = Annotated[UUID, Ref("WebhookEndpoint", "whe")]
DeliveryId = Annotated[UUID, Ref("WebhookDelivery", "whd")]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
Pattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9_.]{1,79}\*?)$")]
Column = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MOST_ERROR)]
PAUSED_NOTICE: Final = "webhook.paused"
AHEAD: Final = timedelta(days=36_500)
"""How long before everything else a test is due: it goes before whatever waits."""

PAUSED = Message(
    "WEBHOOK_NOT_SENDING", "The endpoint is {state}; resume it first.", "端点状态为 {state}，请先恢复。"
)
ARCHIVED = Message("WEBHOOK_ARCHIVED", "The endpoint is archived.", "端点已归档。")
NOT_FINISHED = Message(
    "WEBHOOK_STILL_WAITING",
    "The delivery is {state}; only a waiting one is cancelled.",
    "该投递状态为 {state}，只有等待中的投递才能取消。",
)
NO_PAYLOAD = Message(
    "WEBHOOK_TEST_GONE",
    "The payload of a test is not kept; send another one.",
    "测试投递的内容已不再保留，请重新发送测试。",
)
TOO_MANY = Message(
    "WEBHOOK_TOO_MANY",
    "More than {most} deliveries are meant; narrow the time or the kinds.",
    "符合条件的投递超过 {most} 条，请缩小时间或类型范围。",
)
NOTHING_ASKED = Message(
    "WEBHOOK_REPLAY_WHAT",
    "Say what to send again: deliveries, or a time, kinds, states or a record.",
    "请指明要重新投递的内容：投递编号，或时间、类型、状态、记录。",
)
MESSAGES = (PAUSED, ARCHIVED, NOT_FINISHED, NO_PAYLOAD, TOO_MANY, NOTHING_ASKED, *checking.MESSAGES)


class WebhookHeader(Part):
    """A header sent with every request to an endpoint; its value is shown to nobody afterwards."""

    name: str = Field(min_length=1, max_length=80, description="Its name, e.g. Authorization (名称).")
    value: str = Field(min_length=1, max_length=2_000, description="Its value (值).")


class CreateWebhook(Command):
    """Set up an endpoint that events of a line are posted to (新建 Webhook).

    Without a secret one is made, and shown as `secret` in the answer to this request alone.
    """

    kind: ClassVar[str] = "webhook.create"
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "WebhookEndpoint"
    sensitive: ClassVar[frozenset[str]] = frozenset({"secret", "headers"})
    name: Name = Field(description="What it is (名称).")
    url: Url = Field(description="Where to; https (地址).")
    kinds: list[Pattern] = Field(
        ["*"],
        min_length=1,
        max_length=100,
        description="Kinds of events, or `*`, or beginnings like `customer.*` (事件类型).",
    )
    scopes: list[str] = Field(
        max_length=200,
        description="What it may see, e.g. customer.read; none you do not hold for the line (权限).",
    )
    changed_fields: list[Column] | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="Only where one of these changed, e.g. stage (变更字段).",
    )
    condition: WebhookCondition | None = Field(None, description="Only where this holds (条件).")
    document: str | None = Field(
        None,
        min_length=1,
        max_length=20_000,
        description="A query whose answer is sent as data; it may take $subject, $event, $kind, $line, $occurredAt (查询文档).",
    )
    ordered: WebhookOrder = Field(
        WebhookOrder.NONE, description="SUBJECT: what is about one record is sent in order (投递顺序)."
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Most requests at the same time, per process; default: as set (并发数).",
    )
    per_second: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Most requests per second, of all processes; null: no limit (速率).",
    )
    headers: list[WebhookHeader] = Field([], max_length=20, description="Headers of your own (自定义请求头).")
    ca: str | None = Field(
        None,
        max_length=50_000,
        description="Certificates that verify it instead of the system's, PEM (CA 证书).",
    )
    allow_private: bool = Field(
        False, description="Whether it may stand in a private network that the settings allow (允许内网)."
    )
    secret: str | None = Field(
        None,
        max_length=120,
        description="Your own secret, `whsec_` and base64; null: one is made (签名密钥).",
    )


async def create(work: Work, command: CreateWebhook) -> WebhookEndpoint:
    """The endpoint; refuses what its address, filter, scopes, headers, certificates or document have wrong."""
    columns = _columns(command, work)
    headers = {one.name: one.value for one in command.headers}
    errors.raise_if([
        *checking.troubles(work, {**columns, "condition": command.condition}, columns),
        *checking.header_troubles(headers), *_twice(command.headers),
        *checking.secret_troubles(command.secret),
    ])  # fmt: skip
    key = ids.uuid7()
    made = WebhookEndpoint(
        id=key, line=work.acting_line, **columns, header_names=list(headers),
        headers_sealed=sealed_headers(work.services.keyring, key, headers), state=WebhookState.ACTIVE.value,
        failures=0, **_secret(work, key, command.secret),
    )  # fmt: skip
    endpoint = work.add(made)
    work.record(WebhookCreated.of(endpoint))
    return endpoint


def _columns(command: CreateWebhook, work: Work) -> dict[str, Any]:
    names = (
        "name", "url", "kinds", "scopes", "document", "ca", "allow_private", "per_second",
    )  # fmt: skip
    return {
        **{name: getattr(command, name) for name in names},
        "ordered": command.ordered.value,
        "concurrency": command.concurrency or settings_of(work.services).concurrency,
        "changed_fields": _snake(command.changed_fields),
        "condition": _stored(command.condition),
    }


def _snake(names: list[str] | None) -> list[str] | None:
    return None if names is None else [to_snake(name) for name in names]


def _stored(condition: WebhookCondition | None) -> dict[str, Any] | None:
    return None if condition is None else condition.model_dump(mode="json")


def _twice(headers: list[WebhookHeader]) -> list[errors.UserError]:
    names = [one.name.lower() for one in headers]
    return [
        checking.HEADER(f"headers.{place}", name=name, problem="stands twice (重复)")
        for place, name in enumerate(names)
        if name in names[:place]
    ]


def _secret(work: Work, key: UUID, given: str | None) -> dict[str, Any]:
    """The columns of a new secret; one made here is shown to who asked, in this request."""
    keyring = work.services.keyring
    secret = given or new_secret(keyring.random)
    who = None if given else asker(work.actor.user_id, work.options.request_id)
    return {"secret_sealed": sealed(keyring, key, SECRET, secret), "secret_at": work.now, "secret_asker": who}


class _OfEndpoint(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "WebhookEndpoint"
    subject: ClassVar[str | None] = "id"
    id: EndpointId = Field(description="The endpoint (端点).")


class UpdateWebhook(_OfEndpoint):
    """Change an endpoint; what is left out stays (修改 Webhook). What is waiting is sent as it is now."""

    kind: ClassVar[str] = "webhook.update"
    sensitive: ClassVar[frozenset[str]] = frozenset({"headers"})
    name: Name = omitted(description="What it is (名称).")
    url: Url = omitted(description="Where to; https (地址).")
    kinds: list[Pattern] = omitted(min_length=1, max_length=100, description="Kinds of events (事件类型).")
    scopes: list[str] = omitted(max_length=200, description="What it may see (权限).")
    changed_fields: list[Column] | None = omitted(
        min_length=1, max_length=50, description="Only where one of these changed; null: any (变更字段)."
    )
    condition: WebhookCondition | None = omitted(description="Only where this holds; null: always (条件).")
    document: str | None = omitted(
        min_length=1,
        max_length=20_000,
        description="A query whose answer is sent; null: the event (查询文档).",
    )
    ordered: WebhookOrder = omitted(description="SUBJECT: in order for each record (投递顺序).")
    concurrency: int = omitted(ge=1, le=100, description="Most requests at the same time (并发数).")
    per_second: int | None = omitted(ge=1, le=10_000, description="Most requests per second (速率).")
    headers: list[WebhookHeader] = omitted(
        max_length=20,
        description="Headers of your own, all of them; those left out are taken away (自定义请求头).",
    )
    ca: str | None = omitted(max_length=50_000, description="Certificates that verify it, PEM (CA 证书).")
    allow_private: bool = omitted(
        description="Whether it may stand in an allowed private network (允许内网)."
    )


async def change(work: Work, command: UpdateWebhook) -> WebhookEndpoint:
    """The changed endpoint; refuses what `webhook.create` refuses."""
    endpoint = _in_use(work)
    given = {k: v for k, v in command.given().items() if k not in ("id", "headers")}
    if "changed_fields" in given:
        given["changed_fields"] = _snake(given["changed_fields"])
    found = [*checking.troubles(work, _wish(endpoint, given), given)]
    headers = {one.name: one.value for one in command.headers} if "headers" in command.given() else None
    if headers is not None:
        found += [*checking.header_troubles(headers), *_twice(command.headers)]
    errors.raise_if(found)
    if "condition" in given:
        given["condition"] = _stored(command.condition)
    for column, value in given.items():
        setattr(endpoint, column, str(value) if column == "ordered" else value)
    if headers is not None:
        endpoint.header_names = list(headers)
        endpoint.headers_sealed = sealed_headers(work.services.keyring, endpoint.id, headers)
    work.record(WebhookUpdated.of(endpoint))
    return endpoint


def _wish(endpoint: WebhookEndpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("url", "allow_private", "kinds", "scopes", "changed_fields", "ca", "document")
    stored = {name: getattr(endpoint, name) for name in names}
    kept = WebhookCondition.model_validate(endpoint.condition) if endpoint.condition else None
    return {**stored, "condition": kept, **given}


def _in_use(work: Work) -> WebhookEndpoint:
    endpoint: WebhookEndpoint = work.subject
    if endpoint.state == WebhookState.ARCHIVED:
        raise Refused(ARCHIVED("id"))
    return endpoint


class RotateWebhookSecret(_OfEndpoint):
    """Replace the secret; the previous one signs too for a while, so that the receiver need not hurry (更换密钥)."""

    kind: ClassVar[str] = "webhook.rotate_secret"
    sensitive: ClassVar[frozenset[str]] = frozenset({"secret"})
    secret: str | None = Field(
        None,
        max_length=120,
        description="Your own secret, `whsec_` and base64; null: one is made (签名密钥).",
    )
    keep_hours: int | None = Field(
        None,
        ge=0,
        le=8_760,
        description="How long the previous one signs too; 0: not at all (旧密钥保留小时).",
    )


async def rotate_secret(work: Work, command: RotateWebhookSecret) -> WebhookEndpoint:
    """The endpoint with its new secret, shown as `secret` in this answer alone if it was made here."""
    endpoint = _in_use(work)
    errors.raise_if(checking.secret_troubles(command.secret))
    keyring, hours = work.services.keyring, command.keep_hours
    if hours is None:
        hours = settings_of(work.services).rotation_hours
    old = opened(keyring, endpoint.id, SECRET, endpoint.secret_sealed)
    endpoint.previous_sealed = sealed(keyring, endpoint.id, PREVIOUS, old) if hours else None
    endpoint.previous_until = work.now + timedelta(hours=hours) if hours else None
    for column, value in _secret(work, endpoint.id, command.secret).items():
        setattr(endpoint, column, value)
    work.record(WebhookSecretRotated.of(endpoint))
    return endpoint


class PauseWebhook(_OfEndpoint):
    """Send nothing to an endpoint for now; its deliveries wait (暂停 Webhook)."""

    kind: ClassVar[str] = "webhook.pause"
    why: Why | None = Field(None, description="Why (原因).")


async def pause(work: Work, command: PauseWebhook) -> WebhookEndpoint:
    """The paused endpoint; its managers are told where the system paused it."""
    endpoint = _in_use(work)
    if endpoint.state == WebhookState.PAUSED:
        return endpoint
    endpoint.state, endpoint.state_reason = WebhookState.PAUSED.value, command.why
    endpoint.resting_until = None
    work.record(WebhookPaused.of(endpoint, automatic=work.actor.is_system))
    if work.actor.is_system:
        told = (await work.session.execute(managers(endpoint.line))).scalars().all()
        facts = {"name": endpoint.name, "url": endpoint.url, "why": command.why or "", "line": endpoint.line}
        await notify(work, told, PAUSED_NOTICE, facts, subject=("WebhookEndpoint", endpoint.id))
    return endpoint


class ResumeWebhook(_OfEndpoint):
    """Send to an endpoint again, first of all what waits for it (恢复 Webhook)."""

    kind: ClassVar[str] = "webhook.resume"
    drop_backlog: bool = Field(False, description="Cancel what waits instead (放弃积压).")


async def resume(work: Work, command: ResumeWebhook) -> WebhookEndpoint:
    """The endpoint, whose waiting deliveries are due now, or are cancelled; refused while its document does not fit."""
    endpoint = _in_use(work)
    errors.raise_if(list(checking.document_troubles(work, endpoint.document)))
    endpoint.state, endpoint.state_reason = WebhookState.ACTIVE.value, None
    endpoint.failures, endpoint.failing_since, endpoint.resting_until = 0, None, None
    work.record(WebhookResumed.of(endpoint))
    await _settle_backlog(work, endpoint.id, drop=command.drop_backlog)
    return endpoint


async def _settle_backlog(work: Work, endpoint_id: UUID, *, drop: bool) -> None:
    table = WebhookDelivery.__table__
    mine = (table.c.endpoint_id == endpoint_id) & (table.c.state == WebhookDeliveryState.WAITING.value)
    if drop:
        values: dict[str, Any] = {"state": WebhookDeliveryState.CANCELLED.value, "lease_until": None}
    else:
        mine &= table.c.next_at > work.now
        values = {"next_at": work.now, "lease_until": None}
    await work.session.execute(update(table).where(mine).values(**values, updated_at=work.now))


class ArchiveWebhook(_OfEndpoint):
    """Take an endpoint out of use for good; what waits for it is given up (归档 Webhook)."""

    kind: ClassVar[str] = "webhook.archive"


async def archive(work: Work, _command: ArchiveWebhook) -> WebhookEndpoint:
    """The archived endpoint."""
    endpoint = _in_use(work)
    endpoint.state, endpoint.resting_until = WebhookState.ARCHIVED.value, None
    work.record(WebhookArchived.of(endpoint))
    return endpoint


class TestWebhook(_OfEndpoint):
    """Send a test to an endpoint at once; its delivery tells what was answered (测试 Webhook)."""

    __test__: ClassVar[bool] = False
    kind: ClassVar[str] = "webhook.test"
    returns: ClassVar[str | list[str]] = "WebhookDelivery"
    subject_type: ClassVar[str | None] = "WebhookEndpoint"


async def send_test(work: Work, _command: TestWebhook) -> WebhookDelivery:
    """The waiting delivery of a test; it goes before everything else, and ends the rest of a failing endpoint.

    A receiver that asked to be left alone is left alone.
    """
    endpoint = _in_use(work)
    if endpoint.state == WebhookState.PAUSED:
        raise Refused(PAUSED("id", state=endpoint.state))
    if endpoint.state == WebhookState.FAILING:
        endpoint.resting_until = None
    return work.add(
        WebhookDelivery(
            endpoint_id=endpoint.id, line=endpoint.line, kind=TEST, occurred_at=work.now, attempts=0,
            state=WebhookDeliveryState.WAITING.value, next_at=work.now - AHEAD,
        )
    )  # fmt: skip


class ReplayWebhook(_OfEndpoint):
    """Send again: single deliveries, or all that fit what is given, with the same ids and bytes (重新投递).

    With `dryRun` the answer tells how many it would be.
    """

    kind: ClassVar[str] = "webhook.replay"
    returns: ClassVar[str | list[str]] = "WebhookReplay"
    subject_type: ClassVar[str | None] = "WebhookEndpoint"
    deliveries: list[DeliveryId] | None = Field(
        None, min_length=1, max_length=1_000, description="These, whatever their state (投递编号)."
    )
    since: datetime | None = Field(None, description="Events from this moment on (开始时间).")
    until: datetime | None = Field(None, description="Events before this moment (结束时间).")
    kinds: list[Pattern] | None = Field(
        None, min_length=1, max_length=100, description="Events of these kinds (事件类型)."
    )
    states: list[WebhookDeliveryState] | None = Field(
        None,
        min_length=1,
        description="Deliveries in these states, e.g. DEAD; default: all that do not wait (状态).",
    )
    record: str | None = Field(None, max_length=50, description="About this record, e.g. cus_… (记录).")
    missing: bool = Field(
        False,
        description="Also events it would get today and never got: of the time before it was set up, or not kept (补发缺失).",
    )


async def replay_webhook(work: Work, command: ReplayWebhook) -> WebhookReplay:
    """What was made to wait again; refuses more than the settings allow."""
    endpoint = _in_use(work)
    asked = Asked(
        endpoint.id, command.deliveries, command.since, command.until, command.kinds, command.states,
        command.record, command.missing,
    )  # fmt: skip
    if asked.is_everything:
        raise Refused(NOTHING_ASKED())
    most = settings_of(work.services).replay_most
    found = await replay(work, endpoint, asked, most)
    if found is None:
        raise Refused(TOO_MANY(most=most))
    again, added = found
    work.record(WebhookReplayed.of(endpoint, again=again, added=added))
    stored = {k: v for k, v in command.body().items() if k != "id"}
    made = WebhookReplay(endpoint_id=endpoint.id, line=endpoint.line, asked=stored, again=again, added=added)
    return work.add(made)


class _OfDelivery(Command):
    kind: ClassVar[str] = ""
    scope: ClassVar[str] = MANAGE
    returns: ClassVar[str | list[str]] = "WebhookDelivery"
    subject: ClassVar[str | None] = "id"
    id: DeliveryId = Field(description="The delivery (投递).")


class RetryWebhookDelivery(_OfDelivery):
    """Try a delivery now, whatever became of it, with the same id and bytes (立即重试)."""

    kind: ClassVar[str] = "webhook.retry_delivery"


async def retry_delivery(work: Work, _command: RetryWebhookDelivery) -> WebhookDelivery:
    """The delivery, waiting and due, with all its attempts before it."""
    delivery: WebhookDelivery = work.subject
    if delivery.event_id is None and delivery.body is None and delivery.attempts:
        raise Refused(NO_PAYLOAD("id"))
    delivery.state, delivery.attempts = WebhookDeliveryState.WAITING.value, 0
    delivery.next_at, delivery.lease_until = work.now, None
    work.touch(delivery)
    return delivery


class CancelWebhookDelivery(_OfDelivery):
    """Give a waiting delivery up (取消投递)."""

    kind: ClassVar[str] = "webhook.cancel_delivery"


async def cancel_delivery(work: Work, _command: CancelWebhookDelivery) -> WebhookDelivery:
    """The cancelled delivery; one on its way at this moment may still arrive."""
    delivery: WebhookDelivery = work.subject
    if delivery.state != WebhookDeliveryState.WAITING:
        raise Refused(NOT_FINISHED("id", state=delivery.state))
    delivery.state, delivery.lease_until = WebhookDeliveryState.CANCELLED.value, None
    work.touch(delivery)
    return delivery


COMMANDS: Mapping[type[Command], Perform] = {
    CreateWebhook: create,
    UpdateWebhook: change,
    RotateWebhookSecret: rotate_secret,
    PauseWebhook: pause,
    ResumeWebhook: resume,
    ArchiveWebhook: archive,
    TestWebhook: send_test,
    ReplayWebhook: replay_webhook,
    RetryWebhookDelivery: retry_delivery,
    CancelWebhookDelivery: cancel_delivery,
}

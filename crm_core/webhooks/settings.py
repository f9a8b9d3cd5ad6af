"""How webhooks are sent, how often they are tried, and how long what is known of them is kept."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Seconds = Annotated[int, Field(ge=0, le=604_800)]
Network = IPv4Network | IPv6Network


class WebhooksSettings(BaseModel):
    """Settings of outgoing webhooks (Webhook)."""

    model_config = ConfigDict(extra="forbid")

    retry_seconds: list[Seconds] = Field(
        [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400],
        max_length=50,
        description="Waits after the first, second … attempt, seconds, ±20 %; after the last a delivery is dead.",
    )
    refused_tries: int = Field(
        3, ge=1, le=50, description="Attempts where the answer is a refusal: 3xx, 4xx but 408, 425, 429."
    )
    longest_wait: int = Field(86_400, ge=1, description="Longest Retry-After that is obeyed, seconds.")
    timeout_seconds: float = Field(15.0, gt=0, le=300, description="Longest time one attempt may take.")
    connect_seconds: float = Field(3.0, gt=0, le=300, description="Longest time to connect.")
    answer_bytes: int = Field(65_536, ge=1_024, description="Most bytes of an answer that are read.")
    most_bytes: int = Field(
        262_144,
        ge=1_024,
        description="Largest payload, bytes, of a webhook and of a message in a stream; a larger one is sent thin, with what it takes to fetch it.",
    )
    allowed_networks: list[str] = Field(
        [],
        description="Private networks that endpoints with `allowPrivate` may stand in, e.g. `10.1.0.0/16`.",
    )
    concurrency: int = Field(
        8,
        ge=1,
        le=100,
        description="Requests to one endpoint at the same time, per process, unless it says otherwise.",
    )
    at_once: int = Field(500, ge=1, le=10_000, description="Requests of one process at the same time.")
    batch: int = Field(
        200, ge=1, le=1_000, description="Most deliveries of an endpoint one process takes at a time."
    )
    lease_seconds: float = Field(
        60.0,
        description="After this time others send what a process took and did not finish; renewed on the way.",
    )
    poll_seconds: float = Field(0.2, gt=0, le=60, description="How often a process looks for what is due.")
    breaker_failures: int = Field(
        10, ge=1, description="Failures one after the other that make an endpoint FAILING."
    )
    probe_seconds: int = Field(
        60, ge=1, description="How often a failing endpoint is tried, with a single delivery."
    )
    pause_after_hours: float = Field(
        120.0,
        gt=0,
        description="An endpoint that has been failing for so long is paused, and its managers are told.",
    )
    rotation_hours: int = Field(
        24, ge=0, le=8_760, description="How long the previous secret signs too after a rotation, by default."
    )
    replay_most: int = Field(100_000, ge=1, description="Most deliveries of one replay.")
    retention_days: int = Field(
        30,
        ge=1,
        le=36_500,
        description="Days the log of finished deliveries is kept; what waits longer for a paused endpoint is cancelled (投递日志保留天数).",
    )
    payload_days: int = Field(
        14, ge=1, le=36_500, description="Days the payload of a finished delivery is kept (投递内容保留天数)."
    )

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, given: list[str]) -> list[str]:
        for one in given:
            try:
                ip_network(one)
            except ValueError as error:
                raise ValueError(f"{one} is no network, e.g. 10.1.0.0/16: {error} (网段格式错误)") from None
        return given

    @model_validator(mode="after")
    def _sound(self) -> WebhooksSettings:
        if self.lease_seconds < 2 * self.timeout_seconds:
            raise ValueError("lease_seconds must be at least twice timeout_seconds")
        return self

    @property
    def networks(self) -> tuple[Network, ...]:
        """Private networks that may be reached."""
        return tuple(ip_network(one) for one in self.allowed_networks)

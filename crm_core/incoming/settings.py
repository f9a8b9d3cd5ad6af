"""How incoming webhooks are taken in: proxies, limits, patience, how long what was sent is kept."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from crm_core.incoming.addresses import network

Seconds = Annotated[int, Field(ge=1, le=604_800)]
LARGEST: Final = 16_777_216


class IncomingSettings(BaseModel):
    """Settings of incoming webhooks (接收 Webhook)."""

    model_config = ConfigDict(extra="forbid")

    trusted_proxies: list[str] = Field(
        [],
        description="Addresses and networks of proxies whose `X-Forwarded-For` is believed (可信代理).",
    )
    body_bytes: int = Field(
        1_048_576, ge=1, le=LARGEST, description="Largest body any source may send, bytes (正文上限)."
    )
    read_seconds: float = Field(10.0, gt=0, le=300, description="Longest time a body may take to arrive.")
    window_seconds: int = Field(
        300,
        ge=0,
        le=86_400,
        description="Replay window of sources that set none, seconds; 0: none (防重放窗口).",
    )
    at_once: int = Field(
        4, ge=1, le=100, description="Transactions in which one process works on requests at the same time."
    )
    batch: int = Field(
        80,
        ge=1,
        le=1_000,
        description="Most requests one process takes at a time, shared by these transactions.",
    )
    poll_seconds: float = Field(
        0.5, ge=0, le=60, description="How often a process looks for requests to process; 0: never."
    )
    work_seconds: float = Field(20.0, gt=0, le=300, description="Longest time one request may take.")
    lease_seconds: float = Field(
        60.0, gt=0, description="After this time others process what a process began and did not finish."
    )
    retry_seconds: list[Seconds] = Field(
        [1, 5, 30, 120, 600, 3_600],
        description="Waits after the first, second … time the database was busy or away; afterwards a request waits for "
        "somebody.",
    )
    tell_after: int = Field(
        5, ge=1, description="Failed requests of a source within a day after which its managers are told."
    )
    body_days: int = Field(
        30,
        ge=1,
        le=36_500,
        description="Days a body is kept once it was processed or discarded (正文保留天数).",
    )
    failed_days: int = Field(
        90, ge=1, le=36_500, description="Days a failed request waits before it is discarded (失败保留天数)."
    )
    retention_days: int = Field(
        365,
        ge=1,
        le=36_500,
        description="Days after which requests are removed; until then the same one is known again (保留天数).",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: list[str]) -> list[str]:
        for one in given:
            try:
                network(one)
            except ValueError:
                raise ValueError(f"{one} is no address or network, e.g. 10.0.0.0/8 (地址无效)") from None
        return given

    @model_validator(mode="after")
    def _sound(self) -> IncomingSettings:
        if self.lease_seconds < 2 * self.work_seconds:
            raise ValueError("lease_seconds must be at least twice work_seconds")
        return self

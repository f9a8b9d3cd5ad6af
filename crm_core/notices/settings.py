"""How notices are sent, to whom by default, and with which accounts; secrets stand here alone."""

from __future__ import annotations

import re
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from crm_core.errors import Fault, Language

if TYPE_CHECKING:
    from crm_core.work import Services

Seconds = Annotated[int, Field(ge=1, le=604_800)]
_SENDER = re.compile(r"[^\s@]+@[^\s@]+")
_MAIL_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,120}")
PORTS = {"starttls": 587, "tls": 465, "none": 25}


class BotSettings(BaseModel):
    """A chat bot or web hook that notices can be posted to; its address is its name."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["wecom", "dingtalk", "feishu", "webhook"]
    url: SecretStr
    secret: SecretStr = SecretStr("")

    @field_validator("url")
    @classmethod
    def _confidential(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        encrypted = parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname))
        if not encrypted or not parts.hostname:
            raise ValueError("must begin with https:// (必须使用 https)")
        return url

    @model_validator(mode="after")
    def _signed(self) -> BotSettings:
        if self.kind == "webhook" and not self.secret.get_secret_value().startswith("whsec_"):
            raise ValueError("a webhook needs a secret, whsec_ and base64 (webhook 必须设置 whsec_ 密钥)")
        return self


def _is_here(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


class NoticesSettings(BaseModel):
    """Settings of notices (通知). Secrets are best given as variables, e.g. `CRM_NOTICES__SMTP_PASSWORD`."""

    model_config = ConfigDict(extra="forbid")

    channels: list[str] = Field(
        ["mail"], description="Channels of users who have set no preference (默认渠道)."
    )
    kinds: list[str] = Field(
        ["*"], description="Kinds sent to them: `*`, kinds, or beginnings such as `approval.*`."
    )
    language: Language = Field("zh-CN", description="Language of users who chose none: `zh-CN` or `en`.")
    time_zone: str = Field(
        "Asia/Shanghai", description="Zone of quiet hours where a notice belongs to no line (时区)."
    )
    public_url: str = Field(
        "", description="Where users open the product; links in notices begin with it, empty: no links."
    )
    retry_seconds: list[Seconds] = Field(
        [60, 300, 1_800, 7_200, 21_600],
        description="Waits after the first, second … attempt, seconds; after the last a delivery is dead.",
    )
    retention_days: int = Field(
        365,
        ge=1,
        le=36_500,
        description="Older notices are removed, with what is known of their deliveries (保留天数).",
    )
    timeout_seconds: float = Field(10.0, gt=0, le=300, description="Longest time one attempt may take.")
    lease_seconds: float = Field(
        60.0, description="After this time others send what a process began and did not finish."
    )
    at_once: int = Field(8, ge=1, le=100, description="Deliveries one process sends at the same time.")
    ca_file: Path | None = Field(
        None, description="Certificates to trust instead of the system's, PEM; for servers of one's own."
    )
    smtp_host: str = Field("", description="Mail server; empty: no mail is sent (邮件服务器).")
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="Its port; default: 587 with starttls, 465 with tls, 25 with none."
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`none` only for a relay that asks for no password."
    )
    smtp_user: str = Field("", description="Account at the mail server; empty: no signing in.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Its password (邮箱密码或授权码).")
    smtp_sender: str = Field(
        "", description="Address mails come from, e.g. `CRM <crm@example.com>` (发件人)."
    )
    bots: dict[str, BotSettings] = Field(
        {},
        description="Chat bots by name, each with `kind` (wecom, dingtalk, feishu, webhook), `url`, `secret` (群机器人).",
    )
    default_bot: str = Field("", description="Bot of users who named none, when `channels` has `bot`.")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name} is no time zone, e.g. Asia/Shanghai (未知时区)") from None
        return name

    @model_validator(mode="after")
    def _sound(self) -> NoticesSettings:
        if self.lease_seconds < 2 * self.timeout_seconds:
            raise ValueError("lease_seconds must be at least twice timeout_seconds")
        if self.smtp_host and not _SENDER.fullmatch(parseaddr(self.smtp_sender)[1]):
            raise ValueError("smtp_sender must be a mail address when smtp_host is set (发件人地址无效)")
        if self.smtp_security == "none" and self.smtp_user:
            raise ValueError("smtp_user needs smtp_security starttls or tls: no password in the clear")
        if self.default_bot and self.default_bot not in self.bots:
            raise ValueError(f"default_bot {self.default_bot} is none of bots")
        return self

    @property
    def port(self) -> int:
        """The mail server's port."""
        return self.smtp_port or PORTS[self.smtp_security]

    def link(self, path: str | None) -> str | None:
        """The address a path of a notice leads to."""
        if not path or not self.public_url:
            return None
        return self.public_url.rstrip("/") + "/" + path.lstrip("/")


def settings_of(services: Services) -> NoticesSettings:
    """The settings of this room."""
    settings = services.registry.settings["notices"]
    if not isinstance(settings, NoticesSettings):
        raise Fault("MISCONFIGURED", "The settings of notices are not known")
    return settings


def is_mail_address(text: str) -> bool:
    """Whether mail can be sent there, as far as the text shows."""
    return _MAIL_ADDRESS.fullmatch(text) is not None

"""The deployment's settings: `crm.toml` and `CRM_*` variables, one pydantic model; an unknown key is an error."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from crm_core.errors import ConfigurationError

RoomSettings = TypeVar("RoomSettings", bound=BaseModel)


class LineSettings(BaseModel):
    """One business line (业务线): its name for people and the plugins enabled for it."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    plugins: list[str] = []
    time_zone: str = Field("Asia/Shanghai", description="Its time zone (时区).")
    days_off: list[date] = Field([], description="Further days off of this line, ISO dates (休息日).")
    work_days: list[date] = Field([], description="Days off that this line works, ISO dates (调休上班日).")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name} is no time zone, e.g. Asia/Shanghai (未知时区)") from None
        return name


class Limits(BaseModel):
    """What one GraphQL request may ask for."""

    model_config = ConfigDict(extra="forbid")

    depth: int = Field(12, description="Deepest nesting of a document.")
    aliases: int = Field(30, description="Most aliases in a document.")
    tokens: int = Field(5_000, description="Most lexical tokens in a document.")
    cost: int = Field(10_000, description="Highest cost; the cost of an answer stands in `extensions.cost`.")
    mutations: int = Field(5, description="Most mutation fields in a document.")
    body_bytes: int = Field(1_048_576, description="Largest request body, bytes.")
    paper_bytes: int = Field(52_428_800, description="Largest file that `POST /papers` takes, bytes.")
    page_default: int = Field(25, description="Rows of a connection when `first` is left out.")
    page_max: int = Field(100, description="Most rows of a connection.")
    bulk_max: int = Field(100, description="Most records of one bulk command.")
    streams: int = Field(100, description="Most live subscriptions and websockets of one process (实时订阅).")
    statement_seconds: float = Field(10.0, description="Longest time one SQL statement may take, seconds.")


class Settings(BaseSettings):
    """Everything a deployer may set. Precedence: `CRM_*` variables, then `crm.toml`, then these defaults.

    A table that bears the name of a room or plugin (`[customers]`, `[auto_dealer]`) holds that room's own settings;
    in the environment its keys follow two underscores (`CRM_AUTO_DEALER__SLOT_MINUTES`).
    """

    model_config = SettingsConfigDict(extra="forbid")

    database_url: str = Field(
        "sqlite:///crm.db", description="`sqlite:///file` or `postgresql://user:password@host/name`."
    )
    database_pooler: Literal["none", "transaction"] = Field(
        "none", description="`transaction` behind PgBouncer: no named statements, no LISTEN."
    )
    database_connections: int = Field(
        10,
        ge=1,
        description="Most database connections of one process for a purpose. On PostgreSQL there are three: reads"
        " planned once with short commands, reads planned each time, other commands.",
    )
    host: str = Field("127.0.0.1", description="Address the server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the server listens on.")
    workers: int = Field(1, ge=1, description="Server processes; more than one needs PostgreSQL.")
    chore_seconds: float = Field(
        15.0, ge=0, description="How often a server process looks for work due by the clock; 0: never."
    )
    relay_seconds: float = Field(
        0.2,
        ge=0,
        description="How often a process looks for committed events to pass on; 0: never (事件转发间隔).",
    )
    heartbeat_seconds: float = Field(
        15.0, gt=0, description="How often a live subscription shows that it is alive while nothing happens."
    )
    take_seconds: float = Field(
        60.0,
        gt=0,
        description="How long the client of a live subscription may leave what it is sent untaken before it is dropped (订阅接收超时).",
    )
    broker: str = Field(
        "",
        description="What tells workers of jobs: empty: the database; or `nats://host:port[/name]`, JetStream (消息代理).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    keys: SecretStr = Field(
        SecretStr(""),
        description="Keyring for identity numbers: `id:base64[,older:base64]`; `crm doctor` makes one.",
    )
    index_key: SecretStr = Field(
        SecretStr(""), description="Key of the blind indexes, base64; never rotate it."
    )
    store: Path = Field(
        Path("store"), description="Folder of the local file store (dossier papers, imports)."
    )
    store_days: int = Field(
        7,
        ge=1,
        description="Days after which a paper of the store that nothing refers to is removed (附件保留天数).",
    )
    graphiql_assets: Path | None = Field(
        None, description="Folder of the GraphiQL page's files; default: found."
    )
    compiled_reads: bool = Field(
        True, description="Answer reads by one compiled SQL statement; false: by the interpreter."
    )
    persisted_documents: Path | None = Field(
        None, description="Manifest of persisted documents; `crm schema persist` writes one."
    )
    only_persisted: bool = Field(
        False, description="Answer documents of the manifest alone; any other is refused."
    )
    limits: Limits = Limits()
    lines: dict[str, LineSettings] = Field({}, description="Business lines by code.")
    rooms: dict[str, dict[str, Any]] = Field({}, description="Tables of rooms and plugins, by name.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: nothing is read behind the caller's back."""
        return (init_settings,)

    def plugins(self) -> tuple[str, ...]:
        """Names of all plugins enabled in some line, sorted."""
        return tuple(sorted({plugin for line in self.lines.values() for plugin in line.plugins}))

    def room(self, name: str, model: type[RoomSettings]) -> RoomSettings:
        """A room's own settings; `ConfigurationError` names a wrong or unknown key."""
        try:
            return model.model_validate(self.rooms.get(name, {}))
        except ValidationError as error:
            raise ConfigurationError(_explained(error, f"{name}.")) from None


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a `crm.toml` (absent is fine unless named) and the `CRM_*` variables of `environ`.

    Raises `ConfigurationError` that names the key that is wrong or unknown, and what to do.
    """
    named = environ.get("CRM_CONFIG")
    file = path or (Path(named) if named else Path("crm.toml"))
    variables = _from_environment(environ)
    values = _merged(_from_file(file, required=path is not None or named is not None), variables)
    known = set(Settings.model_fields) - {"rooms"}
    rooms = {k: v for k, v in values.items() if k not in known and isinstance(v, dict)}
    own = {k: v for k, v in values.items() if k not in rooms}
    unknown = sorted(own.keys() - known)
    if unknown:
        raise ConfigurationError("\n".join(_line(k, "extra_forbidden", "", variables) for k in unknown))
    try:
        return Settings(**own, rooms=rooms)
    except ValidationError as error:
        raise ConfigurationError(_explained(error, variables=variables)) from None


def _from_file(file: Path, *, required: bool) -> dict[str, Any]:
    if not file.exists():
        if required:
            raise ConfigurationError(f"{file}: no such settings file (找不到配置文件)")
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: not readable as TOML: {error} (配置文件格式错误)") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror} (无法读取配置文件)") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith("CRM_") or name == "CRM_CONFIG" or name.startswith("CRM_TEST_"):
            continue
        *tables, key = name.removeprefix("CRM_").lower().split("__")
        here = values
        for table in tables:
            here = here.setdefault(table, {})
            if not isinstance(here, dict):
                raise ConfigurationError(
                    f"{name}: {table} is one value already, not a table (与同名单值冲突)"
                )
        here[key] = _value(name, text)
    return values


def _value(name: str, text: str) -> Any:
    """A variable's value; lists and tables are written as JSON, e.g. `CRM_LINES__EAST__PLUGINS=["auto_dealer"]`."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{name}: begins like a list or table but is not JSON: {error}") from None


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    return below | {
        key: _merged(below[key], value)
        if isinstance(value, dict) and isinstance(below.get(key), dict)
        else value
        for key, value in above.items()
    }


def _explained(error: ValidationError, prefix: str = "", variables: Mapping[str, Any] | None = None) -> str:
    lines = [
        _line(prefix + ".".join(str(part) for part in e["loc"]), e["type"], e["msg"], variables or {})
        for e in error.errors(include_input=False)
    ]
    return "\n".join(lines)


def _line(key: str, kind: str, message: str, variables: Mapping[str, Any]) -> str:
    """One sentence about a wrong key, named as the deployer wrote it: in the file, or as a variable."""
    here: Any = variables
    for part in key.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    if here is not None:
        key = "CRM_" + key.replace(".", "__").upper()
    if kind == "extra_forbidden":
        return (
            f"Unknown setting {key} (未知的配置项); see docs/reference/settings.md for the names that exist."
        )
    return f"Setting {key}: {message} (配置项 {key} 的值不正确)"

"""Reads sources of incoming webhooks from a YAML file, as `crm webhooks import` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

LARGEST: Final = 262_144
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class BadFile(Exception):
    """The file is none of ours; the text says what is wrong and where, in both languages."""


class SecretVariables(BaseModel):
    """Names of the environment variables that hold a source's secret."""

    model_config = ConfigDict(extra="forbid")

    secret: Variable | None = None
    token: Variable | None = None
    aes_key: Variable | None = None


class SourceEntry(BaseModel):
    """One source of a file: `actor` is a login; without `secret_from` a secret is made where that can be done."""

    model_config = ConfigDict(extra="forbid")

    name: str
    line: str | None = None
    verifier: str
    actor: str
    secret_from: SecretVariables = SecretVariables()
    options: dict[str, Any] = {}
    addresses: list[str] = []
    window_seconds: int | None = None
    body_bytes: int | None = None
    dedupe: str | None = None
    ordered: str = "NONE"
    about: str | None = None
    handler: str | None = None
    mapping: list[dict[str, Any]] | None = None
    enabled: bool = True

    def settings(self) -> dict[str, Any]:
        """What a command sets of it, besides name, verifier, secret and actor."""
        names = ("options", "addresses", "dedupe", "ordered", "about", "handler", "mapping", "enabled")
        more = ("window_seconds", "body_bytes")
        return {n: getattr(self, n) for n in names} | {
            n: value for n in more if (value := getattr(self, n)) is not None
        }


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sources: list[SourceEntry] = Field(min_length=1, max_length=100)


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A file that holds a mapping alone, or sources with theirs."""

    mapping: Sequence[Mapping[str, Any]] | None
    sources: Sequence[SourceEntry] = ()

    def of(self, name: str) -> Sequence[Mapping[str, Any]]:
        """The mapping of the source of this name, or the only one; raises `BadFile`."""
        if self.mapping is not None:
            return self.mapping
        named = [one for one in self.sources if one.name == name] or self.sources
        if len(named) != 1 or named[0].mapping is None:
            raise BadFile(f"no mapping of {name} stands in the file (文件中没有来源 {name} 的映射)")
        return named[0].mapping


def read_sources(text: str) -> Sequence[SourceEntry]:
    """The sources of a file; raises `BadFile`."""
    return _validated(_loaded(text))


def read_mapping(text: str) -> MappingFile:
    """A list of steps, or a file of sources; raises `BadFile`."""
    value = _loaded(text)
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return MappingFile(value)
    return MappingFile(None, _validated(value))


def _validated(value: Any) -> Sequence[SourceEntry]:
    try:
        return _File.model_validate(value).sources
    except ValidationError as error:
        lines = (
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise BadFile("\n".join(lines)) from None


def _loaded(text: str) -> Any:
    if len(text.encode(errors="replace")) > LARGEST:
        raise BadFile("the file is larger than 256 KiB (文件超过 256 KiB)")
    try:
        return _plain(yaml.safe_load(text))
    except (yaml.YAMLError, RecursionError) as error:
        raise BadFile(f"not YAML (YAML 语法错误): {error}") from None


def _plain(value: Any) -> Any:
    """JSON values: a day that YAML read as such is written again."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value

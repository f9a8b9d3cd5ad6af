"""The published forms of events: valid schemas for every kind, and every recorded event has its form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from crm_core import ids
from crm_core.actors import Reach
from crm_core.cli import run
from crm_core.event_schemas import asyncapi, schemas
from crm_core.graphql.values import show_moment
from crm_core.loader import installed
from crm_core.registry import Registry
from crm_core.schema import full_registry
from crm_core.testing.kit import Kit
from tests.outbox.feed_kit import feed_of

FORMATS = Draft202012Validator.FORMAT_CHECKER


@pytest.fixture(scope="module")
def registry() -> Registry:
    return full_registry(installed())


def test_every_kind_has_a_valid_schema_of_its_own(registry: Registry) -> None:
    found = schemas(registry)
    assert found.keys() == registry.events.keys()
    for kind, schema in found.items():
        Draft202012Validator.check_schema(schema)
        assert schema["title"] == kind
        assert schema["description"]


def test_public_columns_are_columns_and_never_most_sensitive(registry: Registry) -> None:
    for event in registry.events.values():
        kind = registry.types.get(event.subject_type)
        assert kind is not None, event.kind
        table = kind.model.__table__
        assert [name for name in event.public if name not in table.c] == [], event.kind
        sensitive = [
            n
            for n in event.public
            if n in kind.model.personal and kind.model.personal[n].category == "sensitive"
        ]
        assert sensitive == [], event.kind


def test_the_asyncapi_document_refers_to_every_schema(registry: Registry) -> None:
    text = asyncapi(registry)
    document = yaml.safe_load(text)
    assert document["asyncapi"] == "3.0.0"
    assert set(re.findall(r"\./events/([\w.]+)\.json", text)) == registry.events.keys()
    messages = document["components"]["messages"]
    for channel in document["channels"].values():
        for reference in channel["messages"].values():
            assert reference["$ref"].removeprefix("#/components/messages/") in messages
    assert text == asyncapi(registry)


def test_export_writes_all_files_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "export", "--core", "--to", str(tmp_path)]) == 0
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")}
    assert {"schema.graphql", "asyncapi.yaml", "events/customer.created.json"} <= written
    capsys.readouterr()
    assert run(["schema", "events", "--core"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {f"events/{kind}.json" for kind in printed} == written - {"schema.graphql", "asyncapi.yaml"}
    assert printed["customer.created"] == json.loads((tmp_path / "events/customer.created.json").read_text())


@pytest.fixture
def crm_lines() -> Mapping[str, Sequence[str]]:
    return {"east": ("auto_dealer",)}


async def test_recorded_events_have_their_form(crm: Kit) -> None:
    manager = await crm.actor("manager", {"*": Reach.ALL})
    made = await crm.done(
        "customerCreate",
        manager,
        input={
            "kind": "PERSON",
            "name": "王小明",
            "phones": [{"number": "13800138000"}],
            "sourceChannel": "walk_in",
        },
        select="customer { id }",
    )
    customer = made["customer"]["id"]
    await crm.done("customerUpdate", manager, input={"id": customer, "city": "上海"})
    await crm.passed_on()
    forms, kinds = schemas(crm.services.registry), set()
    for event in await feed_of(crm):
        public = crm.services.registry.events[event.kind].public
        Draft202012Validator(forms[event.kind], format_checker=FORMATS).validate(_shown(event, public))
        kinds.add(event.kind)
    assert {"customer.created", "customer.updated", "user.changed", "user.roles_changed"} <= kinds


def _shown(event: Any, public: Sequence[str]) -> dict[str, Any]:
    def values(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if given is None else {name: value for name, value in given.items() if name in public}

    return {
        "id": ids.show("evt", event.id),
        "position": event.position,
        "kind": event.kind,
        "schemaVersion": event.schema_version,
        "subjectType": event.subject_type,
        "subjectId": event.subject_ref,
        "sequence": event.sequence,
        "line": event.line,
        "occurredAt": show_moment(event.occurred_at),
        "before": values(event.before),
        "after": values(event.after),
        "changedFields": [name for name in event.changed_fields if name in public],
        "data": event.data,
    }

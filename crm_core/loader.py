"""Lists the core rooms, finds the enabled plugins, asks each hook once, and returns the frozen registry.

A plugin that cannot be imported, misspells a hook, raises when asked, clashes with another or lacks a requirement is
quarantined with its reason: everything else loads, and writes of the lines that rely on it are refused.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import Distribution, distributions
from types import ModuleType
from typing import Any

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from crm_core import __version__, hookspecs, papers
from crm_core.commands import CommandSpec, validation_messages
from crm_core.errors import KERNEL_MESSAGES, ConfigurationError
from crm_core.graphql.build import Parts, SchemaClash, build, query_names
from crm_core.graphql.fields import Field, Filter, ObjectType
from crm_core.registry import MigrationLine, PluginState, Registry
from crm_core.settings import Settings

CORE_ROOMS = (
    "access", "audit", "outbox", "jobs", "notices", "approvals", "webhooks", "customers", "contacts", "interactions", "imports",
    "incoming",
)  # fmt: skip
GROUP = "crm.plugins"
RESERVED = frozenset({"core", *CORE_ROOMS})
_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Quarantine(Exception):
    """Why a plugin is left out."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that could be loaded: its name, version, requirements, and how to import it."""

    name: str
    version: str
    distribution: str
    requires: tuple[str, ...]
    load: Callable[[], object]


@dataclass
class Answers:
    """What one room or plugin answered, hook by hook."""

    owner: str
    given: dict[str, Any] = field(default_factory=dict)

    def list(self, hook: str) -> list[Any]:
        """The answer of a hook that gives a sequence."""
        return list(self.given.get(hook) or ())

    def mapping(self, hook: str) -> dict[Any, Any]:
        """The answer of a hook that gives a mapping."""
        return dict(self.given.get(hook) or {})


def installed() -> list[Candidate]:
    """Every installed plugin, by its entry point; nothing is imported yet."""
    found: list[Candidate] = []
    for distribution in distributions():
        entries = distribution.entry_points.select(group=GROUP)
        found += [_candidate(entry.name, distribution, entry.load) for entry in entries]
    return sorted({c.name: c for c in found}.values(), key=lambda c: c.name)


def _candidate(name: str, distribution: Distribution, load: Callable[[], object]) -> Candidate:
    requires = tuple(distribution.requires or ())
    return Candidate(name, distribution.version, canonicalize_name(distribution.name), requires, load)


def load(
    settings: Settings,
    candidates: Sequence[Candidate] | None = None,
    broken: Mapping[str, str] | None = None,
) -> Registry:
    """The registry of the core and the enabled plugins. `broken`: plugins whose migration failed, with the reason."""
    return _Loader(settings, installed() if candidates is None else candidates, broken or {}).registry()


class _Loader:
    def __init__(
        self, settings: Settings, candidates: Sequence[Candidate], broken: Mapping[str, str]
    ) -> None:
        self.settings = settings
        self.known = {c.name: c for c in candidates}
        self.broken = broken
        self.manager = pluggy.PluginManager("crm")
        self.manager.add_hookspecs(hookspecs)
        self.loaded: list[Answers] = []
        self.states: list[PluginState] = []
        self.circles: dict[str, str] = {}
        self.doors: dict[str, str] = {}

    def registry(self) -> Registry:
        for room in CORE_ROOMS:
            module = importlib.import_module(f"crm_core.{room}.hooks")
            self.loaded.append(self._ask("core", f"core.{room}", module))
        for name in self._order():
            self._admit(name)
        self._refuse_unknown_tables()
        return _composed(self.loaded, self.settings, tuple(self.states))

    def _order(self) -> list[str]:
        """Enabled plugins in the order of their requirements on one another; those in a circle break."""
        enabled = self.settings.plugins()
        by_distribution = {c.distribution: c.name for c in self.known.values()}
        graph: dict[str, set[str]] = {}
        for name in enabled:
            wanted = {canonicalize_name(r.name) for r in self._requires(name)}
            graph[name] = {by_distribution[w] for w in wanted if w in by_distribution} & set(enabled)
        while True:
            try:
                return list(
                    TopologicalSorter({k: sorted(v) for k, v in sorted(graph.items())}).static_order()
                )
            except CycleError as error:
                circle = list(dict.fromkeys(error.args[1]))
                for name in circle:
                    self.circles[name] = f"requires itself in a circle: {' → '.join(error.args[1])}"
                    graph[name] -= set(circle)

    def _requires(self, name: str) -> Iterable[Requirement]:
        for text in self.known[name].requires if name in self.known else ():
            try:
                yield Requirement(text)
            except InvalidRequirement:
                self.circles.setdefault(name, f"requires {text}, which is not a requirement")

    def _admit(self, name: str) -> None:
        version = self.known[name].version if name in self.known else "-"
        lines = tuple(sorted(code for code, line in self.settings.lines.items() if name in line.plugins))
        try:
            answers = self._loadable(name)
        except Quarantine as reason:
            self.states.append(PluginState(name, version, "quarantined", str(reason), lines))
        else:
            self.loaded.append(answers)
            self.states.append(PluginState(name, version, "loaded", "", lines))

    def _loadable(self, name: str) -> Answers:
        """The plugin's answers, after everything that could be wrong with it was tried."""
        candidate = self.known.get(name)
        if candidate is None:
            raise Quarantine("not installed (未安装)")
        if name in RESERVED or not _PLUGIN_NAME.fullmatch(name):
            raise Quarantine(f"the name {name} is reserved or not lower-case letters, digits and _")
        if name in self.circles:
            raise Quarantine(self.circles[name])
        self._requirements(candidate)
        if name in self.broken:
            raise Quarantine(f"migration failed: {self.broken[name]}")
        try:
            module = candidate.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a plugin raises, the core stands
            raise Quarantine(f"import failed: {_said(error)}") from None
        answers = self._ask(name, name, module)
        self._fits(answers)
        return answers

    def _requirements(self, candidate: Candidate) -> None:
        quarantined = {s.name for s in self.states if s.state == "quarantined"}
        versions = {c.distribution: (c.name, c.version) for c in self.known.values()}
        for text in candidate.requires:
            wanted = Requirement(text)
            target = canonicalize_name(wanted.name)
            if not target.startswith("crm-") or (wanted.marker and not wanted.marker.evaluate()):
                continue
            name, version = ("core", __version__) if target == "crm-core" else versions.get(target, ("", ""))
            if not version or not wanted.specifier.contains(version, prereleases=True):
                raise Quarantine(f"requires {text}, found {version or 'nothing'}")
            if name in quarantined or (name != "core" and name not in {a.owner for a in self.loaded}):
                raise Quarantine(f"requires {target}, which is quarantined or not enabled")

    def _ask(self, owner: str, name: str, module: object) -> Answers:
        """Register one module and ask it every hook; nothing of it stays registered when it fails."""
        manager = self.manager
        try:
            manager.register(module, name)
            self._refuse_misspelt(module)
            answers = Answers(owner)
            asked = {hook.name for hook in manager.get_hookcallers(module) or ()}
            if "crm_hookspecs" in asked:
                answers.given["crm_hookspecs"] = tuple(self._call("crm_hookspecs", module) or ())
                self._open_doors(owner, answers.given["crm_hookspecs"])
            for hook in sorted(asked - {"crm_hookspecs"}):
                answers.given[hook] = self._call(hook, module)
        except (Exception, SystemExit) as error:  # whatever a plugin raises, the core stands
            if owner == "core":
                raise
            if manager.has_plugin(name):
                manager.unregister(name=name)
            raise Quarantine(_said(error)) from None
        return answers

    def _open_doors(self, owner: str, specifications: Iterable[ModuleType]) -> None:
        """Add a capability plugin's own hooks; a name that is already a hook stays what it is."""
        for extra in specifications:
            names = [name for name in dir(extra) if self.manager.parse_hookspec_opts(extra, name) is not None]
            for name in names:
                if hasattr(hookspecs, name) or name in self.doors:
                    raise SchemaClash(
                        f"hook {name} of {owner} is already declared by {self.doors.get(name, 'core')}"
                    )
            self.manager.add_hookspecs(extra)
            self.doors |= dict.fromkeys(names, owner)

    def _refuse_misspelt(self, module: object) -> None:
        """Every hook a module answers must exist, and every function that looks like an answer must be marked as one."""
        for name in dir(module):
            options = self.manager.parse_hookimpl_opts(module, name)
            if options is None:
                if name.startswith("crm_") and inspect.isroutine(getattr(module, name)):
                    raise Quarantine(f"{name} is not marked with @hookimpl, so it would never be asked")
                continue
            hook = options.get("specname") or name
            caller = getattr(self.manager.hook, hook, None)
            if caller is None or not caller.has_spec():
                raise Quarantine(f"no hook is called {hook}")

    def _call(self, hook: str, module: object) -> Any:
        others = [p for p in self.manager.get_plugins() if p is not module]
        results = self.manager.subset_hook_caller(hook, remove_plugins=others)()
        return results[0] if results else None

    def _fits(self, answers: Answers) -> None:
        """Try the whole registry and schema with this plugin added."""
        try:
            _own_names(answers)
            composed = _composed([*self.loaded, answers], self.settings, ())
            _refuse_unknown_kinds(answers, composed)
            build(parts_of(composed))
        except (ConfigurationError, Quarantine):
            raise
        except Exception as error:  # noqa: BLE001  # any misfit is the plugin's
            raise Quarantine(f"does not fit: {_said(error)}") from None

    def _refuse_unknown_tables(self) -> None:
        owners = {owner for answers in self.loaded for owner in _setting_names(answers)}
        quarantined = {s.name for s in self.states if s.state == "quarantined"}
        for table in self.settings.rooms:
            if table not in owners | quarantined and table not in self.known:
                raise ConfigurationError(
                    f"Unknown setting {table} (未知的配置项); see docs/reference/settings.md for the names that exist."
                )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _own_names(answers: Answers) -> None:
    """A plugin's tables and scopes begin with its own name."""
    for table in answers.list("crm_tables"):
        if not table.__tablename__.startswith(answers.owner + "_"):
            raise Quarantine(f"table {table.__tablename__} must begin with {answers.owner}_")
    for scope in answers.list("crm_scopes"):
        if not scope.name.startswith(answers.owner + "."):
            raise Quarantine(f"scope {scope.name} must begin with {answers.owner}.")


def _refuse_unknown_kinds(answers: Answers, composed: Registry) -> None:
    """A check of a command, or a schedule of a job, that nobody declares must not vanish silently."""
    for schedule in answers.list("crm_schedules"):
        if schedule.job not in composed.jobs:
            raise Quarantine(f"schedules an unknown job {schedule.job}")
    for kind in answers.mapping("crm_checks"):
        if kind not in composed.commands:
            raise Quarantine(f"checks an unknown command {kind}")


def _setting_names(answers: Answers) -> list[str]:
    model = answers.given.get("crm_settings")
    return [_settings_name(answers.owner, model)] if model else []


def _settings_name(owner: str, model: type[BaseModel]) -> str:
    """A plugin's settings bear its name; a core room's the name of its package."""
    return model.__module__.split(".")[1] if owner == "core" else owner


# -- composing


def _composed(loaded: Sequence[Answers], settings: Settings, states: tuple[PluginState, ...]) -> Registry:
    types, type_owners = _types(loaded)
    queries = [(q, a.owner) for a in loaded for q in a.list("crm_queries")]
    _unique("query", ((name, None, owner) for q, owner in queries for name in query_names(q)))
    models = {_settings_name(a.owner, m): m for a in loaded if (m := a.given.get("crm_settings"))}
    return Registry(
        commands=_unique("command", ((c.kind, CommandSpec(c, f, a.owner), a.owner) for a in loaded for c, f in a.mapping("crm_commands").items())),
        types=types,
        type_owners=type_owners,
        queries=tuple(replace(q, owner=o) if isinstance(q, Field) else q for q, o in queries),
        query_owners=tuple(owner for _, owner in queries),
        events=_unique("event", ((e.kind, e, a.owner) for a in loaded for e in a.list("crm_events"))),
        checks=_checks(loaded),
        gates=tuple(g for a in loaded for g in a.list("crm_gates")),
        policies=tuple(p for a in loaded for p in a.list("crm_policies")),
        scopes=_unique("scope", ((s.name, s, a.owner) for a in loaded for s in a.list("crm_scopes"))),
        roles=_roles(loaded),
        messages=_unique("message", _messages(loaded)),
        interaction_kinds=_unique("interaction kind", ((k.name, k, a.owner) for a in loaded for k in a.list("crm_interaction_kinds"))),
        timeline=tuple(s for a in loaded for s in a.list("crm_timeline")),
        migrations=_migrations(loaded),
        tables=_tables(loaded),
        settings={name: settings.room(name, model) for name, model in models.items()},
        setting_models=models,
        documents=_unique("document", ((d.type, d, a.owner) for a in loaded for d in a.list("crm_documents"))),
        owners=_unique("owner", ((n, o, a.owner) for a in loaded for n, o in a.mapping("crm_owners").items())),
        resolvers=_unique("resolver", ((n, r, a.owner) for a in loaded for n, r in a.mapping("crm_resolvers").items())),
        chores=tuple(_unique("chore", ((c.name, c, a.owner) for a in loaded for c in a.list("crm_chores"))).values()),
        receivers=tuple(_unique("receiver", ((r.name, r, a.owner) for a in loaded for r in a.list("crm_receivers"))).values()),
        workers=tuple(_unique("worker", ((w.name, w, a.owner) for a in loaded for w in a.list("crm_workers"))).values()),
        verifiers=_unique("verifier", ((v.name, v, a.owner) for a in loaded for v in a.list("crm_verifiers"))),
        incoming_handlers=_unique("incoming handler", ((h.name, h, a.owner) for a in loaded for h in a.list("crm_incoming_handlers"))),
        jobs=_unique("job", ((j.name, j, a.owner) for a in loaded for j in a.list("crm_jobs"))),
        schedules=tuple(_unique("schedule", ((s.name, (a.owner, s), a.owner) for a in loaded for s in a.list("crm_schedules"))).values()),
        handovers=tuple(_unique("handover", ((h.name, (a.owner, h), a.owner) for a in loaded for h in a.list("crm_handovers"))).values()),
        notifiers=_unique("notifier", ((n.name, n, a.owner) for a in loaded for n in a.list("crm_notifiers"))),
        notice_kinds=_unique("notice kind", ((k.kind, k, a.owner) for a in loaded for k in a.list("crm_notice_kinds"))),
        seeds=tuple((a.owner, s) for a in loaded for s in a.list("crm_seeds")),
        doors=_doors(loaded),
        demos=tuple(d for a in loaded if (d := a.given.get("crm_demo"))),
        plugins=states,
        lines={code: tuple(line.plugins) for code, line in settings.lines.items()},
    )  # fmt: skip


def _unique(what: str, entries: Iterable[tuple[str, Any, str]]) -> dict[str, Any]:
    found: dict[str, tuple[Any, str]] = {}
    for name, value, owner in entries:
        if name in found:
            raise SchemaClash(f"{what} {name} of {owner} is already declared by {found[name][1]}")
        found[name] = (value, owner)
    return {name: value for name, (value, _) in sorted(found.items())}


def _doors(loaded: Sequence[Answers]) -> dict[str, tuple[tuple[str, Any], ...]]:
    """Answers to the hooks that capability plugins opened, in the order of loading."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for answers in loaded:
        for hook, answer in answers.given.items():
            if not hasattr(hookspecs, hook):
                found.setdefault(hook, []).append((answers.owner, answer))
    return {hook: tuple(given) for hook, given in found.items()}


def _messages(loaded: Sequence[Answers]) -> Iterable[tuple[str, Any, str]]:
    yield from ((m.code, m, "core") for m in (*KERNEL_MESSAGES, *validation_messages(), *papers.MESSAGES))
    yield from ((m.code, m, a.owner) for a in loaded for m in a.list("crm_messages"))
    yield from ((m.code, m, a.owner) for a in loaded for k in a.list("crm_notice_kinds") for m in k.messages)


def _types(loaded: Sequence[Answers]) -> tuple[dict[str, ObjectType], dict[str, str]]:
    owners: dict[str, str] = {}
    fields: dict[str, list[Field]] = {}
    filters: dict[str, list[Filter]] = {}
    kinds: dict[str, ObjectType] = {}
    for answers in loaded:
        for kind in answers.list("crm_types"):
            if kind.name in kinds:
                raise SchemaClash(
                    f"type {kind.name} of {answers.owner} is already declared by {owners[kind.name]}"
                )
            kinds[kind.name], owners[kind.name] = kind, answers.owner
            fields[kind.name] = [replace(f, owner=answers.owner) for f in kind.fields]
            filters[kind.name] = [replace(f, owner=answers.owner) for f in kind.filters]
    for answers in loaded:
        for name, extra in answers.mapping("crm_fields").items():
            if name not in kinds:
                raise SchemaClash(f"{answers.owner} adds fields to an unknown type {name}")
            for one in extra:
                if isinstance(one, Field):
                    fields[name].append(replace(one, owner=answers.owner, nullable=True))
                else:
                    filters[name].append(replace(one, owner=answers.owner))
    _unique("id prefix", ((k.prefix, k, owners[n]) for n, k in kinds.items() if k.prefix))
    for name, found in fields.items():
        _unique("field", ((f"{name}.{f.name}", f, f.owner) for f in found))
    return {
        n: replace(k, fields=tuple(fields[n]), filters=tuple(filters[n])) for n, k in kinds.items()
    }, owners


def _checks(loaded: Sequence[Answers]) -> dict[str, tuple[Any, ...]]:
    """Checks by command kind, each with its owner: a plugin's are asked in the lines that enable it."""
    found: dict[str, list[Any]] = {}
    for answers in loaded:
        for kind, checks in answers.mapping("crm_checks").items():
            found.setdefault(kind, []).extend((answers.owner, check) for check in checks)
    return {kind: tuple(checks) for kind, checks in found.items()}


def _roles(loaded: Sequence[Answers]) -> dict[str, Any]:
    """Roles of one name given by several rooms are one role with all their scopes, each at its widest reach."""
    found: dict[str, Any] = {}
    for answers in loaded:
        for role in answers.list("crm_roles"):
            known = found.get(role.name)
            title = known.title or role.title if known else role.title
            before = known.scopes if known else {}
            scopes = before | {
                scope: max(reach, before.get(scope, reach)) for scope, reach in role.scopes.items()
            }
            found[role.name] = replace(role, title=title, scopes=scopes)
    return found


def _migrations(loaded: Sequence[Answers]) -> tuple[MigrationLine, ...]:
    return tuple(
        MigrationLine(a.owner, folder, f"crm_{a.owner}_version")
        for a in loaded
        if (folder := a.given.get("crm_migrations"))
    )


def _tables(loaded: Sequence[Answers]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, list[Any]] = {}
    for answers in loaded:
        found.setdefault(answers.owner, []).extend(answers.list("crm_tables"))
    return {owner: tuple(tables) for owner, tables in found.items()}


def parts_of(registry: Registry) -> Parts:
    """What the schema of a registry is made of."""
    return Parts(
        registry.types, registry.queries, registry.commands, registry.type_owners, registry.query_owners
    )


__all__ = ["CORE_ROOMS", "Candidate", "Quarantine", "installed", "load", "parts_of"]

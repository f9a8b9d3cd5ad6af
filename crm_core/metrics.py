"""Counts requests, errors, durations and statements for Prometheus, in a registry of its own."""

from __future__ import annotations

from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import event

from crm_core.db.session import Database
from crm_core.graphql.serving import Served

MOST_REASONS = 50
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one server process; with several workers each answers for itself."""

    def __init__(self) -> None:
        """Start at zero."""
        self._registry = CollectorRegistry()
        here = self._registry
        self._requests = Counter(
            "crm_requests", "GraphQL requests answered.", ("operation", "status"), registry=here
        )
        self._seconds = Histogram(
            "crm_request_seconds", "Time to answer, seconds.", ("operation",), buckets=BUCKETS, registry=here
        )
        self._reads = Counter(
            "crm_reads",
            "Documents read, by one compiled statement or by the interpreter, and why by the latter.",
            ("path", "reason"),
            registry=here,
        )
        self._errors = Counter("crm_errors", "GraphQL errors by code.", ("code",), registry=here)
        self._statements = Counter("crm_statements", "SQL statements sent.", registry=here)
        self._work = Counter(
            "crm_work",
            "Work done in the background: of what, by whom.",
            ("what", "who"),
            registry=here,
        )
        self._streams = Gauge("crm_streams", "Live subscriptions and websockets open.", registry=here)
        self._quarantined = Gauge("crm_plugins_quarantined", "Plugins in quarantine.", registry=here)

        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._read: dict[tuple[str, str], Counter] = {}

    def served(self, served: Served) -> None:
        """Note an answered request."""
        key = (served.operation, served.status)
        children = self._answered.get(key)
        if children is None:
            children = self._requests.labels(key[0], str(key[1])), self._seconds.labels(key[0])
            self._answered[key] = children
        children[0].inc()
        children[1].observe(served.seconds)
        if served.read is not None:
            self.read(*(("compiled", "") if served.read == "compiled" else ("interpreted", served.read)))
        for code in served.codes:
            self._errors.labels(code).inc()

    def read(self, path: Literal["compiled", "interpreted"], reason: str = "") -> None:
        """Note a document read; `reason` is a short code, why it was interpreted. Of too many, the rest is `other`."""
        child = self._read.get((path, reason))
        if child is None:
            if len(self._read) >= MOST_REASONS:
                reason = "other"
            child = self._read.setdefault((path, reason), self._reads.labels(path, reason))
        child.inc()

    def work(self, what: str, who: str, many: int) -> None:
        """Note work done in the background: of what, by whom (a receiver, or nobody in particular), how many."""
        if many:
            self._work.labels(what, who).inc(many)

    def streams(self, many: int) -> None:
        """Note how many live subscriptions are open."""
        self._streams.set(many)

    def quarantined(self, plugins: int) -> None:
        """Note how many plugins are in quarantine."""
        self._quarantined.set(plugins)

    def watch(self, database: Database) -> None:
        """Count the statements of this database from now on."""
        engines = {id(e.sync_engine): e.sync_engine for e in (database.writes, *_own_reads(database))}
        for engine in engines.values():
            event.listen(engine, "before_cursor_execute", self._count)
        database.heard.append(self._count)

    def _count(self, *_of_statement: Any) -> None:
        self._statements.inc()

    def text(self) -> bytes:
        """Everything in the text form Prometheus reads."""
        return generate_latest(self._registry)


def _own_reads(database: Database) -> tuple[Any, ...]:
    """On PostgreSQL the reading side hears what the writing side hears; on SQLite it is an engine apart."""
    return (database.reads,) if database.dialect == "sqlite" else ()

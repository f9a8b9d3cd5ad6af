"""Logs as JSON lines, one event each; nothing global is configured."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


@contextmanager
def _without_rich() -> Iterator[None]:
    """Meanwhile `rich` is not found, unless it is loaded: structlog would load it for colours, and writes JSON here."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # what the import system reads as: there is none
    try:
        yield
    finally:
        del sys.modules["rich"]


with _without_rich():
    import structlog

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Lines:
    """Writes each line at once: as bytes where the stream takes bytes beneath, else as text."""

    def __init__(self, stream: TextIO) -> None:
        below = getattr(stream, "buffer", None)
        self._stream = stream if below is None else below
        self._write: Callable[[bytes], object] = self._as_text if below is None else below.write

    def _as_text(self, line: bytes) -> None:
        self._stream.write(line.decode())

    def msg(self, line: bytes) -> None:
        self._write(line)
        self._stream.flush()

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


def _rendered(_logger: object, _method: str, event: Any) -> bytes:
    """One event as a line of JSON; what JSON has no form for is shown as Python does."""
    try:
        return orjson.dumps(event, repr, orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):  # integers beyond 64 bits, lone surrogates
        return json.dumps(event, default=repr, skipkeys=True).encode() + b"\n"


# The values of local variables stay out: they hold tokens and what people told about themselves.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
_TO_JSON: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _TRACEBACKS,
    _rendered,
)


def logger(level: str, stream: TextIO | None = None) -> FilteringBoundLogger:
    """A logger that writes JSON lines from this level on; to standard error unless told otherwise."""
    wrapped: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(stream or sys.stderr),
        processors=list(_TO_JSON),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
    )
    return wrapped.bind()  # bound once, or every line would do it again


def library_config(level: str) -> dict[str, object]:
    """For `logging.config.dictConfig`: what libraries log (the server's start and stop) as the same JSON lines."""
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _TRACEBACKS,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        "foreign_pre_chain": [
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {"uvicorn.access": {"level": "WARNING"}, "taskiq": {"level": "WARNING"}},
    }

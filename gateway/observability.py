"""What the operator can see: JSON log lines without secrets, and Prometheus metrics."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from twisted.logger import ILogObserver, LogLevel, globalLogBeginner
from zope.interface import implementer  # type: ignore[import-untyped]  # ships no types

from core.messages.failures import Failure, Kind
from gateway.figures import RequestFigures
from plugins.api import Session

_MASK: Final = "***"
_SECRET_KEYS: Final = re.compile(r"pass(word|wd)?|pwd|secret|token|authorization|credential|(ms)?isdn|imsi|iccid", re.IGNORECASE)
# Fifteen or so digits by themselves are a subscriber's number or a card, whatever text they stand in; a URL's password too.
_SECRET_VALUES: Final = re.compile(r"(?<![0-9A-Za-z])\d{10,16}(?![0-9A-Za-z])|(?<=://)[^/@\s]+:[^/@\s]+(?=@)|(?<=PWD=\")[^\"]*|(?<=PSWD=\")[^\"]*")


_LONG_NUMBER: Final = re.compile(r"\d\d{9}")


def _without_secrets(text: str) -> str:
    """Hide what looks like a secret. Nearly no text has any, and quick looks say so in a tenth of the whole pattern's time."""
    if "://" in text or "WD=" in text or _LONG_NUMBER.search(text):
        return _SECRET_VALUES.sub(_MASK, text)
    return text


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    """Whether what stands under this key is a secret. The same few keys come with every line."""
    return _SECRET_KEYS.fullmatch(key) is not None


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide passwords and subscribers' numbers, by the key they stand under or by what they look like."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = _MASK
        elif type(value) is str:
            event[key] = _without_secrets(value)
        elif isinstance(value, Mapping):
            event[key] = mask(None, "", dict(value))
    return event


def masked(value: Any) -> Any:
    """Return a JSON value with what `mask` hides hidden at any depth, characteristics (`name` and `value`) too."""
    if isinstance(value, str):
        return _without_secrets(value)
    if isinstance(value, list):
        return [masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    hidden = {"value"} if _SECRET_KEYS.fullmatch(str(value.get("name"))) else set()
    return {key: _MASK if key in hidden or _SECRET_KEYS.fullmatch(key) else masked(inner) for key, inner in value.items()}


def start_logging(level: str = "info") -> structlog.typing.FilteringBoundLogger:
    """Send our log, Twisted's and every library's to standard error as JSON lines; returns the root logger."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            # Without the values of local variables: they are messages, keys and secrets.
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            mask,
            structlog.processors.JSONRenderer(serializer=orjson.dumps, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    observer: Any = _FromTwisted(log)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
    logging.basicConfig(handlers=[_FromStdlib(log)], level=max(threshold, logging.WARNING), force=True)
    # It logs a bad request whole, with whatever secrets it holds; what was wrong is in our own line about the refusal.
    logging.getLogger("spyne").setLevel(logging.CRITICAL)
    return log


def quiet_log() -> Any:
    """Return a log that nothing comes out of: for commands that only build the parts."""
    return structlog.wrap_logger(None, processors=[_drop])


def _drop(_logger: Any, _method: str, _event: MutableMapping[str, Any]) -> Any:
    raise structlog.DropEvent


@implementer(ILogObserver)
class _FromTwisted:
    """Twisted's own events worth a line: warnings and errors."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def __call__(self, event: Mapping[str, Any]) -> None:
        level = event.get("log_level", LogLevel.info)
        if level < LogLevel.warn and not event.get("isError"):
            return
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self._log.error("unhandled error", exc_info=(failure.type, failure.value, failure.getTracebackObject()))
        else:
            self._log.warning(str(event.get("log_format") or event.get("message") or event.get("format"))[:500])


class _FromStdlib(logging.Handler):
    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


class Observer:
    """Counts and logs what becomes of requests. `clock` gives the seconds that `begun` was read from."""

    def __init__(self, log: Any, clock: Any) -> None:
        self._log = log
        self._clock = clock
        self.registry = CollectorRegistry()
        self._figures = RequestFigures()
        self.registry.register(self._figures)
        self._pruned = Counter("uip_pruned_rows", "Rows removed from the database because the site keeps them no longer", ("kind",),
                               registry=self.registry)
        self._alarms = Counter("uip_alarms", "Reports of alarms from elements, by what became of them", ("source", "outcome"),
                               registry=self.registry)

    def gauge(self, name: str, help_text: str, read: Any) -> None:
        """Offer a number that is read when somebody looks."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def pruned(self, kind: str, rows: int) -> None:
        """Count what retention has removed."""
        self._pruned.labels(kind).inc(rows)

    def alarms(self, source: str, outcome: str, reports: int) -> None:
        """Count what became of reports of alarms: `kept`, `refused` or `dropped`."""
        self._alarms.labels(source, outcome).inc(reports)

    def answered(self, session: Session, operation: str, begun: float) -> None:
        """Count a request that got its reply."""
        self._count(session.protocol, operation, "ok", begun)

    def refused(self, failure: Failure, protocol: str, session: Session | None = None, operation: str = "",
                begun: float | None = None) -> None:
        """Count and log a request that got a failure. One refused before it was known what it asks for has no `operation`: what a
        peer makes up must not become a name in the figures.
        """
        if begun is None:
            self._figures.add(protocol, operation, failure.kind.value)
        else:
            self._count(protocol, operation, failure.kind.value, begun)
        say = self._log.error if failure.kind is Kind.INTERNAL else self._log.info
        who = {"session": session.id, "peer": session.peer, "party": session.party} if session is not None else {}
        say("refused", protocol=protocol, **who, operation=operation, code=failure.kind.value, reason=failure.message,
            field=failure.field, correlationId=failure.correlation_id)

    def _count(self, protocol: str, operation: str, outcome: str, begun: float) -> None:
        self._figures.add(protocol, operation, outcome)
        self._figures.took(protocol, operation, self._clock.seconds() - begun)

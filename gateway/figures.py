"""How many requests ended how, and how long they took, counted for Prometheus.

Counted here, in the gateway's one thread, without the locks and look-ups that prometheus_client's own counters make a request pay for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NAMES = (*map(floatToGoString, _BOUNDS), "+Inf")


@dataclass(slots=True)
class _Times:
    """`counts` holds how many lie below each bound and above the one before."""

    counts: list[int] = field(default_factory=lambda: [0] * len(_NAMES))
    seconds: float = 0.0


class RequestFigures(Collector):
    """`uip_requests_total` and `uip_request_seconds`."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, str], int] = {}
        self._times: dict[tuple[str, str], _Times] = {}

    def add(self, protocol: str, operation: str, outcome: str) -> None:
        """Count a request."""
        key = protocol, operation, outcome
        self._requests[key] = self._requests.get(key, 0) + 1

    def took(self, protocol: str, operation: str, seconds: float) -> None:
        """Note how long a request took."""
        times = self._times.get((protocol, operation))
        if times is None:
            times = self._times[protocol, operation] = _Times()
        times.counts[bisect_left(_BOUNDS, seconds)] += 1
        times.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """prometheus_client's: say it all."""
        requests = CounterMetricFamily("uip_requests", "Requests answered, by how it ended", labels=("protocol", "operation", "outcome"))
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        yield requests
        times = HistogramMetricFamily("uip_request_seconds", "Time from a request's arrival to its answer",
                                      labels=("protocol", "operation"))
        for who, spent in self._times.items():
            times.add_metric(who, list(zip(_NAMES, accumulate(spent.counts), strict=True)), spent.seconds)
        yield times

"""What several workers behind one console show together: each leaves its figures in a file, and whoever is asked joins them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from core.monitor.objects import SystemStatus

_GONE = 10.0
"""Seconds after which a file's worker is taken for dead: it writes once a second."""


class Workmates:
    """The files of one site's workers. `now` is Unix time in seconds."""

    def __init__(self, folder: Path, number: int, count: int) -> None:
        self._folder = folder
        self._number = number
        self._count = count

    @property
    def share(self) -> float:
        """The part of this worker in what all of them may do together."""
        return 1 / self._count

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self._count == 1

    def leave(self, metrics: bytes, status: SystemStatus) -> None:
        """Leave this worker's figures. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._file(self._number)
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({"metrics": metrics.decode(), "status": status.model_dump(mode="json")}))
        fresh.replace(file)

    def metrics(self, own: bytes, now: float) -> bytes:
        """Join all workers' metrics, each with a label `worker`."""
        if self.alone:
            return own
        texts = {self._number: own.decode(), **{number: str(left["metrics"]) for number, left in self._others(now)}}
        registry = CollectorRegistry()
        registry.register(_Joined(texts))
        return generate_latest(registry)

    def status(self, own: SystemStatus, now: float) -> SystemStatus:
        """Join what differs from worker to worker: sessions and waiting messages."""
        if self.alone:
            return own
        others = [SystemStatus.model_validate(left["status"]) for _, left in self._others(now)]
        sessions = [*own.session, *(session for other in others for session in other.session)]
        queues = {q.name: q for q in own.queue}
        for queue in (q for other in others for q in other.queue):
            known = queues.get(queue.name)
            if known is not None:
                oldest = max((o for o in (known.oldest, queue.oldest) if o is not None), default=None)
                queue = known.model_copy(update={"depth": known.depth + queue.depth, "oldest": oldest})  # noqa: PLW2901  # joined
            queues[queue.name] = queue
        listeners = tuple(listener.model_copy(update={"sessions": sum(s.protocol == listener.name for s in sessions)})
                          for listener in own.listener)
        return own.model_copy(update={"listener": listeners, "session": tuple(sessions[:1000]), "queue": tuple(queues.values())})

    def _file(self, number: int) -> Path:
        return self._folder / f"worker-{number}.json"

    def _others(self, now: float) -> Iterable[tuple[int, dict[str, object]]]:
        for number in range(1, self._count + 1):
            file = self._file(number)
            if number == self._number:
                continue
            try:
                if now - file.stat().st_mtime < _GONE:
                    yield number, json.loads(file.read_text())
            except (OSError, ValueError):
                continue  # not started yet, or just being replaced


class _Joined(Collector):
    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for number, text in sorted(self._texts.items()):
            for family in text_string_to_metric_families(text):
                joined = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    joined.add_sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value)
        return families.values()

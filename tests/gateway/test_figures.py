"""The requests' figures as Prometheus reads them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.figures import RequestFigures


def test_they_are_what_prometheus_reads():
    figures, registry = RequestFigures(), CollectorRegistry()
    registry.register(figures)
    assert not [sample for family in registry.collect() for sample in family.samples]
    for seconds in (0.0005, 0.001, 0.02, 60.0):
        figures.add("soap", "GetProductOrder", "ok")
        figures.took("soap", "GetProductOrder", seconds)
    figures.add("mml", "", "malformed")
    read = {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert {(s.labels["protocol"], s.labels["operation"], s.labels["outcome"]): s.value for s in read["uip_requests"].samples} == {
        ("soap", "GetProductOrder", "ok"): 4, ("mml", "", "malformed"): 1}
    times = {(s.name, s.labels.get("le")): s.value for s in read["uip_request_seconds"].samples}
    assert times["uip_request_seconds_bucket", "0.001"] == 2  # a bound is in its own bucket
    assert times["uip_request_seconds_bucket", "0.025"] == 3
    assert times["uip_request_seconds_bucket", "10.0"] == 3
    assert times["uip_request_seconds_bucket", "+Inf"] == times["uip_request_seconds_count", None] == 4
    assert abs(times["uip_request_seconds_sum", None] - 60.0215) < 1e-9

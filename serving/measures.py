"""What Prometheus reads at /metrics. Labels are bounded: an unknown path counts as `other`."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_REQUESTS = Counter("mainline_requests", "Requests answered.", ["endpoint", "status"])
_LATENCY = Histogram("mainline_request_seconds", "From a request to its answer.", ["endpoint"], buckets=_SECONDS)
_PREDICTIONS = Counter("mainline_predictions", "Predictions by class (a regression has one).", ["class"])
_WRITTEN = Counter("mainline_log_rows_written", "Rows of the prediction log that were written.")
_DROPPED = Counter("mainline_log_rows_dropped", "Rows of the prediction log that were lost.")
_INFO = Gauge(
    "mainline_release_info",
    "1 for the release that answers.",
    ["release", "version", "role"],
    multiprocess_mode="livemax",
)
CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()


class Measures:
    """The service's counters, with their labels looked up once."""

    def __init__(self, release: str, version: str | None, role: str, classes: tuple[str, ...]) -> None:
        """`classes` are the negative and the positive one, or none for a regression."""
        _INFO.labels(release, version or "", role).set(1)
        names = classes or (r"value",)
        self._predictions = [_PREDICTIONS.labels(name).inc for name in names]
        self._requests: dict[tuple[str, int], Counter] = {}
        self._latencies: dict[str, Histogram] = {}

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """A request got its answer."""
        counter = self._requests.get((endpoint, status))
        if counter is None:
            counter = self._requests[endpoint, status] = _REQUESTS.labels(endpoint, str(status))
            self._latencies[endpoint] = _LATENCY.labels(endpoint)
        counter.inc()
        self._latencies[endpoint].observe(seconds)

    def predicted(self, negative: int, positive: int) -> None:
        """So many predictions of each class were made; a regression has no positive ones."""
        if negative:
            self._predictions[0](negative)
        if positive:
            self._predictions[1](positive)

    def written(self, rows: int) -> None:
        """Rows of the log came into the sink."""
        _WRITTEN.inc(rows)

    def dropped(self, rows: int) -> None:
        """Rows of the log were lost."""
        _DROPPED.inc(rows)


def text() -> bytes:
    """All of it in Prometheus' text format, of all processes where `bentoml serve` runs several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)

"""Prometheus metrics, served at /metrics.

Labels are bounded: an unknown path, or a key after the hundredth, counts as `other`.
"""

import collections
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_REQUESTS = Counter("mainline_requests", "Requests answered.", ["endpoint", "status"])
_BY_KEY = Counter("mainline_key_requests", "Requests answered, by the name of the access key.", ["key", "status"])
_LATENCY = Histogram("mainline_request_seconds", "From a request to its response.", ["endpoint"], buckets=_SECONDS)
_PREDICTIONS = Counter("mainline_predictions", "Predictions by class (a regression has one).", ["class"])
_SCORES = Counter("mainline_scores", "Predictions by bin of the probability, or of a regression's value.", ["bin"])
_WRITTEN = Counter("mainline_log_rows_written", "Rows of the prediction log that were written.")
_DROPPED = Counter("mainline_log_rows_dropped", "Rows of the prediction log that were lost.")
_INFO = Gauge("mainline_release_info", "1 for the release that is served.", ["release", "version", "role"])
MAX_KEYS = 100
# The same for all models, so that a rollout can compare two. Fine where rare classes have their scores.
SCORE_EDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9)
_SIZES = [10 ** (tenth / 10) for tenth in range(-30, 91)]
VALUE_EDGES = (*(-size for size in reversed(_SIZES)), 0.0, *_SIZES)  # values can be of any size


class Metrics:
    """The metrics of one model. Labels are looked up once, since that costs more than counting."""

    def __init__(self, release: str, version: str | None, role: str, classes: tuple[str, ...]) -> None:
        """`classes` are the negative and the positive one, or none for a regression."""
        _INFO.labels(release, version or "", role).set(1)
        self._predictions = [_PREDICTIONS.labels(name).inc for name in classes or ("value",)]
        self._bin = partial(bisect_right, SCORE_EDGES if classes else VALUE_EDGES)
        self._scores: dict[int, Callable[[float], None]] = {}
        self._keys: set[str] = set()
        self._requests: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count_request(self, endpoint: str, status: int, key_name: str | None, seconds: float) -> None:
        """Count a request and its latency."""
        if key_name is not None:
            self._count_key(key_name, status)
        pair = self._requests.get((endpoint, status))
        if pair is None:
            pair = _REQUESTS.labels(endpoint, str(status)), _LATENCY.labels(endpoint)
            self._requests[endpoint, status] = pair
        counter, histogram = pair
        counter.inc()
        histogram.observe(seconds)

    def _count_key(self, name: str, status: int) -> None:
        if len(self._keys) < MAX_KEYS:
            self._keys.add(name)
        _BY_KEY.labels(name if name in self._keys else "other", str(status)).inc()

    def count_predictions(self, negative: int, positive: int) -> None:
        """Count predictions of each class; those of a regression are negative."""
        if negative:
            self._predictions[0](negative)
        if positive:
            self._predictions[1](positive)

    def count_scores(self, scores: Iterable[float]) -> None:
        """Count probabilities, or the values of a regression, by bin."""
        for number, count in collections.Counter(map(self._bin, scores)).items():
            increase = self._scores.get(number) or self._scores.setdefault(number, _SCORES.labels(number).inc)
            increase(count)

    def count_written_rows(self, rows: int) -> None:
        """Count rows of the prediction log that were written."""
        _WRITTEN.inc(rows)

    def count_dropped_rows(self, rows: int) -> None:
        """Count rows of the prediction log that were lost."""
        _DROPPED.inc(rows)

"""Counting from the metrics that the service itself writes."""

import numpy as np
from prometheus_client import generate_latest

from pipelines.config.rollout import LATENCIES
from pipelines.rollout.counters import SCORE_BINS, count_replica, subtract
from serving import metrics
from serving.metrics import Metrics

METRICS = Metrics("0123456789ab", None, "canary", ("no", "yes"))


BINS = SCORE_BINS["classification"]


def counted() -> dict[str, float]:
    """What a rollout with a limit of 10 ms reads of the service now."""
    return count_replica(generate_latest().decode(), p99_ms=10)


def test_limits_are_those_that_the_service_counts_by() -> None:
    assert [value / 1000 for value in LATENCIES] == list(metrics._SECONDS[:-1])


def test_predictions_count_and_probes_do_not() -> None:
    before = counted()
    for status, seconds in ((200, 0.002), (200, 0.02), (500, 0.001)):
        METRICS.count_request("/predict", status, None, seconds)
    METRICS.count_request("/predict_batch", 503, None, 3.0)
    METRICS.count_request("/info", 500, None, 3.0)
    METRICS.count_scores([0.2, 0.2, 0.95])
    looked = subtract({"canary/1": counted()}, {"canary/1": before}, BINS)
    np.testing.assert_array_equal(looked.requests, [0, 4])
    np.testing.assert_array_equal(looked.errors, [0, 2])
    np.testing.assert_array_equal(looked.timed, [0, 3])
    np.testing.assert_array_equal(looked.slow, [0, 1])
    np.testing.assert_array_equal(looked.scores[1], [0, 0, 0, 0, 0, 2, 0, 0, 0, 1])


def test_values_of_a_regression_are_counted_by_their_size() -> None:
    bins, regression = SCORE_BINS["regression"], Metrics("0123456789ab", None, "canary", ())
    before = counted()
    regression.count_scores([-1e12, -250.0, 0.0, 250.0, 251.0, 400.0, 1e12])
    (scores,) = subtract({"canary/1": counted()}, {"canary/1": before}, bins).scores[1:]
    assert (scores.sum(), scores[0], scores[-1]) == (7, 1, 1)
    assert sorted(scores[scores > 0]) == [1, 1, 1, 1, 1, 2]


def replica(requests: float, errors: float = 0.0) -> dict[str, float]:
    """The counters of a replica."""
    return {"requests": requests, "errors": errors, "timed": requests, "fast": requests}


def test_replicas_of_an_arm_add_up() -> None:
    before = {"production/1": replica(10), "production/2": replica(20), "canary/1": replica(0)}
    now = {"production/1": replica(15), "production/2": replica(40), "canary/1": replica(3, 1)}
    looked = subtract(now, before, BINS)
    np.testing.assert_array_equal(looked.requests, [25, 3])
    np.testing.assert_array_equal(looked.errors, [0, 1])


def test_replica_that_started_again_counts_from_zero() -> None:
    looked = subtract({"canary/1": replica(4, 1)}, {"canary/1": replica(900, 0)}, BINS)
    assert (looked.requests[1], looked.errors[1]) == (4, 1)


def test_replica_that_is_new_counts_from_the_next_look() -> None:
    assert subtract({"production/1": replica(50_000)}, {}, BINS).requests[0] == 0


def test_requests_that_no_replica_answered_are_errors() -> None:
    before, now = {"canary/front": {"lost": 2.0}}, {"canary/front": {"lost": 7.0}}
    looked = subtract(now, before, BINS)
    assert (looked.requests[1], looked.errors[1]) == (5, 5)

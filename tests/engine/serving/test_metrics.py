"""The metrics that Prometheus reads."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import MAX_KEYS, Metrics


def samples():
    families = text_string_to_metric_families(generate_latest().decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_requests_predictions_and_log_rows_are_counted():
    metrics = Metrics("0123456789ab", None, "champion", ("no", "yes"))
    before = samples()
    metrics.count_request("/predict", 200, None, 0.003)
    metrics.count_predictions(2, 1)
    metrics.count_scores([0.0, 0.0009, 0.001, 0.95])
    metrics.count_written_rows(3)
    metrics.count_dropped_rows(4)
    after = samples()
    changes = {
        ("mainline_requests_total", "/predict", "200"): 1,
        ("mainline_request_seconds_count", "/predict"): 1,
        ("mainline_request_seconds_sum", "/predict"): 0.003,
        ("mainline_predictions_total", "no"): 2,
        ("mainline_predictions_total", "yes"): 1,
        ("mainline_scores_total", "0"): 2,
        ("mainline_scores_total", "1"): 1,
        ("mainline_scores_total", "9"): 1,
        ("mainline_log_rows_written_total",): 3,
        ("mainline_log_rows_dropped_total",): 4,
    }
    for name, change in changes.items():
        assert abs(after[name] - before.get(name, 0) - change) < 1e-9
    assert after["mainline_release_info", "0123456789ab", "champion", ""] == 1


def test_requests_are_counted_for_each_key_up_to_a_hundred():
    metrics = Metrics("0123456789ab", None, "champion", ())
    before = samples()
    names = [f"key-{i}" for i in range(MAX_KEYS + 5)]
    for name in [*names, "key-0"]:
        metrics.count_request("/predict", 200, name, 0.001)
    after = samples()

    def rise(name):
        key = "mainline_key_requests_total", name, "200"
        return after.get(key, 0) - before.get(key, 0)

    assert (rise("key-0"), rise("key-99"), rise("other")) == (2, 1, 5)
    assert rise("key-100") == 0

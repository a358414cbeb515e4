"""Counting what production and canary did since the last look, from the metrics of the front and of the replicas.

Predictions, their latencies and scores are the replicas' own counters, so that probes do not count as requests. What
never reached a replica, or never came back, is known to the front alone.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import requests
from prometheus_client.parser import text_string_to_metric_families

from pipelines.deployment.host import Host
from pipelines.deployment.roles import Roles
from pipelines.rollout.judge import Counts

SCORE_BINS = {"classification": 10, "regression": 244}  # serving/metrics.py
ROLES = ("production", "canary")  # in the order of the arms
_SECONDS = 2.0
_ENDPOINTS = {"/predict", "/predict_batch"}
_LOST = {"haproxy_server_connection_errors_total", "haproxy_server_response_errors_total"}
Counters = dict[str, float]


def read_counters(host: Host, roles: Roles, p99_ms: float) -> dict[str, Counters]:
    """Return the counters of each replica by `ROLE/NUMBER`, and of the front by `ROLE/front`.

    A replica or a front that does not respond is left out: what happened since is counted at the next look.
    """
    counters: dict[str, Counters] = {}
    if text := _get(f"{host.operations_url}/metrics"):
        slots = {f"slot_{slot}": role for role, slot in zip(ROLES, (roles.production, roles.canary), strict=True)}
        for name, labels, value in _samples(text):
            role = slots.get(labels.get("proxy", ""))
            if role and name in _LOST:
                lost = counters.setdefault(f"{role}/front", {"lost": 0.0})
                lost["lost"] += value
    for role in ROLES:
        for number in range(1, host.replicas + 1):
            if (text := _get(f"{host.operations_url}/metrics/{role}/{number}")) is not None:
                counters[f"{role}/{number}"] = count_replica(text, p99_ms)
    return counters


def count_replica(text: str, p99_ms: float) -> Counters:
    """Return requests, errors, timed, slow, and predictions by bin of the score, of a replica's metrics."""
    counters = dict.fromkeys(["requests", "errors", "timed", "fast"], 0.0)
    for name, labels, value in _samples(text):
        if name == "mainline_requests_total" and labels["endpoint"] in _ENDPOINTS:
            counters["requests"] += value
            counters["errors"] += value if labels["status"].startswith("5") else 0.0
        elif name == "mainline_request_seconds_count" and labels["endpoint"] == "/predict":
            counters["timed"] += value
        elif name == "mainline_request_seconds_bucket" and labels["endpoint"] == "/predict":
            counters["fast"] += value if float(labels["le"]) == p99_ms / 1000 else 0.0
        elif name == "mainline_scores_total":
            counters[f"score {labels['bin']}"] = value
    return counters


def subtract(now: Mapping[str, Counters], before: Mapping[str, Counters], bins: int) -> Counts:
    """Return what happened between two looks; a counter that fell is that of a replica that started again."""
    sums: dict[str, Counters] = {role: defaultdict(float) for role in ROLES}
    for source, counters in now.items():
        if (earlier := before.get(source)) is None:
            continue  # what it counted before it was first seen is not of this step
        arm = sums[source.partition("/")[0]]
        restarted = any(value < earlier.get(name, 0.0) for name, value in counters.items())
        for name, value in counters.items():
            arm[name] += value if restarted else value - earlier.get(name, 0.0)
    arms = [sums[role] for role in ROLES]
    errors = np.array([arm["errors"] + arm["lost"] for arm in arms])
    return Counts(
        requests=np.maximum(np.array([arm["requests"] + arm["lost"] for arm in arms]), errors),
        errors=errors,
        timed=np.array([arm["timed"] for arm in arms]),
        slow=np.array([max(arm["timed"] - arm["fast"], 0.0) for arm in arms]),
        scores=np.array([[arm[f"score {number}"] for number in range(bins)] for arm in arms]),
    )


def _samples(text: str) -> list[tuple[str, Mapping[str, str], float]]:
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return [(sample.name, sample.labels, sample.value) for sample in samples]


def _get(url: str) -> str | None:
    try:
        response = requests.get(url, timeout=_SECONDS)
        return response.text if response.ok else None
    except requests.RequestException:
        return None

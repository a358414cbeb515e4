"""What the monitor found as metrics of Prometheus: a text file beside the log, and a push to a Pushgateway."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import requests
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import push_to_gateway

from pipelines.cli.errors import Unreachable
from pipelines.monitor.pass_record import Verdict
from pipelines.monitor.report_view import PROBLEMS, budget_used

FILE = "metrics.prom"  # in the history
JOB = "mainline_monitor"
_HELP = {
    "model_monitor_last_pass_timestamp_seconds": "End of the newest window that was judged or had too few rows.",
    "model_monitor_run_timestamp_seconds": "When the monitor ran.",
    "model_monitor_interval_seconds": "Length of a pass.",
    "model_monitor_release_info": "1 for the version that the newest pass is about.",
    "model_monitor_rows": "Predictions of the newest pass.",
    "model_monitor_rows_set_aside": "Rows or files of the newest pass that could not be used.",
    "model_monitor_judged": "1 if the newest pass had enough rows to be judged.",
    "model_monitor_alarms": "Open alarms by problem.",
    "model_monitor_budget_used_ratio": "How near drift, input checks and volume are to an alarm; 1 is an alarm.",
    "model_data_drift_score": "Population stability index against the profile of the version.",
    "model_data_drift_tolerance": "PSI that natural variation explains.",
    "model_data_drift_listed": "1 if the feature is listed as drifting.",
    "model_input_check_failed": "1 if a check of an input, or of the volume, failed.",
    "model_quality": "Metric on matured labels; slice is empty for all rows.",
    "model_quality_lower": "Lower bound of its 95 % confidence interval.",
    "model_quality_upper": "Upper bound of its 95 % confidence interval.",
    "model_quality_promised": "The metric on the test rows at release.",
    "model_quality_loss": "Mean bounded loss of the matured rows.",
    "model_quality_loss_limit": "Upper bound of the promised loss plus the tolerance.",
    "model_quality_evidence_ratio": "Evidence that the loss is above its limit; 1 is an alarm.",
    "model_latency_seconds": "Latency in the prediction log; percentile is the share of faster requests.",
}


def metrics_text(verdict: Verdict, every_days: int) -> str:
    """Return the newest pass and the open alarms in Prometheus' text format."""
    return generate_latest(_gauges(verdict, every_days)).decode()


def push_metrics(verdict: Verdict, every_days: int) -> None:
    """Push them to the Pushgateway that PUSHGATEWAY_URL names, in place of what was pushed for this model before.

    Raises:
        Unreachable: if the gateway does not take them.
    """
    if not (url := os.environ.get("PUSHGATEWAY_URL")):
        return
    group = {"model_name": verdict.model_name}
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError  # prometheus_client takes http: for a password, too
        push_to_gateway(url.rstrip("/"), JOB, _gauges(verdict, every_days), group, timeout=30, handler=_send)
    except (requests.RequestException, ValueError) as error:  # ValueError: what urlsplit and urllib3 raise of a URL
        response = getattr(error, "response", None)
        # Without the URL, which may hold a password.
        reason = type(error).__name__
        if response is not None:
            reason = f"{response.status_code}: {' '.join(response.text.split())[:200]}"
        remedy = "Check PUSHGATEWAY_URL, which begins with https:// or http://."
        raise Unreachable(f"the Pushgateway does not take the metrics ({reason})", remedy) from error


def _send(
    url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
) -> Callable[[], Any]:
    """Return how prometheus_client sends: with requests, which reads user and password from the URL."""
    return lambda: requests.request(method, url, headers=dict(headers), data=data, timeout=timeout).raise_for_status()


def _gauges(verdict: Verdict, every_days: int) -> CollectorRegistry:
    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    for name, value, labels in _samples(verdict, every_days):
        if value is not None:
            named = {"model_name": verdict.model_name, **labels}
            if name not in gauges:
                gauges[name] = Gauge(name, _HELP[name], list(named), registry=registry)
            gauges[name].labels(**named).set(value)
    return registry


def _samples(verdict: Verdict, every_days: int) -> Iterator[tuple[str, float | None, dict[str, str]]]:
    """Yield name, value and labels."""
    yield "model_monitor_run_timestamp_seconds", verdict.made_at.timestamp(), {}
    yield "model_monitor_interval_seconds", every_days * 86_400, {}
    for problem in PROBLEMS:
        number = sum(alarm.problem == problem for alarm in verdict.alarms)
        yield "model_monitor_alarms", number, {"problem": problem}
    newest = verdict.newest
    if newest is None:
        return
    yield "model_monitor_last_pass_timestamp_seconds", newest.end.timestamp(), {}
    yield "model_monitor_release_info", 1, {"release": newest.release_id, "version": newest.version}
    yield "model_monitor_rows", newest.rows, {}
    yield "model_monitor_judged", newest.judged, {}
    yield "model_monitor_budget_used_ratio", budget_used(newest), {}
    for reason, rows in newest.set_aside.items():
        yield "model_monitor_rows_set_aside", rows, {"reason": reason}
    for drift in newest.drift:
        feature = {"feature": drift.name}
        yield "model_data_drift_score", drift.psi, feature
        yield "model_data_drift_tolerance", drift.tolerance, feature
        yield "model_data_drift_listed", drift.listed, feature
    for check in newest.checks:
        yield "model_input_check_failed", check.failed, {"feature": check.name, "check": check.kind}
    for quantile, milliseconds in newest.latency_ms.items():
        yield "model_latency_seconds", milliseconds / 1000, {"percentile": quantile}
    if newest.quality is None:
        return
    quality = newest.quality
    for metric in quality.metrics:
        labels = {"metric": metric.name, "slice": metric.slice or ""}
        yield "model_quality", metric.value, labels
        yield "model_quality_lower", metric.low, labels
        yield "model_quality_upper", metric.high, labels
        yield "model_quality_promised", metric.promised, labels
    yield "model_quality_loss", quality.loss, {}
    yield "model_quality_loss_limit", quality.limit, {}
    if quality.evidence is not None:
        yield "model_quality_evidence_ratio", quality.evidence / quality.evidence_limit, {}

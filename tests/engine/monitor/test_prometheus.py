"""The metrics of the monitor: what they say, their escaping, where they are written, and the push."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pipelines.cli.errors import Unreachable
from pipelines.monitor import prometheus
from pipelines.monitor.pass_record import Verdict
from pipelines.monitor.prometheus import metrics_text, push_metrics
from tests.engine.monitor import made_up_history as made_up


def parsed(text: str) -> dict[tuple[str, ...], float]:
    """The samples by name and values of the labels, without the model's name."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("model_name") == "fraud"
            key = (sample.name, *labels.values())
            assert key not in samples, "a series has one value"
            samples[key] = sample.value
    return samples


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return made_up.verdict(made_up.records())


def test_the_text_has_drift_quality_budget_alarms_and_the_time_of_the_pass(verdict: Verdict) -> None:
    samples = parsed(metrics_text(verdict, 7))
    newest = verdict.passes[-1]
    assert newest.quality
    assert {key[1]: value for key, value in samples.items() if key[0] == "model_data_drift_score"} == {
        drift.name: drift.psi for drift in newest.drift
    }
    assert (samples["model_monitor_alarms", "drift"], samples["model_monitor_alarms", "quality"]) == (3, 1)
    assert samples["model_monitor_alarms", "service"] == 0
    assert samples["model_monitor_last_pass_timestamp_seconds",] == newest.end.timestamp()
    assert samples["model_monitor_interval_seconds",] == 604_800
    assert samples["model_monitor_budget_used_ratio",] == 1
    metric = newest.quality.metrics[0]
    for name, value in (("", metric.value), ("_lower", metric.low), ("_upper", metric.high)):
        assert samples[f"model_quality{name}", "average_precision", ""] == value
    assert samples["model_quality_promised", "average_precision", ""] == metric.promised
    assert samples["model_quality_evidence_ratio",] > 1
    assert samples["model_monitor_release_info", newest.release_id, newest.version] == 1


def test_every_metric_has_a_help_text_and_is_a_gauge(verdict: Verdict) -> None:
    families = {family.name: family for family in text_string_to_metric_families(metrics_text(verdict, 7))}
    assert families.keys() == prometheus._HELP.keys()
    assert all(family.documentation and family.type == "gauge" for family in families.values())


def test_without_a_pass_only_the_run_the_interval_and_the_alarms_are_there() -> None:
    empty = Verdict(model_name="fraud", made_at=made_up.START, passes=(), alarms=())
    names = {key[0] for key in parsed(metrics_text(empty, 7))}
    assert names == {"model_monitor_run_timestamp_seconds", "model_monitor_interval_seconds", "model_monitor_alarms"}


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"\n{},= \t')))
def test_labels_are_read_as_they_are(text: str) -> None:
    newest = made_up.records(4)[-1]
    record = newest.model_copy(update={"drift": (newest.drift[0].model_copy(update={"name": text}),)})
    samples = parsed(metrics_text(made_up.verdict([record]), 7))
    assert samples["model_data_drift_score", text] == newest.drift[0].psi


def test_an_input_with_the_name_of_the_score_does_not_break_the_text() -> None:
    newest = made_up.records(4)[-1]
    record = newest.model_copy(update={"drift": (newest.drift[-1], newest.drift[-1])})
    parsed(metrics_text(made_up.verdict([record]), 7))


class Gateway(BaseHTTPRequestHandler):
    """A Pushgateway that records what it gets."""

    pushed: list[tuple[str, str, bytes, str | None]]
    status = 200

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.pushed.append((self.path, self.headers["content-type"], body, self.headers["authorization"]))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"pushed metrics are invalid" if self.status >= 400 else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[HTTPServer]:
    Gateway.pushed, Gateway.status = [], 200
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_push_replaces_the_group_of_the_model(
    gateway: HTTPServer, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSHGATEWAY_URL", f"http://ann:secret@127.0.0.1:{gateway.server_port}/")
    push_metrics(verdict.model_copy(update={"model_name": "fraud/eu"}), 7)
    ((path, kind, body, authorization),) = Gateway.pushed
    assert path.startswith("/metrics/job/mainline_monitor/model_name@base64/ZnJhdWQvZXU")
    assert kind.startswith("text/plain; version=") and b'model_monitor_rows{model_name="fraud/eu"}' in body
    assert authorization and authorization.startswith("Basic ")
    push_metrics(verdict, 7)
    assert Gateway.pushed[1][0] == "/metrics/job/mainline_monitor/model_name/fraud"
    monkeypatch.delenv("PUSHGATEWAY_URL")
    push_metrics(verdict, 7)
    assert len(Gateway.pushed) == 2


def test_a_refused_push_and_a_wrong_address_are_errors_without_the_password(
    gateway: HTTPServer, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gateway.status = 400
    for address, message in (
        (f"http://ann:secret@127.0.0.1:{gateway.server_port}", "400: pushed metrics are invalid"),
        ("http://ann:secret@127.0.0.1:1", "ConnectionError"),
        ("ann:secret@gateway.invalid", "ValueError"),
        ("http://ann:secret@", "Invalid"),
        ("http://ann:secret[@gateway.invalid", "ValueError"),
        ("http://ann:secret@gateway..invalid", "LocationParseError"),
    ):
        monkeypatch.setenv("PUSHGATEWAY_URL", address)
        with pytest.raises(Unreachable, match=message) as error:
            push_metrics(verdict, 7)
        assert "secret" not in str(error.value)

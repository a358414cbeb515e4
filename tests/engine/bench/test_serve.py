"""The servers that the benchmark compares return the same scores. Nothing is timed here."""

import dataclasses
import json
import urllib.error

import cloudpickle  # type: ignore[import-untyped]
import pytest

from bench import serve
from bench import servers as server_module

pytestmark = pytest.mark.server


class Scored:
    """What scikit-learn's pipeline is to the servers; it answers as the scorer does."""

    def __init__(self, model, signature):
        self.files = model, signature

    def predict_proba(self, frame):
        import numpy as np

        from pipelines.model.scorer import Scorer

        scorer = Scorer(*self.files, threads=1)
        scores = np.array([scorer.score_row(row) for row in frame.to_dict("records")])
        return np.column_stack([1 - scores, scores])


@pytest.fixture(scope="module")
def servers(logistic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    limits = {"max_batch_rows": 100, "max_body_mb": 1.0, "timeout_seconds": 20.0}
    (folder / "serving.json").write_text(json.dumps({"release": "0123456789ab", **limits}))
    (folder / "pipeline.pkl").write_bytes(cloudpickle.dumps(Scored(logistic.model, logistic.signature)))
    subjects = server_module.subjects_of(
        logistic.model.parent, folder / "serving.json", folder / "pipeline.pkl", folder / "mlflow", folder
    )
    # MLflow takes ten seconds to start.
    chosen = [subject for subject in subjects if subject.name != server_module.MLFLOW]
    with server_module.running(chosen, folder, serve.plain(logistic.rows()[0])) as running:
        yield running


@pytest.fixture(scope="module")
def rows(logistic):
    return [serve.plain(row) for row in logistic.rows()[:10]]


def test_each_subject_answers_as_the_scorer_does(servers, logistic, rows):
    expected = [logistic.scorer().score_row(row) for row in rows]
    assert max(expected) - min(expected) > 0.1
    for server in servers.values():
        server_module.check(server, rows, expected)


def test_another_answer_than_the_scorers_is_an_error(servers, logistic, rows):
    wrong = logistic.scorer().score_row(rows[0]) + 0.03
    for server in servers.values():
        with pytest.raises(RuntimeError, match="where the scorer gives"):
            server_module.check(server, rows[:1], [wrong])


def test_the_client_counts_answers_and_takes_none_but_200(servers, rows):
    server = servers[server_module.OURS]
    loaded = server.load(server.content(rows[0]), 4, 0.2)
    assert loaded["rate"] > 0 and loaded["p50"] <= loaded["p99"] and loaded["bad"] == 0
    with pytest.raises(RuntimeError, match="did not answer each request with 200"):
        server.load(b"{}", 4, 0.1)


def test_the_log_of_ours_is_on(servers):
    assert "mainline_predictions_total" in servers[server_module.OURS].ask("/metrics", None).decode()


def test_servers_end_with_the_benchmark_even_where_one_does_not_start(servers, tmp_path, rows):
    bare = servers[server_module.BARE].subject
    broken = dataclasses.replace(bare, name="broken", environment={**bare.environment, "BENCH_MODELS": "/nowhere"})
    with (
        pytest.raises(RuntimeError, match="broken does not answer"),
        server_module.running([bare, broken], tmp_path, rows[0]),
    ):
        pass
    # Its port is free again.
    ports = [path.stem for path in tmp_path.glob("*.out")]
    assert len(ports) == 2
    for port in ports:
        with pytest.raises(urllib.error.URLError):
            server_module.Server(bare, int(port), tmp_path).ask("/predict", b"{}")

"""The running service while its prediction log cannot be written."""

import resource
import socket
import time

import pytest

from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-log")]
# So many rows are written at once.
MANY = [GOOD] * 5_000
WIDE = {**live.LIMITS, "max_batch_rows": 10_000, "max_body_mb": 5}
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"}


def wait_for(service, name, rows):
    """Wait until a counter of the log reaches so many rows, and return it."""
    deadline = time.monotonic() + 60
    while (count := service.counters()[name,]) < rows:
        assert time.monotonic() < deadline, (count, service.stderr())
        time.sleep(0.05)
    return count


def predicts(service):
    """Return whether both paths respond with predictions."""
    one, many = service.ask("POST", "/predict", GOOD), service.ask("POST", "/predict_batch", MANY)
    return (one.status, many.status, len(many.body)) == (200, 200, len(MANY))


def a_file(tmp_path):
    (tmp_path / "file").touch()
    return {"PREDICTION_LOG": str(tmp_path / "file")}


def closed_port(tmp_path):
    return {"PREDICTION_LOG": "s3://bucket/log", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{live.free_port()}", **KEYS}


@pytest.mark.parametrize("environment", [a_file, closed_port])
def test_a_failing_sink_costs_counted_rows_and_no_prediction(logistic, tmp_path, environment):
    with live.serve(tmp_path, logistic.model.parent, WIDE, **environment(tmp_path)) as service:
        assert predicts(service)
        assert wait_for(service, "mainline_log_rows_dropped_total", len(MANY)) <= len(MANY) + 1
        assert predicts(service)
        wait_for(service, "mainline_log_rows_dropped_total", 2 * len(MANY))
        assert service.counters()["mainline_log_rows_written_total",] == 0
        assert service.stop() == 0
    assert service.stderr().count("the prediction log loses rows") == 1


def test_a_hanging_sink_fills_the_queue_and_costs_no_prediction(logistic, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        log = {"PREDICTION_LOG": "s3://bucket/log", **endpoint, **KEYS}
        with live.serve(tmp_path, logistic.model.parent, WIDE, **log) as service:
            assert [predicts(service) for _ in range(11)] == [True] * 11
            # The queue holds 50,000 rows; each time 5,001 came.
            assert service.counters()["mainline_log_rows_dropped_total",] >= len(MANY)
            assert service.stop() == 0


@pytest.mark.parametrize("size", [0, 4096])
def test_a_full_disk_costs_no_prediction_and_the_log_recovers(logistic, tmp_path, size):
    with live.serve(tmp_path, logistic.model.parent, WIDE) as service:
        old = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
        # The kernel lets no file grow beyond this size; with 0 not even stderr, which is a file here.
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (size, old[1]))
        assert predicts(service)
        lost = wait_for(service, "mainline_log_rows_dropped_total", len(MANY))
        assert not list((tmp_path / "predictions").rglob("*.*"))
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, old)
        assert predicts(service)
        wait_for(service, "mainline_log_rows_written_total", len(MANY))
        assert service.stop() == 0
    assert len(service.log()) == 2 * (len(MANY) + 1) - lost


@pytest.mark.parametrize(("variables", "is_warned"), [({}, True), ({"PREDICTION_LOG_SALT": "pepper"}, False)])
def test_a_missing_salt_is_warned_about_once(logistic, tmp_path, variables, is_warned):
    with live.serve(tmp_path, logistic.model.parent, **variables) as service:
        service.stop()
    lines = [line for line in service.stderr().splitlines() if "PREDICTION_LOG_SALT" in line]
    line = "serving: PREDICTION_LOG_SALT is not set: the hashes of region can be guessed"
    assert lines == [line] * is_warned

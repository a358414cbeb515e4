"""The running service in trouble: predictions go on without their log, slow clients are let go, and what is wrong with
the files is said before it serves."""

from __future__ import annotations

import http.client
import json
import re
import resource
import shutil
import socket
import subprocess
import time

import pytest

from tests.engine.serving import live
from tests.engine.serving.asgi import tiny
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-trouble")]
# From this many rows on the log is written at once.
MANY = [GOOD] * 5_000
WIDE = {**live.LIMITS, "max_batch_rows": 10_000, "max_body_mb": 5}
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"}


def until(service, name, rows):
    """Wait for a counter of the log."""
    deadline = time.monotonic() + 60
    while (found := service.counters()[name,]) < rows:
        assert time.monotonic() < deadline, (found, service.stderr())
        time.sleep(0.05)
    return found


def predicts(service):
    """Whether both paths go on."""
    one, many = service.ask("POST", "/predict", GOOD), service.ask("POST", "/predict_batch", MANY)
    return (one.status, many.status, len(many.body)) == (200, 200, len(MANY))


# The log.


def a_file(tmp_path):
    (tmp_path / "file").touch()
    return {"PREDICTION_LOG": str(tmp_path / "file")}


def below_a_file(tmp_path):
    (tmp_path / "file").touch()
    return {"PREDICTION_LOG": str(tmp_path / "file" / "log")}


def closed_port(tmp_path):
    return {"PREDICTION_LOG": "s3://bucket/log", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{live.free_port()}", **KEYS}


@pytest.mark.parametrize("sink", [a_file, below_a_file, closed_port])
def test_with_a_dead_sink_predictions_go_on_and_the_lost_rows_are_counted(logistic, tmp_path, sink):
    with live.serve(tmp_path, logistic.model.parent, WIDE, **sink(tmp_path)) as service:
        assert predicts(service)
        assert until(service, "mainline_log_rows_dropped_total", len(MANY)) <= len(MANY) + 1
        assert predicts(service)
        until(service, "mainline_log_rows_dropped_total", 2 * len(MANY))
        assert service.counters()["mainline_log_rows_written_total",] == 0
        assert service.stop() == 0
    # Said once, not with each file.
    assert service.stderr().count("the prediction log loses rows") == 1


def test_with_a_sink_that_hangs_the_queue_is_bounded_and_predictions_go_on(logistic, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        log = {"PREDICTION_LOG": "s3://bucket/log", **endpoint, **KEYS}
        with live.serve(tmp_path, logistic.model.parent, WIDE, **log) as service:
            assert [predicts(service) for _ in range(11)] == [True] * 11
            # 50,000 rows wait at most, 5,001 came each time.
            assert service.counters()["mainline_log_rows_dropped_total",] >= len(MANY)
            assert service.stop() == 0


@pytest.mark.parametrize("size", [0, 4096])
def test_with_a_full_disk_predictions_go_on_and_the_log_does_when_there_is_room_again(logistic, tmp_path, size):
    with live.serve(tmp_path, logistic.model.parent, WIDE) as service:
        old = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
        # The kernel refuses to let any file grow beyond: with 0 not even stderr, which is a file here.
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (size, old[1]))
        assert predicts(service)
        lost = until(service, "mainline_log_rows_dropped_total", len(MANY))
        assert not list((tmp_path / "predictions").rglob("*.*"))
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, old)
        assert predicts(service)
        until(service, "mainline_log_rows_written_total", len(MANY))
        assert service.stop() == 0
    assert service.log().num_rows == 2 * (len(MANY) + 1) - lost


@pytest.mark.parametrize(
    ("said", "warned"),
    [
        ({}, True),
        ({"PREDICTION_LOG_SALT": ""}, True),
        ({"PREDICTION_LOG_SALT": "pepper"}, False),
        ({"PREDICTION_LOG": "off"}, False),
    ],
)
def test_a_log_whose_hashes_can_be_guessed_is_warned_of_once_by_the_names_of_its_fields(
    logistic, tmp_path, said, warned
):
    with live.serve(tmp_path, logistic.model.parent, **said) as service:
        service.stop()
    lines = [line for line in service.stderr().splitlines() if "PREDICTION_LOG_SALT" in line]
    line = "serving: PREDICTION_LOG_SALT is not set: who reads the log can guess region from the hashes"
    assert lines == [line] * warned


# Clients.


@pytest.fixture(scope="module")
def impatient(logistic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("impatient")
    with live.serve(folder, logistic.model.parent, {**live.LIMITS, "timeout_seconds": 0.5}) as running:
        yield running
    assert "Traceback" not in running.stderr()


def begun(service, path="/predict"):
    """A connection on which a body of 1,000 bytes has been announced, and 10 came."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    connection.sendall(head.encode() + b" " * 10)
    return connection


@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
def test_a_client_that_stops_in_its_body_is_told_that_it_was_too_slow(impatient, path):
    with begun(impatient, path) as connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert json.loads(answer.read())["error"] == "the body did not come within 0.5 s"
        assert connection.recv(1) == b""


def test_a_client_that_sends_byte_by_byte_is_told_that_it_was_too_slow(impatient):
    with begun(impatient) as connection:
        connection.settimeout(0.05)
        while True:
            connection.sendall(b" ")
            try:
                received = connection.recv(100)
            except TimeoutError:
                continue
            break
        assert received.startswith(b"HTTP/1.1 408 ")


def test_slow_clients_do_not_hold_up_others(impatient):
    slow = [begun(impatient) for _ in range(50)]
    answer = impatient.ask("POST", "/predict", GOOD)
    for connection in slow:
        connection.close()
    assert answer.status == 200


def test_a_client_that_goes_away_is_no_request_that_was_answered(impatient):
    before = impatient.counters()
    begun(impatient).close()
    assert impatient.ask("POST", "/predict", GOOD).status == 200
    after = impatient.counters()
    rise = {
        name: after[name] - before.get(name, 0) for name in after if name[:2] == ("mainline_requests_total", "/predict")
    }
    assert {name[2]: count for name, count in rise.items() if count} == {"200": 1}


def test_what_is_not_http_is_refused(impatient):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")
    assert impatient.ask("GET", "/readyz").status == 200


# What it refuses to start with.


@pytest.fixture
def models(logistic, tmp_path):
    return shutil.copytree(logistic.model.parent, tmp_path / "models")


def refuses(folder, models, *words, limits=live.LIMITS, **more):
    code, stderr = live.refusal(folder, models, limits, **more)
    assert code == 2, stderr
    assert re.fullmatch(r"serving: [^\n]+\n", stderr)
    assert all(word in stderr for word in words), stderr


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_truncated_model_is_refused(models, tmp_path, size):
    path = models / "model.onnx"
    path.write_bytes(path.read_bytes()[:size])
    refuses(tmp_path, models, str(path), "is not a readable model")


def test_a_missing_model_is_refused(models, tmp_path):
    (models / "model.onnx").unlink()
    refuses(tmp_path, models, "model.onnx", "No such file")


def test_a_model_of_another_signature_is_refused(models, tmp_path, regression):
    shutil.copy(regression.signature, models)
    refuses(tmp_path, models, "do not belong together", "the signature names value")


def test_a_model_with_other_inputs_is_refused(models, tmp_path):
    path = models / "signature.json"
    document = json.loads(path.read_text())
    document["inputs"] = [item for item in document["inputs"] if item["name"] != "shop"]
    path.write_text(json.dumps(document))
    refuses(tmp_path, models, "do not belong together", "the graph alone has shop")


def test_a_model_that_does_not_answer_its_example_is_refused(tmp_path):
    refuses(tmp_path, tiny(tmp_path, "Concat<axis = 1>(a, a)"), "model.onnx does not answer the example")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"task": "clustering"}'])
def test_what_is_no_signature_is_refused(models, tmp_path, content):
    (models / "signature.json").write_text(content)
    refuses(tmp_path, models, "signature.json is not a signature")


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ("", "serving.json is wrong"),
        ("[]", "serving.json is wrong"),
        ({**live.LIMITS, "max_rows": 1}, "max_rows"),
        ({key: value for key, value in live.LIMITS.items() if key != "release"}, "release"),
        ({**live.LIMITS, "max_batch_rows": "100"}, "max_batch_rows"),
        ({**live.LIMITS, "timeout_seconds": 0}, "above zero"),
    ],
)
def test_a_wrong_serving_json_is_refused(models, tmp_path, limits, word):
    refuses(tmp_path, models, word, limits=limits)


def test_a_missing_serving_json_is_refused(models, tmp_path):
    refuses(tmp_path, models, "nowhere.json is missing", SERVING_JSON=str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("url", ["ftp://host/log", "s3://", "S3:log"])
def test_a_log_that_cannot_be_is_refused(models, tmp_path, url):
    refuses(tmp_path, models, "PREDICTION_LOG=", PREDICTION_LOG=url)


@pytest.mark.parametrize("port", ["http", "99999", "-1"])
def test_a_port_that_is_none_is_refused(models, tmp_path, port):
    refuses(tmp_path, models, f"PORT={port}", PORT=port)


def test_a_port_that_is_taken_is_refused(models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, stderr = live.refusal(tmp_path, models, PORT=port)
    assert code != 0
    assert "address already in use" in stderr
    assert "Traceback" not in stderr


def test_the_server_of_bentoml_refuses_as_well(models, tmp_path):
    (models / "model.onnx").write_bytes(b"")
    command = [*live.bentoml_command(), "serve", "serving.service:Predictions", "--port", str(live.free_port())]
    env = live.environment(tmp_path, models)
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert [line for line in ended.stderr.splitlines() if "model.onnx is not a readable model" in line]
    assert "Traceback" not in ended.stderr

"""Files and settings with which the service refuses to start."""

import json
import re
import shutil
import socket
import subprocess

import pytest

from tests.engine.serving import live
from tests.engine.serving.asgi import tiny

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-startup")]


@pytest.fixture
def models(logistic, tmp_path):
    return shutil.copytree(logistic.model.parent, tmp_path / "models")


def check_refusal(folder, models, *words, limits=live.LIMITS, **more):
    code, stderr = live.refusal(folder, models, limits, **more)
    assert code == 2, stderr
    assert re.fullmatch(r"serving: [^\n]+\n", stderr)
    assert all(word in stderr for word in words), stderr


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_truncated_model_is_refused(models, tmp_path, size):
    path = models / "model.onnx"
    path.write_bytes(path.read_bytes()[:size])
    check_refusal(tmp_path, models, str(path), "is not a readable model")


def test_a_missing_model_is_refused(models, tmp_path):
    (models / "model.onnx").unlink()
    check_refusal(tmp_path, models, "model.onnx", "No such file")


def test_a_model_of_another_signature_is_refused(models, tmp_path, regression):
    shutil.copy(regression.signature, models)
    check_refusal(tmp_path, models, "does not fit its signature", "output name:value")


def test_a_model_with_other_inputs_is_refused(models, tmp_path):
    path = models / "signature.json"
    document = json.loads(path.read_text())
    document["inputs"] = [item for item in document["inputs"] if item["name"] != "shop"]
    path.write_text(json.dumps(document))
    check_refusal(tmp_path, models, "does not fit its signature", "shop")


def test_a_model_that_cannot_score_its_example_is_refused(tmp_path):
    check_refusal(tmp_path, tiny(tmp_path, "Concat<axis = 1>(a, a)"), "model.onnx does not fit its signature")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"task": "clustering"}'])
def test_a_file_that_is_not_a_signature_is_refused(models, tmp_path, content):
    (models / "signature.json").write_text(content)
    check_refusal(tmp_path, models, "signature.json is not a signature")


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ("", "serving.json is invalid"),
        ("[]", "serving.json is invalid"),
        ({**live.LIMITS, "max_rows": 1}, "max_rows"),
        ({key: value for key, value in live.LIMITS.items() if key != "release"}, "release"),
        ({**live.LIMITS, "max_batch_rows": "100"}, "max_batch_rows"),
        ({**live.LIMITS, "timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_an_invalid_serving_json_is_refused(models, tmp_path, limits, word):
    check_refusal(tmp_path, models, word, limits=limits)


def test_a_missing_serving_json_is_refused(models, tmp_path):
    check_refusal(tmp_path, models, "nowhere.json is missing", SERVING_JSON=str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("url", ["ftp://host/log", "s3://", "S3:log"])
def test_an_invalid_url_of_the_log_is_refused(models, tmp_path, url):
    check_refusal(tmp_path, models, "PREDICTION_LOG=", PREDICTION_LOG=url)


@pytest.mark.parametrize("port", ["http", "99999", "-1"])
def test_an_invalid_port_is_refused(models, tmp_path, port):
    check_refusal(tmp_path, models, "environment variable is invalid", "PORT", PORT=port)


def test_a_port_that_is_taken_is_refused(models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, stderr = live.refusal(tmp_path, models, PORT=port)
    assert code != 0
    assert "address already in use" in stderr
    assert "Traceback" not in stderr


def test_bentoml_serve_refuses_to_start_equally(models, tmp_path):
    (models / "model.onnx").write_bytes(b"")
    command = [*live.bentoml_command(), "serve", "serving.service:Predictions", "--port", str(live.free_port())]
    env = live.environment(tmp_path, models)
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert [line for line in ended.stderr.splitlines() if "model.onnx is not a readable model" in line]
    assert "Traceback" not in ended.stderr

"""serving.json and the environment."""

import json

import pytest

from serving import settings
from serving.errors import CannotStartError
from serving.settings import ROOT, Release

LIMITS = {"release": "0123456789ab", "max_batch_rows": 100, "max_body_mb": 0.5, "timeout_seconds": 5}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "serving.json"
    path.write_text(json.dumps(LIMITS))
    return path


def test_release_and_limits_are_read_from_the_file(path):
    read = settings.load({"SERVING_JSON": str(path)})
    assert read.release == Release("0123456789ab", 100, 0.5, 5.0)
    assert read.max_body == 500_000


def test_other_settings_are_read_from_the_environment(path, tmp_path):
    read = settings.load(
        {
            "SERVING_JSON": str(path),
            "MODEL_FOLDER": str(tmp_path),
            "MODEL_VERSION": "orders@v1.2.0",
            "MODEL_ROLE": "challenger",
            "PREDICTION_LOG": "s3://logs/orders",
            "PREDICTION_LOG_SALT": "pepper",
            "HOST": "127.0.0.1",
            "PORT": "8080",
            "DRAIN_SECONDS": "0.1",
        }
    )
    assert (read.model_folder, read.model_version, read.model_role) == (str(tmp_path), "orders@v1.2.0", "challenger")
    assert (read.prediction_log, read.prediction_log_salt) == ("s3://logs/orders", "pepper")
    assert (read.host, read.port, read.drain_seconds) == ("127.0.0.1", 8080, 0.1)


def test_an_empty_variable_counts_as_absent(path):
    names = ["MODEL_FOLDER", "MODEL_VERSION", "MODEL_ROLE", "PREDICTION_LOG", "PREDICTION_LOG_SALT"]
    names += ["HOST", "PORT", "DRAIN_SECONDS"]
    bare = settings.load({"SERVING_JSON": str(path)})
    assert settings.load({"SERVING_JSON": str(path), **dict.fromkeys(names, "")}) == bare
    assert (bare.model_folder, bare.model_version, bare.model_role) == (str(ROOT / "models"), None, "champion")
    assert (bare.prediction_log, bare.prediction_log_salt) == ("predictions", None)
    assert (bare.host, bare.port, bare.drain_seconds) == ("0.0.0.0", 3000, 1)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"max_batch_rows": 0}, "max_batch_rows"),
        ({"max_body_mb": 0}, "max_body_mb"),
        ({"timeout_seconds": -1}, "timeout_seconds"),
        ({"max_batch_rows": "100"}, "max_batch_rows"),
        ({"max_batch_rows": 1.5}, "max_batch_rows"),
        ({"max_body_mb": True}, "max_body_mb"),
        ({"release": 1}, "release"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_invalid_value_is_reported_in_one_line(path, changes, name):
    path.write_text(json.dumps({**LIMITS, **changes}))
    with pytest.raises(CannotStartError, match=name) as caught:
        settings.load({"SERVING_JSON": str(path)})
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", LIMITS)
def test_a_missing_key_is_named(path, name):
    path.write_text(json.dumps({key: value for key, value in LIMITS.items() if key != name}))
    with pytest.raises(CannotStartError, match=name):
        settings.load({"SERVING_JSON": str(path)})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"release": "\xff"}'])
def test_a_broken_file_is_reported_in_one_line(path, content):
    path.write_bytes(content)
    with pytest.raises(CannotStartError, match=r"serving\.json is invalid") as caught:
        settings.load({"SERVING_JSON": str(path)})
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_and_a_folder_are_reported(tmp_path):
    with pytest.raises(CannotStartError, match="is missing; it is written when the image is built"):
        settings.load({"SERVING_JSON": str(tmp_path / "serving.json")})
    with pytest.raises(CannotStartError, match="is invalid"):
        settings.load({"SERVING_JSON": str(tmp_path)})


@pytest.mark.parametrize("text", ["soon", "-1", "301", "nan", "inf"])
def test_an_invalid_time_to_drain_is_reported_in_one_line(path, text):
    with pytest.raises(CannotStartError, match=r"^an environment variable is invalid: .*DRAIN_SECONDS"):
        settings.load({"SERVING_JSON": str(path), "DRAIN_SECONDS": text})


@pytest.mark.parametrize("text", ["http", "99999", "-1", "80.5"])
def test_an_invalid_port_is_reported_in_one_line(path, text):
    with pytest.raises(CannotStartError, match=r"^an environment variable is invalid: .*PORT"):
        settings.load({"SERVING_JSON": str(path), "PORT": text})

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


def test_the_file_holds_the_release_and_its_limits(path):
    read = settings.load({"SERVING_JSON": str(path)})
    assert read.release == Release("0123456789ab", 100, 0.5, 5.0)
    assert read.max_body == 500_000


def test_the_environment_says_the_rest(path, tmp_path):
    read = settings.load(
        {
            "SERVING_JSON": str(path),
            "MODEL_FOLDER": str(tmp_path),
            "MODEL_VERSION": "orders@v1.2.0",
            "MODEL_ROLE": "challenger",
            "PREDICTION_LOG": "s3://logs/orders",
            "PREDICTION_LOG_SALT": "pepper",
        }
    )
    assert (read.models, read.version, read.role) == (tmp_path, "orders@v1.2.0", "challenger")
    assert (read.log, read.salt) == ("s3://logs/orders", "pepper")


def test_an_empty_variable_counts_as_absent(path):
    names = ("MODEL_FOLDER", "MODEL_VERSION", "MODEL_ROLE", "PREDICTION_LOG", "PREDICTION_LOG_SALT")
    bare = settings.load({"SERVING_JSON": str(path)})
    assert settings.load({"SERVING_JSON": str(path), **dict.fromkeys(names, "")}) == bare
    assert (bare.models, bare.version, bare.role) == (ROOT / "models", None, "champion")
    assert (bare.log, bare.salt) == ("predictions", None)


def test_the_log_can_be_off(path):
    assert settings.load({"SERVING_JSON": str(path), "PREDICTION_LOG": "off"}).log is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_batch_rows": 0}, "above zero"),
        ({"max_body_mb": 0}, "above zero"),
        ({"timeout_seconds": -1}, "above zero"),
        ({"max_batch_rows": "100"}, "max_batch_rows"),
        ({"max_batch_rows": 1.5}, "max_batch_rows"),
        ({"max_body_mb": True}, "max_body_mb"),
        ({"release": 1}, "release"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(path, changes, said):
    path.write_text(json.dumps({**LIMITS, **changes}))
    with pytest.raises(CannotStartError, match=said) as caught:
        settings.load({"SERVING_JSON": str(path)})
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", LIMITS)
def test_a_setting_that_is_missing_is_named(path, name):
    path.write_text(json.dumps({key: value for key, value in LIMITS.items() if key != name}))
    with pytest.raises(CannotStartError, match=name):
        settings.load({"SERVING_JSON": str(path)})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"release": "\xff"}'])
def test_a_broken_file_is_told_in_one_line(path, content):
    path.write_bytes(content)
    with pytest.raises(CannotStartError, match=r"serving\.json is wrong") as caught:
        settings.load({"SERVING_JSON": str(path)})
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path):
    with pytest.raises(CannotStartError, match="is missing; it is written when the image is built"):
        settings.load({"SERVING_JSON": str(tmp_path / "serving.json")})
    with pytest.raises(CannotStartError, match="is wrong"):
        settings.load({"SERVING_JSON": str(tmp_path)})


def test_how_long_it_drains_can_be_said(path):
    assert settings.load({"SERVING_JSON": str(path)}).drain_seconds == 1
    assert settings.load({"SERVING_JSON": str(path), "DRAIN_SECONDS": "0.1"}).drain_seconds == 0.1


@pytest.mark.parametrize("text", ["soon", "-1", "301", "nan", "inf"])
def test_a_drain_that_is_no_time_is_told_in_one_line(path, text):
    with pytest.raises(CannotStartError, match=rf"^DRAIN_SECONDS={text} is not a number of seconds from 0 to 300$"):
        settings.load({"SERVING_JSON": str(path), "DRAIN_SECONDS": text})

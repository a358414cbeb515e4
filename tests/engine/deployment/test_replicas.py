"""What a replica inherits from the environment of the release."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError
from pipelines.config.serving import Serving
from pipelines.deployment import replicas, service_client
from pipelines.deployment.containers import Container
from pipelines.deployment.host import Host
from serving import limits

BUCKET = {"PREDICTION_LOG": "s3://acme/log"}
PLACE = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "http://store:9000"}
KEY = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hidden"}
VERSION = replicas.Version("a" * 12, "127.0.0.1:5000/fraud@sha256:1", "fraud@v1.0.0")
IMAGE = f"example.org/image@sha256:{'0' * 64}"
HOST = Host(
    "fraud",
    Serving(base_image=IMAGE, front_image=IMAGE, max_batch_rows=1, max_body_mb=1.0, timeout_seconds=1.0),
    "http://127.0.0.1:3000",
    "http://127.0.0.1:3001",
    Path("/nowhere"),
)
SESSION = KEY | {"AWS_SESSION_TOKEN": "of an hour"}


@pytest.mark.parametrize("log", [{}, {"PREDICTION_LOG": "off"}, {"PREDICTION_LOG": "/predictions"}])
def test_aws_variables_are_inherited_only_for_a_log_in_a_bucket(log: dict[str, str]) -> None:
    assert replicas.list_inherited_variables(PLACE | KEY | log) == []
    assert replicas.list_inherited_variables(PLACE | KEY | BUCKET) == [*PLACE, *KEY]


def test_session_credentials_are_not_inherited() -> None:
    assert replicas.list_inherited_variables(PLACE | SESSION | BUCKET) == [*PLACE]
    assert replicas.list_inherited_variables({"AWS_SESSION_TOKEN": "of an hour"} | BUCKET) == []


def test_salt_is_always_inherited() -> None:
    for more in ({}, BUCKET, SESSION | BUCKET):
        assert replicas.list_inherited_variables({"PREDICTION_LOG_SALT": "pepper"} | more) == ["PREDICTION_LOG_SALT"]


def test_empty_variables_are_not_inherited() -> None:
    empty = dict.fromkeys(["PREDICTION_LOG_SALT", *PLACE, "AWS_ACCESS_KEY_ID"], "")
    assert replicas.list_inherited_variables(empty | BUCKET) == []
    assert replicas.list_inherited_variables(KEY | {"AWS_SESSION_TOKEN": ""} | BUCKET) == [*KEY]


@pytest.mark.parametrize("address", ["http://ann:hidden@fraud.example.org", "https://hidden@h/x", "fraud.example.org"])
def test_service_url_without_scheme_or_with_password_is_an_error_that_hides_the_password(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SERVICE_URL", address)
    with pytest.raises(InputError, match="SERVICE_URL") as error:
        service_client.service_url()
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:3000/", "https://fraud.example.org/v1/@eu"])
def test_trailing_slash_of_the_service_url_is_removed(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("SERVICE_URL", address)
    assert service_client.service_url() == address.rstrip("/")


def test_docker_waits_longer_than_the_service_takes_to_end() -> None:
    assert limits.ANSWER_SECONDS + limits.LOG_SECONDS < limits.END_SECONDS < replicas.STOP_SECONDS


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the started container; the environment has a log in a bucket and a key."""
    arguments: list[Any] = []
    monkeypatch.setattr(Container, "run", lambda *options: arguments.extend(options))
    monkeypatch.setattr(Container, "remove", lambda _: None)
    for name in (*PLACE, "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (KEY | BUCKET | {"PREDICTION_LOG_SALT": "pepper"}).items():
        monkeypatch.setenv(name, value)
    return arguments


def test_secrets_are_passed_to_docker_by_name_only(started: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    replicas._start(HOST, "a", 1, VERSION)
    assert {f"--env={name}" for name in (*KEY, "PREDICTION_LOG_SALT")} <= set(started)
    assert not {word for word in ("AKIA", "hidden", "pepper") if word in str(started)}
    assert "--env=PREDICTION_LOG=s3://acme/log" in started
    assert capsys.readouterr().out == ""


def test_notice_is_printed_if_the_service_gets_no_credentials(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of an hour")
    replicas._start(HOST, "a", 1, VERSION)
    assert "AWS_" not in str(started)
    (line,) = capsys.readouterr().out.splitlines()
    assert "credentials" in line and "role of its own" in line

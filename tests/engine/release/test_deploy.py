"""What the default container inherits from the environment of the release."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.cli.errors import InputError
from pipelines.release import deploy
from pipelines.release.container import Container

BUCKET = {"PREDICTION_LOG": "s3://acme/log"}
PLACE = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "http://store:9000"}
KEY = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "hidden"}
SESSION = KEY | {"AWS_SESSION_TOKEN": "of an hour"}


@pytest.mark.parametrize("log", [{}, {"PREDICTION_LOG": "off"}, {"PREDICTION_LOG": "/predictions"}])
def test_only_a_log_in_a_bucket_gets_what_the_release_knows_of_aws(log: dict[str, str]) -> None:
    assert deploy.list_inherited_variables(PLACE | KEY | log) == []
    assert deploy.list_inherited_variables(PLACE | KEY | BUCKET) == [*PLACE, *KEY]


def test_credentials_of_a_session_are_not_inherited_for_they_end_with_it() -> None:
    assert deploy.list_inherited_variables(PLACE | SESSION | BUCKET) == [*PLACE]
    assert deploy.list_inherited_variables({"AWS_SESSION_TOKEN": "of an hour"} | BUCKET) == []


def test_the_salt_is_inherited_wherever_the_log_is() -> None:
    for more in ({}, BUCKET, SESSION | BUCKET):
        assert deploy.list_inherited_variables({"PREDICTION_LOG_SALT": "pepper"} | more) == ["PREDICTION_LOG_SALT"]


def test_what_is_empty_counts_as_absent() -> None:
    empty = dict.fromkeys(["PREDICTION_LOG_SALT", *PLACE, "AWS_ACCESS_KEY_ID"], "")
    assert deploy.list_inherited_variables(empty | BUCKET) == []
    assert deploy.list_inherited_variables(KEY | {"AWS_SESSION_TOKEN": ""} | BUCKET) == [*KEY]


@pytest.mark.parametrize("address", ["http://ann:hidden@fraud.example.org", "https://hidden@h/x", "fraud.example.org"])
def test_an_address_without_a_scheme_or_with_a_password_is_refused_and_the_password_not_printed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SERVICE_URL", address)
    with pytest.raises(InputError, match="SERVICE_URL") as error:
        deploy.service_url()
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:3000/", "https://fraud.example.org/v1/@eu"])
def test_an_address_is_used_without_its_last_slash(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("SERVICE_URL", address)
    assert deploy.service_url() == address.rstrip("/")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the started container; the environment has a log in a bucket and a key."""
    arguments: list[Any] = []
    monkeypatch.setattr(Container, "run", lambda *options, environment: arguments.extend([*options, environment]))
    for name in (*PLACE, "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (KEY | BUCKET | {"PREDICTION_LOG_SALT": "pepper"}).items():
        monkeypatch.setenv(name, value)
    return arguments


def test_a_secret_is_inherited_by_its_name_alone(started: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    deploy._start_container("fraud", "127.0.0.1:5000/fraud@sha256:1", "fraud@v1.0.0")
    assert {f"--env={name}" for name in (*KEY, "PREDICTION_LOG_SALT")} <= set(started[:-1])
    assert not {word for word in ("AKIA", "hidden", "pepper") if word in str(started)}
    assert started[-1]["PREDICTION_LOG"] == "s3://acme/log"
    assert capsys.readouterr().out == ""


def test_missing_credentials_of_the_service_are_printed(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of an hour")
    deploy._start_container("fraud", "127.0.0.1:5000/fraud@sha256:1", "fraud@v1.0.0")
    assert "AWS_" not in str(started)
    (line,) = capsys.readouterr().out.splitlines()
    assert "credentials" in line and "role of its own" in line

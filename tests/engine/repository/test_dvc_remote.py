import configparser

import pytest

from pipelines.cli.errors import InputError
from pipelines.repository.dvc import run_dvc
from pipelines.repository.dvc_remote import default_remote, set_remote_from_environment, write_remote


def local_config(root):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(root / ".dvc" / "config.local")
    return {section: dict(parser[section]) for section in parser.sections()}


def test_the_remote_of_the_environment_becomes_the_default_remote_of_the_clone(repository, monkeypatch):
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://bucket/fraud")
    monkeypatch.setenv("DVC_REMOTE_ENDPOINT_URL", "http://127.0.0.1:9000")
    before = (repository / ".dvc" / "config").read_bytes()
    set_remote_from_environment(repository)
    assert local_config(repository) == {
        "core": {"remote": "storage"},
        "'remote \"storage\"'": {"url": "s3://bucket/fraud", "endpointurl": "http://127.0.0.1:9000"},
    }
    assert (repository / ".dvc" / "config").read_bytes() == before
    assert default_remote(repository) == "storage"


def test_without_the_variable_nothing_is_written(repository, monkeypatch):
    monkeypatch.delenv("DVC_REMOTE_URL", raising=False)
    set_remote_from_environment(repository)
    assert not (repository / ".dvc" / "config.local").exists()
    assert default_remote(repository) is None


def test_another_remote_replaces_the_first_one(repository):
    write_remote(repository, "s3://bucket/one", "http://127.0.0.1:9000")
    write_remote(repository, "s3://bucket/two")
    assert local_config(repository)["'remote \"storage\"'"] == {"url": "s3://bucket/two"}


def test_a_relative_path_starts_at_the_root_of_the_repository(repository):
    write_remote(repository, "../shared")
    done = run_dvc(repository, "remote", "list")
    assert done.stdout.split()[:2] == ["storage", str(repository.parent / "shared")]


def test_other_settings_of_the_clone_are_preserved(repository):
    (repository / ".dvc" / "config.local").write_text("[cache]\n    type = copy\n", encoding="utf-8")
    write_remote(repository, "s3://bucket/one")
    assert local_config(repository)["cache"] == {"type": "copy"}


@pytest.mark.parametrize("url", ["  ", "s3://buc ket", "s3://", "://x", "s3://b\nucket"])
def test_an_invalid_address_is_refused(repository, url):
    with pytest.raises(InputError, match="is not an address"):
        write_remote(repository, url)
    assert not (repository / ".dvc" / "config.local").exists()


def test_an_endpoint_without_http_is_refused(repository):
    with pytest.raises(InputError, match=r"http\(s\)"):
        write_remote(repository, "s3://bucket", "127.0.0.1:9000")


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@host/x", "s3://key:hunter2@bucket/x", "https://host/x?sig=hunter2"]
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(repository, url):
    with pytest.raises(InputError, match="carries a secret") as caught:
        write_remote(repository, url)
    assert "hunter2" not in f"{caught.value} {caught.value.remedy}"


def test_a_protocol_unknown_to_dvc_is_refused_and_no_remote_is_written(repository):
    with pytest.raises(InputError, match="DVC refuses"):
        write_remote(repository, "nosuch://bucket/x")
    assert default_remote(repository) is None

"""Reading from git's origin, and the errors when it does not respond. Needs git."""

import os
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from pipelines.cli.errors import Unreachable
from pipelines.repository import origin
from pipelines.repository.git import commit_of, git


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one commit on main, which its origin has too; the current folder."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    path = tmp_path / "clone"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin.git"))
    git("init", "--quiet", "--initial-branch=main", str(path))
    monkeypatch.chdir(path)
    git("remote", "add", "origin", str(tmp_path / "origin.git"))
    git("commit", "--quiet", "--allow-empty", "-m", "one")
    git("push", "--quiet", "origin", "main")
    return path


def test_read_ref_returns_the_commit_of_a_branch_or_none(clone: Path) -> None:
    assert origin.read_ref("refs/heads/main") == git("rev-parse", "HEAD")
    assert origin.read_ref("refs/heads/other") is None


def test_fetch_gets_a_commit_without_tags(clone: Path, tmp_path: Path) -> None:
    git("clone", "--quiet", str(tmp_path / "origin.git"), str(tmp_path / "other"))
    git("commit", "--quiet", "--allow-empty", "-m", "two", cwd=tmp_path / "other")
    git("tag", "v2", cwd=tmp_path / "other")
    git("push", "--quiet", "--tags", "origin", "main", cwd=tmp_path / "other")
    commit = git("rev-parse", "HEAD", cwd=tmp_path / "other")
    origin.fetch(commit)
    assert commit_of(commit) == commit and git("tag") == ""


def test_main_is_fetched_or_none_without_an_origin(clone: Path) -> None:
    assert origin.main() == git("rev-parse", "HEAD") == git("rev-parse", "refs/remotes/origin/main")
    git("remote", "remove", "origin")
    assert origin.main() is None


@pytest.mark.parametrize(
    "read",
    [lambda: origin.read_ref("refs/heads/main"), origin.main, lambda: origin.fetch("1" * 40)],
    ids=["read_ref", "main", "fetch"],
)
def test_a_missing_origin_is_unreachable_with_the_message_of_git(clone: Path, read) -> None:
    shutil.rmtree(git("remote", "get-url", "origin"))
    with pytest.raises(Unreachable, match="does not appear to be a git repository") as caught:
        read()
    assert caught.value.remedy == "Fix the network or the permission to read origin, then run this again."


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:hunter2@127.0.0.1:9/x.git",
        "https://ann:hun/hunter2@127.0.0.1:9/x.git",
        "https://127.0.0.1:9/x.git?token=hunter2",
    ],
)
def test_a_secret_in_the_address_of_origin_is_not_repeated(clone: Path, url: str) -> None:
    git("remote", "set-url", "origin", url)
    for read in (lambda: origin.read_ref("refs/heads/main"), origin.main):
        with pytest.raises(Unreachable, match="unable to access 'https://") as caught:
            read()
        assert "hunter2" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(("host", "sent"), [("github.com", True), ("elsewhere.example", False)])
def test_the_token_is_sent_only_to_github(clone: Path, monkeypatch: pytest.MonkeyPatch, host: str, sent: bool) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "the-token")
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    command = ("config", "--get-urlmatch", "http.extraheader", f"https://{host}/acme/x.git")
    if sent:
        assert origin.run_git(*command).startswith("AUTHORIZATION: basic ")
    else:
        with pytest.raises(subprocess.CalledProcessError):
            origin.run_git(*command)


def test_git_pushes_with_the_token_of_the_app_if_there_is_one(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "the-token")
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    command = ("config", "--get-urlmatch", "http.extraheader", "https://github.com/acme/x.git")
    for token, sent in (("", "the-token"), ("of-the-app", "of-the-app")):
        monkeypatch.setenv("BOT_TOKEN", token)
        assert b64decode(origin.run_git(*command).split()[-1]).decode() == f"x-access-token:{sent}"

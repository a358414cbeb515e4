"""The git hooks, run by pre-commit in a scratch repository."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".pre-commit-config.yaml"


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty git repository as the current folder; git and pre-commit read no settings of this machine."""
    for name in [*filter(lambda name: name.startswith("GIT_"), os.environ), "VENV"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = test\nemail = test@example.invalid\n")
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", tmp_path / "repo"], check=True)
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def hook(scratch):
    """Runs one hook on a staged file of a size; returns its exit code and output."""

    def run(name, file, size):
        (scratch / file).parent.mkdir(parents=True, exist_ok=True)
        (scratch / file).write_bytes(b"\0" * size)
        subprocess.run(["git", "add", "--", file], check=True)
        command = [sys.executable, "-m", "pre_commit", "run", name, "--config", CONFIG]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout

    return run


def test_every_hook_is_local_and_fetches_no_code():
    repos = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    assert {hook["language"] for hook in repos[0]["hooks"]} <= {"system", "fail"}


def test_the_lint_hook_and_ci_run_make_lint():
    (lint,) = (hook for hook in yaml.safe_load(CONFIG.read_text())["repos"][0]["hooks"] if hook["id"] == "lint")
    assert lint["entry"] == "make lint"
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest-all:")[2].partition("\n.PHONY")[0]
    assert "$(MAKE) lint &&" in recipe


def test_a_large_file_is_refused_with_its_name(hook):
    status, output = hook("large-files", "some notes.bin", 2**20 + 1)
    assert status == 1
    assert "some notes.bin" in output


def test_a_file_of_one_megabyte_is_accepted(hook):
    assert hook("large-files", "notes.bin", 2**20)[0] == 0


@pytest.mark.parametrize("file", ["-delete", "a\nb", "$(rm notes.txt)", "-print0 notes.txt"])
@pytest.mark.parametrize(("size", "status"), [(10, 0), (2**20 + 1, 1)])
def test_a_file_name_is_never_run_as_an_option_or_a_command(hook, scratch, file, size, status):
    (scratch / "notes.txt").write_text("notes")
    assert hook("large-files", file, size)[0] == status
    assert {path.name for path in scratch.iterdir()} == {".git", "notes.txt", file}


def test_a_file_whose_size_cannot_be_read_is_refused():
    hooks = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"][0]["hooks"]
    (entry,) = (hook["entry"] for hook in hooks if hook["id"] == "large-files")
    assert subprocess.run([*shlex.split(entry), "no-such-file"], capture_output=True).returncode == 1


@pytest.mark.parametrize("file", ["data/2026-01.parquet", "models/model.onnx", "mlflow.db"])
def test_a_file_that_belongs_to_dvc_is_refused(hook, file):
    status, output = hook("dvc-keeps-it", file, 10)
    assert status == 1
    assert file in output


@pytest.mark.parametrize("file", ["data.dvc", "models/README.md", "reports/README.md"])
def test_pointers_and_readmes_are_accepted(hook, file):
    assert hook("dvc-keeps-it", file, 10)[0] == 0


def test_a_worktree_without_an_environment_can_be_created_and_switched(scratch, monkeypatch):
    shutil.copy(CONFIG, scratch)
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "--quiet", "--message=first"], check=True)
    subprocess.run([sys.executable, "-m", "pre_commit", "install"], check=True)
    subprocess.run(["git", "worktree", "add", "../linked", "-b", "change"], check=True)
    subprocess.run(["git", "-C", "../linked", "switch", "--quiet", "--create", "other"], check=True)
    monkeypatch.setenv("VENV", str(scratch / "broken"))
    (scratch / "broken/bin").mkdir(parents=True)
    (scratch / "broken/bin/python").symlink_to("/bin/false")
    assert subprocess.run(["git", "switch", "--quiet", "--create", "third"]).returncode == 1


def test_switching_branches_runs_dvc_checkout(repo):
    installed = repo.run(sys.executable, "-m", "pre_commit", "install")
    assert installed.code == 0 and (repo.path / ".git/hooks/pre-commit").is_file(), installed.out
    model = repo.path / "models/model.onnx"
    model.unlink()
    repo.run("git", "checkout", "--quiet", "HEAD", "--", "README.md", VENV=sys.prefix)
    assert not model.exists()  # a checkout of files is no switch of branches
    done = repo.run("git", "checkout", "--quiet", "main", VENV=sys.prefix)
    assert done.code == 0 and model.is_file(), done.out

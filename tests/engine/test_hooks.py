"""The hooks are run by the real pre-commit, in a scratch repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".pre-commit-config.yaml"


@pytest.fixture
def hook(tmp_path):
    """Runs one hook on a file of a size, and gives its status and what it printed."""
    repo = tmp_path / "repo"
    subprocess.run(["git", "init", "--quiet", repo], check=True)

    def run(name, file, size):
        (repo / file).parent.mkdir(parents=True, exist_ok=True)
        (repo / file).write_bytes(b"\0" * size)
        command = [sys.executable, "-m", "pre_commit", "run", name, "--config", CONFIG, "--files", file]
        env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        env |= {"PRE_COMMIT_HOME": str(tmp_path / "home")}
        answer = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True)
        return answer.returncode, answer.stdout

    return run


def test_every_hook_is_local_and_fetches_no_code():
    repos = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    assert {hook["language"] for hook in repos[0]["hooks"]} <= {"system", "fail"}


def test_the_lint_hook_runs_what_ci_runs():
    (lint,) = (hook for hook in yaml.safe_load(CONFIG.read_text())["repos"][0]["hooks"] if hook["id"] == "lint")
    assert lint["entry"] == "make lint"
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest-all:")[2].partition("\n.PHONY")[0]
    assert "$(MAKE) lint &&" in recipe


def test_a_large_file_is_refused_by_name(hook):
    status, said = hook("large-files", "some notes.bin", 2**20 + 1)
    assert status == 1
    assert "some notes.bin" in said


def test_a_file_of_a_megabyte_passes(hook):
    assert hook("large-files", "notes.bin", 2**20)[0] == 0


@pytest.mark.parametrize("file", ["data/2026-01.parquet", "models/model.onnx", "mlflow.db"])
def test_what_dvc_keeps_is_refused(hook, file):
    status, said = hook("dvc-keeps-it", file, 10)
    assert status == 1
    assert file in said


@pytest.mark.parametrize("file", ["data.dvc", "models/README.md", "reports/README.md"])
def test_the_pointers_and_the_pages_pass(hook, file):
    assert hook("dvc-keeps-it", file, 10)[0] == 0


def test_a_switch_of_branches_is_followed_by_dvc_checkout(repo):
    installed = repo.run(sys.executable, "-m", "pre_commit", "install")
    assert installed.code == 0 and (repo.path / ".git/hooks/pre-commit").is_file(), installed.out
    model = repo.path / "models/model.onnx"
    model.unlink()
    repo.run("git", "checkout", "--quiet", "HEAD", "--", "README.md", VENV=sys.prefix)
    assert not model.exists()  # files were checked out, and no branch
    done = repo.run("git", "checkout", "--quiet", "main", VENV=sys.prefix)
    assert done.code == 0 and model.is_file(), done.out

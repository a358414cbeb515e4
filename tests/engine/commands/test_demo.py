"""The demo: a worse model fails, a better one passes, and the repository is afterwards as it was."""

import subprocess
from pathlib import Path
from unittest import mock

import pytest

from pipelines.cli.files import write_json
from pipelines.commands import demo
from pipelines.config.paths import REVIEW
from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import stages_in_process, verb


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small problem's own changes: its model has 60 rounds."""
    acts = (
        demo.Act("worse", "A worse model", {"max_iter": "2"}, 1),
        demo.Act("better", "An equal model", {"max_iter": "61"}, 0),
    )
    monkeypatch.setattr(demo, "ACTS", acts)


def state(repo: Repo) -> tuple[str, ...]:
    return tuple(repo.git(*command) for command in (("status", "--porcelain"), ("branch",), ("worktree", "list")))


def test_a_worse_model_fails_a_better_one_passes_and_nothing_is_left(repo: Repo, short: None) -> None:
    before = state(repo)
    with stages_in_process("commands.demo", "review.flow", "repository.base_model"):
        done = verb(repo, "demo")
    assert done.code == 0, done.out
    assert done.out.count(f"against change ({repo.git('rev-parse', '--short=7', 'HEAD')})") == 2
    pages = {name: (repo.path / demo.REPORTS / name / "review.html").read_text() for name in ("worse", "better")}
    assert "FAIL" in pages["worse"] and "PASS" in pages["better"]
    assert state(repo) == before


def test_a_review_that_ends_otherwise_is_an_error(repo: Repo) -> None:
    def passes(name: str, *_: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        write_json(cwd / REVIEW / "review.json", {"verdict": "pass"})
        return subprocess.CompletedProcess([name], 0)

    with mock.patch.object(demo, "run_verb", passes):
        done = verb(repo, "demo")
    assert done.code == 1 and "worse/review.html" in done.last
    assert "mainline-demo" not in repo.git("branch")


def test_another_problem_is_refused(repo: Repo) -> None:
    def to_files(document: dict) -> None:
        document["ingest"] = {"kind": "files", "paths": ["a.csv"]}

    repo.params(to_files)
    done = verb(repo, "demo")
    assert done.code == 2 and "fresh clone" in done.last
    assert not Path(repo.path / demo.REPORTS).exists()

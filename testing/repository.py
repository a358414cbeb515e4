"""Scratch repositories: the problem of the tests, copied with the sources into a repository to work in."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
# The problem of the tests, frozen: a team's repository has a params.yaml and critical cases of its own.
PROBLEM = ROOT / "tests/engine/fixtures/payments"
PARAMS = PROBLEM / "params.yaml"
_TEAM_FILES = {"params.yaml", "dvc.lock", "data.dvc", "mlflow.db"}
_TEAM_FOLDERS = ("data/", "features/", "models/", "prepared/", "reports/", "tests/critical/")
SMALL: dict[str, Any] = {
    "ingest": {"payments": 12_000, "customers": 400, "merchants": 200, "days": 60, "fraud_rate": 0.06},
    "split": {"test_days": 14, "validation_days": 7},
    "gates": {
        "resamples": 300,
        "floors": {"average_precision": 0.5, "roc_auc": 0.8},
        "regression": {"average_precision": 0.08, "log_loss": 0.03},
        # Two processes that time microseconds beside other tests: the gate itself is tested apart.
        "scoring_time_ratio": 50.0,
    },
    "slices": {"min_support": 150, "min_positives": 20, "floor": 0.6, "tolerance": 0.02},
    "fairness": {"min_support": 100, "min_positives": 10, "min_recall_ratio": 0.4, "min_false_positive_ratio": 0.02},
    "candidates": {
        "boosting": {"params": {"max_iter": 60, "min_samples_leaf": 20}},
        # Two are enough to choose between; each stage costs every test its start.
        "forest": None,
    },
}

# The features/prepare.py of a problem without prepared columns.
NOT_PREPARED = "ROW_WISE = True\n\n\ndef prepare(frame):\n    return frame\n"


@dataclass(frozen=True)
class CommandResult:
    """How a command of a repository ended."""

    code: int
    out: str

    @property
    def last(self) -> str:
        """The last line printed: what to do next."""
        return self.out.strip().splitlines()[-1]


@dataclass(frozen=True)
class Repo:
    """A clone to work in."""

    path: Path
    cache: Path

    def run(self, *command: str, **environment: str) -> CommandResult:
        """Run a command with this environment's Python first on PATH."""
        env = {**os.environ, **quiet_environment(), **environment}
        done = subprocess.run(command, cwd=self.path, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return CommandResult(done.returncode, done.stdout + done.stderr)

    def verb(self, *arguments: str, **environment: str) -> CommandResult:
        """`python -m pipelines ...`."""
        return self.run(sys.executable, "-m", "pipelines", *arguments, **environment)

    def review(self, base: str = "main", **environment: str) -> CommandResult:
        """`python -m pipelines review --base main`."""
        return self.verb("review", "--base", base, **environment)

    @property
    def report(self) -> dict[str, Any]:
        """review.json of the last review."""
        return json.loads((self.path / "reports/review/review.json").read_text())

    @property
    def failed(self) -> dict[str, str]:
        """Name -> why of the gates that blocked the last review."""
        return {g["name"]: g["why"] for g in self.report["gates"] if g["blocks"] and not g["passed"]}

    def params(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change params.yaml."""
        path = self.path / "params.yaml"
        document = yaml.safe_load(path.read_text())
        change(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def commit(self, message: str = "change") -> None:
        """Commit all there is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def git(self, *arguments: str) -> str:
        """Output of a git command that must succeed."""
        done = self.run("git", *arguments)
        assert done.code == 0, done.out
        return done.out.strip()


def quiet_environment() -> dict[str, str]:
    """Environment of every command: this interpreter, an identity, no telemetry, one thread, no MLflow, no runner."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "GIT_AUTHOR_NAME": "tests",
        "GIT_AUTHOR_EMAIL": "tests@example.invalid",
        "GIT_COMMITTER_NAME": "tests",
        "GIT_COMMITTER_EMAIL": "tests@example.invalid",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
        "CI": "true",
        "RUNNER_ENVIRONMENT": "",
        "MLFLOW_TRACKING_URI": "",
        "DVC_REMOTE_URL": "",
    }


def is_own(name: str) -> bool:
    """Whether a path, relative to the repository, is the team's or made by its pipeline."""
    return name in _TEAM_FILES or name.startswith(_TEAM_FOLDERS)


def merge(document: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put nested changes into a document; None takes a key away."""
    for key, value in changes.items():
        if value is None:
            del document[key]
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            merge(document[key], value)
        else:
            document[key] = value


def copy_sources(target: Path) -> None:
    """The files that git would commit, as they are now, with the problem of the tests in place of the team's."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not is_own(name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    shutil.copy2(PARAMS, target)
    shutil.copytree(PROBLEM / "critical", target / "tests/critical")
    shutil.copytree(PROBLEM / "features", target / "features", ignore=shutil.ignore_patterns("__pycache__"))
    (target / ".dvc/config").write_text("[core]\n    analytics = false\n")
    pipeline = yaml.safe_load((target / "dvc.yaml").read_text())
    ours = {name: stage for name, stage in pipeline["stages"].items() if "pipelines.training." in stage["cmd"]}
    (target / "dvc.yaml").write_text(yaml.safe_dump({**pipeline, "stages": ours}, sort_keys=False))


def point_at_cache(repo: Repo) -> None:
    """Let a clone use the shared DVC cache."""
    (repo.path / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {repo.cache}\n")

"""`python -m pipelines repro`: what runs, what stays, and that every road leads to the same dvc.lock.

The flow needs the small problem (git, DVC, all stages) and clones of it with caches of their own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import cast, get_args

import dvc.repo
import pytest
import yaml

from pipelines.cli.errors import Refused, Unreachable
from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.repository.dvc import file_md5
from pipelines.repository.dvc_remote import default_remote
from pipelines.reproduce.dvc_repro import StageFailed, State, _error_of, _read_stages
from pipelines.reproduce.flow import check_outputs, prune
from tests.engine.fixtures_repo import PARAMS, Repo, quiet_environment
from tests.engine.in_process import must, verb


def states(out: str) -> dict[str, State]:
    """Stage -> state, from what the verb prints."""
    rows = [line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0] in get_args(State)]
    return {row[1]: cast(State, row[0]) for row in rows if len(row) == 2}


def text_of_lock(repo: Repo) -> str:
    return (repo.path / "dvc.lock").read_text()


def kill_in_training(repo: Repo) -> None:
    """Begin to reproduce and kill everything, without a word, while a candidate trains."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "repro"],
        cwd=repo.path, env={**os.environ, **quiet_environment()}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not _trains(process.pid):
            assert process.poll() is None, "it ended before a candidate trained"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # DVC takes the lock of a process for held until the kernel has forgotten it, which init does a moment later.
    until = time.monotonic() + 60
    while _commands(process.pid) and time.monotonic() < until:
        time.sleep(0.05)


def _trains(session: int) -> bool:
    return any(b"pipelines.training.train\0" in command for command in _commands(session))


def _commands(session: int) -> list[bytes]:
    """Command lines of the processes of a session, those that ended and are not forgotten yet included."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            ours = int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session
        except (FileNotFoundError, ProcessLookupError):
            continue
        if ours:
            found.append(command)
    return found


@pytest.mark.filterwarnings("ignore:_NoneStep")  # in DVC
def test_candidates_change_come_and_go_and_a_fresh_clone_ends_with_the_same_lock(repo: Repo) -> None:
    # A candidate is changed, and the run killed in the middle of it: a second run ends as an undisturbed one.
    repo.params(lambda document: document["candidates"]["logistic"]["params"].update(C=0.25))
    kill_in_training(repo)
    ran = states(must(verb(repo, "repro")).out)
    assert ran.pop("train@logistic") == "ran" and ran.pop("train@boosting") == "cached"
    assert [ran[name] for name in ("validate", "split", "profile")] == ["cached"] * 3
    assert not list((repo.path / "models").rglob(".*.onnx.*"))
    repo.commit("changed")
    # DVC reads what the stages wrote.
    with dvc.repo.Repo(str(repo.path)) as opened:
        assert "average_precision" in json.dumps(opened.metrics.diff("main", all=True))
        assert {"precision_by_recall", "importance"} <= set(re.findall(r"\w+", str(opened.plots.show())))
        assert opened.status() == {}

    # One is added, one is removed.
    tree = {
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "params": {"max_depth": 4, "random_state": 7},
        "before": [{"estimator": "sklearn.impute.SimpleImputer"}],
    }
    repo.params(lambda document: document["candidates"].update(atree=tree))
    repo.params(lambda document: document["candidates"].pop("logistic"))
    ran = states(must(verb(repo, "repro")).out)
    assert {name for name, state in ran.items() if name.startswith("train@") and state == "ran"} == {"train@atree"}
    assert {path.stem for path in (repo.path / "models/candidates").iterdir()} == {"atree", "boosting"}
    assert "logistic" not in text_of_lock(repo)
    repo.commit("another")

    cold = Repo(repo.path.parent / "cold", repo.path.parent / "cold/.dvc/cache")
    repo.git("clone", "--quiet", str(repo.path), str(cold.path))
    # Without a lock DVC begins with another order of the stages.
    (cold.path / "dvc.lock").unlink()
    ran = states(must(verb(cold, "repro")).out)
    assert set(ran.values()) == {"ran"} and {"train@boosting", "train@atree", "export", "profile"} < set(ran)
    assert yaml.safe_load(text_of_lock(cold)) == yaml.safe_load(text_of_lock(repo))
    assert cold.git("status", "--porcelain") in ("", "M dvc.lock")


def test_a_candidate_that_cannot_be_exported_is_refused_by_its_name_and_can_be_taken_back(repo: Repo) -> None:
    before = text_of_lock(repo)
    dummy = {"estimator": "sklearn.dummy.DummyClassifier", "params": {"random_state": 7}}
    repo.params(lambda document: document["candidates"].update(aguess=dummy))
    done = must(verb(repo, "repro"), 2)
    assert "candidates.aguess: sklearn.dummy.DummyClassifier cannot be exported to ONNX" in done.out
    assert done.last.startswith("Use one that can: HistGradientBoosting")
    assert "Traceback" not in done.out and done.out.count(done.last) == 1
    repo.params(lambda document: document["candidates"].pop("aguess"))
    assert set(states(must(verb(repo, "repro")).out).values()) <= {"cached", "pulled"}
    assert text_of_lock(repo) == before


def test_outputs_that_do_not_fit_the_lock_are_refused_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/model.onnx").write_bytes(b"model")
    md5 = file_md5(tmp_path / "models/model.onnx")
    outs = [{"path": "models/model.onnx", "md5": md5}, {"path": "reports/plots", "md5": "1234.dir"}]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"export": {"outs": outs}}}))
    check_outputs(tmp_path)
    outs.append({"path": "models/signature.json", "md5": "5678"})
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"export": {"outs": outs}}}))
    (tmp_path / "models/model.onnx").write_bytes(b"another")
    with pytest.raises(Refused) as error:
        check_outputs(tmp_path)
    assert f"dvc.lock has {md5}" in str(error.value) and "models/signature.json is missing" in str(error.value)


def test_only_what_params_yaml_no_longer_names_is_pruned(tmp_path: Path) -> None:
    params = load(PARAMS)
    folder = tmp_path / "models/candidates"
    folder.mkdir(parents=True)
    stages = {f"train@{name}": {"cmd": "x"} for name in (*params.candidates, "gone")} | {"select": {"cmd": "y"}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))
    for name in (*params.candidates, "gone", "older"):
        (folder / f"{name}.onnx").touch()
    assert prune(params, tmp_path) == ["gone", "older"]
    assert {path.stem for path in folder.iterdir()} == set(params.candidates)
    left = yaml.safe_load((tmp_path / "dvc.lock").read_text())
    assert list(left["stages"]) == [name for name in stages if name != "train@gone"] and left["schema"] == "2.0"
    before = (tmp_path / "dvc.lock").stat().st_mtime_ns
    assert prune(params, tmp_path) == []
    assert (tmp_path / "dvc.lock").stat().st_mtime_ns == before


def test_a_remote_is_seen_in_either_configuration(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    assert not default_remote(tmp_path)
    (tmp_path / ".dvc/config.local").write_text("[core]\n    remote = storage\n")
    assert default_remote(tmp_path)


def test_each_stage_has_one_state_whichever_way_it_came() -> None:
    text = """'data.dvc' didn't change, skipping
Stage 'validate' didn't change, skipping
Pulling data for stage: 'split'
Pulling data for stage: 'train@forest'
Unable to pull data for stage: 'train@forest'
Running stage 'train@forest':
> python -m pipelines.training.train forest
forest: 9 rows
Updating lock file 'dvc.lock'
Stage 'select' is cached - skipping run, checking out outputs
Pulling data for stage: 'profile'
Data and pipelines are up to date.
"""
    stages = list(_read_stages(text.splitlines(keepends=True), [], Progress()))
    assert [(stage.name, stage.state) for stage in stages] == [
        ("validate", "cached"),
        ("split", "pulled"),
        ("train@forest", "ran"),
        ("select", "pulled"),
        ("profile", "pulled"),
    ]


SAID = """Stage 'validate' didn't change, skipping
Stage 'split' is cached - skipping run, checking out outputs
Running stage 'train@forest':
> python -m pipelines.training.train forest
"""


def failed(end: str, ended: str = "exited with 2") -> StageFailed:
    """The error of a `dvc repro` that ended with `end` in a stage."""
    text = f"{SAID}{end}ERROR: failed to reproduce 'train@forest': failed to run: python -m x, {ended}\n"
    said: list[str] = []
    stages = list(_read_stages(text.splitlines(keepends=True), said, Progress()))
    assert [(stage.name, stage.state) for stage in stages] == [
        ("validate", "cached"), ("split", "pulled"), ("train@forest", "failed")
    ]  # fmt: skip
    error = _error_of(stages, said)
    assert isinstance(error, StageFailed)
    return error


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_stage_that_says_no_ends_the_run_with_its_own_code_and_remedy(code: int) -> None:
    error = failed("models/x cannot be written: No space left on device\nFree the disk.\n", f"exited with {code}")
    assert (error.code, error.remedy) == (code, "Free the disk.")
    assert str(error) == "stage train@forest failed:\nmodels/x cannot be written: No space left on device"


@pytest.mark.parametrize(
    ("end", "ended"),
    [
        ("Traceback (most recent call last):\n  File x\nValueError: odd\n", "exited with 1"),
        ("", "exited with -9"),
        ("", "exited with 137"),
    ],
)
def test_a_stage_that_crashes_or_is_killed_is_no_gate_that_says_no(end: str, ended: str) -> None:
    error = failed(end, ended)
    assert error.code == 2
    assert ended in str(error) and "Run it again" in error.remedy


def test_a_pull_that_fails_is_no_stage_that_fails() -> None:
    lines = ["Pulling data for stage: 'split'\n"]
    lines.append("ERROR: failed to reproduce 'split': Could not connect to the endpoint URL: http://x\n")
    said: list[str] = []
    stages = list(_read_stages(lines, said, Progress()))
    assert stages == []
    error = _error_of(stages, said)
    assert isinstance(error, Unreachable) and "http://x" in str(error)


def test_a_remote_that_cannot_be_reached_is_told_from_a_wrong_lock() -> None:
    assert isinstance(_error_of([], ["ERROR: unexpected error - Could not connect to the endpoint URL"]), Unreachable)
    error = _error_of([], ["ERROR: 'dvc.lock' validation failed: extra keys"])
    assert error.code == 2 and "dvc.lock" in str(error)

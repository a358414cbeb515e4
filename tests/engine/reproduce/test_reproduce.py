"""`python -m pipelines repro`: which stages run, and that every order of changes gives the same dvc.lock.

The flow needs the small problem (git, DVC, all stages) and clones of it with caches of their own.
"""

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
from pipelines.repository.dvc_lock import prune
from pipelines.repository.dvc_remote import default_remote
from pipelines.reproduce.dvc_repro import StageFailed, State, _error_of, _read_stages
from pipelines.reproduce.flow import check_outputs
from tests.engine.fixtures_repo import PARAMS, Repo, quiet_environment
from tests.engine.in_process import must, stages_in_process, verb


def states(out: str) -> dict[str, State]:
    """Stage -> state, from what the verb prints."""
    rows = [line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0] in get_args(State)]
    return {row[1]: cast(State, row[0]) for row in rows if len(row) == 2}


def text_of_lock(repo: Repo) -> str:
    return (repo.path / "dvc.lock").read_text()


def kill_in_training(repo: Repo) -> None:
    """Start to reproduce, and kill all processes while a candidate trains."""
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
    # DVC's lock counts as held until init has reaped the process that held it.
    until = time.monotonic() + 60
    while _commands(process.pid) and time.monotonic() < until:
        time.sleep(0.05)


def _trains(session: int) -> bool:
    return any(b"pipelines.training.train\0" in command for command in _commands(session))


def _commands(session: int) -> list[bytes]:
    """Command lines of the processes of a session, including those that ended and were not reaped yet."""
    commands = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            in_session = int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session
        except (FileNotFoundError, ProcessLookupError):
            continue
        if in_session:
            commands.append(command)
    return commands


@pytest.mark.filterwarnings("ignore:_NoneStep")  # in DVC
def test_candidates_are_changed_added_and_removed_and_a_fresh_clone_gets_the_same_lock(repo: Repo) -> None:
    # A candidate is changed, and the run is killed while it trains: the next run completes it.
    repo.params(lambda document: document["candidates"]["logistic"]["params"].update(C=0.25))
    kill_in_training(repo)
    with stages_in_process():
        ran = states(must(verb(repo, "repro")).out)
    assert ran.pop("train@logistic") == "ran" and ran.pop("train@boosting") == "cached"
    assert [ran[name] for name in ("validate", "split", "profile")] == ["cached"] * 3
    assert not list((repo.path / "models").rglob(".*.onnx.*"))
    repo.commit("changed")
    # DVC can read the metrics and plots.
    with dvc.repo.Repo(str(repo.path)) as opened:
        assert "average_precision" in json.dumps(opened.metrics.diff("main", all=True))
        assert {"precision_by_recall", "importance"} <= set(re.findall(r"\w+", str(opened.plots.show())))
        assert opened.status() == {}

    # A candidate is added, another one is removed.
    tree = {
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "params": {"max_depth": 4, "random_state": 7},
        "before": [{"estimator": "sklearn.impute.SimpleImputer"}],
    }
    repo.params(lambda document: document["candidates"].update(atree=tree))
    repo.params(lambda document: document["candidates"].pop("logistic"))
    with stages_in_process():
        ran = states(must(verb(repo, "repro")).out)
    assert {name for name, state in ran.items() if name.startswith("train@") and state == "ran"} == {"train@atree"}
    assert {path.stem for path in (repo.path / "models/candidates").iterdir()} == {"atree", "boosting"}
    assert "logistic" not in text_of_lock(repo)
    repo.commit("another")

    cold = Repo(repo.path.parent / "cold", repo.path.parent / "cold/.dvc/cache")
    repo.git("clone", "--quiet", str(repo.path), str(cold.path))
    # Without a lock DVC begins with another order of the stages.
    (cold.path / "dvc.lock").unlink()
    with stages_in_process():
        ran = states(must(verb(cold, "repro")).out)
    assert set(ran.values()) == {"ran"} and {"train@boosting", "train@atree", "export", "profile"} < set(ran)
    assert yaml.safe_load(text_of_lock(cold)) == yaml.safe_load(text_of_lock(repo))
    assert cold.git("status", "--porcelain") in ("", "M dvc.lock")


def test_a_candidate_that_cannot_be_exported_is_refused_and_can_be_removed(repo: Repo) -> None:
    before = text_of_lock(repo)
    dummy = {"estimator": "sklearn.dummy.DummyClassifier", "params": {"random_state": 7}}
    repo.params(lambda document: document["candidates"].update(aguess=dummy))
    with stages_in_process():
        done = must(verb(repo, "repro"), 2)
    assert "candidates.aguess: sklearn.dummy.DummyClassifier cannot be exported to ONNX" in done.out
    assert done.last.startswith("Use one that can: ")
    assert "Traceback" not in done.out and done.out.count(done.last) == 1
    repo.params(lambda document: document["candidates"].pop("aguess"))
    with stages_in_process():
        assert set(states(must(verb(repo, "repro")).out).values()) <= {"cached", "pulled"}
    assert text_of_lock(repo) == before


def test_outputs_that_differ_from_the_lock_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/model.onnx").write_bytes(b"model")
    md5 = file_md5(tmp_path / "models/model.onnx")
    outs = [{"path": "models/model.onnx", "md5": md5}, {"path": "reports/plots", "md5": "1234.dir"}]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"export": {"outs": outs}}}))
    check_outputs()
    outs.append({"path": "models/signature.json", "md5": "5678"})
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"export": {"outs": outs}}}))
    (tmp_path / "models/model.onnx").write_bytes(b"another")
    with pytest.raises(Refused) as error:
        check_outputs()
    assert f"dvc.lock has {md5}" in str(error.value) and "models/signature.json is missing" in str(error.value)


def test_prune_removes_only_candidates_missing_from_params_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = load(PARAMS)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models/candidates"
    folder.mkdir(parents=True)
    stages = {f"train@{name}": {"cmd": "x"} for name in (*params.candidates, "gone")} | {"select": {"cmd": "y"}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))
    for name in (*params.candidates, "gone", "older"):
        (folder / f"{name}.onnx").touch()
    assert prune(params.candidates) == ["gone", "older"]
    assert {path.stem for path in folder.iterdir()} == set(params.candidates)
    left = yaml.safe_load((tmp_path / "dvc.lock").read_text())
    assert list(left["stages"]) == [name for name in stages if name != "train@gone"] and left["schema"] == "2.0"
    before = (tmp_path / "dvc.lock").stat().st_mtime_ns
    assert prune(params.candidates) == []
    assert (tmp_path / "dvc.lock").stat().st_mtime_ns == before


def test_a_remote_is_read_from_either_configuration_file(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    assert not default_remote(tmp_path)
    (tmp_path / ".dvc/config.local").write_text("[core]\n    remote = storage\n")
    assert default_remote(tmp_path)


def test_each_stage_has_one_state() -> None:
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


PRINTED = """Stage 'validate' didn't change, skipping
Stage 'split' is cached - skipping run, checking out outputs
Running stage 'train@forest':
> python -m pipelines.training.train forest
"""


def failed(end: str, ended: str = "exited with 2") -> StageFailed:
    """The error of a `dvc repro` that ended with `end` in a stage."""
    text = f"{PRINTED}{end}ERROR: failed to reproduce 'train@forest': failed to run: python -m x, {ended}\n"
    printed: list[str] = []
    stages = list(_read_stages(text.splitlines(keepends=True), printed, Progress()))
    assert [(stage.name, stage.state) for stage in stages] == [
        ("validate", "cached"), ("split", "pulled"), ("train@forest", "failed")
    ]  # fmt: skip
    error = _error_of(stages, printed)
    assert isinstance(error, StageFailed)
    return error


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_failed_stage_ends_the_run_with_its_exit_code_and_remedy(code: int) -> None:
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
def test_a_crashed_or_killed_stage_ends_the_run_with_2(end: str, ended: str) -> None:
    error = failed(end, ended)
    assert error.code == 2
    assert ended in str(error) and "Run it again" in error.remedy


def test_a_failed_pull_is_not_a_failed_stage() -> None:
    lines = ["Pulling data for stage: 'split'\n"]
    lines.append("ERROR: failed to reproduce 'split': Could not connect to the endpoint URL: http://x\n")
    printed: list[str] = []
    stages = list(_read_stages(lines, printed, Progress()))
    assert stages == []
    error = _error_of(stages, printed)
    assert isinstance(error, Unreachable) and "http://x" in str(error)


def test_an_unreachable_remote_and_an_invalid_lock_give_different_errors() -> None:
    assert isinstance(_error_of([], ["ERROR: unexpected error - Could not connect to the endpoint URL"]), Unreachable)
    error = _error_of([], ["ERROR: 'dvc.lock' validation failed: extra keys"])
    assert error.code == 2 and "dvc.lock" in str(error)

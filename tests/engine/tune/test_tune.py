"""A search from the first trial to the branch."""

import fcntl
import re
import subprocess
import sys
import time
from argparse import Namespace
from datetime import timedelta
from pathlib import Path

import optuna
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

import pipelines.tune
from pipelines.cli.errors import AlreadyPrinted, InputError, Refused, Unreachable
from pipelines.config.params import load
from pipelines.config.paths import PREPARED
from pipelines.tune import flow, mlflow_runs, page, study
from pipelines.tune.problem import Problem
from testing.repository import ROOT
from tests.engine.fixtures_postgres import PASSWORD
from tests.engine.in_process import must, stages_in_process, verb
from tests.engine.tune.conftest import git, table, tune

pytestmark = pytest.mark.repository
PLOTS = page._plots


def trials(candidate="boosting"):
    """State, value and attributes of every trial of the only study here."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{study.FOLDER}/{candidate}.db")
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def tried(candidate="boosting"):
    return [(t.user_attrs["values"], t.value) for t in trials(candidate) if t.value is not None]


def tuned():
    return yaml.safe_load(git("show", "tune-boosting:params.yaml"))


def test_the_best_parameters_are_committed_on_a_branch_and_nothing_else_changes(problem, capsys):
    problem()
    before = Path("params.yaml").read_text()
    assert tune("boosting", 6, None) == 0
    values, score = max(tried(), key=lambda trial: trial[1])
    assert len(tried()) == 6 and 5 <= values["max_iter"] <= 20
    document = yaml.safe_load(before)
    document["candidates"]["boosting"]["params"] |= values
    assert tuned() == document
    assert "search:  # what to try" in git("show", "tune-boosting:params.yaml")
    assert git("diff", "--name-only", "main", "tune-boosting") == "params.yaml"
    assert Path("params.yaml").read_text() == before and git("status", "--porcelain") == ""
    assert git("branch", "--show-current") == "main"
    assert f"{score:.4f}" in git("log", "-1", "--format=%b", "tune-boosting")
    assert "git switch tune-boosting && make review" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(problem):
    for name in ("one", "other", "third"):
        problem(name, search={"seed": 8 if name == "third" else 7})
        tune("boosting", 2, None)
        if name == "one":
            first = tried()
        else:
            assert (tried() == first) == (name == "other")


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(problem, capsys):
    problem("whole")
    tune("boosting", 12, None)  # two more than are drawn at random
    expected = tried()
    problem("killed")
    killed = (
        "import os, subprocess, time\n"
        "flow_run = subprocess.CompletedProcess([], 0, '', '')\n"
        "from pipelines.tune import flow, problem\n"
        "calls, score = [], problem.Problem.score\n"
        "def dies(*rest):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 12: os._exit(9)\n"
        "    return score(*rest)\n"
        "problem.Problem.score = dies\n"
        "flow.run_verb = lambda *_, **__: flow_run\n"
        "flow.tune('boosting', 12, None, time.monotonic())\n"
    )
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{killed}"])
    assert done.returncode == 9 and len(tried()) < 12
    assert [t.state.name for t in trials()].count("RUNNING") == 1
    capsys.readouterr()
    tune("boosting", 12, None)
    assert "Going on after 10 trials" in capsys.readouterr().err
    assert tried() == expected


def test_a_search_goes_further_with_more_trials_and_does_nothing_with_the_same_number(problem, monkeypatch):
    problem()
    tune("boosting", 3, None)
    first = tried()
    tune("boosting", 5, None)
    assert len(tried()) == 5 and tried()[:3] == first
    monkeypatch.setattr(Problem, "score", lambda *_: pytest.fail("a trial"))
    tune("boosting", 5, None)
    assert git("rev-parse", "tune-boosting^") == git("rev-parse", "main")


def test_another_space_is_another_search(problem):
    problem()
    tune("boosting", 2, None)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("to: 20", "to: 30"))
    tune("boosting", 2, None)
    assert len(optuna.get_all_study_names(f"sqlite:///{study.FOLDER}/boosting.db")) == 2


@pytest.mark.parametrize("budget", [(0, None), (-5, None), (None, 0.0), (None, -1.0), (None, float("nan"))])
def test_a_budget_of_nothing_is_refused(budget):
    trials, seconds = budget
    name = "TRIALS" if seconds is None else "SECONDS"
    with pytest.raises(InputError, match=f"{name} is "):
        pipelines.tune.run(Namespace(candidate="boosting", trials=trials, seconds=seconds))


def test_a_budget_of_seconds_ends_the_search(problem, monkeypatch):
    problem()
    clock, score = [100.0], Problem.score

    def slow(*rest):
        clock[0] += 10
        return score(*rest)

    monkeypatch.setattr(Problem, "score", slow)
    monkeypatch.setattr(flow, "time", Namespace(monotonic=lambda: clock[0]))
    # Reading took 9 seconds, and the parameters of params.yaml are fitted once.
    tune("boosting", None, 40.0, started=91.0)
    assert len(tried()) == 3
    monkeypatch.setattr(study, "seconds_of", lambda done: 10.0 * len(done))
    tune("boosting", None, 50.0, started=clock[0] - 5)
    assert len(tried()) == 5  # three of the earlier run count


def test_seconds_that_pass_before_the_first_trial_are_named(problem):
    problem()
    with pytest.raises(InputError, match="SECONDS passed before the first trial"):
        tune("boosting", None, 5.0, started=time.monotonic() - 5)


def test_rows_that_cannot_be_prepared_end_the_search_with_the_error_and_its_code(problem, monkeypatch, capsys):
    problem()
    failed = subprocess.CompletedProcess([], 2, "", "stage prepare failed:\nfeatures/prepare.py raises\nCorrect it.\n")
    monkeypatch.setattr(flow, "run_verb", lambda *_, **__: failed)
    with pytest.raises(AlreadyPrinted) as error:
        tune("boosting", 2, None)
    assert error.value.code == 2 and capsys.readouterr().err.endswith("Correct it.\n")


def test_the_search_reads_the_rows_as_features_prepare_them_now(repo, capsys):
    repo.params(lambda document: document.update(search={"spaces": {"boosting": {"max_iter": {"from": 5, "to": 9}}}}))
    path = repo.path / "features/prepare.py"
    path.write_text(path.read_text().replace("86_400", "43_200"))
    before = sum(pq.read_table(repo.path / PREPARED)["payments_24h"].to_pylist())
    with stages_in_process("tune.flow"):
        must(verb(repo, "tune", "boosting", "--trials", "1"))
    assert sum(pq.read_table(repo.path / PREPARED)["payments_24h"].to_pylist()) < before
    lock = yaml.safe_load((repo.path / "dvc.lock").read_text())["stages"]
    assert lock["prepare"]["outs"][0]["md5"] != lock["train@boosting"]["deps"][0]["md5"]  # no other stage ran


def test_no_row_of_the_test_side_is_read(problem):
    problem()
    before = Problem(load())
    rows = table()
    in_test = pc.greater(rows["ordered_at"], pc.max(rows["ordered_at"]).as_py() - timedelta(days=9))
    flipped = pc.if_else(in_test, pc.invert(rows["returned"]), rows["returned"])
    assert pc.sum(in_test).as_py() > 20
    changed = rows.set_column(rows.schema.get_field_index("returned"), "returned", flipped)
    pq.write_table(changed, PREPARED / "rows.parquet")
    assert Problem(load()).identity("boosting") == before.identity("boosting")


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(problem, capsys):
    space = {"max_iter": None, "learning_rate": None, "max_leaf_nodes": {"values": [4, 1, 8]}}
    problem(search={"spaces": {"boosting": space}})
    tune("boosting", 8, None)
    errors = [t.user_attrs["error"] for t in trials() if t.state.name == "FAIL"]
    assert 0 < len(errors) < 8 and "max_leaf_nodes" in errors[0]
    assert "failed: candidates.boosting:" in capsys.readouterr().err
    assert tuned()["candidates"]["boosting"]["params"]["max_leaf_nodes"] == 4
    assert "trials failed" in Path("reports/tune/boosting.html").read_text()


def test_a_search_without_any_score_ends_with_the_reason(problem, monkeypatch):
    problem()
    baseline = iter([0.5])
    monkeypatch.setattr(Problem, "score", lambda *_: next(baseline, float("nan")))
    with pytest.raises(InputError, match="no trial has a score; the last one: its score is not defined"):
        tune("boosting", 2, None)


def test_without_a_better_trial_there_is_no_branch(problem, capsys):
    worse = {"max_iter": None, "learning_rate": {"from": None, "to": None, "log": None, "values": [1e-9, 1e-8]}}
    problem(search={"spaces": {"boosting": worse}}, selection={"metric": "log_loss"})
    assert tune("boosting", 2, None) == 0
    assert git("branch", "--list", "tune-boosting") == ""
    assert "No trial is better" in capsys.readouterr().out
    assert "No better parameters found" in Path("reports/tune/boosting.html").read_text()


def test_commits_of_others_on_the_branch_are_not_replaced(problem):
    problem()
    git("switch", "--quiet", "-c", "tune-boosting")
    git("commit", "--quiet", "--allow-empty", "-m", "By hand")
    git("switch", "--quiet", "main")
    with pytest.raises(Refused, match="holds other commits: By hand"):
        tune("boosting", 2, None)


def test_a_branch_that_is_checked_out_is_not_moved(problem):
    problem()
    git("switch", "--quiet", "-c", "tune-boosting")
    with pytest.raises(Refused, match="cannot be moved"):
        tune("boosting", 2, None)
    assert not study.FOLDER.exists()  # it is refused before the first trial


def test_two_searches_at_once_need_a_shared_database(problem):
    problem()
    study.FOLDER.mkdir(parents=True)
    with (study.FOLDER / "boosting.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another search of boosting runs here") as error:
            tune("boosting", 2, None)
    assert "SEARCH_STORAGE" in error.value.remedy


@pytest.mark.parametrize(
    ("address", "error"),
    [("a database", InputError), ("oracle://host/name", InputError), ("postgresql://me:pw@127.0.0.1:1/x", Unreachable)],
)
def test_a_storage_that_does_not_work_is_named_without_its_password(problem, monkeypatch, address, error):
    problem()
    monkeypatch.setattr(study, "time", Namespace(sleep=lambda _: None))
    monkeypatch.setenv("SEARCH_STORAGE", address)
    with pytest.raises(error, match="SEARCH_STORAGE") as raised:
        tune("boosting", 2, None)
    assert ":pw" not in str(raised.value)


def test_workers_share_one_search_by_its_storage(problem, postgres, monkeypatch):
    """In PostgreSQL; what one worker holds, another does not try."""
    problem()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("SEARCH_STORAGE", postgres)
    tune("boosting", 3, None)
    joined = optuna.load_study(study_name=None, storage=postgres)
    joined.ask()  # another worker is at a fourth trial
    tune("boosting", 5, None)
    states = [t.state.name for t in joined.get_trials()]
    assert states.count("COMPLETE") == 4 and states.count("RUNNING") == 1


def test_uncommitted_changes_on_the_branch_are_named(problem, capsys):
    problem()
    path = Path("params.yaml")
    tune("boosting", 2, None)
    assert "uncommitted" not in capsys.readouterr().out
    path.write_text(f"{path.read_text()}# not committed\n")
    tune("boosting", 2, None)
    assert "# not committed" in git("show", "tune-boosting:params.yaml")
    assert "and your uncommitted changes of params.yaml. Review" in capsys.readouterr().out
    assert "params.yaml that were not committed" in git("log", "-1", "--format=%b", "tune-boosting")


def test_the_trial_of_a_lost_worker_is_tried_again(problem, monkeypatch):
    """Also if it was the last one, so that no other trial begins before."""
    problem()
    monkeypatch.setenv("SEARCH_STORAGE", "sqlite:///shared.db")
    monkeypatch.setattr(study, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(study, "LOST_AFTER_SECONDS", 1)
    with study.open_study("boosting", "lost", "maximize") as search:
        lost = search.ask()
        search._storage.record_heartbeat(lost._trial_id)  # type: ignore[attr-defined]
        assert study.running(search) == 1
        until = time.monotonic() + 20
        while study.running(search):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert not study.finished(search)


def test_trials_are_runs_of_mlflow_once_each(problem, monkeypatch, tmp_path):
    import mlflow

    problem()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    tune("boosting", 2, None)
    tune("boosting", 3, None)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["orders"], output_format="list")
    of_trials = [run for run in runs if mlflow_runs.TRIAL in run.data.tags]
    (parent,) = [run for run in runs if run not in of_trials]
    assert sorted(run.data.tags[mlflow_runs.TRIAL] for run in of_trials) == ["0", "1", "2"]
    assert {run.data.tags["mlflow.parentRunId"] for run in of_trials} == {parent.info.run_id}
    scores = [run.data.metrics["roc_auc"] for run in of_trials]
    assert parent.data.metrics["roc_auc"] == max(scores) == max(score for _, score in tried())
    assert {"max_iter", "learning_rate"} == set(of_trials[0].data.params)


def test_a_server_that_is_down_does_not_end_the_search(problem, monkeypatch, capsys):
    problem()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert tune("boosting", 2, None) == 0
    assert "Not logged to MLflow" in capsys.readouterr().err


def test_the_page_holds_its_plots_and_loads_and_runs_nothing(problem, monkeypatch):
    problem()
    monkeypatch.setattr(page, "_plots", PLOTS)
    tune("boosting", 6, None)
    text = Path("reports/tune/boosting.html").read_text()
    assert text.count('src="data:image/svg+xml;base64,') == 4
    assert re.findall(r"<script|https?://|src=\"(?!data:)|url\(", text) == []
    assert "max_iter" in text.replace("<wbr>", "") and "Better parameters found" in text


def test_no_stage_reads_the_section_search():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    assert [stage for stage in stages if "search" in " ".join(map(str, stage["params"]))] == []


def test_a_candidate_without_a_space_is_refused(problem):
    problem()
    with pytest.raises(InputError, match=r"search\.spaces\.logistic is missing"):
        tune("logistic", 2, None)
    with pytest.raises(InputError, match="there is no candidate 'forest'"):
        tune("forest", 2, None)

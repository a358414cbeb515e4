"""What `release show` prints about a version, from tags and commits. Needs git."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.release import show
from pipelines.repository.git import git
from pipelines.repository.lineage import describe_version
from tests.engine.release.tag_repository import assign_version, push_commit, register_version


@pytest.fixture(autouse=True)
def without_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREDICTION_LOG", raising=False)


@pytest.fixture
def versions(tag_repository: Path) -> dict[str, str]:
    """Two versions with files, the second of which replaced the first; version -> commit."""
    commits = {}
    for number, (release, trees) in enumerate((("a", 60), ("b", 90))):
        write_files(tag_repository, trees, rows=1000 + number, md5=release)
        version = register_version(release, (1, number, 0), digest=release)
        assign_version(version, pull_request=number + 1, approved_by=("ann", "bob"), bypassed=False)
        commits[version.tag] = version.commit
    return commits


def write_files(folder: Path, trees: int, rows: int, md5: str) -> None:
    """Write what a commit with a model holds; the next commit takes it."""
    params = {
        "model_name": "fraud",
        "ingest": {"kind": "simulator", "start": "2026-01-01", "until": "2026-05-03"},
        "candidates": {"boosting": {"params": {"max_iter": trees}}},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    stage = {"deps": [{"path": "data", "md5": f"{md5}.dir"}], "outs": []}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"split": stage}}))
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports/validation.json").write_text(json.dumps({"rows": rows}))
    (folder / "reports/metrics.json").write_text(json.dumps({"rows": 100, "test": {"roc_auc": 0.9}}))
    git("add", "--all")


def test_everything_about_a_version_is_shown(versions: dict[str, str]) -> None:
    shown = describe_version("fraud", "fraud@v1.1.0")
    assert (shown["release id"], shown["commit"]) == ("b" * 12, versions["fraud@v1.1.0"])
    assert shown["data"] == {
        "md5": "b.dir",
        "rows": 1001,
        "from": "2026-01-01",
        "until": "2026-05-03",
        "training rows until": "2026-01-26T00:00:00+00:00",
        "test rows": 100,
    }
    assert shown["settings changed since"] == "fraud@v1.0.0"
    assert shown["changed settings"] == {"candidates.boosting.params.max_iter": "60 -> 90"}
    assert (shown["metrics promised"], shown["metrics seen"]) == ({"roc_auc": 0.9}, {})
    assert (shown["pull request"], shown["approved by"], shown["rules bypassed"]) == (2, ["ann", "bob"], False)
    (assigned,) = shown["assignments"]
    assert (assigned["tag"], assigned["to"]) == ("fraud#production#2", "now")
    assert shown["image"].endswith("b" * 64)


def test_the_first_version_has_none_before_it_and_an_end(versions: dict[str, str]) -> None:
    shown = describe_version("fraud", "fraud@v1.0.0")
    assert (shown["settings changed since"], shown["changed settings"]) == (None, {})
    assert shown["assignments"][0]["to"] != "now"


def test_a_version_without_any_file_is_shown(tag_repository: Path) -> None:
    register_version("a", (1, 0, 0), contract={}, metrics={"roc_auc": 0.8})
    shown = describe_version("fraud", "fraud@v1.0.0")
    assert shown["metrics promised"] == {"roc_auc": 0.8}
    assert (shown["data"]["rows"], shown["pull request"], shown["assignments"]) == (None, None, [])


def test_metrics_that_the_monitor_saw_are_beside_the_promise(
    versions: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metric = {"name": "roc_auc", "slice": None, "value": 0.85, "low": 0.8, "high": 0.9}
    passes: list[dict[str, Any]] = [
        {"quality": {"metrics": [metric, {**metric, "slice": "channel=online"}]}},
        {"quality": None},
    ]
    calls = []

    def run(*arguments: str, capture: bool = False) -> Any:
        calls.append(arguments)
        return subprocess.CompletedProcess([], 0, json.dumps(passes), "")

    monkeypatch.setenv("PREDICTION_LOG", "log")
    monkeypatch.setattr(show, "run_verb", run)
    show.print_version("fraud", "fraud@v1.1.0")
    assert "roc_auc: 0.85 (95 % CI 0.8 to 0.9)" in capsys.readouterr().out
    assert calls == [("monitor", "--history", "fraud@v1.1.0")]


def test_it_is_printed_as_text(versions: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert show.print_version("fraud", "fraud@v1.1.0") == 0
    text = capsys.readouterr().out
    assert "candidates.boosting.params.max_iter: 60 -> 90" in text
    assert "approved by:\n  ann\n  bob\nrules bypassed: no\n" in text


def test_an_unknown_version_names_those_that_exist(versions: dict[str, str]) -> None:
    push_commit()
    with pytest.raises(InputError) as error:
        describe_version("fraud", "fraud@v9.0.0")
    assert "fraud@v1.1.0" in error.value.remedy


@pytest.mark.usefixtures("tag_repository")
def test_before_the_first_release_the_remedy_names_no_version() -> None:
    with pytest.raises(InputError) as error:
        describe_version("fraud", "fraud@v1.0.0")
    assert error.value.remedy == "Nothing is registered yet: release a model first."

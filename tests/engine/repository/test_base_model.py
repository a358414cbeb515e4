"""Where the base's model comes from, and what kind of review it makes. Needs the small problem (git, DVC)."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock
from pipelines.repository.base_model import Base, fetch
from tests.engine.fixtures_repo import Repo, point_at_cache
from tests.engine.in_process import must, review, verb

MODEL = "models/model.onnx"
CRITICAL = "tests/critical/payments.yaml"


def named(repo: Repo, revision: str) -> str:
    """The md5 of the model that a revision's dvc.lock names."""
    return dvc_lock.outputs(repo.git("show", f"{revision}:dvc.lock"))[MODEL]


def fetched(repo: Repo, revision: str) -> Base:
    """The base's files, as a review brings them."""
    with chdir(repo.path):
        base = fetch(repo.git("rev-parse", revision), Progress())
    assert base is not None
    return base


def only_logistic(document):
    document["candidates"] = {"logistic": document["candidates"]["logistic"]}
    document["gates"]["floors"] = {}


@pytest.fixture
def weaker(repo: Repo) -> Repo:
    """A clone whose branch holds a model that is worse than main's, committed."""
    repo.params(only_logistic)
    must(verb(repo, "repro"))
    repo.commit("only the weakest candidate")
    return repo


def test_a_dirty_tree_is_said_and_a_second_review_of_the_same_inputs_reuses_the_report(repo: Repo) -> None:
    (repo.path / "README.md").write_text("another readme\n")
    (repo.path / "new file.txt").write_text("untracked\n")
    must(review(repo))
    assert repo.report["base"]["found"] == "cache"
    assert repo.report["base"]["model"] == repo.report["base"]["named"] == named(repo, "main")
    (note,) = [note for note in repo.report["notes"] if "work tree" in note]
    assert "README.md" in note and "new file.txt" in note
    text = (repo.path / "reports/review/review.md").read_text()
    assert "The work tree differs from its commit" in text

    assert "its report stands" in must(review(repo)).out
    assert (repo.path / "reports/review/review.md").read_text() == text
    (repo.path / "reports/review/review.json").write_text("{")
    assert "its report stands" not in must(review(repo)).out
    assert repo.report["verdict"] == "pass"


def test_a_base_that_does_not_exist_ends_with_2_before_anything_is_run(repo: Repo) -> None:
    done = must(review(repo, "nowhere"), 2)
    assert "there is no base 'nowhere'" in done.out
    assert "BASE=" in done.last
    assert not (repo.path / "reports/review").exists()


def test_a_base_in_no_cache_and_no_remote_is_reproduced_once_and_what_differs_from_its_lock_is_said(
    repo: Repo, small_problem: Path, tmp_path: Path
) -> None:
    repo = Repo(repo.path, Path(shutil.copytree(small_problem / "cache", tmp_path / "cache")))
    point_at_cache(repo)
    md5 = named(repo, "main")
    (repo.cache / "files/md5" / md5[:2] / md5[2:]).unlink()

    for found in ("reproduced", "cache"):
        base = fetched(repo, "main")
        assert (base.source, base.md5, base.locked_md5) == (found, md5, md5)
    assert repo.git("worktree", "list").count("\n") == 0

    repo.git("checkout", "--quiet", "-b", "tampered", "main")
    path = repo.path / "dvc.lock"
    path.write_text(path.read_text().replace(md5, "f" * 32))
    repo.commit("another md5")
    repo.git("checkout", "--quiet", "change")
    assert fetched(repo, "tampered").source == "reproduced"
    must(review(repo, "tampered"))
    side = repo.report["base"]
    assert (side["found"], side["model"], side["named"]) == ("cache", md5, "f" * 32)
    (note,) = [note for note in repo.report["notes"] if "was reproduced" in note]
    assert md5 in note and "f" * 32 in note


def test_a_base_that_cannot_be_reproduced_ends_with_2_and_says_why(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "broken", "main")
    path = repo.path / "dvc.lock"
    path.write_text(path.read_text().replace(named(repo, "main"), "e" * 32))
    (repo.path / "params.yaml").write_text("release: fraud\n")
    repo.commit("a base without most of its params")
    repo.git("checkout", "--quiet", "change")
    done = must(review(repo, "broken"), 2)
    assert "is in no cache and no remote" in done.out
    assert "is missing" in done.out
    assert "another BASE" in done.last
    assert not (repo.path / ".mainline/worktree").exists()


def test_a_base_without_a_model_makes_a_new_line_that_only_absolute_gates_judge(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "empty", "main")
    (repo.path / "dvc.lock").unlink()
    repo.commit("no model yet")
    repo.git("checkout", "--quiet", "change")
    must(review(repo, "empty"))
    assert repo.report["kind"] == "new model"
    assert repo.report["base"]["model"] is None
    groups = {gate["group"] for gate in repo.report["gates"]}
    assert "floors" in groups and not groups & {"regression", "comparison"}
    assert all(row["base"] is None for row in repo.report["metrics"])
    first = next(line for line in (repo.path / "reports/review/review.md").read_text().splitlines() if "only" in line)
    assert "only absolute gates count" in first

    # A base whose dvc.lock nobody can read is not one without a model.
    repo.git("checkout", "--quiet", "-b", "conflict", "main")
    (repo.path / "dvc.lock").write_text("<<<<<<< HEAD\n")
    repo.commit("a conflict")
    repo.git("checkout", "--quiet", "change")
    assert "dvc.lock of" in must(review(repo, "conflict"), 2).out


def test_another_release_name_makes_a_new_line(repo: Repo) -> None:
    repo.params(lambda document: document.update(model_name="churn"))
    must(review(repo))
    assert repo.report["kind"] == "new model"
    assert any("'fraud' → 'churn'" in note and "only absolute gates count" in note for note in repo.report["notes"])
    assert repo.report["base"]["model"] == named(repo, "main")
    assert not {gate["group"] for gate in repo.report["gates"]} & {"regression", "comparison"}


def test_a_release_that_was_registered_before_is_restored_although_the_newer_model_is_better(weaker: Repo) -> None:
    before = must(review(weaker), 1)
    assert weaker.report["kind"] == "comparison" and "regression" in before.out
    release = must(verb(weaker, "release", "id")).last
    image = f"example.invalid/fraud@sha256:{'0' * 64}"
    message = f"release: {release}\nimage: {image}\nmodel: {named(weaker, 'HEAD')}\nsignature: s\n"
    weaker.git("tag", "--annotate", "--cleanup=verbatim", "-m", message, "fraud@v1.0.0")

    must(review(weaker))
    report = weaker.report
    assert (report["kind"], report["verdict"], report["release"]) == ("restore", "pass", release)
    assert any("A restore of fraud@v1.0.0" in note for note in report["notes"])
    lost = [gate for gate in report["gates"] if gate["group"] == "regression" and not gate["passed"]]
    assert lost and not any(gate["blocks"] for gate in lost)
    assert {gate["group"] for gate in report["gates"] if gate["blocks"]} == {"validation", "critical", "files"}
    assert any(row["delta"] for row in report["metrics"])

    path = weaker.path / CRITICAL
    path.write_text(path.read_text().replace("expect: negative", "expect: positive", 1))
    must(review(weaker), 1)
    assert weaker.report["kind"] == "restore"
    assert "critical: groceries at home are let through" in weaker.failed


def test_a_head_that_lacks_a_column_of_the_bases_model_is_not_comparable(repo: Repo) -> None:
    def drop(document):
        only_logistic(document)
        del document["schema"]["columns"]["usual_amount"]
        document["features"]["use"].remove("usual_amount")
        del document["features"]["derive"]["amount_to_usual"]

    repo.params(drop)
    for path in sorted((repo.path / "data").glob("*.parquet")):
        table = pq.read_table(path).drop(["usual_amount"])
        path.unlink()
        pq.write_table(table, path)
    pointer = yaml.safe_load((repo.path / "data.dvc").read_text())
    del pointer["meta"]
    (repo.path / "data.dvc").write_text(yaml.safe_dump(pointer))
    cases = yaml.safe_load((repo.path / CRITICAL).read_text())
    for case in cases:
        case["row"].pop("usual_amount", None)
    (repo.path / CRITICAL).write_text(yaml.safe_dump(cases))

    # The page is drawn in the tests of bad data; Evidently takes its time.
    with mock.patch("pipelines.review.evidently_page.write", return_value="not drawn here"):
        must(review(repo), 1)
    assert repo.failed["comparable"] == "not comparable: column usual_amount"
    assert not any(gate["group"] == "regression" for gate in repo.report["gates"])
    first_screen = (repo.path / "reports/review/review.md").read_text()[:1500].replace("\\", "")
    assert "not comparable: column usual_amount" in first_screen

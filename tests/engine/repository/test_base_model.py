"""The source of the base's model, and the kind of review that follows. Needs the small problem (git, DVC)."""

from contextlib import chdir
from unittest import mock

import pytest

from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock
from pipelines.repository.base_model import Base, fetch
from tests.engine.fixtures_repo import Repo
from tests.engine.forged import plant
from tests.engine.in_process import must, reproduce, review, stages_in_process, verb

MODEL = "models/model.onnx"
CRITICAL = "tests/critical/payments.yaml"


def locked_md5(repo: Repo, revision: str) -> str:
    """The md5 of the model that a revision's dvc.lock names."""
    return dvc_lock.outputs(repo.git("show", f"{revision}:dvc.lock"))[MODEL]


def fetch_base(repo: Repo, revision: str) -> Base:
    """The base's files, as a review fetches them."""
    with chdir(repo.path), stages_in_process("repository.base_model"):
        base = fetch(repo.git("rev-parse", revision), Progress())
    assert base is not None
    return base


def only_logistic(document):
    document["candidates"] = {"logistic": document["candidates"]["logistic"]}
    document["gates"]["floors"] = {}


@pytest.fixture
def weaker_model(repo: Repo) -> Repo:
    """A clone whose branch holds a model that is worse than main's, committed."""
    repo.params(only_logistic)
    reproduce(repo)
    repo.commit("only the weakest candidate")
    return repo


def test_uncommitted_files_are_noted_and_a_second_review_reuses_the_report(repo: Repo) -> None:
    (repo.path / "README.md").write_text("another readme\n")
    (repo.path / "new file.txt").write_text("untracked\n")
    must(review(repo))
    assert repo.report["base"]["source"] == "cache"
    assert repo.report["base"]["model"] == repo.report["base"]["locked_model"] == locked_md5(repo, "main")
    (note,) = [note for note in repo.report["notes"] if "work tree" in note]
    assert "README.md" in note and "new file.txt" in note
    text = (repo.path / "reports/review/review.md").read_text()
    assert "The work tree differs from its commit" in text

    assert "Nothing changed since" in must(review(repo)).out
    assert (repo.path / "reports/review/review.md").read_text() == text
    (repo.path / "reports/review/review.json").write_text("{")
    assert "Nothing changed since" not in must(review(repo)).out
    assert repo.report["verdict"] == "pass"


def test_a_base_that_does_not_exist_is_refused_before_anything_runs(repo: Repo) -> None:
    done = must(review(repo, "nowhere"), 2)
    assert "there is no base 'nowhere'" in done.out
    assert "BASE=" in done.last
    assert not (repo.path / "reports/review").exists()


def test_a_missing_base_is_reproduced_once_and_another_md5_is_noted(repo: Repo) -> None:
    md5 = locked_md5(repo, "main")
    repo.git("checkout", "--quiet", "-b", "tampered", "main")
    path = repo.path / "dvc.lock"
    path.write_text(path.read_text().replace(md5, "f" * 32))
    repo.commit("another md5")
    repo.git("checkout", "--quiet", "change")
    base = fetch_base(repo, "tampered")
    assert (base.source, base.md5, base.locked_md5) == ("reproduced", md5, "f" * 32)
    assert repo.git("worktree", "list").count("\n") == 0
    must(review(repo, "tampered"))
    side = repo.report["base"]
    assert (side["source"], side["model"], side["locked_model"]) == ("cache", md5, "f" * 32)
    (note,) = [note for note in repo.report["notes"] if "was reproduced" in note]
    assert md5 in note and "f" * 32 in note


def test_a_base_that_cannot_be_reproduced_is_refused_with_the_reason(repo: Repo) -> None:
    repo.git("checkout", "--quiet", "-b", "broken", "main")
    path = repo.path / "dvc.lock"
    path.write_text(path.read_text().replace(locked_md5(repo, "main"), "e" * 32))
    (repo.path / "params.yaml").write_text("release: fraud\n")
    repo.commit("a base without most of its params")
    repo.git("checkout", "--quiet", "change")
    done = must(review(repo, "broken"), 2)
    assert "is in no cache and no remote" in done.out
    assert "is missing" in done.out
    assert "another BASE" in done.last
    assert not (repo.path / ".mainline/worktree").exists()


def test_against_a_base_without_a_model_only_absolute_gates_run(repo: Repo) -> None:
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

    # A base with an unreadable dvc.lock is an error.
    repo.git("checkout", "--quiet", "-b", "conflict", "main")
    (repo.path / "dvc.lock").write_text("<<<<<<< HEAD\n")
    repo.commit("a conflict")
    repo.git("checkout", "--quiet", "change")
    assert "dvc.lock of" in must(review(repo, "conflict"), 2).out


def test_with_another_model_name_only_absolute_gates_run(repo: Repo) -> None:
    repo.params(lambda document: document.update(model_name="churn"))
    # The stages that read the name would run again.
    with mock.patch("pipelines.review.flow._reproduce", return_value=(0, {})):
        must(review(repo))
    assert repo.report["kind"] == "new model"
    assert any("'fraud' → 'churn'" in note and "only absolute gates count" in note for note in repo.report["notes"])
    assert repo.report["base"]["model"] is None  # it is compared with nothing, so it is not fetched
    assert not {gate["group"] for gate in repo.report["gates"]} & {"regression", "comparison"}


def test_a_registered_release_id_is_reviewed_as_a_restore(weaker_model: Repo) -> None:
    before = must(review(weaker_model), 1)
    assert weaker_model.report["kind"] == "comparison" and "regression" in before.out
    release = must(verb(weaker_model, "release", "id")).last
    image = f"example.invalid/fraud@sha256:{'0' * 64}"
    message = f"release: {release}\nimage: {image}\nmodel: {locked_md5(weaker_model, 'HEAD')}\nsignature: s\n"
    weaker_model.git("tag", "--annotate", "--cleanup=verbatim", "-m", message, "fraud@v1.0.0")
    must(review(weaker_model), 1)
    assert weaker_model.report["kind"] == "comparison"  # whoever may push can tag a commit that is not on main

    # Main had the weaker model, was improved, and is restored.
    weaker_model.git("checkout", "--quiet", "-B", "main")
    weaker_model.git("revert", "--no-edit", "HEAD")
    weaker_model.git("update-ref", "refs/remotes/origin/main", "HEAD")
    weaker_model.git("checkout", "--quiet", "-B", "restore")
    weaker_model.git("revert", "--no-edit", "HEAD")
    must(review(weaker_model))
    report = weaker_model.report
    assert (report["kind"], report["verdict"], report["release"]) == ("restore", "pass", release)
    assert any("A restore of fraud@v1.0.0" in note for note in report["notes"])
    lost = [gate for gate in report["gates"] if gate["group"] == "regression" and not gate["passed"]]
    assert lost and not any(gate["blocks"] for gate in lost)
    assert {gate["group"] for gate in report["gates"] if gate["blocks"]} == {"validation", "critical", "files"}
    assert any(row["delta"] for row in report["metrics"])

    path = weaker_model.path / CRITICAL
    path.write_text(path.read_text().replace("expect: negative", "expect: positive", 1))
    must(review(weaker_model), 1)
    assert weaker_model.report["kind"] == "restore"
    assert "critical: groceries at home are let through" in weaker_model.failed


def test_a_head_without_a_column_of_the_base_model_is_not_comparable(repo: Repo) -> None:
    files = {name: (repo.path / name).read_bytes() for name in (MODEL, "models/signature.json")}
    repo.git("checkout", "--quiet", "-b", "wider", "main")
    for name in files:  # of the same length, so that the graph can still be read
        plant(repo, name, lambda content: content.replace(b"usual_amount", b"other_amount"))
    repo.git("checkout", "--quiet", "change")
    for name, content in files.items():
        (repo.path / name).write_bytes(content)
    must(review(repo, "wider"), 1)
    assert repo.failed["comparable"] == "not comparable: column other_amount"
    assert not any(gate["group"] == "regression" for gate in repo.report["gates"])
    first_screen = (repo.path / "reports/review/review.md").read_text()[:1500].replace("\\", "")
    assert "not comparable: column other_amount" in first_screen

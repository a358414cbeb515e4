"""`python -m pipelines verify`: what it refuses, what it accepts with a report, and what it does not train again.

Needs the small problem (git, DVC). The stages run in tests/engine/review/test_sabotage.py; here the worktree gets the
outputs of the pipeline, unchanged.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.repository import dvc_lock
from pipelines.review.verify import number_difference, rows_difference
from tests.engine.fixtures_repo import Repo
from tests.engine.forged import in_cache, plant, scaled
from tests.engine.in_process import must, verb

MODEL, SIGNATURE, METRICS = "models/model.onnx", "models/signature.json", "reports/metrics.json"


@pytest.fixture(autouse=True)
def trained(small_problem: Path) -> Iterator[mock.Mock]:
    """Instead of `repro`: the outputs that the small problem gives."""

    def outputs(*_: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        for folder in ("data", "prepared", "models", "reports"):
            shutil.copytree(small_problem / "origin" / folder, cwd / folder, dirs_exist_ok=True)
        shutil.copy(small_problem / "origin/dvc.lock", cwd)
        return subprocess.CompletedProcess([], 0)

    with mock.patch("pipelines.review.verify.run_verb", side_effect=outputs) as run:
        yield run


def with_release_tag(repo: Repo, commit: str = "HEAD", release: str | None = None) -> None:
    """Register the release id of the work tree, as a release does, on a commit."""
    release = release or must(verb(repo, "release", "id")).last
    message = f"release: {release}\nimage: example.invalid/fraud@sha256:{'0' * 64}\nmodel: m\nsignature: s\n"
    repo.git("tag", "--annotate", "--cleanup=verbatim", "-m", message, "fraud@v1.0.0", commit)


def test_a_lock_that_the_tree_gives_passes_and_leaves_no_worktree(repo: Repo) -> None:
    done = must(verb(repo, "verify"))
    assert "Verified" in done.last
    assert repo.git("worktree", "list").count("\n") == 0
    assert repo.git("status", "--porcelain") == ""
    assert "not verified" not in done.out
    params = repo.path / "params.yaml"
    params.write_text(params.read_text() + "# edited\n")
    done = must(verb(repo, "verify"))
    assert "not verified" in done.out and "params.yaml" in done.out


def test_a_model_with_other_scores_is_refused_with_the_largest_difference(repo: Repo) -> None:
    plant(repo, MODEL, scaled(0.9999))
    done = must(verb(repo, "verify"), 1)
    (line,) = [line for line in done.out.splitlines() if MODEL in line]
    assert "scores" in line and "e-05" in line
    assert "repro --anew" in done.last


def test_other_bytes_with_equal_scores_pass_and_are_reported(repo: Repo, tmp_path: Path) -> None:
    plant(repo, MODEL, scaled(1.0))
    plant(repo, "models/candidates/logistic.onnx", scaled(1.0))
    summary = tmp_path / "summary.md"
    done = must(verb(repo, "verify", GITHUB_STEP_SUMMARY=str(summary)))
    for name in (MODEL, "models/candidates/logistic.onnx"):
        assert f"  {name}: other bytes" in done.out and name in summary.read_text()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (SIGNATURE, b'"threshold": 0.', b'"threshold": 0.9'),
        (SIGNATURE, b'"nullable": true', b'"nullable": false'),
        (METRICS, b'"average_precision": 0.', b'"average_precision": 0.9'),
    ],
)
def test_a_file_with_another_number_or_word_is_refused(repo: Repo, name: str, old: bytes, new: bytes) -> None:
    assert old in (repo.path / name).read_bytes()
    plant(repo, name, lambda content: content.replace(old, new))
    assert name in must(verb(repo, "verify"), 1).out


def test_a_difference_in_the_last_digits_passes(repo: Repo) -> None:
    plant(repo, SIGNATURE, lambda content: re.sub(rb'("threshold": 0\.\d+)', rb"\g<1>00000001", content))
    assert f"  {SIGNATURE}: other bytes" in must(verb(repo, "verify")).out


def test_an_output_that_no_source_has_is_refused(repo: Repo) -> None:
    plant(repo, MODEL, lambda content: content + b"planted, and gone")
    in_cache(repo, dvc_lock.outputs((repo.path / "dvc.lock").read_text())[MODEL]).unlink()
    assert "no cache and no remote" in must(verb(repo, "verify"), 1).out


def test_a_file_that_is_no_model_is_refused(repo: Repo) -> None:
    plant(repo, MODEL, lambda _: b"no model")
    assert "not a readable model" in must(verb(repo, "verify"), 1).out


def test_a_commit_without_a_model_ends_with_2(repo: Repo, trained: mock.Mock) -> None:
    repo.git("rm", "--quiet", "dvc.lock")
    repo.commit("no model")
    must(verb(repo, "verify"), 2)
    must(verb(repo, "verify", "--rev", "nowhere"), 2)
    assert trained.call_count == 0


def test_stages_that_fail_end_with_their_code(repo: Repo, trained: mock.Mock) -> None:
    trained.side_effect = lambda *_, cwd: subprocess.CompletedProcess([], 3)
    must(verb(repo, "verify"), 3)


# What is not trained again


def test_a_release_id_that_was_registered_on_main_is_not_trained_again(repo: Repo, trained: mock.Mock) -> None:
    with_release_tag(repo, "main")
    (repo.path / "README.md").write_text("another readme\n")
    repo.commit()
    assert "fraud@v1.0.0" in must(verb(repo, "verify", "--unreleased")).last
    assert trained.call_count == 0
    must(verb(repo, "verify"))
    assert trained.call_count == 1


def test_a_registered_model_with_other_rows_is_trained_again(repo: Repo, trained: mock.Mock) -> None:
    with_release_tag(repo, "main")
    lock = repo.path / "dvc.lock"
    rows = dvc_lock.data_md5(lock.read_text())
    assert rows
    lock.write_text(lock.read_text().replace(rows, f"{'0' * 32}.dir"))
    repo.commit()
    verb(repo, "verify", "--unreleased")
    assert trained.call_count == 1


def test_a_tag_that_somebody_made_for_a_planted_model_does_not_count(repo: Repo, trained: mock.Mock) -> None:
    plant(repo, MODEL, scaled(0.9))
    with_release_tag(repo, "HEAD")
    must(verb(repo, "verify", "--unreleased"), 1)
    repo.git("tag", "--delete", "fraud@v1.0.0")
    with_release_tag(repo, "origin/main")
    must(verb(repo, "verify", "--unreleased"), 1)
    assert trained.call_count == 2


def test_before_a_release_only_a_setting_lets_it_train(repo: Repo, trained: mock.Mock) -> None:
    assert "release.rebuild" in must(verb(repo, "verify", "--before-release")).last
    assert trained.call_count == 0
    release_id = must(verb(repo, "release", "id")).last
    repo.params(lambda document: document.update(release={"rebuild": True}))
    repo.commit()
    assert must(verb(repo, "release", "id")).last == release_id
    must(verb(repo, "verify", "--before-release"))
    assert trained.call_count == 1
    with_release_tag(repo, "main")
    must(verb(repo, "verify", "--before-release"))
    assert trained.call_count == 1


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ('{"a": 0.5, "rows": 7}', '{"a": 0.5, "rows": 7}', 0.0),
        ('{"a": 0.5}', '{"a": 0.25}', 0.25),
        ("x,1e-7", "x,-1e-7", 2e-7),
        ("1000000.5", "1000001.5", pytest.approx(1e-6, rel=1e-3)),
        ('{"rows": 5000000}', '{"rows": 5000001}', None),
        ('{"a": 0.5}', '{"b": 0.5}', None),
        ("0.5 0.5", "0.5", None),
        ("0.5", "NaN", None),
    ],
)
def test_texts_are_compared_by_their_decimals(before: str, after: str, difference: float | None) -> None:
    assert number_difference(before, after) == difference


def test_tables_agree_but_for_their_decimals(tmp_path: Path) -> None:
    def table(name: str, counts: list[int], shares: list[float | None]) -> list[Path]:
        pq.write_table(pa.table({"count": counts, "share": pa.array(shares, pa.float64())}), tmp_path / name)
        return [tmp_path / name]

    before = table("before", [1, 2], [2.0, None])
    assert rows_difference(before, table("same", [1, 2], [2.0, None])) == 0
    assert rows_difference(before, table("rounded", [1, 2], [2.0 + 2e-9, None])) == pytest.approx(1e-9)
    assert rows_difference(before, table("counts", [1, 3], [2.0, None])) is None
    assert rows_difference(before, table("missing", [1, 2], [2.0, 2.0])) is None
    assert rows_difference(before, table("longer", [1, 2, 3], [2.0, None, None])) is None

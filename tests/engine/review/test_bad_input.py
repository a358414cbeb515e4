"""Wrong input from outside ends with one clear message, the documented exit code, and no lost file.

Needs the small problem (git, DVC, all stages). The tests of this file share one clone and leave it unchanged.
"""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cli.exit_codes import end_with_code
from pipelines.review import report
from tests.engine.fixtures_repo import CommandResult, Repo, clone_of, quiet_environment
from tests.engine.in_process import must, review, verb

pytestmark = pytest.mark.xdist_group("bad-input")


@pytest.fixture(scope="module")
def shared(small_problem: Path, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """A clone with a cache that tests may damage."""
    folder = tmp_path_factory.mktemp("bad-input")
    cache = Path(shutil.copytree(small_problem / "cache", folder / "cache"))
    return clone_of(small_problem, folder / "clone", cache)


def contents(folder: Path) -> dict[str, bytes]:
    """Files of data/ and models/, and every file that git does not ignore."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=folder, capture_output=True, text=True
    ).stdout.splitlines()
    paths = [folder / name for name in names if not name.startswith("reports/")]
    paths += [*(folder / "data").rglob("*"), *(folder / "models").rglob("*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture
def repo(shared: Repo) -> Iterator[Repo]:
    """The shared clone; its files are restored after the test."""
    before = contents(shared.path)
    yield shared
    now = contents(shared.path)
    for name in now.keys() - before.keys():
        (shared.path / name).unlink()
    for name, content in before.items():
        if now.get(name) != content:
            (shared.path / name).parent.mkdir(parents=True, exist_ok=True)
            (shared.path / name).write_bytes(content)
    shared.git("checkout", "--quiet", "--", "reports")


def check_message(done: CommandResult, code: int) -> CommandResult:
    """Check that the output is one message and what to do, without a traceback and without a repetition."""
    assert done.code == code, done.out
    assert "Traceback" not in done.out
    assert done.last.endswith(".") and done.out.count(done.last) == 1, done.out
    return done


# Data files


def run_stage(repo: Repo, name: str) -> CommandResult:
    """Run a stage of the pipeline in this process, as DVC would run it."""
    from importlib import import_module
    from io import StringIO

    out = StringIO()
    with chdir(repo.path), mock.patch("sys.stdout", out), mock.patch("sys.stderr", out):
        code = end_with_code(import_module(f"pipelines.training.{name}").main)
    return CommandResult(code, out.getvalue())


def validate_anew(repo: Repo) -> CommandResult:
    """Prepare the rows of data/ and validate them."""
    assert run_stage(repo, "prepare").code == 0
    return run_stage(repo, "validate")


def a_month(repo: Repo) -> Path:
    return sorted((repo.path / "data").glob("*.parquet"))[1]


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.unlink()
    damaged = {"empty": b"", "truncated": content[: len(content) // 2], "no Parquet": b"amount,is_fraud\n1,0\n"}
    path.write_bytes(damaged[kind])


@pytest.mark.parametrize("kind", ["empty", "truncated", "no Parquet"])
def test_a_data_file_that_cannot_be_read_is_named_and_left_as_it_is(repo: Repo, kind: str) -> None:
    damage(a_month(repo), kind)
    before = contents(repo.path)
    done = check_message(run_stage(repo, "prepare"), 2)
    assert f"data/{a_month(repo).name} is not a readable Parquet file" in done.out
    assert "dvc checkout --force data.dvc" in done.last
    assert contents(repo.path) == before


def test_a_review_of_a_damaged_data_file_ends_with_the_message_of_the_stage_and_loses_nothing(repo: Repo) -> None:
    damage(a_month(repo), "truncated")
    before = contents(repo.path)
    done = check_message(review(repo), 2)
    assert "stage prepare failed" in done.out and "is not a readable Parquet file" in done.out
    assert contents(repo.path) == before
    assert not (repo.path / "reports/review/.inputs").exists()


def test_rows_that_differ_from_data_dvc_are_reviewed_with_a_note_every_time(repo: Repo) -> None:
    table = pq.read_table(a_month(repo))
    rewrite(a_month(repo), table.append_column("colour", pa.array(["red"] * len(table))))
    before = contents(repo.path)
    for _ in range(2):
        must(review(repo), 1)
        assert list(repo.failed) == ["validation colour: column unknown"]
        assert any("data/ is not what data.dvc names" in note for note in repo.report["notes"])
        # The stage `prepare` ended well, and is recorded.
        assert {**contents(repo.path), "dvc.lock": None} == {**before, "dvc.lock": None}


def test_deleted_data_is_fetched_from_the_cache(repo: Repo) -> None:
    before = contents(repo.path)
    shutil.rmtree(repo.path / "data")
    check_message(review(repo), 0)
    assert contents(repo.path) == before
    assert not any("data/" in note for note in repo.report["notes"])


def rewrite(path: Path, table: pa.Table) -> None:
    path.unlink()
    pq.write_table(table, path)


def test_a_column_of_a_wrong_type_is_named_as_a_data_error_in_one_file_or_in_all(repo: Repo) -> None:
    def as_text(path: Path, suffix: str) -> None:
        table = pq.read_table(path)
        words = [f"{value}{suffix}" for value in table["amount"].to_pylist()]
        rewrite(path, table.set_column(table.schema.get_field_index("amount"), "amount", pa.array(words)))

    as_text(a_month(repo), " EUR")
    done = validate_anew(repo)
    assert done.code in (1, 2) and "Traceback" not in done.out
    assert "amount" in done.out
    for path in sorted((repo.path / "data").glob("*.parquet")):
        as_text(path, "")
    done = check_message(validate_anew(repo), 1)
    assert "rows hold texts that are no number" in done.out


def test_an_unknown_column_is_named_as_a_data_error(repo: Repo) -> None:
    table = pq.read_table(a_month(repo))
    rewrite(a_month(repo), table.append_column("colour", pa.array(["red"] * len(table))))
    done = check_message(validate_anew(repo), 1)
    assert "colour: column colour is not in schema.columns" in done.out


def test_too_few_rows_are_a_data_error(repo: Repo) -> None:
    for path in sorted((repo.path / "data").glob("*.parquet")):
        rewrite(path, pq.read_table(path).slice(0, 5))
    assert "validation.min_rows is 1,000" in check_message(validate_anew(repo), 1).out
    for path in sorted((repo.path / "data").glob("*.parquet")):
        rewrite(path, pq.read_table(path).slice(0, 0))
    assert "0 rows" in check_message(validate_anew(repo), 1).out


# params.yaml


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("headline:", "headlin:"), "gates.headlin: unknown key"),
        (lambda text: text.replace("resamples: 300", "resamples: many"), "gates.resamples: "),
        (lambda text: text.replace("task: classification", "task: clustering"), "task: "),
        (lambda text: text.replace("gates:", "gats:"), "gates: is missing"),
        (lambda text: text + "  a: [", "cannot be read"),
        (lambda text: "", "expected a mapping of sections"),
        (lambda text: "<<<<<<< HEAD\n" + text, "cannot be read"),
    ],
)
def test_an_invalid_params_yaml_is_refused_with_the_path_of_the_value_before_anything_runs(
    repo: Repo, change, message
) -> None:
    path = repo.path / "params.yaml"
    path.write_text(change(path.read_text()))
    before = contents(repo.path)
    assert message in check_message(review(repo), 2).out
    assert contents(repo.path) == before


def test_a_params_yaml_that_is_missing_or_no_text_is_refused(repo: Repo) -> None:
    path = repo.path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "params.yaml cannot be read" in check_message(review(repo), 2).out
    path.unlink()
    assert "root of the repository" in check_message(review(repo), 2).last


# dvc.lock


@pytest.mark.parametrize("kind", ["conflict", "no YAML", "no text", "no mapping"])
def test_a_dvc_lock_that_cannot_be_read_is_refused_with_how_to_restore_it(repo: Repo, kind: str) -> None:
    path = repo.path / "dvc.lock"
    text = path.read_text()
    damaged = {
        "conflict": text.replace("  split:\n", "<<<<<<< HEAD\n  split:\n=======\n  split:\n>>>>>>> main\n").encode(),
        "no YAML": b"stages: [",
        "no text": b"\xff\xfe\x00",
        "no mapping": b"stages: words\n",
    }[kind]
    path.write_bytes(damaged)
    done = check_message(review(repo), 2)
    assert "dvc.lock cannot be read" in done.out and "git checkout" in done.last
    assert path.read_bytes() == damaged


def test_a_dvc_lock_of_an_unknown_schema_is_refused(repo: Repo) -> None:
    path = repo.path / "dvc.lock"
    path.write_text(path.read_text().replace("schema: '2.0'", "schema: '9.9'"))
    done = check_message(review(repo), 2)
    assert "dvc.lock" in done.out


def test_a_dvc_lock_with_a_wrong_md5_is_corrected_and_a_damaged_model_is_restored(repo: Repo) -> None:
    lock, model = repo.path / "dvc.lock", repo.path / "models/model.onnx"
    text, content = lock.read_text(), model.read_bytes()
    model.unlink()
    model.write_bytes(content[: len(content) // 2])
    done = check_message(verb(repo, "predict", "data", "scored.parquet"), 2)
    assert "models/model.onnx is not a readable model" in done.out and "dvc checkout" in done.last
    assert not list(repo.path.glob("scored*"))

    entry = text[text.index("models/model.onnx") :]
    md5 = entry.partition("md5: ")[2].partition("md5: ")[2][:32]
    lock.write_text(text.replace(md5, "f" * 32))
    check_message(review(repo), 0)
    assert (lock.read_text(), model.read_bytes()) == (text, content)


def test_a_damaged_file_of_the_cache_is_not_used(repo: Repo) -> None:
    model = repo.path / "models/model.onnx"
    content = model.read_bytes()
    md5 = yaml.safe_load((repo.path / "dvc.lock").read_text())["stages"]["export"]["outs"][0]["md5"]
    kept = repo.cache / "files/md5" / md5[:2] / md5[2:]
    mode = kept.stat().st_mode
    kept.chmod(0o644)
    kept.write_bytes(content[:1000])
    kept.chmod(mode)
    model.unlink()
    check_message(review(repo), 0)
    assert model.read_bytes() == content == kept.read_bytes()


# git


def test_a_folder_without_a_repository_or_a_commit_is_refused(repo: Repo, tmp_path: Path) -> None:
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "data.dvc"):
        shutil.copy(repo.path / name, tmp_path / name)
    environment = {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    assert "not a git repository" in check_message(verb(tmp_path, "review", **environment), 2).out
    done = check_message(verb(tmp_path, "repro", **environment), 2)
    assert "not inside of a DVC repository" in done.out
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert "no commit yet" in check_message(verb(tmp_path, "review", **environment), 2).out
    subprocess.run(["git", "-C", str(tmp_path), "commit", "--quiet", "--allow-empty", "-m", "first"], check=True,
                   env={**os.environ, **quiet_environment()})  # fmt: skip
    assert "no base 'nowhere'" in check_message(verb(tmp_path, "review", "--base", "nowhere", **environment), 2).out


# The disk


def run_with_file_limit(repo: Repo, size: int, *arguments: str) -> CommandResult:
    """Run a verb in a process in which no file may grow beyond `size` bytes; its children inherit the limit."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=repo.path, env={**os.environ, **quiet_environment()}, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    return CommandResult(done.returncode, done.stdout + done.stderr)


def test_a_full_disk_ends_with_3_and_leaves_nothing_half_written(repo: Repo) -> None:
    trees = {"estimator": "sklearn.ensemble.ExtraTreesClassifier", "params": {"n_estimators": 30, "random_state": 7}}
    imputer = {"estimator": "sklearn.impute.SimpleImputer", "params": {"keep_empty_features": True}}
    repo.params(lambda document: document["candidates"].update(atree={**trees, "before": [imputer]}))
    before = contents(repo.path)
    # First a candidate's file does not fit on the disk, then not even DVC's database.
    done = check_message(run_with_file_limit(repo, 1_000_000, "review", "--base", "main"), 3)
    assert "models/candidates/atree.onnx cannot be written: File too large" in done.out
    assert contents(repo.path) == before
    done = check_message(run_with_file_limit(repo, 20_000, "review", "--base", "main"), 3)
    assert "cannot be written" in done.out and done.last.startswith("Free the disk")
    assert contents(repo.path) == before


def test_a_disk_that_is_full_when_the_report_is_written_ends_with_3_and_the_next_review_writes_it(
    repo: Repo, small_disk
) -> None:
    write, before = report.write, contents(repo.path)

    def on_a_full_disk(*arguments):
        with small_disk(20_000):
            write(*arguments)

    with mock.patch.object(report, "write", on_a_full_disk):
        done = check_message(review(repo, "main", "--again"), 3)
    assert "reports/review/review.html cannot be written: File too large" in done.out
    folder = repo.path / "reports/review"
    assert not list(folder.glob(".*"))
    assert contents(repo.path) == before
    done = check_message(review(repo), 0)
    assert "Nothing changed since" not in done.out


def test_an_mlflow_server_that_is_down_leaves_the_verdict_and_a_note_in_the_report(repo: Repo) -> None:
    must(review(repo, "main", "--again", MLFLOW_TRACKING_URI="http://127.0.0.1:9"))
    assert any(note.startswith("Not logged to MLflow") for note in repo.report["notes"])
    assert "Not logged to MLflow" in (repo.path / "reports/review/review.md").read_text()
    must(review(repo, "main", "--again"))
    assert any("in CI that needs MLFLOW_TRACKING_URI" in note for note in repo.report["notes"])

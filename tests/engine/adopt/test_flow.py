"""Whole adoptions in a copy of the template, and what stops one before anything is changed."""

import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.adopt import flow
from pipelines.cli.errors import InputError
from pipelines.config.params import parse
from pipelines.ingest.sources import read_rows
from tests.engine.adopt.tables import churn, rents, small, visits, wide, write_csv
from tests.engine.in_process import verb

pytestmark = pytest.mark.repository


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """The tables, on disk."""
    return {
        "churn": write_csv(tmp_path / "churn.csv", churn(1500)),
        "rents": write_csv(tmp_path / "Mieten (neu).csv", rents(), ";", "cp1252", ","),
        "visits": write_csv(tmp_path / "visits.csv", visits(), encoding="utf-8-sig"),
        "small": write_csv(tmp_path / "small.csv", small(), "\t"),
        "wide": write_csv(tmp_path / "wide.csv", wide(1000, 20)),
    }


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("churn", "Churn", {"key": "customerID", "by": "hash", "hidden": {"ChurnReason", "gender"}}),
        ("rents", "Warmmiete", {"key": "row_id", "by": "time", "hidden": {"Kaltmiete"}}),
        (
            "visits",
            "readmitted",
            {"key": "visit_id", "by": "hash", "hidden": {"patient_id", "sex", "readmission reason"}},
        ),
        ("small", "response", {"key": "sample", "by": "time", "hidden": set()}),
        ("wide", "alarm", {"key": "row_id", "by": "hash", "hidden": set()}),
    ],
)
def test_params_yaml_is_valid_and_reads_the_rows(adoption, tables, tmp_path, name, target, expected):
    params = parse(adoption(tables[name], target).params)
    assert (params.table.key, params.split.by, params.table.target) == (expected["key"], expected["by"], target)
    assert params.gates.floors and not expected["hidden"] & set(params.inputs)
    assert expected["hidden"] <= set(params.table.columns)
    rows = read_rows(params.ingest, params.table, tmp_path, print)
    numbers = [column for column, kind in params.table.columns.items() if kind.type == "number"]
    assert all(pa.types.is_floating(rows.schema.field(column).type) for column in numbers)


def test_an_adoption_that_is_killed_goes_on_to_a_first_review_and_a_green_test(copy, adopt, tables, monkeypatch):
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(flow, "_review", killed)
        assert adopt(tables["rents"], "Warmmiete").code == 130
    assert copy.git("status", "--porcelain") == ""
    done = adopt(tables["rents"], "Warmmiete")
    assert done.code == 0, done.out
    assert (copy.git("branch", "--show-current"), copy.git("status", "--porcelain")) == ("adopt", "")
    assert len(copy.git("log", "--format=%s", "main..").splitlines()) == 2
    assert copy.report["verdict"] == "pass" and copy.report["name"] == "warmmiete"
    assert copy.report["base"]["model"] is None  # the base's was not trained
    assert "A new model" in copy.report["notes"][0]
    assert not [name for name in ("examples", "bench", "tests/engine/fraud") if (copy.path / name).exists()]
    assert json.loads((copy.path / "template.json").read_text())["engine_hash"]
    tests = copy.run("python", "-m", "pytest", "-q", "-n", "0", "tests/team", "tests/engine/team_files")
    assert tests.code == 0, tests.out
    again = adopt(tables["rents"], "Warmmiete")
    assert again.code == 2 and "git branch -D adopt" in again.last


def test_a_first_review_can_be_trusted(copy, adopt, tables):
    done = adopt(tables["visits"], "readmitted")
    assert done.code == 0, done.out
    assert copy.git("status", "--porcelain") == ""
    assert copy.report["verdict"] == "pass", done.out
    skill = next(row["head"] for row in copy.report["metrics"] if row["name"] == "roc_auc")
    assert 0.55 < skill < 0.95  # it learned something, and not the target


def test_a_dry_run_prints_params_and_decisions_and_changes_nothing(unread, tables):
    done = verb(unread, "adopt", str(tables["churn"]), "Churn", "--dry-run")
    assert done.code == 0, done.out
    parse(done.out[done.out.index("# yaml-language-server") : done.out.index("\nThe first rows")])
    titles = [done.out.index(title) for title in ("\nDecided:", "\nUnsure", "\nA person must decide:")]
    assert titles == sorted(titles)
    assert unread.git("status", "--porcelain") == "" and unread.git("branch", "--show-current") == "main"


def test_a_class_that_a_side_of_the_split_lacks_is_refused(adoption, tmp_path):
    table = write_csv(tmp_path / "rare.csv", small() | {"response": ["good"] * 2 + ["none"] * 298})
    with pytest.raises(InputError, match="hold no row of the class good"):
        adoption(table, "response", positive="good")


def test_files_of_a_folder_with_other_separators_are_refused(adoption, tmp_path):
    (tmp_path / "folder").mkdir()
    write_csv(tmp_path / "folder/a.csv", small())
    write_csv(tmp_path / "folder/b.csv", small(), ";")
    with pytest.raises(InputError, match="b.csv is separated otherwise"):
        adoption(tmp_path / "folder", "response")


def test_a_type_that_duckdb_cannot_read_is_named(adoption, tmp_path):
    table = pa.table({"id": ["a", "b"], "x": pa.array([1.0, 2.0], pa.float16()), "y": [0, 1]})
    pq.write_table(table, tmp_path / "half.parquet")
    with pytest.raises(InputError, match="x .halffloat"):
        adoption(tmp_path / "half.parquet", "y")


def test_columns_with_words_of_yaml_tiny_and_large_numbers_are_written(adoption, tmp_path):
    columns = small() | {
        "null": ["a", "b"] * 150,
        "tiny": [f"{n}e-12" for n in range(300)],
        "ms": [n * 10**10 for n in range(300)],
    }
    params = parse(adoption(write_csv(tmp_path / "words.csv", columns), "response").params)
    assert "null" in params.inputs
    assert [params.table.columns[name].max for name in ("tiny", "ms")] == [5e-10, 5e12]


def test_a_dirty_tree_is_refused_before_any_work(unread, tables):
    (unread.path / "new.txt").write_text("mine")
    done = verb(unread, "adopt", str(tables["small"]), "response")
    assert done.code == 2 and "new.txt" in done.out and "Reading" not in done.out


def test_a_killed_review_goes_on_against_another_main_branch(unread, tables, monkeypatch):
    bases = []

    def review(*arguments):
        bases.append(arguments[-1])
        return 0

    monkeypatch.setattr(flow, "_review", review)
    unread.git("branch", "--move", "trunk")
    trunk = unread.git("rev-parse", "--short", "HEAD")
    unread.git("checkout", "--quiet", "-b", "adopt")
    unread.git("commit", "--quiet", "--allow-empty", "-m", "Adopt churn.csv as churn")
    done = verb(unread, "adopt", str(tables["small"]), "response")
    assert done.code == 0 and bases == [trunk] and "Adopt churn.csv as churn" in done.out


def test_a_kill_while_the_files_were_written_is_explained(unread, tables):
    unread.git("checkout", "--quiet", "-b", "adopt")
    (unread.path / "params.yaml").write_text("half")
    done = verb(unread, "adopt", str(tables["small"]), "response")
    assert done.code == 2 and "git stash --include-untracked" in done.last and "git branch -D adopt" in done.last
    unread.git("stash", "--include-untracked")
    unread.git("checkout", "--quiet", "main")


def test_a_missing_identity_is_refused(unread, tables):
    unread.git("config", "--unset", "user.email")
    done = verb(unread, "adopt", str(tables["small"]), "response")
    assert done.code == 2 and "git config user.email" in done.last


def test_a_row_with_too_few_cells_is_an_error_of_the_table(unread, tables):
    with tables["small"].open("a") as file:
        file.write("S-301\t1\n")
    done = verb(unread, "adopt", str(tables["small"]), "response")
    assert done.code == 2 and "different lengths" in done.out and "Traceback" not in done.out


def test_rows_of_a_query(unread, adoption, tmp_path):
    columns = small()
    with sqlite3.connect(tmp_path / "lab.db") as database:
        database.execute(f"CREATE TABLE results ({', '.join(columns)})")
        marks = ", ".join("?" * len(columns))
        rows = [tuple(map(str, row)) for row in zip(*columns.values(), strict=True)]
        database.executemany(f"INSERT INTO results VALUES ({marks})", rows)
    database.close()
    url = f"sqlite:///{tmp_path}/lab.db"
    params = parse(adoption(url, "response", query="SELECT sample, dose, age, response FROM results").params)
    assert params.ingest.kind == "sql" and params.table.key == "sample"
    assert verb(unread, "adopt", url, "response").code == 2
    wrong = verb(unread, "adopt", url, "response", "--query", "SELECT nothing FROM results")
    assert wrong.code == 2 and "QUERY=" in wrong.last


def test_a_password_is_printed_nowhere(unread):
    done = verb(unread, "adopt", "postgresql://ann:hunter2@127.0.0.1:9/db", "y", "--query", "SELECT 1")
    assert done.code == 3 and "hunter2" not in done.out

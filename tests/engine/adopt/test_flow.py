"""Whole adoptions in a copy of the template, and what stops one before anything is changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import yaml

from pipelines.config.params import parse
from tests.engine.adopt.tables import churn, rents, small, visits, wide, write_csv

pytestmark = pytest.mark.repository


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """The tables, on disk."""
    return {
        "churn": write_csv(tmp_path / "churn.csv", churn(1500)),
        "rents": write_csv(tmp_path / "Mieten (neu).csv", rents(), ";", "cp1252", ","),
        "visits": write_csv(tmp_path / "visits.csv", visits()),
        "small": write_csv(tmp_path / "small.csv", small(), "\t"),
        "wide": write_csv(tmp_path / "wide.csv", wide(1000, 40)),
    }


def test_an_adoption_ends_in_a_first_review_and_a_green_test(copy, adopt, tables):
    done = adopt(tables["rents"], "Warmmiete")
    assert done.code == 0, done.out
    assert (copy.git("branch", "--show-current"), copy.git("status", "--porcelain")) == ("adopt", "")
    assert copy.report["verdict"] == "pass" and copy.report["name"] == "warmmiete"
    assert copy.report["base"]["model"] is None  # the base's was not trained
    assert "A new model" in copy.report["notes"][0]
    params = yaml.safe_load((copy.path / "params.yaml").read_text())
    assert params["schema"]["columns"]["Kaltmiete"]["known"] == "after"  # with Nebenkosten it is the target
    assert not [name for name in ("examples", "bench", "tests/engine/fraud") if (copy.path / name).exists()]
    assert json.loads((copy.path / "template.json").read_text())["engine_hash"]
    tests = copy.run("python", "-m", "pytest", "-q", "-n", "0", "tests/team", "tests/engine/team_files")
    assert tests.code == 0, tests.out
    again = adopt(tables["rents"], "Warmmiete")
    assert again.code == 2 and "git branch -D adopt" in again.last


def test_a_killed_adoption_goes_on(copy, adopt, tables, monkeypatch):
    from pipelines.adopt import flow

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(flow, "_review", killed)
        assert adopt(tables["visits"], "readmitted").code == 130
    assert copy.git("status", "--porcelain") == ""
    done = adopt(tables["visits"], "readmitted")
    assert done.code == 0, done.out
    assert len(copy.git("log", "--format=%s", "main..").splitlines()) == 2
    assert copy.report["verdict"] in ("pass", "fail")


@pytest.mark.parametrize(
    ("name", "target", "hidden"),
    [
        ("churn", "Churn", {"ChurnReason", "gender"}),
        ("rents", "Warmmiete", {"Kaltmiete"}),
        ("visits", "readmitted", set()),
        ("small", "response", set()),
        ("wide", "alarm", set()),
    ],
)
def test_a_dry_run_prints_valid_params_and_changes_nothing(copy, adopt, tables, name, target, hidden):
    done = adopt(tables[name], target, "--dry-run")
    assert done.code == 0, done.out
    params = parse(done.out[done.out.index("# yaml-language-server") : done.out.index("\nThe first rows")])
    assert params.table.target == target and params.gates.floors
    assert not hidden & set(params.inputs) and all(column in params.table.columns for column in hidden)
    assert copy.git("status", "--porcelain") == "" and copy.git("branch", "--show-current") == "main"


def test_a_dirty_tree_is_refused_before_any_work(copy, adopt, tables):
    (copy.path / "new.txt").write_text("mine")
    done = adopt(tables["small"], "response")
    assert done.code == 2 and "new.txt" in done.out and "Reading" not in done.out


def test_a_missing_identity_is_refused(copy, adopt, tables, monkeypatch):
    copy.git("config", "--unset", "user.email")
    done = adopt(tables["small"], "response")
    assert done.code == 2 and "git config user.email" in done.last


def test_rows_of_a_query(copy, adopt, tmp_path):
    columns = small()
    with sqlite3.connect(tmp_path / "lab.db") as database:
        database.execute(f"CREATE TABLE results ({', '.join(columns)})")
        marks = ", ".join("?" * len(columns))
        rows = [tuple(map(str, row)) for row in zip(*columns.values(), strict=True)]
        database.executemany(f"INSERT INTO results VALUES ({marks})", rows)
    database.close()
    url = f"sqlite:///{tmp_path}/lab.db"
    done = adopt(url, "response", "--query", "SELECT sample, dose, age, response FROM results", "--dry-run")
    assert done.code == 0, done.out
    assert "kind: sql" in done.out
    assert adopt(url, "response").code == 2
    wrong = adopt(url, "response", "--query", "SELECT nothing FROM results")
    assert wrong.code == 2 and "QUERY=" in wrong.last


def test_a_password_is_printed_nowhere(copy, adopt):
    done = adopt("postgresql://ann:hunter2@127.0.0.1:9/db", "y", "--query", "SELECT 1")
    assert done.code in (2, 3) and "hunter2" not in done.out

"""Payments in files, the parameters that ingest them, and a scratch repository to ingest them into."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.config.params import parse
from tests.engine.fixtures_repo import PARAMS

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]


DAY = 86_400
DAYS = 35
COLUMNS = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))["schema"]["columns"]


def payments_table(rows, seed=7):
    """Valid rows of the tests' schema from 2026-01-01 on, in order of time; 5 % are fraud, at random."""
    rng = np.random.default_rng(seed)
    start = int(np.datetime64("2026-01-01", "s").astype(np.int64))
    paid = np.sort(rng.integers(0, DAYS * DAY, rows))
    labelled = paid + rng.integers(1, 15, rows) * DAY
    unknown = labelled >= DAYS * DAY
    allowed = {name: column["allowed"] for name, column in COLUMNS.items() if "allowed" in column}
    categories = {name: rng.choice(values, rows).tolist() for name, values in allowed.items()}
    missing = rng.random((3, rows)) < 0.02
    time = pa.timestamp("s")
    columns = {
        "payment_id": [f"p{number:08d}" for number in range(1, rows + 1)],
        "customer_id": [f"c{number:05d}" for number in rng.integers(1, 301, rows)],
        "paid_at": pa.array(paid + start).cast(time),
        "amount": np.round(rng.gamma(2.0, 30.0, rows) + 0.5, 2),
        **categories,
        "new_device": pa.array(rng.random(rows) < 0.1, mask=missing[0]),
        "usual_amount": pa.array(np.round(rng.gamma(2.0, 30.0, rows), 2), mask=missing[1]),
        "minutes_since_last": pa.array(rng.integers(0, 10_000, rows), mask=missing[2]),
        "is_fraud": pa.array((rng.random(rows) < 0.05).astype(np.int64), mask=unknown),
        "labelled_at": pa.array(labelled + start, mask=unknown).cast(time),
    }
    return pa.table(columns).select([name for name, column in COLUMNS.items() if not column.get("prepared")])


def prepared_table(rows):
    """The rows of `payments_table` with prepared columns, as prepared/ would hold them."""
    rng, table = np.random.default_rng(1), payments_table(rows)
    counts = {"payments_1h": rng.integers(0, 4, rows), "payments_24h": rng.integers(0, 12, rows)}
    return pa.table({**dict(zip(table.column_names, table.columns, strict=True)), **counts})


@pytest.fixture(scope="session")
def payments():
    return payments_table(5000)


@pytest.fixture(scope="session")
def payments_folder(tmp_path_factory):
    """A folder with payments.parquet and, of other rows, others.parquet."""
    folder = tmp_path_factory.mktemp("payments")
    pq.write_table(payments_table(5000), folder / "payments.parquet")
    pq.write_table(payments_table(5000, seed=8), folder / "others.parquet")
    return folder


@pytest.fixture(scope="session")
def params(payments_folder):
    """The params.yaml of the tests, with payments.parquet as the source."""
    raw = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    ingest = {"kind": "files", "paths": [str(payments_folder / "payments.parquet")]}
    return parse(yaml.safe_dump({**raw, "ingest": ingest}, sort_keys=False))


def git(folder, *arguments):
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory):
    """A git repository with DVC in it, without data; to copy, not to use."""
    folder = tmp_path_factory.mktemp("template") / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=folder, check=True, capture_output=True)
    (folder / ".gitignore").write_text("/data/\n/data.*.tmp/\n", encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    return folder


@pytest.fixture
def repository(tmp_path, empty_repository):
    return Path(shutil.copytree(empty_repository, tmp_path / "repository"))

"""Data through S3's protocol, against moto's server: one clone pushes, another one pulls."""

import boto3
import pyarrow.parquet as pq
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.ingest import Files
from pipelines.ingest.data import make_data
from pipelines.ingest.sources import read_rows
from pipelines.repository.dvc import run_dvc
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.reproduce.data import fetch_data
from tests.engine.fixtures_dvc import git


def quiet(_):
    """Ignore progress."""


@pytest.fixture
def bucket(s3, monkeypatch):
    """The endpoint of a server with one bucket, `shared`, which is DVC's remote."""
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="shared")
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://shared/fraud")
    monkeypatch.setenv("DVC_REMOTE_ENDPOINT_URL", s3)
    return s3


def test_one_clone_pushes_and_another_pulls_the_same_bytes(bucket, repository, params, tmp_path):
    set_remote_from_environment(repository)
    make_data(params, repository, quiet)
    pushed = run_dvc(repository, "push", "data.dvc")
    assert pushed.returncode == 0, pushed.stderr
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Add the data")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))

    set_remote_from_environment(clone)
    printed: list[str] = []
    assert fetch_data(clone, printed.append) == "pulled"
    assert printed == ["pulling data/ from the remote storage"]
    here, there = ({p.name: p.read_bytes() for p in (r / "data").iterdir()} for r in (repository, clone))
    assert here == there
    assert git(clone, "status", "--porcelain") == ""
    assert run_dvc(clone, "status", "--quiet").returncode == 0


def test_rows_are_read_from_s3(bucket, params, payments, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket)
    client = boto3.client("s3", endpoint_url=bucket)
    for part in range(2):
        pq.write_table(payments.slice(part * 2500, 2500), tmp_path / "part.parquet")
        client.upload_file(str(tmp_path / "part.parquet"), "shared", f"rows/part-{part}.parquet")
    client.put_object(Bucket="shared", Key="rows/bad.csv", Body=b"")

    rows = read_rows(Files(kind="files", paths=("s3://shared/rows/part-*.parquet",)), params.table, tmp_path, quiet)
    assert sum(len(part) for part in rows.parts) == 5000

    for path in ("s3://shared/rows/none.csv", "s3://shared/rows/bad.csv", "s3://nobucket/a.csv"):
        with pytest.raises(InputError, match=path):
            read_rows(Files(kind="files", paths=(path,)), params.table, tmp_path, quiet)

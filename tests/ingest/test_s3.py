"""Data through S3's protocol, against moto's server: one clone pushes, another one pulls."""

import shutil

import boto3
import pyarrow.parquet as pq
import pytest

from pipelines import config
from pipelines.errors import InputError, Unreachable
from pipelines.ingest import data, files, pointer, remote
from tests.ingest.conftest import git


def quiet(_):
    """Progress that nobody reads."""


@pytest.fixture
def bucket(s3, monkeypatch):
    """The endpoint of a server with one bucket, `shared`, which is DVC's remote."""
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="shared")
    monkeypatch.setenv("DVC_REMOTE_URL", "s3://shared/fraud")
    monkeypatch.setenv("DVC_REMOTE_ENDPOINT_URL", s3)
    return s3


def test_one_clone_pushes_and_another_pulls_the_same_bytes(bucket, repository, params, tmp_path):
    remote.from_environment(repository)
    data.make(params, repository, quiet)
    pushed = pointer.dvc(repository, "push", "data.dvc")
    assert pushed.returncode == 0, pushed.stderr
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Add the data")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))

    remote.from_environment(clone)
    heard: list[str] = []
    brought = data.bring(params, clone, heard.append)

    assert (brought.source, brought.differs) == ("pulled", False)
    assert heard == ["pulling data/ from the remote storage"]
    here, there = ({p.name: p.read_bytes() for p in (r / "data").iterdir()} for r in (repository, clone))
    assert here == there
    assert git(clone, "status", "--porcelain") == ""
    assert pointer.dvc(clone, "status", "--quiet").returncode == 0


def test_a_server_that_is_gone_is_unreachable(bucket, repository, params, monkeypatch):
    data.make(params, repository, quiet)
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc" / "cache")
    monkeypatch.setenv("DVC_REMOTE_ENDPOINT_URL", "http://127.0.0.1:9")
    remote.from_environment(repository)
    with pytest.raises(Unreachable, match="dvc fetch failed"):
        data.bring(params, repository, quiet)
    assert not (repository / "data").exists()


def test_rows_are_read_from_s3(bucket, params, spec, tmp_path, monkeypatch):
    from pipelines.ingest.simulator import simulate

    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket)
    table = simulate(spec)
    client = boto3.client("s3", endpoint_url=bucket)
    for part in range(2):
        pq.write_table(table.slice(part * 2500, 2500), tmp_path / "part.parquet")
        client.upload_file(str(tmp_path / "part.parquet"), "shared", f"rows/part-{part}.parquet")
    client.put_object(Bucket="shared", Key="rows/bad.csv", Body=b"")

    rows = files.read(config.Files(kind="files", paths=("s3://shared/rows/part-*.parquet",)), params.table, tmp_path)
    assert sum(len(part) for part in rows.parts) == 5000

    for path in ("s3://shared/rows/none.csv", "s3://shared/rows/bad.csv", "s3://nobucket/a.csv"):
        with pytest.raises(InputError, match=path):
            files.read(config.Files(kind="files", paths=(path,)), params.table, tmp_path)

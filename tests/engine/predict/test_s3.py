"""Tables in and out through S3's protocol, against moto's server."""

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

from tests.engine.predict.conftest import read, write


@pytest.fixture
def bucket(s3, monkeypatch):
    """A client of a server with one bucket, `tables`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="tables")
    return client


def keys(client):
    return sorted(item["Key"] for item in client.list_objects_v2(Bucket="tables").get("Contents", []))


def test_tables_are_scored_from_bucket_to_bucket(bucket, predict, orders, tmp_path):
    for i, part in enumerate((orders.slice(0, 150), orders.slice(150))):
        bucket.upload_file(str(write(part, tmp_path / "part.parquet")), "tables", f"in/part-{i}.parquet")
    assert predict(write(orders, tmp_path / "in.parquet"), tmp_path / "here.csv") == 0
    for source in ("s3://tables/in/", "s3://tables/in/*.parquet"):
        assert predict(source, "s3://tables/out/scored.csv") == 0
        bucket.download_file("tables", "out/scored.csv", str(tmp_path / "there.csv"))
        assert read(tmp_path / "there.csv").equals(read(tmp_path / "here.csv"))
        assert keys(bucket) == ["in/part-0.parquet", "in/part-1.parquet", "out/scored.csv"]


def test_rejects_are_written_beside_the_table_and_removed_by_a_clean_run(bucket, predict, orders, tmp_path, capsys):
    bad = orders.set_column(2, "price", pa.array([-1.0, *orders["price"].to_pylist()[1:]]))
    assert predict(write(bad, tmp_path / "bad.parquet"), "s3://tables/scored.parquet") == 1
    assert "s3://tables/scored.rejects.parquet" in capsys.readouterr().err.splitlines()[-1]
    assert keys(bucket) == ["scored.parquet", "scored.rejects.parquet"]
    bucket.download_file("tables", "scored.rejects.parquet", str(tmp_path / "rejects.parquet"))
    assert pq.read_table(tmp_path / "rejects.parquet")["order_id"].to_pylist() == ["0000"]
    assert predict(write(orders, tmp_path / "good.parquet"), "s3://tables/scored.parquet") == 0
    assert keys(bucket) == ["scored.parquet"]


def test_a_broken_input_keeps_only_the_object_of_the_last_run(bucket, predict, orders, tmp_path):
    bucket.put_object(Bucket="tables", Key="scored.csv", Body=b"the last good table")
    plain = write(orders, tmp_path / "in.csv").read_bytes()
    bucket.put_object(Bucket="tables", Key="in.csv", Body=plain + b"1,2\n")
    assert predict("s3://tables/in.csv", "s3://tables/scored.csv") == 2
    assert keys(bucket) == ["in.csv", "scored.csv"]
    assert bucket.get_object(Bucket="tables", Key="scored.csv")["Body"].read() == b"the last good table"
    assert not bucket.list_multipart_uploads(Bucket="tables").get("Uploads")


def test_an_object_or_bucket_that_is_not_there_is_wrong_input(bucket, predict, orders, tmp_path, capsys):
    path = write(orders, tmp_path / "in.csv")
    for source, out in (
        ("s3://tables/no.csv", tmp_path / "out.csv"),
        ("s3://nobody/in.csv", tmp_path / "out.csv"),
        (path, "s3://nobody/out.csv"),
    ):
        assert predict(source, out) == 2
        assert "no such file, folder or bucket" in capsys.readouterr().err


def test_a_stopped_server_is_unreachable(bucket, predict, orders, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3fs.S3FileSystem.clear_instance_cache()
    path = write(orders, tmp_path / "in.csv")
    for source, out in (("s3://tables/in.csv", tmp_path / "out.csv"), (path, "s3://tables/out.csv")):
        assert predict(source, out) == 3
        assert "cannot be reached" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]

"""Writing files to a folder, or to a bucket (of moto's server here)."""

import boto3
import pytest

from serving.errors import CannotStartError
from serving.sinks import Bucket, Folder, open_sink

NAME = "date=2026-03-31/a.parquet"


@pytest.fixture
def bucket(s3, monkeypatch):
    """A client of a server with one bucket, `logs`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="logs")
    return client


def objects(client):
    listed = client.list_objects_v2(Bucket="logs").get("Contents", [])
    return {item["Key"]: client.get_object(Bucket="logs", Key=item["Key"])["Body"].read() for item in listed}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_path_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, folder in (
        (f"{tmp_path}/a", "a"),
        ("g/h", "g/h"),
        ("i j", "i j"),
        ("k%20l", "k%20l"),
        ("m#n?o", "m#n?o"),
    ):
        open_sink(path).write(NAME, b"x")
        assert files(tmp_path / folder) == {NAME: b"x"}


def test_a_folder_is_created_with_the_first_file(tmp_path):
    open_sink(str(tmp_path / "log"))
    assert not (tmp_path / "log").exists()


def test_a_file_replaces_one_with_its_name(tmp_path):
    folder = Folder(tmp_path)
    folder.write(NAME, b"first")
    folder.write(NAME, b"second")
    assert files(tmp_path) == {NAME: b"second"}


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, small_disk):
    with small_disk(1_000), pytest.raises(OSError):
        Folder(tmp_path).write(NAME, b"x" * 2_000)
    assert files(tmp_path) == {}


def test_an_occupied_path_is_an_error_that_leaves_no_file(tmp_path):
    (tmp_path / NAME).mkdir(parents=True)
    with pytest.raises(OSError):
        Folder(tmp_path).write(NAME, b"x")
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Folder(tmp_path / "file").write(NAME, b"x")
    assert files(tmp_path) == {"file": b""}


def test_an_object_is_written_below_the_urls_path(bucket):
    for url in ("s3://logs", "s3://logs/", "s3://logs/of/orders", "S3://logs/of/sales/"):
        open_sink(url).write(NAME, url.encode())
    assert objects(bucket) == {
        NAME: b"s3://logs/",  # the second of the same place
        f"of/orders/{NAME}": b"s3://logs/of/orders",
        f"of/sales/{NAME}": b"S3://logs/of/sales/",
    }


def test_an_object_of_many_megabytes_is_whole(bucket):
    content = bytes(range(256)) * 50_000
    bucket_sink = Bucket("s3://logs")
    bucket_sink.write("large", content)
    bucket_sink.write("small", b"")
    assert objects(bucket) == {"large": content, "small": b""}


def test_the_endpoint_of_s3_takes_precedence(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.meta.endpoint_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    Bucket("s3://logs").write(NAME, b"x")
    assert objects(bucket) == {NAME: b"x"}


def test_a_missing_bucket_and_an_unreachable_server_are_errors(bucket, monkeypatch):
    with pytest.raises(Exception, match="NoSuchBucket|NotFound|404"):
        Bucket("s3://nobody").write(NAME, b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
        Bucket("s3://logs").write(NAME, b"x")


def test_urls_of_buckets_are_accepted_without_a_connection():
    for url in (
        "s3://b",
        "gs://b/x",
        "az://b/x",
        "GS://b",
        "abfs://b/x",
        "abfss://b@account.dfs.core.windows.net/x",
    ):
        assert isinstance(open_sink(url), Bucket)


@pytest.mark.parametrize("url", ["ftp://host/x", "file:///log", "s3://", "s3:bucket", "S4://b", "s3:///x"])
def test_another_url_is_reported_in_one_line(url):
    with pytest.raises(CannotStartError, match=f"^PREDICTION_LOG={url} is not a folder") as caught:
        open_sink(url)
    assert len(str(caught.value).splitlines()) == 1


def test_the_error_does_not_contain_the_password_of_a_url():
    with pytest.raises(CannotStartError, match="PREDICTION_LOG=ftp://host/x is not a folder") as caught:
        open_sink("ftp://ann:secret@host/x")
    assert "secret" not in str(caught.value)

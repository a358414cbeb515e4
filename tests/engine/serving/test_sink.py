"""Where the prediction log goes: a folder, or a bucket (moto's server here)."""

import boto3
import pytest

from serving.errors import CannotStartError
from serving.sink import Bucket, Folder, sink

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


# A folder.


def test_a_path_or_a_url_of_a_file_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url, folder in (
        (f"{tmp_path}/a", "a"),
        (f"file://{tmp_path}/b", "b"),
        (f"file:{tmp_path}/c", "c"),
        (f"FILE://localhost{tmp_path}/d", "d"),
        (f"file://{tmp_path}/e%20f", "e f"),
        ("g/h", "g/h"),
        ("i j", "i j"),
        ("k%20l", "k%20l"),
        ("m#n?o", "m#n?o"),
    ):
        sink(url).write(NAME, url.encode())
        assert files(tmp_path / folder) == {NAME: url.encode()}


@pytest.mark.parametrize(
    "url", ["file://host/log", "file://logs", "file://user@localhost/log", "file:///log#1", "file://"]
)
def test_a_url_of_a_file_elsewhere_or_of_none_is_told_in_one_line_before_the_start(url):
    with pytest.raises(CannotStartError, match="is not a folder of this machine, as file:///path names one$") as caught:
        sink(url)
    assert len(str(caught.value).splitlines()) == 1


def test_nothing_is_made_before_the_first_file(tmp_path):
    sink(str(tmp_path / "log"))
    assert not (tmp_path / "log").exists()


def test_a_file_replaces_one_of_its_name(tmp_path):
    folder = Folder(tmp_path)
    folder.write(NAME, b"first")
    folder.write(NAME, b"second")
    assert files(tmp_path) == {NAME: b"second"}


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, small_disk):
    with small_disk(1_000), pytest.raises(OSError):
        Folder(tmp_path).write(NAME, b"x" * 2_000)
    assert files(tmp_path) == {}


def test_a_place_that_is_taken_is_a_failure_that_leaves_nothing(tmp_path):
    (tmp_path / NAME).mkdir(parents=True)
    with pytest.raises(OSError):
        Folder(tmp_path).write(NAME, b"x")
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Folder(tmp_path / "file").write(NAME, b"x")
    assert files(tmp_path) == {"file": b""}


# A bucket.


def test_an_object_is_put_below_the_urls_path(bucket):
    for url in ("s3://logs", "s3://logs/", "s3://logs/of/orders", "S3://logs/of/sales/"):
        sink(url).write(NAME, url.encode())
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


def test_s3_may_have_an_endpoint_of_its_own(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.meta.endpoint_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    Bucket("s3://logs").write(NAME, b"x")
    assert objects(bucket) == {NAME: b"x"}


def test_a_bucket_that_is_not_there_or_a_server_that_is_gone_is_a_failure(bucket, monkeypatch):
    with pytest.raises(Exception, match="NoSuchBucket|NotFound|404"):
        Bucket("s3://nobody").write(NAME, b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
        Bucket("s3://logs").write(NAME, b"x")


def test_the_kinds_that_fsspec_knows_are_taken_and_nothing_is_reached_yet():
    for url in (
        "s3://b",
        "gs://b/x",
        "gcs://b",
        "az://b/x",
        "GS://b",
        "abfs://b/x",
        "abfss://b@account.dfs.core.windows.net/x",
    ):
        assert isinstance(sink(url), Bucket)


@pytest.mark.parametrize("url", ["ftp://host/x", "https://host/x", "s3://", "s3:bucket", "S4://b", "s3:///x"])
def test_another_kind_is_told_in_one_line_before_the_start(url):
    with pytest.raises(CannotStartError, match=f"^PREDICTION_LOG={url} is neither") as caught:
        sink(url)
    assert len(str(caught.value).splitlines()) == 1


def test_a_password_in_an_address_that_is_refused_is_not_said():
    with pytest.raises(CannotStartError, match="PREDICTION_LOG=ftp://host/x is neither") as refused:
        sink("ftp://ann:secret@host/x")
    assert "secret" not in str(refused.value)

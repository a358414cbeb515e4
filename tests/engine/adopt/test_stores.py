"""A table in a database, in S3's protocol or behind HTTPS: it is adopted, and params.yaml reads the same rows again."""

import datetime
import functools
import http.server
import importlib
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipelines.adopt.flow import Adoption
from pipelines.adopt.source import read_source
from pipelines.cli.errors import InputError, Unreachable
from pipelines.config.params import parse
from tests.engine.adopt.tables import small, write_csv
from tests.engine.fixtures_postgres import PASSWORD

pytestmark = pytest.mark.server
ROWS = 300


def ingested(adoption: Adoption, root: Path) -> int:
    """The number of rows that `make data` would read."""
    params = parse(adoption.params)
    rows = importlib.import_module(params.ingest.source).read_rows(params.ingest, params.table, root, print)
    return sum(len(part) for part in rows.parts)


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of the folder `web`, whose certificate this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    day = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(day - datetime.timedelta(days=1))
        .not_valid_after(day + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private = key.private_bytes(serialization.Encoding.PEM, *form)
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    monkeypatch.setitem(fsspec.config.conf, "https", {"ssl": ssl.create_default_context(cafile=str(pem))})
    (tmp_path / "web").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_rows_of_postgresql(postgres, adoption, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    columns = small(ROWS)
    with psycopg.connect(postgres) as database:
        database.execute(
            "CREATE TABLE results (sample text, taken timestamp, dose double precision, age integer, ok boolean)"
        )
        rows = zip(
            columns["sample"], columns["taken"], columns["dose"], columns["age"], columns["response"], strict=True
        )
        insert = "INSERT INTO results VALUES (%s, %s, %s, %s, %s)"
        database.cursor().executemany(insert, [(*row, response == "good") for *row, response in rows])
    monkeypatch.delenv("PGPASSWORD")
    query = "SELECT taken, dose, age, ok FROM results ORDER BY taken"
    quoted = PASSWORD.replace("@", "%40").replace(" ", "%20")
    url = postgres.replace("postgresql://ann", f"postgres://ann:{quoted}")
    done = adoption(url, "ok", query=query)
    params = parse(done.params)
    assert (params.ingest.url, params.ingest.make_key) == (postgres, "row_number")
    assert {name: column.type for name, column in params.table.columns.items()} == {
        "row_id": "identifier", "taken": "timestamp", "dose": "number", "age": "integer", "ok": "boolean"
    }  # fmt: skip
    assert ingested(done, tmp_path) == ROWS
    with pytest.raises(InputError, match="nothing"):
        read_source(url, "SELECT nothing FROM results", tmp_path)
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(Unreachable, match="cannot be reached"):
        read_source(postgres, query, tmp_path)
    printed = capfd.readouterr()
    for text in (printed.out, printed.err, done.params, done.cases, str(done.draft)):
        assert PASSWORD not in text and quoted not in text


def test_rows_of_a_bucket(s3, adoption, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="lab")
    for part in range(2):
        columns = {name: values[part * 150 : (part + 1) * 150] for name, values in small(ROWS).items()}
        client.upload_file(str(write_csv(tmp_path / "part.csv", columns, ";")), "lab", f"rows/part {part}.csv")
    done = adoption("s3://lab/rows/*.csv", "response", positive="good")
    assert parse(done.params).ingest.separator == ";"
    assert ingested(done, tmp_path) == ROWS


def test_rows_behind_https(https, adoption, tmp_path):
    write_csv(tmp_path / "web/results.csv", small(ROWS))
    done = adoption(f"{https}/results.csv", "response", positive="good")
    assert ingested(done, tmp_path) == ROWS
    # This server, like others, cannot send a part of a file, which a Parquet file needs.
    (tmp_path / "web/results.parquet").write_bytes(b"PAR1" + bytes(100_000) + b"PAR1")
    with pytest.raises(InputError, match="range requests"):
        read_source(f"{https}/results.parquet", None, tmp_path)


@pytest.mark.parametrize("url", ["https://ann:hunter2@db/a.csv", "https://db/a.csv?signature=hunter2"])
def test_an_address_with_a_secret_is_refused_and_not_printed(url, tmp_path):
    with pytest.raises(InputError, match="params.yaml would keep") as refused:
        read_source(url, None, tmp_path)
    assert "hunter2" not in str(refused.value)

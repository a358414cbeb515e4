"""Requests that the running service refuses."""

import http.client
import socket

import pytest

from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-refusals")]
LARGE = 20_000_000  # bytes


@pytest.fixture(scope="module")
def service(logistic, tmp_path_factory):
    with live.serve(tmp_path_factory.mktemp("refusals"), logistic.model.parent) as running:
        yield running
        counters = running.counters()
    assert not [name for name in counters if name[0] == "mainline_requests_total" and name[2].startswith("5")]
    assert "Traceback" not in running.stderr()


def reasons(answer):
    return {error["field"]: error["reason"] for error in answer.body["fields"]}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("price", "12.5", "expected a number from 0 to 1000 (got '12.5')"),
        ("price", 1000.01, "expected a number from 0 to 1000 (got '1000.01')"),
        ("price", None, "is missing; expected a number from 0 to 1000"),
        ("price", True, "expected a number from 0 to 1000 (got 'True')"),
        ("items", 2.5, "expected a whole number from 1 to 50 (got '2.5')"),
        ("items", 10**400, "expected a whole number from 1 to 50 (got '1000"),
        ("size", "XL", "expected one of S, M, L (got 'XL')"),
        ("size", ["S"], "expected one of S, M, L (got"),
        ("shop", "a\0b", "expected a text or nothing (got"),
        ("gift", "true", "expected true or false or nothing (got 'true')"),
        ("ordered_at", "noon", "expected a time (as 2026-03-31T12:00:00Z, or seconds since 1970) (got 'noon')"),
        (
            "ordered_at",
            1770091506000,
            "expected a time (as 2026-03-31T12:00:00Z, or seconds since 1970) (got '17",
        ),
        ("colour", "red", "is not a field of this model"),
    ],
)
def test_an_invalid_value_is_refused_with_its_field_and_reason(service, field, value, reason):
    row = {**GOOD, field: value}
    one, many = service.ask("POST", "/predict", row), service.ask("POST", "/predict_batch", [GOOD, row])
    assert (one.status, many.status) == (422, 422)
    assert list(reasons(one)) == list(reasons(many)) == [field]
    assert reasons(one)[field].startswith(reason)
    assert many.body["fields"][0]["row"] == 1
    assert one.body["error"] == f"{field} {reasons(one)[field]}"


def test_a_refusal_does_not_contain_a_sensitive_value(service):
    answer = service.ask("POST", "/predict", {**GOOD, "region": "a secret"})
    assert (answer.status, list(reasons(answer))) == (422, ["region"])
    assert "a secret" not in str(answer)


def test_all_invalid_fields_are_named(service):
    answer = service.ask("POST", "/predict", {})
    assert (answer.status, set(reasons(answer))) == (422, {"ordered_at", "price", "items", "size", "region"})


@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'[{"price": NaN}]', 400),
        (b"[" * 60_000, 400),
        (b"1" * 5_000, 422),
        (b"null", 422),
        (b'"text"', 422),
        (b"[[]]", 422),
    ],
)
def test_a_body_that_is_not_a_row_is_refused(service, path, raw, status):
    answer = service.ask("POST", path, raw)
    assert answer.status == status
    assert answer.body["error"]


def test_a_batch_of_more_rows_than_allowed_is_refused(service):
    answer = service.ask("POST", "/predict_batch", [{}] * 101)
    assert answer.status == 422
    assert answer.body["error"] == "the body has 101 rows; a batch may have 100"


def test_a_body_that_is_too_large_is_refused(service):
    answer = service.ask("POST", "/predict", b" " * LARGE)
    assert (answer.status, answer.body["error"]) == (413, "the body has more than 65,536 bytes")
    answer = service.ask("POST", "/predict_batch", b" " * LARGE)
    assert (answer.status, answer.body["error"]) == (413, "the body has more than 1,000,000 bytes")


def test_a_chunked_body_that_is_too_large_is_refused(service):
    connection = service.connect()
    connection.request("POST", "/predict", iter([b" " * 1_000_000] * 20), {"content-type": "application/json"})
    assert connection.getresponse().status == 413


def test_a_client_that_expects_100_continue_is_refused_before_it_sends_a_body_that_is_too_large(service):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % LARGE)
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonl", ""])
def test_another_content_type_is_refused(service, kind):
    assert service.ask("POST", "/predict", GOOD, content_type=kind).status == 415


def test_a_content_encoding_is_refused(service):
    assert service.ask("POST", "/predict", b"\x1f\x8b", content_encoding="gzip").status == 415


@pytest.mark.parametrize("name", ["identity", "Identity", "IDENTITY"])
def test_the_content_encoding_identity_is_accepted(service, name):
    assert service.ask("POST", "/predict", GOOD, content_encoding=name).status == 200


def test_two_lengths_of_a_body_are_refused(service):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head + b"content-length: 2\r\ncontent-length: 200\r\n\r\n{}")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, response.headers["connection"]) == (400, "close")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/predict_batch", "POST"),
        ("OPTIONS", "/predict", "POST"),
        ("POST", "/info", "GET, HEAD"),
        ("DELETE", "/openapi.json", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_and_the_allowed_ones_are_named(service, method, path, allowed):
    answer = service.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


ELSEWHERE = ["/", "/predict/", "/Predict", "/docs.json", "/schema.json", "/healthz", "/static_content/", "/livez/", "*"]


@pytest.mark.parametrize("path", [*ELSEWHERE, "/../models/model.onnx"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_path_is_not_found(service, method, path):
    answer = service.ask(method, path)
    assert (answer.status, set(answer.body)) == (404, {"error", "request_id", "fields"})

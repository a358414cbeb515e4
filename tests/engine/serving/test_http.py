"""What the running service answers, and that it is what the scorer says that judged the model."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import http.client
import json
import math
import socket
from collections import Counter
from itertools import cycle, islice

import numpy as np
import pytest

from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-http")]
BIG = 20_000_000


def requests_of(model):
    """The model's rows as a client sends them."""

    def plain(value):
        if isinstance(value, dt.datetime):
            return value.isoformat()
        return None if isinstance(value, float) and math.isnan(value) else value

    return [{name: plain(value) for name, value in row.items()} for row in model.rows()]


@pytest.fixture(scope="module")
def service(logistic, tmp_path_factory):
    limits = {**live.LIMITS, "max_batch_rows": 10_000, "max_body_mb": 5}
    folder = tmp_path_factory.mktemp("http")
    with live.serve(folder, logistic.model.parent, limits, MODEL_VERSION="orders@v1.2.0") as running:
        yield running
        counters = running.counters()
    assert not [name for name in counters if name[0] == "mainline_requests_total" and name[2].startswith("5")]
    assert "Traceback" not in running.stderr()


def reasons(answer):
    return {fault["field"]: fault["reason"] for fault in answer.body["fields"]}


# What is answered.


def test_a_row_is_answered_with_its_probability_decision_threshold_release_and_request(service, logistic):
    answer = service.ask("POST", "/predict", GOOD)
    probability = logistic.scorer().score_row(GOOD)
    assert answer.status == 200
    assert answer.body == {
        "probability": probability,
        "decision": probability >= 0.5,
        "threshold": 0.5,
        "release": live.RELEASE,
        "request_id": answer.headers["x-request-id"],
    }


def test_each_row_is_answered_as_the_scorer_does(service, logistic):
    scorer, connection = logistic.scorer(), service.connect()
    for row in requests_of(logistic)[:100]:
        answer = live.ask(connection, "POST", "/predict", row)
        assert (answer.status, answer.body["probability"]) == (200, scorer.score_row(row))


def test_a_batch_is_answered_as_the_scorer_does_in_the_order_of_its_rows(service, logistic):
    answer = service.ask("POST", "/predict_batch", requests_of(logistic), x_request_id="many")
    expected = logistic.scorer().score(logistic.encoded)
    assert answer.status == 200
    np.testing.assert_allclose([one["probability"] for one in answer.body], expected, rtol=0, atol=1e-6)
    assert [one["decision"] for one in answer.body] == [one["probability"] >= 0.5 for one in answer.body]
    assert [one["request_id"] for one in answer.body] == [f"many/{i}" for i in range(len(expected))]


def test_a_batch_of_ten_thousand_rows_is_answered(service, logistic):
    rows = list(islice(cycle(requests_of(logistic)), 10_000))
    answer = service.ask("POST", "/predict_batch", rows)
    expected = np.resize(logistic.scorer().score(logistic.encoded), 10_000)
    assert answer.status == 200
    np.testing.assert_allclose([one["probability"] for one in answer.body], expected, rtol=0, atol=1e-6)


def test_an_empty_batch_is_answered_with_nothing(service):
    assert service.ask("POST", "/predict_batch", [])[::2] == (200, [])


def test_a_regression_is_answered_with_its_value(regression, tmp_path):
    with live.serve(tmp_path, regression.model.parent) as service:
        one, many = service.ask("POST", "/predict", GOOD), service.ask("POST", "/predict_batch", [GOOD, GOOD])
        counters = service.counters()
    value = regression.scorer().score_row(GOOD)
    assert one.body == {"value": value, "release": live.RELEASE, "request_id": one.headers["x-request-id"]}
    assert [set(answer) for answer in many.body] == [set(one.body)] * 2
    assert counters["mainline_predictions_total", "value"] == 3


def test_info_names_the_release_the_version_the_model_and_its_signature(service, logistic):
    assert service.ask("GET", "/info").body == {
        "release": live.RELEASE,
        "version": "orders@v1.2.0",
        "model": hashlib.md5(logistic.model.read_bytes()).hexdigest(),
        "signature": json.loads(logistic.signature.read_text()),
    }


def test_the_openapi_document_has_the_fields_of_the_signature(service, logistic):
    document = service.ask("GET", "/openapi.json").body
    row = document["components"]["schemas"]["Row"]
    assert document["openapi"].startswith("3.")
    assert list(row["properties"]) == [item.name for item in logistic.scorer().signature.inputs]
    assert row["properties"]["price"] == {"type": "number", "minimum": 0, "maximum": 1000}
    assert row["additionalProperties"] is False


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_the_probes_answer(service, path):
    assert service.ask("GET", path).status == 200


def test_metrics_count_requests_latencies_predictions_and_dropped_rows_and_name_the_release(service):
    before = service.counters()
    answers = [service.ask("POST", "/predict", GOOD) for _ in range(3)]
    answers_of_batch = service.ask("POST", "/predict_batch", [GOOD] * 4).body
    service.ask("POST", "/predict", {})
    service.ask("GET", "/no/such/path")
    after = service.counters()

    def rise(*name):
        return after[name] - before.get(name, 0)

    assert rise("mainline_requests_total", "/predict", "200") == 3
    assert rise("mainline_requests_total", "/predict_batch", "200") == 1
    assert rise("mainline_requests_total", "/predict", "422") == 1
    assert rise("mainline_requests_total", "other", "404") == 1
    assert rise("mainline_request_seconds_count", "/predict") == 4
    assert rise("mainline_request_seconds_bucket", "/predict", "+Inf") == 4
    decisions = Counter([answer.body["decision"] for answer in answers] + [one["decision"] for one in answers_of_batch])
    for name, decided in (("true", True), ("false", False)):
        assert rise("mainline_predictions_total", name) == decisions[decided]
    assert after["mainline_log_rows_dropped_total",] == 0
    assert after["mainline_release_info", live.RELEASE, "champion", "orders@v1.2.0"] == 1


def test_no_counter_has_a_label_of_a_path_that_a_client_made_up(service):
    service.ask("GET", "/made-up-by-a-client")
    assert not [name for name in service.counters() if "/made-up-by-a-client" in name]


# What is taken.


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        ({"price": 12}, {"price": 12.0}),
        ({"items": 3.0}, {"items": 3}),
        ({"items": 3e0, "gift": 1}, {"gift": True}),
        ({"usual_price": ""}, {"usual_price": None}),
        ({"shop": "a shop nobody has heard of: 東京"}, {"shop": "another one"}),
        ({"ordered_at": 1770091506}, {"ordered_at": "2026-02-03T04:05:06"}),
        ({"ordered_at": "2026-02-03T05:05:06+01:00"}, {"ordered_at": "2026-02-03T04:05:06Z"}),
        ({"ordered_at": "2026-02-03 04:05:06"}, {"ordered_at": "2026-02-03t04:05:06z"}),
    ],
)
def test_two_ways_to_say_a_value_have_the_same_answer(service, sent, same):
    one, other = (service.ask("POST", "/predict", {**GOOD, **changes}) for changes in (sent, same))
    assert (one.status, other.status) == (200, 200)
    assert one.body["probability"] == other.body["probability"]


def test_a_nullable_field_may_be_absent(service):
    required = {name: GOOD[name] for name in ("ordered_at", "price", "items", "size", "region")}
    nothing = dict.fromkeys(("usual_price", "usual_size", "shop", "gift"))
    absent, null = (service.ask("POST", "/predict", row) for row in (required, {**required, **nothing}))
    assert (absent.status, null.status) == (200, 200)
    assert absent.body["probability"] == null.body["probability"]


# What is refused.


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
def test_a_value_that_does_not_fit_is_refused_by_name_and_reason(service, field, value, reason):
    row = {**GOOD, field: value}
    one, many = service.ask("POST", "/predict", row), service.ask("POST", "/predict_batch", [GOOD, row])
    assert (one.status, many.status) == (422, 422)
    assert list(reasons(one)) == list(reasons(many)) == [field]
    assert reasons(one)[field].startswith(reason)
    assert many.body["fields"][0]["row"] == 1
    assert one.body["error"] == f"{field} {reasons(one)[field]}"


def test_a_refusal_does_not_repeat_a_sensitive_value(service):
    answer = service.ask("POST", "/predict", {**GOOD, "region": "a secret"})
    assert (answer.status, list(reasons(answer))) == (422, ["region"])
    assert "a secret" not in str(answer)


def test_all_fields_at_fault_are_named(service):
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
        (b'[{"price": 1, "price": 2}]', 400),
        (b"[" * 100_000, 400),
        (b"1" * 5_000, 400),
        (b"null", 422),
        (b'"text"', 422),
        (b"[[]]", 422),
    ],
)
def test_a_body_that_is_no_row_is_refused(service, path, raw, status):
    answer = service.ask("POST", path, raw)
    assert answer.status == status
    assert answer.body["error"]


def test_a_batch_of_more_rows_than_allowed_is_refused(service):
    answer = service.ask("POST", "/predict_batch", [{}] * 10_001)
    assert answer.status == 422
    assert answer.body["error"] == "the body has 10001 rows; at most 10000 are taken at once"


def test_a_body_of_twenty_megabytes_is_refused(service):
    answer = service.ask("POST", "/predict", b" " * BIG)
    assert (answer.status, answer.body["error"]) == (413, "the body has more than 5 MB")


def test_a_body_of_twenty_megabytes_that_does_not_say_its_size_is_refused(service):
    connection = service.connect()
    connection.request("POST", "/predict", iter([b" " * 1_000_000] * 20), {"content-type": "application/json"})
    assert connection.getresponse().status == 413


def test_a_client_that_asks_first_sends_no_body_that_is_too_large(service):
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head + b"content-length: %d\r\n\r\n" % BIG)
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""]
)
def test_another_content_type_is_refused(service, kind):
    assert service.ask("POST", "/predict", GOOD, content_type=kind).status == 415


def test_a_packed_body_is_refused(service):
    assert service.ask("POST", "/predict", b"\x1f\x8b", content_encoding="gzip").status == 415


@pytest.mark.parametrize("name", ["identity", "Identity", "IDENTITY"])
def test_a_body_that_says_that_it_is_not_packed_is_taken(service, name):
    assert service.ask("POST", "/predict", GOOD, content_encoding=name).status == 200


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("content-encoding", "gzip", "identity"),
        ("content-encoding", "identity", "identity"),
        ("Content-Type", "text/plain", "application/json"),
        ("content-length", "3", "200"),
    ],
)
def test_a_header_of_the_body_that_comes_twice_is_refused(service, name, first, last):
    headers = {"content-type": "application/json", "content-length": "2"}
    headers.pop(name.lower(), None)
    lines = [*headers.items(), (name, first), (name.lower(), last)]
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        head = "".join(f"{key}: {value}\r\n" for key, value in lines)
        connection.sendall(f"POST /predict HTTP/1.1\r\nhost: x\r\n{head}\r\n{{}}".encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["connection"]) == (400, "close")


def test_another_header_may_come_twice(service):
    body = json.dumps(GOOD).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        lines = "via: a\r\nvia: b\r\ncontent-type: application/json\r\n"
        connection.sendall(
            f"POST /predict HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        )
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")


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
def test_another_method_is_refused_and_the_right_one_named(service, method, path, allowed):
    answer = service.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


ELSEWHERE = ["/", "/predict/", "/Predict", "/docs.json", "/schema.json", "/healthz", "/static_content/", "/livez/", "*"]


@pytest.mark.parametrize("path", [*ELSEWHERE, "/../models/model.onnx"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_there_is_nothing_at_another_path(service, method, path):
    answer = service.ask(method, path)
    assert (answer.status, set(answer.body)) == (404, {"error", "request_id", "fields"})


# Connections and names.


def test_the_name_that_a_request_brings_is_kept(service):
    answer = service.ask("POST", "/predict", GOOD, x_request_id="order-17.a_B")
    assert answer.headers["x-request-id"] == answer.body["request_id"] == "order-17.a_B"


def test_a_request_without_a_name_is_given_one_of_its_own(service):
    names = {service.ask("POST", "/predict", GOOD).body["request_id"] for _ in range(5)}
    assert len(names) == 5
    assert all(len(name) == 32 for name in names)


@pytest.mark.parametrize("name", ["", "a b", "../x", "é", "<b>", "x" * 65, "a,b"])
def test_a_name_that_cannot_be_trusted_is_ignored(service, name):
    answer = service.ask("POST", "/predict", GOOD, x_request_id=name)
    assert answer.status == 200
    assert len(answer.body["request_id"]) == 32


def test_a_refusal_has_the_name_of_its_request(service):
    answer = service.ask("POST", "/predict", {}, x_request_id="wrong-1")
    assert answer.headers["x-request-id"] == answer.body["request_id"] == "wrong-1"


def test_requests_sent_at_once_on_one_connection_are_answered_in_their_order(service):
    body = json.dumps(GOOD).encode()
    head = (
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-request-id: {}\r\ncontent-length: {}"
    )
    names = [f"pipelined-{i}" for i in range(10)]
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(b"".join(head.format(name, len(body)).encode() + b"\r\n\r\n" + body for name in names))
        received = []
        # Through one reader: it may take several answers from the socket at once.
        with connection.makefile("rb") as answers:
            for _ in names:
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                headers = http.client.parse_headers(answers)
                content = answers.read(int(headers["content-length"]))
                received.append(json.loads(content)["request_id"])
    assert received == names


# The prediction log.


def test_the_log_has_the_row_of_each_prediction_and_no_sensitive_value(logistic, tmp_path):
    rows = requests_of(logistic)[:60]
    with live.serve(tmp_path, logistic.model.parent, PREDICTION_LOG_SALT="salt", MODEL_ROLE="challenger") as service:
        answers = [service.ask("POST", "/predict", row).body for row in rows[:20]]
        answers += service.ask("POST", "/predict_batch", rows[20:]).body
        service.ask("POST", "/predict", {})
        service.stop()
    logged = {row["request_id"]: row for row in service.log().to_pylist()}
    assert len(logged) == service.log().num_rows == len(rows)
    for row, answer in zip(rows, answers, strict=True):
        kept = logged[answer["request_id"]]
        assert {name: kept[name] for name in ("probability", "decision", "release", "role")} == {
            "probability": answer["probability"],
            "decision": answer["decision"],
            "release": live.RELEASE,
            "role": "challenger",
        }
        plain = {name: value for name, value in row.items() if name not in ("region", "ordered_at")}
        assert {name: kept[name] for name in plain} == plain
        assert kept["ordered_at"].isoformat() == row["ordered_at"] + "+00:00"
        assert kept["region"] == hmac.digest(b"salt", row["region"].encode(), "sha256").hex()


def test_the_log_may_be_off(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, PREDICTION_LOG="off") as service:
        assert service.ask("POST", "/predict", GOOD).status == 200
        service.stop()
    assert not (tmp_path / "predictions").exists()


def test_the_server_of_bentoml_answers_too(logistic, tmp_path):
    command = [*live.bentoml_command(), "serve", "serving.service:Predictions", "--host", "127.0.0.1", "--port", "PORT"]
    with live.serve(tmp_path, logistic.model.parent, command=command) as service:
        one, many = service.ask("POST", "/predict", GOOD), service.ask("POST", "/predict_batch", [GOOD] * 2)
        info, metrics = service.ask("GET", "/info"), service.counters()
        service.stop()
    assert one.body["probability"] == logistic.scorer().score_row(GOOD)
    assert [answer["probability"] for answer in many.body] == pytest.approx([one.body["probability"]] * 2, abs=1e-6)
    assert info.body["release"] == live.RELEASE
    assert metrics["mainline_requests_total", "/predict", "200"] == 1
    assert sorted(service.log()["request_id"].to_pylist()) == sorted(
        answer["request_id"] for answer in [one.body, *many.body]
    )

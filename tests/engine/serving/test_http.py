"""Responses of the running service, compared with the scorer that judged the model."""

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


def requests_of(model):
    """Return the model's rows as a client sends them."""

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


def test_predict_responds_with_probability_decision_threshold_release_and_request_id(service, logistic):
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


def test_predictions_of_rows_are_those_of_the_scorer(service, logistic):
    scorer, connection = logistic.scorer(), service.connect()
    for row in requests_of(logistic)[:100]:
        answer = live.ask(connection, "POST", "/predict", row)
        assert (answer.status, answer.body["probability"]) == (200, scorer.score_row(row))


def test_predictions_of_a_batch_are_those_of_the_scorer_in_the_order_of_the_rows(service, logistic):
    answer = service.ask("POST", "/predict_batch", requests_of(logistic), x_request_id="many")
    expected = logistic.scorer().score(logistic.encoded)
    assert answer.status == 200
    np.testing.assert_allclose([row["probability"] for row in answer.body], expected, rtol=0, atol=1e-6)
    assert [row["decision"] for row in answer.body] == [row["probability"] >= 0.5 for row in answer.body]
    assert [row["request_id"] for row in answer.body] == [f"many/{i}" for i in range(len(expected))]


def test_a_batch_may_have_ten_thousand_rows(service, logistic):
    rows = list(islice(cycle(requests_of(logistic)), 10_000))
    answer = service.ask("POST", "/predict_batch", rows)
    expected = np.resize(logistic.scorer().score(logistic.encoded), 10_000)
    assert answer.status == 200
    np.testing.assert_allclose([row["probability"] for row in answer.body], expected, rtol=0, atol=1e-6)


def test_an_empty_batch_has_no_predictions(service):
    assert service.ask("POST", "/predict_batch", [])[::2] == (200, [])


def test_a_regression_responds_with_its_value(regression, tmp_path):
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
def test_the_probes_respond(service, path):
    assert service.ask("GET", path).status == 200


def test_metrics_count_requests_predictions_and_dropped_rows(service):
    before = service.counters()
    answers = [service.ask("POST", "/predict", GOOD) for _ in range(3)]
    batch = service.ask("POST", "/predict_batch", [GOOD] * 4).body
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
    decisions = Counter([answer.body["decision"] for answer in answers] + [row["decision"] for row in batch])
    for name, decided in (("true", True), ("false", False)):
        assert rise("mainline_predictions_total", name) == decisions[decided]
    assert after["mainline_log_rows_dropped_total",] == 0
    assert after["mainline_release_info", live.RELEASE, "champion", "orders@v1.2.0"] == 1


def test_unknown_paths_are_no_labels(service):
    service.ask("GET", "/made-up-by-a-client")
    assert not [name for name in service.counters() if "/made-up-by-a-client" in name]


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
def test_equal_values_in_different_forms_get_the_same_prediction(service, sent, same):
    one, other = (service.ask("POST", "/predict", {**GOOD, **changes}) for changes in (sent, same))
    assert (one.status, other.status) == (200, 200)
    assert one.body["probability"] == other.body["probability"]


def test_a_nullable_field_may_be_absent(service):
    required = {name: GOOD[name] for name in ("ordered_at", "price", "items", "size", "region")}
    nothing = dict.fromkeys(("usual_price", "usual_size", "shop", "gift"))
    absent, null = (service.ask("POST", "/predict", row) for row in (required, {**required, **nothing}))
    assert (absent.status, null.status) == (200, 200)
    assert absent.body["probability"] == null.body["probability"]


def test_the_request_id_of_the_client_is_used(service):
    answer = service.ask("POST", "/predict", GOOD, x_request_id="order-17.a_B")
    assert answer.headers["x-request-id"] == answer.body["request_id"] == "order-17.a_B"


def test_a_request_without_an_id_gets_a_random_one(service):
    ids = {service.ask("POST", "/predict", GOOD).body["request_id"] for _ in range(5)}
    assert len(ids) == 5
    assert all(len(request_id) == 32 for request_id in ids)


@pytest.mark.parametrize("name", ["", "a b", "../x", "é", "<b>", "x" * 65, "a,b"])
def test_an_invalid_request_id_is_replaced(service, name):
    answer = service.ask("POST", "/predict", GOOD, x_request_id=name)
    assert answer.status == 200
    assert len(answer.body["request_id"]) == 32


def test_an_error_has_the_request_id(service):
    answer = service.ask("POST", "/predict", {}, x_request_id="wrong-1")
    assert answer.headers["x-request-id"] == answer.body["request_id"] == "wrong-1"


def test_pipelined_requests_get_responses_in_their_order(service):
    body = json.dumps(GOOD).encode()
    head = (
        "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-request-id: {}\r\ncontent-length: {}"
    )
    names = [f"pipelined-{i}" for i in range(10)]
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(b"".join(head.format(name, len(body)).encode() + b"\r\n\r\n" + body for name in names))
        received = []
        # One reader for all responses, because a read may take several of them from the socket.
        with connection.makefile("rb") as answers:
            for _ in names:
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                headers = http.client.parse_headers(answers)
                content = answers.read(int(headers["content-length"]))
                received.append(json.loads(content)["request_id"])
    assert received == names


def test_each_prediction_is_logged_with_hashed_sensitive_values(logistic, tmp_path):
    rows = requests_of(logistic)[:60]
    with live.serve(tmp_path, logistic.model.parent, PREDICTION_LOG_SALT="salt", MODEL_ROLE="challenger") as service:
        answers = [service.ask("POST", "/predict", row).body for row in rows[:20]]
        answers += service.ask("POST", "/predict_batch", rows[20:]).body
        service.ask("POST", "/predict", {})
        service.stop()
    logged = {row["request_id"]: row for row in service.log()}
    assert len(logged) == len(service.log()) == len(rows)
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
        assert kept["ordered_at"] == dt.datetime.fromisoformat(row["ordered_at"] + "+00:00").timestamp()
        assert kept["region"] == hmac.digest(b"salt", row["region"].encode(), "sha256").hex()


def test_the_log_can_be_off(logistic, tmp_path):
    with live.serve(tmp_path, logistic.model.parent, PREDICTION_LOG="off") as service:
        assert service.ask("POST", "/predict", GOOD).status == 200
        service.stop()
    assert not (tmp_path / "predictions").exists()
    assert "PREDICTION_LOG_SALT" not in service.stderr()


def test_bentoml_serve_responds_equally(logistic, tmp_path):
    command = [*live.bentoml_command(), "serve", "serving.service:Predictions", "--host", "127.0.0.1", "--port", "PORT"]
    with live.serve(tmp_path, logistic.model.parent, command=command) as service:
        one, many = service.ask("POST", "/predict", GOOD), service.ask("POST", "/predict_batch", [GOOD] * 2)
        info, metrics = service.ask("GET", "/info"), service.counters()
        service.stop()
    assert one.body["probability"] == logistic.scorer().score_row(GOOD)
    assert [answer["probability"] for answer in many.body] == pytest.approx([one.body["probability"]] * 2, abs=1e-6)
    assert info.body["release"] == live.RELEASE
    assert metrics["mainline_requests_total", "/predict", "200"] == 1
    assert sorted(service.logged_ids()) == sorted(answer["request_id"] for answer in [one.body, *many.body])

"""Requests that schemathesis makes of the service's own OpenAPI document, against the running service."""

from __future__ import annotations

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig

from tests.engine.serving import live

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-schema")]
FITTING, UNFIT = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
# How many are made of each model; one of a batch takes several times as long.
EACH = {
    ("/predict", FITTING): 550,
    ("/predict", UNFIT): 500,
    ("/predict_batch", FITTING): 125,
    ("/predict_batch", UNFIT): 100,
}
PATHS = ("/predict", "/predict_batch")


@pytest.fixture(scope="module", params=["logistic", "regression"])
def service(request, tmp_path_factory):
    model = request.getfixturevalue(request.param)
    with live.serve(tmp_path_factory.mktemp("schema"), model.model.parent) as running:
        yield running
    assert "Traceback" not in running.stderr()


@pytest.fixture(scope="module")
def document(service):
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def check(case, session):
    """All checks of schemathesis.

    The status is documented and none of the 500s, the answer and its headers fit the document, what fits the signature
    is taken, what does not is refused, and another method is told which ones there are.
    """
    return case.call_and_validate(session=session).status_code


def test_limits_absent_fields_and_other_methods_are_answered_as_documented(document):
    session = requests.Session()
    statuses = {
        (operation.ok().path, check(case, session))
        for operation in document.get_all_operations()
        for case in document.iter_coverage_cases(
            operation.ok(), generation_modes=[FITTING, UNFIT], generation_config=GenerationConfig()
        )
    }
    assert statuses >= {(path, status) for path in PATHS for status in (200, 405, 422)}
    assert statuses >= {("/info", 200), ("/info", 405)}


def test_generated_requests_of_each_model_are_answered_as_documented(service, document):
    session = requests.Session()
    before = requests_of(service)
    for (path, mode), examples in EACH.items():

        @settings(
            max_examples=examples,
            phases=[Phase.generate],
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=document[path]["POST"].as_strategy(generation_mode=mode))
        def answered(case):
            check(case, session)

        answered()
    after = requests_of(service)
    asked = {key: count - before.get(key, 0) for key, count in after.items()}
    assert sum(asked[path, status] for path, status in asked if path in PATHS) >= 1_250
    # Neither kind was made of what is refused at the door.
    assert all(asked[path, "200"] > 0.9 * EACH[path, FITTING] for path in PATHS)
    assert all(asked[path, "422"] > 0.5 * EACH[path, UNFIT] for path in PATHS)
    assert not [status for _, status in asked if status.startswith("5")]


def requests_of(service):
    counters = service.counters().items()
    return {(name[1], name[2]): count for name, count in counters if name[0] == "mainline_requests_total"}

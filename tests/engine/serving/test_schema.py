"""Requests that schemathesis generates from the OpenAPI document of the running service."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig

from tests.engine.serving import live

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("serving-schema")]
VALID, INVALID = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
# Requests for each model; generating a batch takes several times as long.
EXAMPLES = {
    ("/predict", VALID): 550,
    ("/predict", INVALID): 500,
    ("/predict_batch", VALID): 125,
    ("/predict_batch", INVALID): 100,
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
    """Run all checks of schemathesis, and return the status.

    The status is documented and below 500, the response and its headers fit the document, valid requests are accepted
    and others refused, and the response to another method names the allowed ones.
    """
    return case.call_and_validate(session=session).status_code


def test_limits_absent_fields_and_other_methods_get_the_documented_responses(document):
    session = requests.Session()
    statuses = {
        (operation.ok().path, check(case, session))
        for operation in document.get_all_operations()
        for case in document.iter_coverage_cases(
            operation.ok(), generation_modes=[VALID, INVALID], generation_config=GenerationConfig()
        )
    }
    assert statuses >= {(path, status) for path in PATHS for status in (200, 405, 422)}
    assert statuses >= {("/info", 200), ("/info", 405)}


def test_generated_requests_get_the_documented_responses(service, document):
    session = requests.Session()
    before = requests_of(service)
    for (path, mode), examples in EXAMPLES.items():

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
    responses = {key: count - before.get(key, 0) for key, count in after.items()}
    assert sum(responses[path, status] for path, status in responses if path in PATHS) >= 1_250
    # Most requests reached the signature's checks.
    assert all(responses[path, "200"] > 0.9 * EXAMPLES[path, VALID] for path in PATHS)
    assert all(responses[path, "422"] > 0.5 * EXAMPLES[path, INVALID] for path in PATHS)
    assert not [status for _, status in responses if status.startswith("5")]


def requests_of(service):
    counters = service.counters().items()
    return {(name[1], name[2]): count for name, count in counters if name[0] == "mainline_requests_total"}

"""The fake GitHub refuses invalid requests, and knows the permissions of valid ones.

Needs emulate and Prism (`make workflow-tools`).
"""

import pytest
import requests

from pipelines.cli.errors import InputError
from pipelines.github.client import GitHub
from tests.engine.workflows.github_accounts import REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake, permissions


@pytest.fixture
def client(github: GitHubFake) -> GitHub:
    """The repository's own client."""
    return GitHub(REPOSITORY, TOKEN, github.url)


def test_an_invalid_body_is_refused_and_recorded(github: GitHubFake, client: GitHub) -> None:
    with pytest.raises(InputError, match="not by GitHub's description"):
        client.call("POST", "rulesets", {"name": "main", "enforcement": "sometimes"})
    assert "POST /repos/acme/fraud/rulesets: body.enforcement" in github.invalid[0]


@pytest.mark.parametrize(
    ("method", "path", "error"), [("POST", "comment", "comment"), ("GET", "issues?per_page=many", "query.per_page")]
)
def test_an_unknown_path_or_invalid_query_is_refused_and_recorded(
    github: GitHubFake, method: str, path: str, error: str
) -> None:
    response = requests.request(
        method, f"{github.url}/repos/{REPOSITORY}/{path}", json={} if method == "POST" else None, timeout=5
    )
    assert response.status_code == 422
    assert error in github.invalid[0]


def test_the_permissions_of_requests_are_returned(github: GitHubFake, client: GitHub) -> None:
    number = github.pull("change")
    client.pull(number)
    assert permissions(github.requests) == {"pull-requests": "read"}
    client.create_comment(number, "text")
    client.create_check("0" * 40, "review", "success", "t", "s")
    list(client.artifacts(1))
    assert permissions(github.requests) == {"pull-requests": "write", "checks": "write", "actions": "read"}

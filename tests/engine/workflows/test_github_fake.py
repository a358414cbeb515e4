"""Where the made-up GitHub could be wrong and every test green: what it takes, and what it says was needed.

Needs emulate and Prism (`make workflow-tools`).
"""

from __future__ import annotations

import pytest
import requests

from pipelines.cli.errors import InputError
from pipelines.github.client import GitHub
from tests.engine.workflows.github_fake import REPOSITORY, TOKEN, GitHubFake, permissions


@pytest.fixture
def client(github: GitHubFake) -> GitHub:
    """The repository's own client."""
    return GitHub(REPOSITORY, TOKEN, github.url)


def test_a_body_that_github_would_not_take_is_refused_and_kept(github: GitHubFake, client: GitHub) -> None:
    with pytest.raises(InputError, match="not by GitHub's description"):
        client.create_ruleset({"name": "main", "enforcement": "sometimes"})
    assert "POST /repos/acme/fraud/rulesets: body.enforcement" in github.invalid[0]


@pytest.mark.parametrize(
    ("method", "path", "why"), [("POST", "comment", "comment"), ("GET", "issues?per_page=many", "query.per_page")]
)
def test_a_path_or_query_that_github_does_not_have_is_refused_and_kept(
    github: GitHubFake, method: str, path: str, why: str
) -> None:
    answer = requests.request(
        method, f"{github.url}/repos/{REPOSITORY}/{path}", json={} if method == "POST" else None, timeout=5
    )
    assert answer.status_code == 422
    assert why in github.invalid[0]


def test_the_permissions_that_calls_need_are_known(github: GitHubFake, client: GitHub) -> None:
    number = github.pull("change")
    client.pull(number)
    assert permissions(github.requests) == {"pull-requests": "read"}
    client.create_comment(number, "text")
    client.create_check("0" * 40, "review", "success", "t", "s")
    list(client.artifacts(1))
    assert permissions(github.requests) == {"pull-requests": "write", "checks": "write", "actions": "read"}

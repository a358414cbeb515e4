"""Single endpoints, on a scripted server and on the fake GitHub (which needs `make workflow-tools`)."""

from collections.abc import Iterator

import pytest

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.github.client import GitHub
from pipelines.github.transport import TRIES
from tests.engine.github.scripted_server import TOKEN, Response, Server
from tests.engine.workflows.github_accounts import BOB, REPOSITORY
from tests.engine.workflows.github_accounts import TOKEN as FAKE_TOKEN
from tests.engine.workflows.github_fake import GitHubFake, permissions


def test_issues_are_listed_without_pull_requests(github: GitHub, server: Server) -> None:
    server.script = [Response(body=[{"number": 1}, {"number": 2, "pull_request": {}}])]
    assert [issue["number"] for issue in github.issues("audit")] == [1]
    assert server.requests[0].path.endswith("?per_page=100&labels=audit&state=open")


def test_deleting_a_comment_that_does_not_exist_succeeds(server: Server, github: GitHub) -> None:
    server.script = [Response(404, {"message": "Not Found"}), Response(204)]
    github.delete_comment(5)
    github.delete_comment(6)
    assert [(request.method, request.path) for request in server.requests] == [
        ("DELETE", "/repos/acme/fraud/issues/comments/5"),
        ("DELETE", "/repos/acme/fraud/issues/comments/6"),
    ]


def test_open_pull_requests_are_those_of_the_branch(server: Server, github: GitHub) -> None:
    server.script = [Response(body=[{"number": 1, "head": {"ref": "other"}}, {"number": 2, "head": {"ref": "a b"}}])]
    assert [pull["number"] for pull in github.open_pulls("a b")] == [2]
    assert server.requests[0].path == "/repos/acme/fraud/pulls?per_page=100&state=open&head=acme%3Aa+b"


@pytest.mark.parametrize("token", ["", "the-token-of-an-app"])
def test_a_pull_request_is_opened_by_the_app_if_there_is_one(
    server: Server, github: GitHub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("BOT_TOKEN", token)
    server.script = [Response(201, {"number": 1}), Response(body={"number": 1})]
    github.create_pull("A title", "a", "main", "A body")
    github.pull(1)
    assert [request.headers["Authorization"] for request in server.requests] == [
        f"Bearer {token or TOKEN}",
        f"Bearer {TOKEN}",
    ]


def test_artifacts_are_listed_by_name_in_githubs_order(github: GitHub, server: Server) -> None:
    server.script = [Response(body={"total_count": 2, "artifacts": [{"id": 9}, {"id": 3}]})]
    assert [artifact["id"] for artifact in github.artifacts_named("a review")] == [9, 3]
    assert server.requests[0].path == "/repos/acme/fraud/actions/artifacts?per_page=100&name=a+review"


def test_the_tag_of_a_release_is_escaped_in_the_path(github: GitHub, server: Server) -> None:
    server.script = [Response(body={"id": 1, "tag_name": "fraud#production#7"})]
    assert github.release("fraud#production#7") == {"id": 1, "tag_name": "fraud#production#7"}
    assert server.requests[0].path == "/repos/acme/fraud/releases/tags/fraud%23production%237"


def test_a_missing_release_is_none_and_other_failures_are_errors(
    github: GitHub, server: Server, slept: list[float]
) -> None:
    server.script = [Response(404, {"message": "Not Found"})]
    assert github.release("fraud@v1.2.0") is None
    server.script = [Response(403, {"message": "Forbidden"})]
    with pytest.raises(Refused, match="403 Forbidden"):
        github.release("fraud@v1.2.0")
    server.script = [Response(502)] * TRIES
    with pytest.raises(Unreachable):
        github.release("fraud@v1.2.0")
    assert len(slept) == TRIES - 1


def test_a_404_of_other_requests_is_an_input_error(github: GitHub, server: Server) -> None:
    server.script = [Response(404)] * 2
    with pytest.raises(InputError, match="404"):
        list(github.commit_pulls("a" * 40))
    with pytest.raises(InputError, match="404"):
        github.create_release("fraud@v1.2.0", "title", "body")


@pytest.fixture
def fake(shared_fake: GitHubFake) -> Iterator[GitHubFake]:
    """An empty repository; fails the test if a request does not follow GitHub's description."""
    shared_fake.reset()
    yield shared_fake
    assert shared_fake.invalid == []


def test_a_release_is_created_once_for_a_tag(fake: GitHubFake) -> None:
    github = GitHub(REPOSITORY, FAKE_TOKEN, fake.url)
    assert github.release("fraud@v1.2.0") is None
    release = github.create_release("fraud@v1.2.0", "fraud@v1.2.0", "| in production |\n`as` #7")
    assert (github.release("fraud@v1.2.0") or {})["id"] == release["id"]
    assert (release["name"], release["body"]) == ("fraud@v1.2.0", "| in production |\n`as` #7")
    with pytest.raises(InputError, match="422"):
        github.create_release("fraud@v1.2.0", "again", "")
    assert permissions(fake.requests) == {"contents": "write"}


def test_runs_of_a_workflow_are_listed_by_commit(fake: GitHubFake) -> None:
    github = GitHub(REPOSITORY, FAKE_TOKEN, fake.url)
    fake.workflow_runs = [{"id": 5}]
    assert [run["id"] for run in github.workflow_runs("release.yml", "a" * 40)] == [5]
    assert fake.requests[-1].query["head_sha"] == "a" * 40
    assert permissions(fake.requests) == {"actions": "read"}


def test_requests_for_pull_requests_reviews_and_artifacts_follow_githubs_description(fake: GitHubFake) -> None:
    github = GitHub(REPOSITORY, FAKE_TOKEN, fake.url)
    number = fake.pull("change")
    fake.approve(number, BOB)
    assert [(review["user"]["login"], review["state"]) for review in github.reviews(number)] == [("bob", "APPROVED")]
    fake.merge(number, "a" * 40)
    assert [pull["number"] for pull in github.commit_pulls("a" * 40)] == [number]
    assert list(github.commit_pulls("b" * 40)) == []
    ids = [fake.artifact(run, "review", b"zip") for run in (1, 2)]
    assert [artifact["id"] for artifact in github.artifacts_named("review")] == ids[::-1]
    assert fake.asked[-1] == "GET /actions/artifacts"
    assert fake.requests[-1].query == {"per_page": "100", "name": "review"}

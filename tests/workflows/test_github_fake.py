"""The GitHub that the workflows talk to in tests. Needs emulate and Prism (`make workflow-tools`)."""

import io
import subprocess
import zipfile

import pytest
import requests

from pipelines.errors import InputError, Refused, Unreachable
from pipelines.github import GitHub
from tests.workflows.github_fake import MALLORY, REPOSITORY, TOKEN, permissions


@pytest.fixture
def client(github):
    """The repository's own client; it does not really wait."""
    waited: list[float] = []
    made = GitHub(REPOSITORY, TOKEN, github.url, sleep=waited.append)
    made.waited = waited  # type: ignore[attr-defined]
    return made


@pytest.fixture
def bare(tmp_path):
    path = tmp_path / "bare.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
    return path


def commit(bare, ref):
    git = ["git", "--git-dir", str(bare), "-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    tree = subprocess.run([*git, "mktree"], input="", capture_output=True, text=True, check=True).stdout.strip()
    made = subprocess.run([*git, "commit-tree", tree, "-m", ref], capture_output=True, text=True, check=True)
    subprocess.run([*git, "update-ref", ref, made.stdout.strip()], check=True)
    return made.stdout.strip()


def test_requests_are_recorded_in_order_with_their_answers(github, client):
    number = github.pull("change")
    made = client.create_comment(number, "first")
    client.update_comment(made["id"], "second")
    assert github.comments(number) == ["second"]
    assert github.asked == ["POST /issues/1/comments", f"PATCH /issues/comments/{made['id']}"]
    assert [request.status for request in github.requests] == [201, 200]
    assert github.requests[0].body == {"body": "first"}
    assert github.invalid == []


def test_each_test_gets_an_empty_github(github, client):
    assert github.pull("change") == 1
    assert list(client.comments(1)) == []


def test_a_request_that_github_would_not_take_is_refused_and_kept(github, client):
    with pytest.raises(InputError, match="not by GitHub's description"):
        client.create_ruleset({"name": "main", "enforcement": "sometimes"})
    assert "POST /repos/acme/fraud/rulesets: body.enforcement" in github.invalid[0]


def test_a_path_that_github_does_not_have_is_refused(github):
    answer = requests.post(f"{github.url}/repos/{REPOSITORY}/comment", json={}, timeout=5)
    assert answer.status_code == 422
    assert len(github.invalid) == 1


def test_a_wrong_query_is_refused(github):
    answer = requests.get(f"{github.url}/repos/{REPOSITORY}/issues?per_page=many", timeout=5)
    assert answer.status_code == 422
    assert "query.per_page" in github.invalid[0]


def test_a_fault_lasts_as_often_as_it_was_asked_for(github, client):
    github.fail("GET", r"/pulls/1$", status=502, times=2)
    number = github.pull("change")
    assert client.pull(number)["number"] == 1
    assert [request.status for request in github.requests] == [502, 502, 200]
    assert client.waited == [1.0, 2.0]


def test_the_secondary_rate_limit_says_how_long_to_wait(github, client):
    github.limit(seconds=7)
    github.pull("change")
    client.pull(1)
    assert client.waited == [7.0]


def test_a_connection_may_end_without_an_answer(github, client):
    github.fail("GET", r"/pulls/1$", status=0, times=1)
    client.pull(github.pull("change"))
    assert [request.status for request in github.requests] == [0, 200]


def test_forbidden_is_not_tried_again(github, client):
    github.fail("POST", r"/check-runs$", status=403, message="Resource not accessible by integration")
    with pytest.raises(Refused, match="Resource not accessible by integration"):
        client.create_check("0" * 40, "review", "success", "t", "s")
    assert github.asked == ["POST /check-runs"]


def test_when_down_connections_are_refused_and_up_it_answers_at_the_same_address(github, client):
    github.pull("change")
    github.down()
    with pytest.raises(Unreachable):
        client.pull(1)
    assert github.requests == []
    github.up()
    assert client.pull(1)["number"] == 1


def test_something_can_happen_between_two_requests(github, client):
    number = github.pull("change")
    github.before("GET", "/comments$", lambda: github.comment(number, "meanwhile"))
    assert [comment["body"] for comment in client.comments(number)] == ["meanwhile"]


def test_heads_and_bases_follow_the_bare_repository(github, client, bare):
    base, head, forked = commit(bare, "refs/heads/main"), commit(bare, "refs/heads/change"), None
    github.reset(bare)
    number = github.pull("change")
    pull = client.pull(number)
    assert (pull["head"]["sha"], pull["base"]["sha"]) == (head, base)
    number = github.pull("change", fork=True)
    forked = commit(bare, f"refs/pull/{number}/head")
    pull = client.pull(number)
    assert (pull["head"]["sha"], pull["head"]["repo"]["full_name"]) == (forked, "mallory/fraud")
    assert forked != head


def test_a_check_is_put_only_on_a_commit_that_is_there(github, client, bare):
    sha = commit(bare, "refs/heads/change")
    github.reset(bare)
    client.create_check(sha, "review", "failure", "title", "summary")
    client.create_check(sha, "review", "success", "title", "summary")
    assert github.checks(sha) == {"review": "success"}
    assert [check["conclusion"] for check in client.checks(sha)] == ["success"]
    with pytest.raises(InputError, match="No commit found"):
        client.create_check("1" * 40, "review", "success", "title", "summary")


def test_a_workflow_is_started_only_on_a_branch_that_is_there(github, client, bare):
    commit(bare, "refs/heads/change")
    github.reset(bare)
    with pytest.raises(InputError, match="404"):
        client.dispatch("test.yml", "change")
    github.reset()
    client.dispatch("test.yml", "change", {"why": "test"})
    assert github.dispatches == [("test.yml", {"ref": "change", "inputs": {"why": "test"}})]


def test_an_artifact_is_downloaded_from_elsewhere_without_the_token(github, client, tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "review.md").write_text("text")
    github.artifact(42, "review", tmp_path)
    found = next(iter(client.artifacts(42)))
    content = client.download_artifact(found["id"], found["size_in_bytes"])
    assert zipfile.ZipFile(io.BytesIO(content)).read("reports/review.md") == b"text"
    assert github.invalid == []
    with pytest.raises(Refused, match="more than 10 bytes"):
        client.download_artifact(found["id"], 10)


def test_the_workflows_token_is_a_bot_and_a_persons_is_not(github, client):
    number = github.pull("change")
    github.comment(number, "by a person", MALLORY)
    client.create_comment(number, "by the bot")
    assert [comment["user"]["type"] for comment in client.comments(number)] == ["User", "Bot"]


def test_a_list_comes_in_pages_through_the_recorder(github, client):
    number = github.pull("change")
    for index in range(103):
        github.comment(number, str(index))
    assert [comment["body"] for comment in client.comments(number)] == [str(index) for index in range(103)]
    assert [request.query.get("page") for request in github.requests] == [None, "2"]


def test_rulesets_environments_and_variables_are_kept(github, client):
    rules = {"name": "main", "target": "branch", "enforcement": "active", "rules": [{"type": "deletion"}]}
    made = client.create_ruleset(rules)
    client.update_ruleset(made["id"], {**rules, "enforcement": "disabled"})
    assert client.ruleset(made["id"])["enforcement"] == "disabled"
    assert [found["name"] for found in client.rulesets()] == ["main"]
    client.put_environment("production", {})
    assert [found["name"] for found in client.environments()] == ["production"]
    client.create_variable("DVC_REMOTE_URL", "s3://bucket")
    assert [found["value"] for found in client.variables()] == ["s3://bucket"]
    assert github.invalid == []


def test_the_permissions_that_calls_need_are_known(github, client):
    number = github.pull("change")
    client.pull(number)
    assert permissions(github.requests) == {"pull-requests": "read"}
    client.create_comment(number, "text")
    client.create_check("0" * 40, "review", "success", "t", "s")
    list(client.artifacts(1))
    assert permissions(github.requests) == {"pull-requests": "write", "checks": "write", "actions": "read"}

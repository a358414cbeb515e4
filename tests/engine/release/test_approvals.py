"""Approvals of a commit of main, read from a fake GitHub (emulate). Needs `make workflow-tools`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError, Unreachable
from pipelines.github import client as github_module
from pipelines.github.transport import TRIES
from pipelines.release import approvals
from pipelines.release.approvals import Approval
from pipelines.repository.git import git
from tests.engine.fixtures_repo import ROOT
from tests.engine.release.tag_repository import push_commit
from tests.engine.workflows.github_accounts import ALICE, BOB, MALLORY, REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake, permissions

RULES = json.loads((ROOT / approvals.RULESET).read_text())
EARLY, LATE = "2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z"
ACTIONS = 15368  # id of the app GitHub Actions, of which rulesets/main.json requires the checks


@pytest.fixture
def fake(shared_fake: GitHubFake, tag_repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubFake]:
    """GitHub with the repository of `tag_repository`, whose main has the ruleset; the environment names it."""
    shared_fake.reset(tag_repository.parent / "origin.git")
    for name, value in {"REPOSITORY": REPOSITORY, "TOKEN": TOKEN, "API_URL": shared_fake.url}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    push_ruleset(RULES)
    yield shared_fake
    assert shared_fake.invalid == []


def push_ruleset(document: Any) -> None:
    """Push a ruleset, or any text in its place, to main."""
    path = Path(approvals.RULESET)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    git("add", "--all")
    push_commit("rules")


def open_pull(fake: GitHubFake, branch: str = "change") -> tuple[int, str]:
    """Open a pull request by alice; return its number and head commit."""
    git("checkout", "--quiet", "-b", branch)
    git("commit", "--quiet", "--allow-empty", "-m", branch)
    git("push", "--quiet", "origin", branch)
    head = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "main")
    return fake.pull(branch), head


def check(fake: GitHubFake, sha: str, **conclusions: str) -> None:
    """Create check runs in this order."""
    for name, conclusion in conclusions.items():
        body = {"name": name, "head_sha": sha, "status": "completed", "conclusion": conclusion}
        fake.ask("POST", "/check-runs", body, token=TOKEN)


def review(fake: GitHubFake, number: int, event: str, token: str = BOB) -> int:
    return int(fake.ask("POST", f"/pulls/{number}/reviews", {"event": event, "body": "so"}, token=token)["id"])


def merge_pull(fake: GitHubFake, number: int) -> str:
    """Merge a pull request; return its commit on main."""
    sha = push_commit(f"Change (#{number})")
    fake.merge(number, sha)
    return sha


def open_approved_pull(fake: GitHubFake, branch: str = "change") -> tuple[int, str]:
    """Open a pull request that fulfils the ruleset; return its number and head commit."""
    number, head = open_pull(fake, branch)
    check(fake, head, review="success", test="success")
    fake.approve(number, BOB)
    return number, head


def test_pull_request_and_its_approvers_are_read(fake: GitHubFake) -> None:
    number, _ = open_approved_pull(fake)
    fake.approve(number, TOKEN)
    assert approvals.read_approval(merge_pull(fake, number)) == Approval(number, ("bob", "github-actions[bot]"), False)
    assert permissions(fake.requests) == {"pull-requests": "read", "checks": "read"}


def test_direct_push_bypasses_the_ruleset(fake: GitHubFake) -> None:
    open_approved_pull(fake)  # of another commit
    assert approvals.read_approval(push_commit("pushed")) == Approval(None, (), True)


def test_unmerged_pull_request_is_ignored(fake: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_commit_pulls([{"number": 1, "merged_at": None, "merge_commit_sha": "a" * 40}], monkeypatch)
    assert approvals.read_approval("a" * 40) == Approval(None, (), True)


def test_pull_request_with_this_merge_commit_is_preferred(fake: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    number, _ = open_approved_pull(fake)
    sha = merge_pull(fake, number)
    pull = fake.ask("GET", f"/pulls/{number}")
    other = {**pull, "number": 99, "merge_commit_sha": "c" * 40}
    fake_commit_pulls([{**other, "merged_at": None}, other, pull], monkeypatch)
    assert approvals.read_approval(sha).pull_request == number
    fake_commit_pulls([{**pull, "merge_commit_sha": "c" * 40}], monkeypatch)
    assert approvals.read_approval(sha).pull_request == number  # as after a rebase


def fake_commit_pulls(pulls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let GitHub return these pull requests for every commit."""
    monkeypatch.setattr(github_module.GitHub, "commit_pulls", lambda _, sha: iter(pulls))


@pytest.mark.parametrize(
    ("events", "approved"),
    [
        (["APPROVE", "COMMENT"], True),
        (["REQUEST_CHANGES", "APPROVE"], True),
        (["APPROVE", "REQUEST_CHANGES"], False),
        (["COMMENT"], False),
        ([], False),
    ],
)
def test_last_review_of_a_reviewer_counts_and_comments_are_ignored(
    fake: GitHubFake, events: list[str], approved: bool
) -> None:
    number, head = open_pull(fake)
    check(fake, head, review="success", test="success")
    for event in events:
        review(fake, number, event)
    assert approvals.read_approval(merge_pull(fake, number)) == Approval(
        number, ("bob",) if approved else (), not approved
    )


def test_dismissed_approval_is_ignored(fake: GitHubFake) -> None:
    number, head = open_pull(fake)
    check(fake, head, review="success", test="success")
    approval = review(fake, number, "APPROVE")
    fake.ask("PUT", f"/pulls/{number}/reviews/{approval}/dismissals", {"message": "stale", "event": "DISMISS"})
    assert approvals.read_approval(merge_pull(fake, number)) == Approval(number, (), True)


def test_approval_by_the_author_is_ignored(fake: GitHubFake) -> None:
    number, head = open_pull(fake)
    check(fake, head, review="success", test="success")
    review(fake, number, "APPROVE", ALICE)
    assert approvals.read_approval(merge_pull(fake, number)) == Approval(number, (), True)


def test_reviews_of_deleted_accounts_are_ignored(fake: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    number, _ = open_approved_pull(fake)
    sha = merge_pull(fake, number)
    pull = fake.ask("GET", f"/pulls/{number}")
    fake_commit_pulls([{**pull, "user": None}], monkeypatch)
    ghosts = [
        {"user": user, "state": "APPROVED", "submitted_at": "2026-01-01T00:00:00Z"} for user in (None, {"login": "bob"})
    ]
    monkeypatch.setattr(github_module.GitHub, "reviews", lambda _, number: iter(ghosts))
    assert approvals.read_approval(sha) == Approval(number, ("bob",), False)


@pytest.mark.parametrize(
    "conclusions",
    [
        {"review": "failure", "test": "success"},
        {"review": "success"},
        {},
        {"review": "success", "test": "cancelled"},
    ],
)
def test_merge_without_every_required_check_bypasses_the_ruleset(fake: GitHubFake, conclusions: dict[str, str]) -> None:
    number, head = open_pull(fake)
    fake.approve(number, BOB)
    check(fake, head, **conclusions)
    assert approvals.read_approval(merge_pull(fake, number)) == Approval(number, ("bob",), True)


@pytest.mark.parametrize("conclusion", ["skipped", "neutral"])
def test_skipped_or_neutral_check_is_no_bypass(fake: GitHubFake, conclusion: str) -> None:
    number, head = open_pull(fake)
    fake.approve(number, BOB)
    check(fake, head, review="success", test=conclusion)
    assert approvals.read_approval(merge_pull(fake, number)).bypassed is False


def test_pull_request_into_another_branch_is_ignored(fake: GitHubFake) -> None:
    number, _ = open_approved_pull(fake)
    sha = merge_pull(fake, number)
    fake.ask("PATCH", f"/pulls/{number}", {"base": "dev"}, token=TOKEN)
    assert approvals.read_approval(sha) == Approval(None, (), True)


def test_approval_after_the_merge_is_ignored(fake: GitHubFake) -> None:
    number, _ = open_approved_pull(fake)
    sha = push_commit(f"Change (#{number})")
    fake.merge(number, sha, at="2026-01-01T00:00:00Z")
    assert approvals.read_approval(sha) == Approval(number, (), True)


def test_newest_run_of_a_check_counts_and_optional_checks_may_fail(fake: GitHubFake) -> None:
    number, head = open_pull(fake)
    fake.approve(number, BOB)
    check(fake, head, review="failure", test="success", lint="failure")
    check(fake, head, review="success")
    assert approvals.read_approval(merge_pull(fake, number)).bypassed is False


def test_newest_check_run_of_the_required_app_at_the_merge_counts(
    fake: GitHubFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _ = open_approved_pull(fake)
    sha = merge_pull(fake, number)

    def run(
        identity: int, conclusion: str | None, app: int | None = ACTIONS, name: str = "review", **times: str
    ) -> dict[str, Any]:
        known = {"id": identity, "name": name, "conclusion": conclusion, "app": app and {"id": app}}
        return {**known, "started_at": EARLY, "completed_at": EARLY if conclusion else None, **times}

    def bypassed(*runs: dict[str, Any]) -> bool | None:
        found = [*runs, run(1, "success", name="test")]
        monkeypatch.setattr(github_module.GitHub, "checks", lambda _, sha: iter(found))
        return approvals.read_approval(sha).bypassed

    assert bypassed(run(3, "success"), run(2, "failure")) is False
    assert bypassed(run(3, None), run(2, "success")) is True  # it still runs
    assert bypassed(run(2, "success"), run(3, "failure", app=1)) is False
    assert bypassed(run(2, "success", app=1)) is True
    assert bypassed(run(2, "success", app=None)) is False
    # The state at the merge counts.
    assert bypassed(run(2, "failure"), run(3, "success", started_at=LATE, completed_at=LATE)) is True
    assert bypassed(run(2, "success"), run(3, "failure", started_at=LATE, completed_at=LATE)) is False
    assert bypassed(run(2, "success", completed_at=LATE)) is True


def without(kind: str) -> Any:
    return {**RULES, "rules": [rule for rule in RULES["rules"] if rule["type"] != kind]}


def twice() -> Any:
    document = json.loads(json.dumps(RULES))
    for rule in document["rules"]:
        if rule["type"] == "pull_request":
            rule["parameters"]["required_approving_review_count"] = 2
    return document


@pytest.mark.parametrize(
    ("rules", "bypassed"),
    [
        (RULES, True),
        (without("required_status_checks"), False),
        (twice(), True),
        ("{", None),
        ("[]", None),
        ('{"rules": [1]}', None),
    ],
)
def test_ruleset_before_the_merge_decides(fake: GitHubFake, rules: Any, bypassed: bool | None) -> None:
    push_ruleset(rules)
    number, _ = open_pull(fake)  # without a check
    fake.approve(number, BOB)
    Path(approvals.RULESET).write_text(json.dumps(without("required_status_checks")))  # by the pull request itself
    git("add", "--all")
    sha = merge_pull(fake, number)
    push_ruleset(RULES)
    assert approvals.read_approval(sha) == Approval(number, ("bob",), bypassed)


def test_bypass_is_unknown_without_a_ruleset(fake: GitHubFake) -> None:
    number, _ = open_approved_pull(fake)
    git("rm", "--quiet", approvals.RULESET)
    push_commit("no rules")
    assert approvals.read_approval(merge_pull(fake, number)).bypassed is None


def test_checks_of_a_fork_are_read_from_its_head_commit(fake: GitHubFake) -> None:
    number = fake.pull("theirs", fork=True)
    git("commit", "--quiet", "--allow-empty", "-m", "theirs")
    head = git("rev-parse", "HEAD")
    git("push", "--quiet", "origin", f"HEAD:refs/pull/{number}/head")
    git("reset", "--quiet", "--hard", "HEAD~1")
    check(fake, head, review="success", test="success")
    fake.approve(number, BOB)
    assert approvals.read_approval(merge_pull(fake, number)) == Approval(number, ("bob",), False)
    assert f"GET /commits/{head}/check-runs" in fake.asked
    assert MALLORY not in str(fake.requests)


@pytest.mark.parametrize("lacking", ["GITHUB_REPOSITORY", "GITHUB_TOKEN"])
@pytest.mark.parametrize("change", [lambda patch, name: patch.delenv(name), lambda patch, name: patch.setenv(name, "")])
def test_approval_is_unknown_without_repository_or_token(
    fake: GitHubFake, monkeypatch: pytest.MonkeyPatch, lacking: str, change: Callable[[pytest.MonkeyPatch, str], None]
) -> None:
    change(monkeypatch, lacking)
    assert approvals.connect_to_github() is None
    assert approvals.read_approval("a" * 40) == Approval(None, (), None)
    assert fake.requests == []


def test_invalid_repository_name_is_an_error(fake: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme")
    with pytest.raises(InputError, match="OWNER/NAME"):
        approvals.read_approval("a" * 40)


def test_unreachable_github_is_not_reported_as_a_bypass(fake: GitHubFake, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    fake.down()
    with pytest.raises(Unreachable):
        approvals.read_approval("a" * 40)
    assert len(waited) == TRIES - 1
    fake.up()

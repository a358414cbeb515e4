"""acme/fraud: the small problem in a bare repository, people who push to it, and GitHub, which starts workflows.

Needs the small problem (git, DVC, the whole pipeline), act, emulate and Prism.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.fixtures_repo import CommandResult, Repo, point_at_cache
from tests.engine.workflows.acting import Run, Runner
from tests.engine.workflows.github_accounts import ALICE, FORK, REPOSITORY
from tests.engine.workflows.github_fake import GitHubFake

Change = Callable[[Repo], None]
# Whoever pushes is noted: a workflow's job by its id, a person by "-".
HOOK = """#!/bin/sh
while read -r old new ref; do echo "${GITHUB_JOB:--} $old $new $ref" >> "$GIT_DIR/pushes"; done
"""


@dataclass(frozen=True)
class Push:
    """A ref that was moved, and by which job (a person: "-")."""

    job: str
    old: str
    new: str
    ref: str


class World:
    """What a test of a workflow acts in.

    Attributes:
        bare: the repository on GitHub.
        work: a person's clone of it.
        github: the API.
        runner: by which workflows run.
    """

    def __init__(self, small_problem: Path, folder: Path, github: GitHubFake) -> None:
        """Everything is below `folder`; the DVC cache is the small problem's, shared by all."""
        self.folder = folder
        self.bare = folder / "github.git"
        self._git("clone", "--quiet", "--bare", str(small_problem / "origin"), str(self.bare))
        self._git("--git-dir", str(self.bare), "config", "uploadpack.allowAnySHA1InWant", "true")
        hook = self.bare / "hooks/pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK)
        hook.chmod(0o755)
        self.work = Repo(folder / "work", small_problem / "cache")
        self._git("clone", "--quiet", str(self.bare), str(self.work.path))
        point_at_cache(self.work)
        github.reset(self.bare)
        self.github = github
        self.runner = Runner(self.bare, folder / "runs", github, {"MAINLINE_SETUP": "true"})
        self.use_cache(small_problem / "cache")

    def use_cache(self, cache: Path | None) -> None:
        """Let runs find DVC's cache here instead of in their workspace; None: only in their workspace."""
        settings = self.folder / "dvc"
        settings.mkdir(exist_ok=True)
        (settings / "config").write_text(f"[cache]\n    dir = {cache}\n" if cache else "")
        self.runner.environment |= {
            "DVC_GLOBAL_CONFIG_DIR": str(settings),
            "DVC_SITE_CACHE_DIR": str(self.folder / "dvc-site"),
        }

    # What people do

    def open(
        self, change: Change, branch: str = "change", title: str = "A change", *, fork: bool = False, token: str = ALICE
    ) -> int:
        """A pull request with one commit on main, by whose token it is; returns its number."""
        self.work.git("fetch", "--quiet", "origin")
        self.work.git("checkout", "--quiet", "-B", "mine", "origin/main")
        change(self.work)
        self.work.commit()
        if not fork:
            self.work.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        number = self.github.pull(branch, title, fork=fork, token=token)
        self._publish_head(number)
        return number

    def push(self, number: int, change: Change) -> str:
        """One more commit on a pull request's head as it is now; returns it."""
        self.work.git("fetch", "--quiet", "origin", self.ref(number))
        self.work.git("checkout", "--quiet", "-B", "mine", "FETCH_HEAD")
        change(self.work)
        self.work.commit()
        if (ref := self.ref(number)).startswith("refs/heads/"):
            self.work.git("push", "--quiet", "origin", f"HEAD:{ref}")
        self._publish_head(number)
        return self.work.git("rev-parse", "HEAD")

    def reproduce(self, repo: Repo) -> None:
        """What a fork's author does before the commit."""
        for verb in (("data",), ("repro",)):
            done = repo.verb(*verb)
            assert done.code == 0, done.out

    def _publish_head(self, number: int) -> None:
        """GitHub's own refs of a pull request: its head, and its merge with main."""
        if self.ref(number).startswith("refs/pull/"):
            self.work.git("push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{number}/head")
        self.make_merge(number)

    def make_merge(self, number: int) -> str:
        """Make GitHub's merge of a pull request anew, as it does whenever head or base move."""
        self.work.git("fetch", "--quiet", "origin", "main", self.ref(number))
        base, head = self.tip("refs/heads/main"), self.tip(self.ref(number))
        tree = self.work.git("merge-tree", "--write-tree", base, head).splitlines()[0]
        merge = self.work.git("commit-tree", tree, "-p", base, "-p", head, "-m", f"Merge {head} into {base}")
        self.work.git("push", "--quiet", "--force", "origin", f"{merge}:refs/pull/{number}/merge")
        return merge

    # What GitHub does

    def review(self, number: int, run: int = 1, event: dict[str, Any] | None = None) -> Run:
        """review.yml for a pull request as it is now, or as `event` has it."""
        return self.runner.act(
            "review.yml", "pull_request", event or self.event(number), run=run, ref=f"refs/pull/{number}/merge"
        )

    def publish(self, number: int, handover: Path, event: dict[str, Any] | None = None) -> Run:
        """The job `publish` of review.yml alone, after a review that left the folder `handover` as its artifact."""
        artifact = self.runner.folder / "artifacts/1/review"
        if not artifact.exists():
            shutil.copytree(handover, artifact)
        return self.runner.act(
            "review.yml",
            "pull_request",
            event or self.event(number),
            run=1,
            ref=f"refs/pull/{number}/merge",
            finished={"review"},
        )

    def report_fork(self, number: int, run: int) -> Run:
        """report-fork.yml after run `run` of review.yml."""
        theirs = self.pull(number)["head"]
        event = {
            "action": "completed",
            "workflow_run": {
                "id": run,
                "name": "review",
                "event": "pull_request",
                "head_branch": theirs["ref"],
                "head_sha": self.tip(self.ref(number)),
                "head_repository": {"full_name": theirs["repo"]["full_name"]},
                "conclusion": "success",
                "pull_requests": [],
            },
            "repository": {"full_name": REPOSITORY, "default_branch": "main"},
        }
        return self.runner.act("report-fork.yml", "workflow_run", event, run=100, ref="refs/heads/main")

    def keep(self, run: int = 50) -> Run:
        """review.yml for a push to main."""
        event = {"ref": "refs/heads/main", "repository": {"full_name": REPOSITORY}}
        return self.runner.act("review.yml", "push", event, run=run, ref="refs/heads/main")

    def queue(self, number: int, run: int = 60) -> Run:
        """review.yml for a pull request in the merge queue."""
        head = self.make_merge(number)
        ref = f"refs/heads/gh-readonly-queue/main/pr-{number}-{self.tip('refs/heads/main')}"
        self.work.git("push", "--quiet", "origin", f"{head}:{ref}")
        group = {"head_sha": head, "head_ref": ref, "base_ref": "refs/heads/main", "base_sha": self.tip("main")}
        event = {"action": "checks_requested", "merge_group": group, "repository": {"full_name": REPOSITORY}}
        return self.runner.act("review.yml", "merge_group", event, run=run, ref=ref)

    def merge(self, number: int, title: str = "A change") -> str:
        """Squash a pull request onto main; the commit."""
        head, main = self.tip(self.ref(number)), self.tip("refs/heads/main")
        self.work.git("fetch", "--quiet", "origin", "main", self.ref(number))
        tree = self.work.git("merge-tree", "--write-tree", main, head).splitlines()[0]
        commit = self.work.git("commit-tree", tree, "-p", main, "-m", f"{title} (#{number})")
        self.work.git("push", "--quiet", "origin", f"{commit}:refs/heads/main")
        self.github.merge(number, commit)
        return commit

    def release(self, run: int = 70) -> Run:
        """release.yml for a push to main."""
        event = {"ref": "refs/heads/main", "repository": {"full_name": REPOSITORY, "default_branch": "main"}}
        return self.runner.act("release.yml", "push", event, run=run, ref="refs/heads/main")

    def rollback(self, to: str = "", run: int = 80) -> Run:
        """rollback.yml, started by a person."""
        event = {
            "ref": "refs/heads/main",
            "inputs": {"to": to},
            "repository": {"full_name": REPOSITORY, "default_branch": "main"},
        }
        return self.runner.act("rollback.yml", "workflow_dispatch", event, run=run, ref="refs/heads/main")

    def event(self, number: int) -> dict[str, Any]:
        """The payload of `pull_request`."""
        return {
            "action": "synchronize",
            "number": number,
            "pull_request": self.pull(number),
            "repository": {"full_name": REPOSITORY, "default_branch": "main", "fork": False},
        }

    # What there is

    def pull(self, number: int) -> dict[str, Any]:
        """A pull request by the API."""
        found: dict[str, Any] = self.github.ask("GET", f"/pulls/{number}")
        return found

    def ref(self, number: int) -> str:
        """The ref whose commit is the pull request's head."""
        head = self.pull(number)["head"]
        forked = head["repo"]["full_name"] == FORK
        return f"refs/pull/{number}/head" if forked else f"refs/heads/{head['ref']}"

    def tip(self, ref: str) -> str:
        """The commit of a ref on GitHub."""
        found = self.github.tip(ref)
        assert found is not None, ref
        return found

    def changed(self, old: str, new: str) -> list[str]:
        """The paths that differ between two commits on GitHub."""
        return self._git("--git-dir", str(self.bare), "diff", "--name-only", old, new).splitlines()

    def show(self, what: str, *options: str) -> str:
        """`git show` on GitHub's repository."""
        return self._git("--git-dir", str(self.bare), "show", *options, what)

    @property
    def pushes(self) -> list[Push]:
        """What jobs pushed, in order; people's pushes left out."""
        path = self.bare / "pushes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [push for push in (Push(*line.split()) for line in lines) if push.job != "-"]

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


def dvc(repo: Repo, *arguments: str) -> CommandResult:
    """A command of DVC in a clone."""
    return repo.run(sys.executable, "-m", "dvc", *arguments)


def docs(repo: Repo) -> None:
    """A change that nothing of the pipeline reads."""
    with (repo.path / "NOTES.md").open("a") as file:
        file.write("A note.\n")


def tune(repo: Repo) -> None:
    """A change of params.yaml that makes another model, about as good."""
    repo.params(lambda document: document["candidates"]["boosting"]["params"].update(max_iter=70))


def spoil(repo: Repo) -> None:
    """A change of params.yaml that makes a clearly worse model."""

    def change(document: dict[str, Any]) -> None:
        document["candidates"].pop("logistic")
        document["candidates"]["boosting"]["params"].update(max_iter=1, min_samples_leaf=2000)

    repo.params(change)

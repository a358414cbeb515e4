"""Verb `demo`: show on the default problem that the review fails a worse model and passes a better one.

It works in a worktree on a branch of its own, so branch, files and model of the user stay as they are. The reports stay
in .mainline/demo/.
"""

import argparse
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import AlreadyPrinted, InputError, Refused
from pipelines.cli.files import write_text
from pipelines.cli.verbs import run_verb
from pipelines.config.params import load
from pipelines.config.paths import REVIEW
from pipelines.repository.git import branch, commit_of, git, try_git
from pipelines.repository.worktree import temporary_worktree

BRANCH = "mainline-demo"
REPORTS = Path(".mainline/demo")
AUTHOR = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
          for key, value in (("NAME", "Mainline demo"), ("EMAIL", "demo@localhost"))}  # fmt: skip


@dataclass(frozen=True)
class Act:
    """A change of the candidate `boosting`, and the exit code that its review must have."""

    name: str
    title: str
    settings: dict[str, str]
    code: int


ACTS = (
    Act("worse", "A worse model: 8 rounds of boosting instead of 120", {"max_iter": "8"}, 1),
    Act("better", "A better model: smaller steps, and more of them", {"max_iter": "240", "learning_rate": "0.05"}, 0),
)


def run(_: argparse.Namespace) -> int:
    """Review both changes of HEAD.

    Raises:
        InputError: if this is no copy with the default problem.
        Refused: if a review did not end as it must.
    """
    params, head = load(), commit_of("HEAD")
    if params.ingest.kind != "simulator" or "boosting" not in params.candidates or head is None:
        raise InputError(
            "the demo needs the default problem, which this copy has replaced",
            "Run it in a fresh clone of the template; here, change a line of params.yaml and run `make review`.",
        )
    base = branch() if commit_of(f"refs/heads/{branch()}") == head else head[:7]
    shutil.rmtree(REPORTS, ignore_errors=True)
    try:
        with temporary_worktree(head, "demo-worktree") as tree:
            print(f"The model of {head[:7]}, from the cache or trained now:")
            if code := run_verb("repro", cwd=tree).returncode:
                raise AlreadyPrinted(code)
            for act in ACTS:
                _play(act, tree, base, head)
    finally:
        try_git("branch", "-D", BRANCH)
    print("\nBoth reports are pages to open:")
    for act in ACTS:
        print(f"  {REPORTS / act.name / 'review.html'}")
    print("A pull request shows the report as a comment. `make adopt TABLE=... TARGET=...` takes your table.")
    return 0


def _play(act: Act, tree: Path, base: str, head: str) -> None:
    """Commit the change on the scratch branch, review it, and keep the report."""
    print(f"\n{act.title}\n")
    git("checkout", "--quiet", "--force", "-B", BRANCH, head, cwd=tree)
    path = tree / "params.yaml"
    text = path.read_text(encoding="utf-8")
    # The first one is that of `boosting`.
    for key, value in act.settings.items():
        text = re.sub(rf"\b{key}: [\d.]+", f"{key}: {value}", text, count=1)
    write_text(path, text)
    lines = git("diff", "--unified=0", cwd=tree).splitlines()[4:]  # without the header of the file
    print("\n".join(f"  {line}" for line in lines if line[:1] in "+-"))
    git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--all", "-m", act.title, cwd=tree, env=AUTHOR)
    code = run_verb("review", "--base", base, cwd=tree).returncode
    report = tree / REVIEW / "review.json"
    if code not in (0, 1) or not report.is_file():
        raise AlreadyPrinted(code or 2)
    shutil.copytree(tree / REVIEW, REPORTS / act.name, dirs_exist_ok=True)
    if code != act.code:
        verdict = json.loads(report.read_text(encoding="utf-8"))["verdict"]
        raise Refused(
            f"{act.title}: the review ended with {verdict}",
            f"Open {REPORTS / act.name / 'review.html'} for the reason.",
        )

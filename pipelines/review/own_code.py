"""Which files of the review's own code a head changes: the review runs with that changed code."""

from __future__ import annotations

import re

from pipelines.repository import git

# The parts of pipelines/ that a review imports or starts; of the stages, those that judge features/prepare.py and the
# rows, choose the test rows and measure the importance of the inputs.
_OWN = re.compile(
    r"pipelines/(__main__\.py|(cli|config|metrics|model|pages|repository|reproduce|review|tables)/.*(?<!\.md)"
    r"|training/(evaluate|prepare|preparation_checks|split|validate)\.py)"
    r"|Makefile|dvc\.yaml|\.github/workflows/review\.yml"
)


def changed_code(base_sha: str) -> tuple[str, ...]:
    """The files that the review consists of and that differ from where the head began, uncommitted ones included."""
    begin = git.try_git("merge-base", base_sha, "HEAD") or base_sha
    changed = (git.try_git("diff", "--name-only", "-z", begin) or "").split("\0")
    return tuple(sorted(path for path in {*changed, *git.dirty()} if _OWN.fullmatch(path)))

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from pipelines.cli.errors import InputError
from pipelines.repository.tags import Assignment
from pipelines.rollback.target import choose


@dataclass(frozen=True)
class Past:
    """What `choose` looks at."""

    tag: str
    version: str
    release: str


def history(*releases: str) -> list[Assignment]:
    """One assignment a release; the version of release `a1` is fraud@va1."""
    return [
        cast(Assignment, Past(f"fraud#production#{number}", f"fraud@v{release}", release))
        for number, release in enumerate(releases, 1)
    ]


def test_by_default_it_is_the_release_before_this_one() -> None:
    assert choose(history("a", "b", "c"), None).release == "b"


def test_an_assignment_of_the_same_release_again_is_not_the_one_before() -> None:
    assert choose(history("a", "b", "b"), None).tag == "fraud#production#1"


def test_after_a_rollback_the_one_before_is_what_was_rolled_back() -> None:
    assert choose(history("a", "b", "a"), None).tag == "fraud#production#2"


def test_a_version_means_its_last_time_in_production() -> None:
    assert choose(history("a", "b", "a", "c"), "fraud@va").tag == "fraud#production#3"


def test_an_assignment_can_be_named() -> None:
    assert choose(history("a", "b", "a", "c"), "fraud#production#1").tag == "fraud#production#1"


@pytest.mark.parametrize(
    ("past", "asked", "said"),
    [
        ((), None, "nothing was ever in production"),
        (("a",), None, "the only release"),
        (("a", "a"), None, "the only release"),
        (("a", "b"), "fraud@vx", "was never in production"),
        (("a", "b"), "fraud@vb", "what production has now"),
        (("a", "b", "a"), "fraud@va", "what production has now"),
        (("a", "b"), "$(reboot)", "was never in production"),
    ],
)
def test_what_cannot_be_is_said(past: tuple[str, ...], asked: str | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        choose(history(*past), asked)

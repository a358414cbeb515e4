from dataclasses import dataclass
from typing import cast

import pytest

from pipelines.cli.errors import InputError
from pipelines.repository.tags import Assignment
from pipelines.rollback.flow import choose_assignment


@dataclass(frozen=True)
class Past:
    """The attributes that `choose_assignment` reads."""

    tag: str
    version: str
    release_id: str


def history(*releases: str) -> list[Assignment]:
    """One assignment for each release id; the version of release id `a1` is fraud@va1."""
    return [
        cast(Assignment, Past(f"fraud#production#{number}", f"fraud@v{release}", release))
        for number, release in enumerate(releases, 1)
    ]


def test_the_default_is_the_release_before_the_current_one() -> None:
    assert choose_assignment(history("a", "b", "c"), None, "main").release_id == "b"


def test_a_repeated_assignment_of_the_current_release_is_skipped() -> None:
    assert choose_assignment(history("a", "b", "b"), None, "main").tag == "fraud#production#1"


def test_after_a_rollback_the_default_is_the_release_that_was_rolled_back() -> None:
    assert choose_assignment(history("a", "b", "a"), None, "main").tag == "fraud#production#2"


def test_a_version_selects_its_last_assignment() -> None:
    assert choose_assignment(history("a", "b", "a", "c"), "fraud@va", "main").tag == "fraud#production#3"


def test_an_assignment_tag_selects_that_assignment() -> None:
    assert choose_assignment(history("a", "b", "a", "c"), "fraud#production#1", "main").tag == "fraud#production#1"


@pytest.mark.parametrize(
    ("past", "tag", "message"),
    [
        ((), None, "nothing was ever in production"),
        (("a",), None, "the only version"),
        (("a", "a"), None, "the only version"),
        (("a", "b"), "fraud@vx", "was never in production"),
        (("a", "b"), "fraud@vb", "already in production"),
        (("a", "b", "a"), "fraud@va", "already in production"),
        (("a", "b"), "$(reboot)", "was never in production"),
    ],
)
def test_an_impossible_target_is_refused(past: tuple[str, ...], tag: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_assignment(history(*past), tag, past[-1] if past else None)


def test_after_an_aborted_canary_main_can_return_to_what_is_in_production() -> None:
    assert choose_assignment(history("a", "b"), "fraud@vb", "c").release_id == "b"

from __future__ import annotations

import errno
import sqlite3

import pytest

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.cli.exit_codes import INTERNAL_ERROR, end_with_code


def ending(error: BaseException) -> int:
    def main() -> int:
        raise error

    return end_with_code(main)


@pytest.mark.parametrize(("kind", "code"), [(Refused, 1), (InputError, 2), (Unreachable, 3)])
def test_an_error_that_people_can_mend_ends_with_its_code_and_remedy(kind, code, capsys):
    assert ending(kind("it is wrong", "Mend it.")) == code
    assert capsys.readouterr().err == "it is wrong\nMend it.\n"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("database or disk is full")],
)
def test_a_full_disk_is_said_in_two_lines_whoever_met_it(error, capsys):
    assert ending(error) == 3
    assert capsys.readouterr().err.splitlines()[1].startswith("Free the disk")


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), FileNotFoundError(errno.ENOENT, "no", "x")])
def test_a_fault_of_ours_is_no_verdict_and_keeps_its_traceback(error, capsys):
    assert ending(error) == INTERNAL_ERROR
    said = capsys.readouterr().err
    assert "Traceback" in said and type(error).__name__ in said
    assert said.splitlines()[-1].startswith("Internal error of Mainline")


def test_an_interrupt_says_that_it_can_go_on(capsys):
    assert ending(KeyboardInterrupt()) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, monkeypatch):
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert ending(BrokenPipeError()) == 0

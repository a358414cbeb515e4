import errno
import sqlite3

import pytest

from pipelines.cli.errors import InputError, Refused, Unreachable
from pipelines.cli.exit_codes import INTERNAL_ERROR, end_with_code


def exit_code_of(error: BaseException) -> int:
    def main() -> int:
        raise error

    return end_with_code(main)


@pytest.mark.parametrize(("kind", "code"), [(Refused, 1), (InputError, 2), (Unreachable, 3)])
def test_an_error_prints_its_remedy_and_returns_its_code(kind, code, capsys):
    assert exit_code_of(kind("it is wrong", "Fix it.")) == code
    assert capsys.readouterr().err == "it is wrong\nFix it.\n"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("database or disk is full")],
)
def test_a_full_disk_is_reported_in_two_lines(error, capsys):
    assert exit_code_of(error) == 3
    assert capsys.readouterr().err.splitlines()[1].startswith("Free the disk")


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), FileNotFoundError(errno.ENOENT, "no", "x")])
def test_an_internal_error_prints_its_traceback(error, capsys):
    assert exit_code_of(error) == INTERNAL_ERROR
    printed = capsys.readouterr().err
    assert "Traceback" in printed and type(error).__name__ in printed
    assert printed.splitlines()[-1].startswith("Internal error of Mainline")


def test_an_interrupt_prints_how_to_continue(capsys):
    assert exit_code_of(KeyboardInterrupt()) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_closed_pipe_is_not_an_error(tmp_path, monkeypatch):
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert exit_code_of(BrokenPipeError()) == 0


def test_a_query_of_duckdb_that_is_interrupted_ends_like_any_interrupt():
    assert exit_code_of(RuntimeError("Query interrupted")) == 130
    assert exit_code_of(RuntimeError("another error")) == 70

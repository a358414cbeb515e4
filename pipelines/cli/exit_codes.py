"""Run an entry point: print one clear message for every error, and return the documented exit code."""

import errno
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable

from pipelines.cli.errors import AlreadyPrinted, MainlineError, unwritable_disk

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
_DISK = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)


def end_with_code(main: Callable[[], int | None]) -> int:
    """Run `main`; print what is wrong and, as the last line, what to do next.

    Returns:
        The exit code, one of docs/commands.md.
    """
    try:
        return main() or 0
    except AlreadyPrinted as error:
        return error.code
    except MainlineError as error:
        return _print(error)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does; without this the interpreter prints an error while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # otherwise Python ends with 1, which means that a gate failed
        # DVC's own database raises the latter on a full disk.
        if getattr(error, "errno", None) in _DISK or isinstance(error, sqlite3.OperationalError):
            return _print(unwritable_disk(f"the disk cannot be written: {error}"))
        if str(error) == "Query interrupted":  # DuckDB's form of a KeyboardInterrupt
            return _interrupted()
        traceback.print_exc()
        print("Internal error of Mainline: please report it with the traceback above.", file=sys.stderr)
        return INTERNAL_ERROR


def _interrupted() -> int:
    print("Interrupted; run the same command again to go on.", file=sys.stderr)
    return 130


def _print(error: MainlineError) -> int:
    print(f"{error}\n{error.remedy}", file=sys.stderr)
    return error.code

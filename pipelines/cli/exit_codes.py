"""What all entry points share: one clear end for every error, with the documented exit code."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable

from pipelines.cli.errors import AlreadyPrinted, MainlineError, Unreachable

FAULT = 70  # EX_SOFTWARE of sysexits.h
_DISK = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)


def end_with_code(main: Callable[[], int | None]) -> int:
    """Run `main`; print what is wrong and, as the last line, what to do next.

    Returns:
        0 fine, 1 a gate or check says no, 2 wrong input or configuration, 3 something outside cannot be reached,
        70 a fault of Mainline itself.
    """
    try:
        return main() or 0
    except AlreadyPrinted as error:
        return error.code
    except MainlineError as error:
        return _say(error)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not complain while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    except Exception as error:  # the last resort; code 1 would say that a gate had judged
        if disk := disk_fault(error):
            return _say(disk)
        traceback.print_exc()
        print("This is a fault of Mainline, not of your input: please report it with the lines above.", file=sys.stderr)
        return FAULT


def _say(error: MainlineError) -> int:
    print(f"{error}\n{error.remedy}", file=sys.stderr)
    return error.code


def disk_fault(error: BaseException) -> Unreachable | None:
    """What to say of a full or unwritable disk, even if DVC's own database says it; None for any other error."""
    if isinstance(error, OSError) and error.errno not in _DISK:
        return None
    if not isinstance(error, OSError | sqlite3.OperationalError):
        return None
    return Unreachable(f"the disk cannot be written: {error}", "Free the disk or mend its rights, and run again.")

"""What all entry points share: one clear end for every error, with the documented exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pipelines.errors import MainlineError


def end_with_code(main: Callable[[], int | None]) -> int:
    """Run `main`; print what is wrong and, as the last line, what to do next.

    Returns:
        0 fine, 1 a gate or check says no, 2 wrong input or configuration, 3 something outside cannot be reached.
    """
    try:
        return main() or 0
    except MainlineError as error:
        print(f"{error}\n{error.remedy}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not complain while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        return 130

"""What a verb can end with: the documented exit codes, each with one clear message."""

from __future__ import annotations


class MainlineError(Exception):
    """An end that the user can do something about; `remedy` is the last line printed.

    Attributes:
        code: exit code of the process (see docs/commands.md).
        remedy: what to do next, one imperative sentence.
    """

    code = 2

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Refused(MainlineError):
    """A gate or a check says no (exit 1)."""

    code = 1


class InputError(MainlineError):
    """The input or the configuration is wrong (exit 2)."""

    code = 2


class Unreachable(MainlineError):
    """Something outside cannot be reached: a remote, a server, a full disk (exit 3)."""

    code = 3

"""The errors of verbs: each has a message, a remedy, and a documented exit code."""


class MainlineError(Exception):
    """An error that the user can do something about.

    Attributes:
        code: exit code of the process (see docs/commands.md).
        remedy: what to do next, one imperative sentence; it is the last line printed.
    """

    code = 2

    def __init__(self, message: str, remedy: str, code: int | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code or self.code


class Refused(MainlineError):
    """A gate or a check failed (exit 1)."""

    code = 1


class InputError(MainlineError):
    """The input or the configuration is invalid (exit 2)."""


class Unreachable(MainlineError):
    """Something outside cannot be reached: a remote, a server, a full disk (exit 3)."""

    code = 3


class AlreadyPrinted(MainlineError):
    """A verb that this one started failed and has printed its error."""

    def __init__(self, code: int) -> None:
        super().__init__("", "", code)


def unwritable_disk(message: str) -> Unreachable:
    """Return the error for a full or unwritable disk."""
    return Unreachable(message, "Free the disk or fix its permissions, and run again.")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to 200 characters."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0][:200]

"""Where a rollback goes: an assignment of the past, by the tags alone."""

from __future__ import annotations

from pipelines.cli.errors import InputError
from pipelines.repository.tags import Assignment


def choose(history: list[Assignment], asked: str | None) -> Assignment:
    """The assignment to go back to.

    Args:
        history: all assignments, the oldest first.
        asked: a version's tag (its last time in production is meant) or an assignment's; None for the newest one of
            another release than the one in production.

    Raises:
        InputError: if there is no such assignment, or it is what production has.
    """
    if not history:
        raise InputError("nothing was ever in production", "There is nothing to go back to: merge a model first.")
    now = history[-1]
    if asked is None:
        found = next((past for past in reversed(history) if past.release != now.release), None)
        if found is None:
            raise InputError(
                f"{now.version} is the only release that was ever in production", "There is nothing to go back to."
            )
        return found
    found = next((past for past in reversed(history) if asked in (past.tag, past.version)), None)
    if found is None:
        known = ", ".join(dict.fromkeys(past.version for past in reversed(history)))
        raise InputError(f"{asked} was never in production", f"Name one of these: {known}.")
    if found.release == now.release:
        raise InputError(f"{asked} is what production has now", "There is nothing to roll back.")
    return found

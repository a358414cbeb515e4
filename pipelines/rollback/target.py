"""The target of a rollback: an earlier assignment, chosen from the tags alone."""

from pipelines.cli.errors import InputError
from pipelines.repository.tags import Assignment


def choose_assignment(history: list[Assignment], tag: str | None, main_release: str | None) -> Assignment:
    """Return the assignment to roll back to.

    Args:
        history: all assignments, the oldest first.
        tag: a version (its last assignment is chosen) or an assignment; None for the newest assignment whose release
            id differs from the one in production.
        main_release: the release id of main, None if it has none. After a canary was aborted it is not production's,
            and main can return to what is in production.

    Raises:
        InputError: if there is no such assignment, or it is on main and in production.
    """
    if not history:
        raise InputError("nothing was ever in production, so nothing can be rolled back", "Merge a model first.")
    newest_first = history[::-1]
    current = newest_first[0]
    if tag is None:
        targets = [past for past in newest_first if past.release_id != current.release_id]
        message, remedy = f"{current.version} is the only version that was ever in production", "Merge another model."
    else:
        targets = [past for past in newest_first if tag in (past.tag, past.version)]
        versions = ", ".join(dict.fromkeys(past.version for past in newest_first))
        message, remedy = f"{tag} was never in production", f"Name one of these: {versions}."
    if not targets:
        raise InputError(message, remedy)
    if targets[0].release_id == current.release_id == main_release:
        raise InputError(
            f"{tag} is already in production", "Name another version, see `python -m pipelines release status`."
        )
    return targets[0]

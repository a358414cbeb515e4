"""A retraining: move `ingest.until`, fetch the rows, review the new model, and open or update its pull request."""

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pipelines.cli.errors import AlreadyPrinted, Refused, Unreachable
from pipelines.cli.files import write_text
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.config.edit import with_value
from pipelines.config.params import Params, load, parse
from pipelines.pull_request.publish import REPRODUCED, commit, fetch_state, publish, read_own_branch, review_worktree
from pipelines.repository.data_pointer import md5_of, read_pointer
from pipelines.repository.dvc_remote import default_remote
from pipelines.repository.git import git, has_origin
from pipelines.repository.tags import Assignment
from pipelines.repository.worktree import temporary_worktree
from pipelines.tables.locations import PREDICTION_LOG, prediction_log

BRANCH = "retrain"
PARAMS = Path("params.yaml")
_ROWS = "Retrain on the rows before"
_OWN = (_ROWS, REPRODUCED, "Merge branch 'main'")  # beginnings of the commits that may be replaced


def retrain(why: str) -> int:
    """Make branch, review and pull request of a model that is trained on the rows and labels of today.

    It works in a worktree of main, so branch and files of the user stay as they are. A run after a killed one ends with
    the same branch and pull request.

    Args:
        why: the reason, for the pull request.

    Returns:
        0 if the review passes, if there are no new rows, and if nothing is in production yet; 1 if a gate fails.

    Raises:
        InputError: if main's files are invalid.
        Refused: if the input of production was broken since the last retraining, somebody else's commits are on the
            branch, or the review makes no report.
        AlreadyPrinted: if a verb that it starts fails.
        Unreachable: if origin, the log, the DVC remote or GitHub does not respond.
    """
    if prediction_log() is None:
        return _end(f"not in production yet: {PREDICTION_LOG} does not name the prediction log")
    main, assignments = fetch_state(Progress())
    if not assignments:
        return _end("not in production yet: no tag assigns a version to production")
    if has_origin():
        read_own_branch(BRANCH, _OWN)
    until = today()
    with temporary_worktree(main, BRANCH) as tree:
        params = load(tree / PARAMS)
        if params.ingest.until is not None and params.ingest.until >= until:
            return _end(f"no new rows: main holds the rows before {params.ingest.until}")
        _require_sound_input(params, assignments[-1], until)
        if not _fetch_rows(tree, until):
            return _end(f"no new rows before {until}: the rows of main are the newest")
        passed = review_worktree(tree, main)
        # Who reviews and releases the branch fetches rows and model from the DVC remote, if there is one.
        if default_remote(tree) and (code := run_verb("push", cwd=tree).returncode):
            raise AlreadyPrinted(code)
        head = git("rev-parse", "HEAD", cwd=tree)
    body = _describe(why, params.ingest.until, until, passed)
    return publish(BRANCH, head, f"{_ROWS} {until}", body, passed, _OWN)


def today() -> date:
    """Return the day in UTC."""
    return datetime.now(UTC).date()


def _end(reason: str) -> int:
    print(reason)
    return 0


def _require_sound_input(params: Params, newest: Assignment, until: date) -> None:
    """Refuse if a pass of the monitor since main's rows, with their delay of labels, found broken input."""
    done = run_verb("monitor", "--history", capture=True)
    if done.returncode:
        raise Unreachable(
            f"the history of the monitor cannot be read: {done.stderr.strip()}", "Fix this error, and run again."
        )
    before = datetime.combine(params.ingest.until, time(), UTC) if params.ingest.until else newest.assigned_at
    since = before - timedelta(days=params.table.label_delay_days)
    for record in json.loads(done.stdout):
        broken = [alarm["message"] for alarm in record["alarms"] if alarm["problem"] == "input"]
        if broken and datetime.fromisoformat(record["end"]) > since:
            span = f"{record['start'][:10]} to {record['end'][:10]}"
            raise Refused(
                f"the input of production was broken from {span}: {broken[0]}",
                f"Correct the rows at their source, then move ingest.until to {until} in a pull request of your own. "
                "Only the newest pass can be accepted instead (docs/monitoring.md).",
            )


def _fetch_rows(tree: Path, until: date) -> bool:
    """Move `ingest.until` and fetch the rows; commit both, and return whether there are other rows than on main."""
    before = md5_of(read_pointer(tree))
    path = tree / PARAMS
    write_text(path, set_until(path.read_text(encoding="utf-8"), until))
    if code := run_verb("data", cwd=tree).returncode:
        raise AlreadyPrinted(code)
    if md5_of(read_pointer(tree)) == before:
        return False
    commit(tree, f"{_ROWS} {until}", str(PARAMS), "data.dvc")
    return True


def set_until(text: str, until: date) -> str:
    """Return the text of a params.yaml with another `ingest.until`, which is added if it is missing.

    Raises:
        InputError: if the text is not a valid params.yaml.
    """
    parse(text)
    changed = with_value(text, ("ingest", "until"), until.isoformat())
    parse(changed)
    return changed


def _describe(why: str, before: date | None, until: date, passed: bool) -> str:
    """Return the text of the pull request."""
    verdict = "The review passed." if passed else "**The review did not pass: this model must not be merged as it is.**"
    return (
        f"{why}\n\n{verdict} The report is in the comment.\n\n"
        f"`ingest.until` moves from {before or 'no day'} to {until}: the model is trained on the rows before that day, "
        "with the labels that were known then.\n\n"
        f"The next retraining replaces the branch `{BRANCH}` and updates this pull request. Put changes of your own on "
        "another branch."
    )

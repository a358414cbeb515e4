"""The trials of a search in a storage that survives a kill: SQLite here, or the database of SEARCH_STORAGE."""

import fcntl
import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pipelines.cli.errors import InputError, Refused, Unreachable, first_line

FOLDER = Path(".mainline/search")
STORAGE = "SEARCH_STORAGE"
ERROR, VALUES, BASELINE = "error", "values", "baseline"  # attributes of a trial, and of a study
Direction = Literal["minimize", "maximize"]
HEARTBEAT_SECONDS, LOST_AFTER_SECONDS = 15, 60


def shared_url() -> str | None:
    """Return the address of the database in which several processes may work, or None."""
    return os.environ.get(STORAGE) or None


@contextmanager
def open_study(candidate: str, identity: str, direction: Direction) -> Iterator[optuna.Study]:
    """Yield the study of a candidate; one of the same identity goes on.

    Raises:
        InputError: if SEARCH_STORAGE is not the address of a database.
        Refused: if another process searches here. Several need a database that they share.
        Unreachable: if the database does not respond.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = shared_url()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{candidate}.lock").open("w") as lock:
        if not url:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Refused(
                    f"another search of {candidate} runs here",
                    f"Wait for it, or set {STORAGE} to a PostgreSQL database, in which several may work.",
                ) from error
        study = _create(url or f"sqlite:///{FOLDER}/{candidate}.db", f"{candidate}-{identity}", direction)
        if not url:
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(trial.number, state=TrialState.FAIL)  # of a killed run
        yield study


def _create(url: str, name: str, direction: Direction, attempts: int = 3) -> optuna.Study:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat
            storage = optuna.storages.RDBStorage(
                url, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=LOST_AFTER_SECONDS
            )
        return optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    except (ArgumentError, ImportError) as error:
        raise InputError(
            f"{STORAGE} is not the address of a database", "Use postgresql://user:password@host/database."
        ) from error
    except SQLAlchemyError as error:
        if attempts > 1:  # of two workers that make the tables of a new database at once, one fails
            time.sleep(1)
            return _create(url, name, direction, attempts - 1)
        reason = first_line(getattr(error, "orig", None) or error)
        raise Unreachable(f"{STORAGE} cannot be reached: {reason}", "Start the database or fix its address.") from error


def sampler(seed: int, number: int, several: bool) -> optuna.samplers.TPESampler:
    """Return the sampler of one trial.

    Each trial has a seed of its own, made of the search's seed and the number of trials before it. A search that was
    killed and goes on therefore tries what it would have tried.

    Args:
        several: whether others may work on the study: the values that they are trying are then avoided.
    """
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    return optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4], "big"), constant_liar=several)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ended with a score or with an error; a killed one has neither."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))
    return [trial for trial in trials if trial.state is TrialState.COMPLETE or ERROR in trial.user_attrs]


def running(study: optuna.Study) -> int:
    """Return how many trials other processes are at, without those of a worker that was lost."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def best(study: optuna.Study) -> FrozenTrial | None:
    """Return the best trial, of equal ones the first; None if no trial has a score."""
    scored = [trial for trial in finished(study) if trial.value is not None]
    sign = -1 if study.direction is optuna.study.StudyDirection.MAXIMIZE else 1
    return min(scored, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def seconds_of(trials: list[FrozenTrial]) -> float:
    """Return how long trials took together."""
    return sum(trial.duration.total_seconds() for trial in trials if trial.duration)

"""The space of a search: values of a trial, the candidate with them, and a check before the first trial."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from optuna import Trial

from pipelines.cli.errors import InputError
from pipelines.config.candidates import Candidate
from pipelines.config.read import PATH, validate
from pipelines.config.search import Space

Spaces = Mapping[str, Space]
Values = dict[str, Any]
NOTHING = (KeyError, IndexError, ValueError, TypeError)


def path_of(key: str) -> tuple[str, ...]:
    """Return the path of a searched parameter below its candidate: a name alone is a parameter of the estimator."""
    return tuple(key.split(".")) if "." in key else ("params", key)


def suggest(trial: Trial, spaces: Spaces) -> Values:
    """Return the values of a trial; decimals have four digits, as they are written into params.yaml."""
    values: Values = {}
    for key, space in spaces.items():
        if space.values is not None:
            values[key] = trial.suggest_categorical(key, space.values)
        elif isinstance(space.low, int) and isinstance(space.high, int):
            values[key] = trial.suggest_int(key, space.low, space.high, log=space.log)
        else:
            assert space.low is not None and space.high is not None
            drawn = trial.suggest_float(key, space.low, space.high, log=space.log)
            values[key] = min(max(float(f"{drawn:.4g}"), float(space.low)), float(space.high))
    return values


def with_values(name: str, candidate: Candidate, values: Mapping[str, Any]) -> Candidate:
    """Return the candidate with other values.

    Raises:
        InputError: if the candidate has no step or nested estimator at a path.
    """
    document = candidate.model_dump(mode="json")
    for key, value in values.items():
        *parents, last = path_of(key)
        try:
            _find(document, parents)[last] = value
        except NOTHING as error:
            raise InputError(
                f"search.spaces.{name}.{key}: candidates.{name} has no {'.'.join(parents)}", f"Fix {PATH}."
            ) from error
    return validate(Candidate, document, f"{PATH}: candidates.{name} with the values of a trial")


def current_values(candidate: Candidate, spaces: Spaces) -> Values:
    """Return the candidate's own values of the searched parameters, without those that it leaves to their default."""
    values: Values = {}
    for key in spaces:
        with suppress(*NOTHING):
            values[key] = _find(candidate.model_dump(mode="json"), path_of(key))
    return values


def _find(document: Any, path: Sequence[str]) -> Any:
    """Return what stands at a path; raise one of NOTHING if that is nothing."""
    for part in path:
        document = document[int(part) if isinstance(document, list) else part]
    return document


def check(name: str, candidate: Candidate, spaces: Spaces, try_fit: Callable[[Candidate], None]) -> None:
    """Fit the ends of the space on a few rows, before the first trial.

    Args:
        try_fit: fits a candidate to a few rows; raises InputError.

    Raises:
        InputError: with the path of the parameter that the estimator does not have, or whose values it refuses.
    """
    first = {key: space.values[0] if space.values else space.low for key, space in spaces.items()}
    last = {key: space.values[-1] if space.values else space.high for key, space in spaces.items()}
    try:
        for values in (first, last):
            try_fit(with_values(name, candidate, values))
        return
    except InputError:
        try:
            try_fit(candidate)
        except InputError:
            return  # the rows are too few for this estimator: the trials will tell
    for values in (first, last):
        for key, value in values.items():
            changed = with_values(name, candidate, {key: value})
            try:
                try_fit(changed)
            except InputError as error:
                raise InputError(f"search.spaces.{name}.{key}: {value!r}: {error}", f"Fix {PATH}.") from error

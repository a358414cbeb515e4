"""Critical cases: named requests in tests/critical/*.yaml with the expected prediction, and why."""

import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from pipelines.cli.errors import InputError
from pipelines.config.base import Strict
from pipelines.config.read import UniqueKeysLoader
from pipelines.model.scorer import Scorer

FOLDER = Path("tests/critical")


class Bounds(Strict):
    """The range in which the score must lie, both bounds included."""

    at_least: float | None = None
    at_most: float | None = None


class Invariance(Strict):
    """Values of a field that must give nearly the same score."""

    field: str
    values: tuple[Any, ...] = Field(min_length=2)
    tolerance: Annotated[float, Field(ge=0)]


class Direction(Strict):
    """Values of a field in an order in which the score must not fall (or rise) by more than a tolerance."""

    field: str
    values: tuple[Any, ...] = Field(min_length=2)
    must_not: Literal["fall", "rise"]
    tolerance: Annotated[float, Field(ge=0)] = 0.0


class Case(Strict):
    """A critical case; exactly one of `expect`, `invariance` and `direction` states what is expected."""

    name: str
    why: str
    level: Literal["must", "should"] = "must"
    row: Mapping[str, Any]
    expect: Literal["positive", "negative"] | Bounds | None = None
    invariance: Invariance | None = None
    direction: Direction | None = None

    @model_validator(mode="after")
    def _has_one_expectation(self) -> Self:
        if sum(expectation is not None for expectation in (self.expect, self.invariance, self.direction)) != 1:
            raise ValueError("give exactly one of expect, invariance and direction")
        return self


_CASES = TypeAdapter(tuple[Case, ...])


@dataclass(frozen=True)
class CriticalResult:
    """The result of a critical case: what was expected, what the model answered, and why the case matters."""

    name: str
    level: Literal["must", "should"]
    passed: bool
    probability: float | None
    expected: str
    why: str


def load(folder: Path = FOLDER) -> tuple[Case, ...]:
    """Return all cases, in the order of the files; raise InputError as `load_files` does."""
    return tuple(itertools.chain(*load_files(folder).values()))


def load_files(folder: Path = FOLDER) -> dict[Path, tuple[Case, ...]]:
    """Return the cases of each file.

    Raises:
        InputError: if a file is invalid, or two cases have the same name.
    """
    files: dict[Path, tuple[Case, ...]] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            files[path] = _CASES.validate_json(json.dumps(_documents(path.read_text(encoding="utf-8"))))
        except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # a ValidationError is a ValueError
            lines = [f"  {error}"]
            if isinstance(error, ValidationError):
                lines = [f"  {'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
            raise InputError("\n".join([f"{path} is invalid:", *lines]), f"Fix {path}.") from error
    names = [case.name for case in itertools.chain(*files.values())]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"critical cases of the same name: {', '.join(repeated)}", f"Rename them in {folder}/.")
    return files


def parse_base_cases(text: str, source: str) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Return the cases in a file of an earlier commit, and the names of those that this code cannot read.

    Args:
        source: stands for the names if the file itself cannot be read.
    """
    try:
        documents = _documents(text)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError):
        return (), (source,)
    cases, unreadable = [], []
    for document in documents:
        try:
            cases.append(Case.model_validate_json(json.dumps(document)))
        except ValidationError:
            unreadable.append(str(document.get("name", source)) if isinstance(document, dict) else source)
    return tuple(cases), tuple(unreadable)


def _documents(text: str) -> list[Any]:
    """Return the cases of a file as plain JSON values."""
    document = yaml.load(text, UniqueKeysLoader) or []  # noqa: S506 - a CSafeLoader
    plain: list[Any] = json.loads(json.dumps(document, default=lambda value: value.isoformat()))
    return plain


def asks_no_less(case: Case, earlier: Case, fields: Collection[str]) -> bool:
    """Return whether a case expects at least what an earlier one did, of the same values.

    Args:
        fields: what the model reads; the earlier row may have others, and the case's row may have more.
    """
    row = {name: value for name, value in earlier.row.items() if name in fields}
    if (earlier.level == "must" and case.level != "must") or not row.items() <= case.row.items():
        return False
    if isinstance(case.expect, Bounds) and isinstance(earlier.expect, Bounds):
        (low, high), (earlier_low, earlier_high) = _ends(case.expect), _ends(earlier.expect)
        return low >= earlier_low and high <= earlier_high
    if case.invariance and earlier.invariance:
        same = case.invariance.field == earlier.invariance.field
        values = [value for value in earlier.invariance.values if value not in case.invariance.values]
        return same and not values and case.invariance.tolerance <= earlier.invariance.tolerance
    if case.direction and earlier.direction:
        without = case.direction.model_copy(update={"tolerance": earlier.direction.tolerance})
        return without == earlier.direction and case.direction.tolerance <= earlier.direction.tolerance
    return (case.expect, case.invariance, case.direction) == (earlier.expect, earlier.invariance, earlier.direction)


def _ends(bounds: Bounds) -> tuple[float, float]:
    low = float("-inf") if bounds.at_least is None else bounds.at_least
    return low, float("inf") if bounds.at_most is None else bounds.at_most


def requests(case: Case) -> list[dict[str, Any]]:
    """Return the rows that a case scores: its row, or one row for each value that it varies."""
    varied = case.invariance or case.direction
    if varied is None:
        return [dict(case.row)]
    return [{**case.row, varied.field: value} for value in varied.values]


def is_of_another_schema(cases: Collection[Case], fields: Collection[str]) -> bool:
    """Return whether most fields of every case are none that the model reads."""
    return bool(cases) and all(2 * len(case.row.keys() - set(fields)) > len(case.row) for case in cases)


def advice_on_another_schema(path: Path, cases: Collection[Case]) -> str:
    """Return what to do with a file whose cases are of another schema."""
    what = "its case belongs" if len(cases) == 1 else f"its {len(cases)} cases belong"
    return f"{what} to another schema: delete {path}, or write cases with the inputs of this model"


def judge_files(scorer: Scorer) -> Iterator[CriticalResult]:
    """Judge every case of tests/critical/; a file of another schema gives one result."""
    for path, cases in load_files().items():
        if is_of_another_schema(cases, scorer.signature.names):
            level: Literal["must", "should"] = "must" if any(case.level == "must" for case in cases) else "should"
            why = advice_on_another_schema(path, cases)
            yield CriticalResult(str(path), level, False, None, "rows that fit the signature", why)
        else:
            yield from (judge(scorer, case) for case in cases)


def judge(scorer: Scorer, case: Case) -> CriticalResult:
    """Score a case and compare the scores with the expectation."""
    rows = requests(case)
    unknown = sorted(set().union(*rows) - set(scorer.signature.names))
    problems = [f"the model does not read {', '.join(unknown)}"] if unknown else []
    problems += [f"{rejection.field} {rejection.reason}" for row in rows for rejection in scorer.check(row)]
    if problems:
        why = f"{case.why} ({'; '.join(problems)})"
        return CriticalResult(case.name, case.level, False, None, "a row that fits the signature", why)
    scores = [scorer.score_row(row) for row in rows]
    passed, expected = _compare(case, scores, scorer.signature.threshold)
    return CriticalResult(case.name, case.level, passed, scores[0], expected, case.why)


def _compare(case: Case, scores: list[float], threshold: float | None) -> tuple[bool, str]:
    """Return whether the scores are as expected, and what was expected."""
    if case.invariance:
        spread, tolerance = max(scores) - min(scores), case.invariance.tolerance
        expected = f"a change of at most {tolerance:g} by {case.invariance.field} (it is {spread:.3g})"
        return spread <= tolerance, expected
    if case.direction:
        direction = case.direction
        sign = 1 if direction.must_not == "fall" else -1
        worst = max(sign * (earlier - later) for earlier, later in itertools.combinations(scores, 2))
        values = ", ".join(map(str, direction.values))
        path = " → ".join(f"{score:.3f}" for score in scores)
        expected = f"no {direction.must_not} as {direction.field} goes through {values} ({path})"
        return worst <= direction.tolerance, expected
    score = scores[0]
    if isinstance(case.expect, Bounds):
        low, high = _ends(case.expect)
        limits = [] if case.expect.at_least is None else [f"at least {low:g}"]
        limits += [] if case.expect.at_most is None else [f"at most {high:g}"]
        return low <= score <= high, " and ".join(limits)
    if threshold is None:
        return False, f"{case.expect}, which a regression does not predict"
    return (score >= threshold) == (case.expect == "positive"), f"{case.expect} (threshold {threshold:.3f})"

"""What a pass tests of a window: drift of inputs and score, checks of the inputs, and the number of rows."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipelines.model.profile import Profile, Reference
from pipelines.model.signature import Input, Signature
from pipelines.monitor.detectors import (
    common_bins,
    excess_p_value,
    psi,
    sampling_error,
    shift_p_value,
    volume_p_value,
)
from pipelines.monitor.observation import Observation, fold, frequent_bins
from pipelines.monitor.pass_record import Check, CheckKind, Drift, PassRecord
from pipelines.predictions.window import OTHER_RELEASE

VOLUME = "volume"
MIN_PASSES = 4  # before a pass whose volume is judged
MAX_PASSES = 26  # that are compared with
_CERTAIN = 1e-9  # a column that is constant by chance this rarely is constant for another reason


def natural_variation(reference: Reference, days: int, otherwise: float) -> float:
    """Return the natural variation (PSI) of the longest window that is not longer than so many days.

    Args:
        otherwise: for a reference that holds no such window.
    """
    lengths = [length for length in reference.variation or {} if length <= days]
    return (reference.variation or {})[max(lengths)] if lengths else otherwise


def references(profile: Profile, signature: Signature, accepted: Mapping[str, PassRecord]) -> dict[str, Reference]:
    """Return the reference of each input and of the score: the profile's, or the counts of an acknowledged pass.

    Args:
        accepted: name -> the pass in which a person accepted its distribution.
    """
    named = dict(profile.inputs)
    if profile.score:
        named[signature.output] = profile.score
    for name, record in accepted.items():
        counts = next((drift.counts for drift in record.drift if drift.name == name), None)
        if counts and name in named:
            named[name] = named[name].model_copy(update={"counts": counts})
    return named


def measure_shifts(
    observation: Observation, named: Mapping[str, Reference], days: int, otherwise: float
) -> list[Drift]:
    """Measure every input that is counted, and the score; evidence and listing are not judged yet.

    Args:
        named: name -> reference.
        days: length of the window.
        otherwise: natural variation (PSI) where a reference holds none.
    """
    shifts = []
    for name, counts in observation.counts.items():
        expected = fold(named[name].counts, frequent_bins(named[name]))
        bins = sorted(expected.keys() | counts.keys())
        window, reference = (np.array([side.get(b, 0) for b in bins], dtype=np.float64) for side in (counts, expected))
        if reference.sum() and window.sum():
            tolerance = natural_variation(named[name], days, otherwise) + sampling_error(len(bins), reference.sum())
            p_value = float(shift_p_value(*common_bins(window, reference), tolerance))
            measured = {"psi": psi(window, reference), "tolerance": tolerance, "p_value": p_value}
            shifts.append(Drift(name=name, **measured, evidence=0.0, listed=False, counts=dict(counts)))
    return shifts


def check_inputs(
    observation: Observation,
    signature: Signature,
    profile: Profile,
    accepted: Mapping[str, PassRecord],
    days: int,
    otherwise: float,
) -> list[Check]:
    """Test each input for more missing values, new values and values out of range than the reference has.

    Args:
        accepted: name -> the pass in which a person accepted what was found.
        days, otherwise: as in `natural_variation`.
    """
    checks = []
    for item in signature.inputs:
        reference = profile.inputs.get(item.name)
        if reference is None or not sum(reference.counts.values()):
            continue
        tolerance = natural_variation(reference, days, otherwise)
        for kind, count, expected in _kinds(item, observation, reference):
            reference_count, reference_rows = expected, sum(reference.counts.values())
            if record := accepted.get(item.name):
                shares = [check.value for check in record.checks if (check.name, check.kind) == (item.name, kind)]
                reference_count, reference_rows = round((shares or [0.0])[0] * record.rows), record.rows
            p_value = excess_p_value(count, observation.rows, reference_count, reference_rows, tolerance)
            share, expected_share = count / observation.rows, reference_count / reference_rows
            checks.append(_check(item.name, kind, share, expected_share, p_value))
        largest = max(reference.counts.values()) / sum(reference.counts.values())
        if item.name in observation.constant and largest**observation.rows < _CERTAIN and item.name not in accepted:
            checks.append(_check(item.name, "constant", 1.0, largest, None, True))
    return checks


def _kinds(item: Input, observation: Observation, reference: Reference) -> Iterator[tuple[CheckKind, int, int]]:
    """Yield kind, rows of the window, and rows expected in as many rows as the reference has."""
    name = item.name
    if item.nullable or observation.missing[name]:
        yield "missing", observation.missing[name], reference.counts.get("missing", 0)
    if name in observation.new_values:
        # Good and Turing: as many of the next rows have new values as have a value of their own.
        yield "new values", observation.new_values[name], sum(rows == 1 for rows in reference.counts.values())
    if name in observation.outside:
        # Of the next row, the chances to be the smallest or the largest of all are 1 / (rows + 1) each.
        yield "out of range", observation.outside[name], 1


def count_requests(rows: int, set_aside: Mapping[str, int]) -> int:
    """Return the predictions of all versions: a canary takes its share from production's."""
    return rows + set_aside.get(OTHER_RELEASE, 0)


def check_volume(rows: int, earlier: Sequence[PassRecord]) -> Check | None:
    """Test the requests of a whole pass against those of earlier whole passes; None if there are too few of these."""
    volumes = [count_requests(record.rows, record.set_aside) for record in earlier][-MAX_PASSES:]
    if len(volumes) < MIN_PASSES:
        return None
    mean = sum(volumes) / len(volumes)
    return _check(VOLUME, "volume", float(rows), mean, volume_p_value(rows, volumes))


def _check(
    name: str, kind: CheckKind, value: float, expected: float, p_value: float | None, failed: bool = False
) -> Check:
    return Check(name=name, kind=kind, value=value, expected=expected, p_value=p_value, failed=failed)

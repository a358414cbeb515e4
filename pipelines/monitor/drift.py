"""Drift: how far each input and the score of a window are from the reference, and whether by more than is natural."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipelines.model.profile import Profile, Reference
from pipelines.model.signature import Signature
from pipelines.monitor.detectors import common_bins, psi, sampling_error, shift_p_value
from pipelines.monitor.observation import Observation, fold, frequent_bins
from pipelines.monitor.pass_record import Drift, PassRecord


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

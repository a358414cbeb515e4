"""Judge one pass: from a window and the passes before it to the record of the pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.config.monitor import Monitor, passes_between_alarms
from pipelines.model.profile import Profile
from pipelines.model.signature import Signature
from pipelines.monitor.alarms import alarms_of_checks, alarms_of_drift, alarms_of_log, alarms_of_quality
from pipelines.monitor.detectors import add_evidence, adjust_holm, e_value, list_shifted
from pipelines.monitor.drift import VOLUME, check_inputs, check_volume, count_requests, measure_shifts, references
from pipelines.monitor.history import Acknowledgement
from pipelines.monitor.observation import Observation, observe
from pipelines.monitor.pass_record import Budget, Check, Drift, PassRecord, Quality
from pipelines.monitor.schedule import DAY
from pipelines.predictions.window import TIME, Window, instant


@dataclass(frozen=True)
class Before:
    """The passes of all versions before a pass, and all acknowledgements, the oldest first."""

    passes: Sequence[PassRecord]
    acknowledgements: Sequence[Acknowledgement]

    def of_version(self, version: str) -> list[PassRecord]:
        """Return the earlier passes of a version that were judged."""
        return [record for record in self.passes if record.version == version and record.judged]

    def accepted(self, version: str) -> dict[str, PassRecord]:
        """Return name -> the pass in which its distribution was accepted for a version, the newest if several."""
        passes = {record.end: record for record in self.of_version(version)}
        return {
            name: passes[item.end]
            for item in self.acknowledgements
            if item.version == version and item.end in passes
            for name in item.inputs
        }

    def evidence(self, version: str) -> dict[str, float]:
        """Return the e-detectors of a version; none after an acknowledgement."""
        passes = self.of_version(version)
        reset = [item.end for item in self.acknowledgements if item.version == version]
        if not passes or (reset and max(reset) >= passes[-1].end):
            return {}
        return {drift.name: drift.evidence for drift in passes[-1].drift}

    def whole_passes(self, days: int, version: str) -> list[PassRecord]:
        """Return the passes of so many days, of all versions, since the last accepted change of the volume."""
        accepted = self.accepted(version).get(VOLUME)
        since = [record for record in self.passes if accepted is None or record.start >= accepted.start]
        return [record for record in since if record.end - record.start == days * DAY]


def judge_pass(
    window: Window,
    version: str,
    signature: Signature,
    profile: Profile,
    settings: Monitor,
    before: Before,
    quality: Quality | None,
) -> PassRecord:
    """Judge a window: drift, input checks and volume under one budget, and the alarms of all parts."""
    whole_days = (window.end - window.start) // DAY
    observation = _observe(window, whole_days, signature, profile)
    judged = observation.rows >= settings.min_rows and whole_days >= 1
    shifts: list[Drift] = []
    checks: list[Check] = []
    if judged:
        accepted = before.accepted(version)
        named = references(profile, signature, accepted)
        shifts = measure_shifts(observation, named, whole_days, settings.tolerance)
        checks = check_inputs(observation, signature, profile, accepted, whole_days, settings.tolerance)
    if window.end - window.start == settings.every_days * DAY:
        requests = count_requests(window.rows, window.set_aside)
        volume = check_volume(requests, before.whole_passes(settings.every_days, version))
        checks += [volume] if volume else []
    drift, checks, budget, sudden = _spend(shifts, checks, before.evidence(version), settings)
    alarms = [
        *alarms_of_drift(drift, checks, budget, sudden),
        *alarms_of_checks(checks),
        *alarms_of_log(window),
        *alarms_of_quality(quality, [item.quality for item in before.passes if item.quality]),
    ]
    return PassRecord(
        start=window.start,
        end=window.end,
        version=version,
        release_id=window.release_id,
        rows=window.rows,
        judged=judged,
        set_aside=dict(window.set_aside),
        not_watched=tuple(item.name for item in signature.inputs if item.sensitive),
        drift=tuple(drift),
        checks=tuple(checks),
        budget=budget,
        quality=quality,
        latency_ms=dict(observation.latency_ms),
        alarms=tuple(alarms),
    )


def _observe(window: Window, whole_days: int, signature: Signature, profile: Profile) -> Observation:
    """Count the window's last whole days: every hour of the day has the same share in them."""
    table, first = window.table, window.end - whole_days * DAY
    if whole_days >= 1 and first > window.start:
        table = table.filter(table[TIME] >= instant(first))
    return observe(table, signature, profile)


def _spend(
    shifts: Sequence[Drift], checks: Sequence[Check], evidence: Mapping[str, float], settings: Monitor
) -> tuple[list[Drift], list[Check], Budget | None, frozenset[str]]:
    """Share the budget: half of it for Holm's test of all p-values, half for the average of the e-detectors.

    Returns:
        The judged parts, the budget (None if nothing was tested), and the names of the shifts that Holm rejects.
    """
    p_values = [shift.p_value for shift in shifts] + [check.p_value for check in checks if check.p_value is not None]
    if not p_values:
        return [], list(checks), None, frozenset()
    passes = passes_between_alarms(settings.false_alarms)
    adjusted = adjust_holm(p_values)
    rejected = [p_value <= 1 / (2 * passes) for p_value in adjusted]
    of_checks = iter(rejected[len(shifts) :])
    judged = [
        check if check.p_value is None else check.model_copy(update={"failed": next(of_checks)}) for check in checks
    ]
    slow_limit, drift = 2.0 * passes, []
    for shift, listed in zip(shifts, list_shifted([shift.p_value for shift in shifts]), strict=True):
        # One name alone can raise the average to its limit.
        after = float(add_evidence(evidence.get(shift.name, 0.0), e_value(shift.p_value), slow_limit * len(shifts)))
        drift.append(shift.model_copy(update={"evidence": after, "listed": listed}))
    budget = Budget(
        passes=passes,
        alpha_sudden=1 / (2 * passes),
        smallest_adjusted_p=min(adjusted),
        slow=sum(item.evidence for item in drift) / max(len(drift), 1),
        slow_limit=slow_limit,
    )
    sudden = frozenset(shift.name for shift, is_sudden in zip(shifts, rejected, strict=False) if is_sudden)
    return drift, judged, budget, sudden

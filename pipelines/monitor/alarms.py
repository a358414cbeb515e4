"""The alarms that follow from a judged pass, each with one sentence that holds the numbers."""

from collections.abc import Collection, Sequence

from pipelines.monitor.pass_record import Alarm, Budget, Check, Drift, Quality
from pipelines.predictions.window import OTHER_RELEASE, REPEATED, REPLAYED, UNREADABLE, Window

MAX_SET_ASIDE = 0.01  # of the rows, and of the files
MAX_REPEATED = 0.1  # of the rows: a client that tries again repeats a few; one that gives all the same id, nearly all


def alarms_of_drift(
    drift: Sequence[Drift], checks: Sequence[Check], budget: Budget | None, sudden: Collection[str]
) -> list[Alarm]:
    """Return an alarm for each name that Holm rejects, or that makes the average of the e-detectors too large.

    An input with a failed check has an alarm of its own already.
    """
    broken = {check.name for check in checks if check.failed}
    alarms = []
    for item in sorted(drift, key=lambda item: (item.p_value, -item.psi)):
        slow = budget is not None and budget.slow >= budget.slow_limit <= item.evidence
        if item.name not in broken and (item.name in sudden or slow):
            since = "in this pass" if item.name in sudden else "in the last passes"
            message = (
                f"{item.name} has shifted {since}: its PSI is {item.psi:.3g}, and up to {item.tolerance:.3g} is natural"
            )
            alarms.append(Alarm(problem="drift", name=item.name, message=message))
    return alarms


def alarms_of_checks(checks: Sequence[Check]) -> list[Alarm]:
    """Return an alarm for each check that failed."""
    alarms = []
    for check in checks:
        if not check.failed:
            continue
        match check.kind:
            case "volume":
                message = f"{check.value:,.0f} predictions; earlier passes had {check.expected:,.0f} on average"
            case "constant":
                message = f"{check.name} has the same value in all rows"
            case "missing":
                message = f"{check.name} is missing in {check.value:.2%} of the rows; {check.expected:.2%} is usual"
            case kind:
                message = f"{check.name} has {kind} in {check.value:.2%} of the rows; {check.expected:.2%} is usual"
        alarms.append(Alarm(problem="input", name=check.name, message=message))
    return alarms


def alarms_of_log(window: Window) -> list[Alarm]:
    """Return an alarm if too many rows or files of the log cannot be used: they are in no test."""
    errors = {reason: count for reason, count in window.set_aside.items() if reason not in (OTHER_RELEASE, REPLAYED)}
    if errors.get(REPEATED, 0) <= MAX_REPEATED * (errors.get(REPEATED, 0) + window.rows):
        errors.pop(REPEATED, None)
    rows = sum(count for reason, count in errors.items() if reason.startswith("rows"))
    files = errors.get(UNREADABLE, 0)
    if rows <= MAX_SET_ASIDE * (rows + window.rows) and files <= MAX_SET_ASIDE * (files + window.files):
        return []
    listed = ", ".join(counted(count, reason) for reason, count in errors.items())
    return [Alarm(problem="input", name="prediction log", message=f"the prediction log holds {listed}")]


def counted(count: int, reason: str) -> str:
    """Return a number of rows or files and why they were set aside: `1 file that cannot be read`."""
    noun, rest = reason.split(" ", 1)
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun} {rest}"


def alarms_of_quality(quality: Quality | None, earlier: Sequence[Quality]) -> list[Alarm]:
    """Return an alarm if the evidence reached its limit that the mean loss is above its own, or if labels stay away.

    Args:
        earlier: of the passes before; without a label in any of them, labels have not begun yet.
    """
    if quality and quality.no_labels and any(item.labelled for item in earlier):
        return [Alarm(problem="service", name="labels", message=quality.no_labels)]
    if quality is None or quality.evidence is None or quality.loss is None or quality.limit is None:
        return []
    if quality.evidence < quality.evidence_limit:
        return []
    loss = f"{quality.loss:.4g}, above the limit of {quality.limit:.4g}"
    return [Alarm(problem="quality", name="loss", message=f"the mean loss of {quality.labelled:,} rows is {loss}")]

"""`python -m bench.watch`: how often the monitor alarms without a reason, and how soon with one.

It simulates histories of 104 weekly passes as counts of bins, judges them with the code of the monitor, prints the
table of docs/monitoring.md and writes bench/watch.json.

Production varies by itself: from weekday to weekday, from day to day, and from week to week. In half of the columns all
bins move together (as prices do), in the others each by itself. The reference and the natural variation come from nine
weeks before, as in models/profile.json.
"""

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from pipelines.cli.files import write_json
from pipelines.monitor.detectors import add_evidence, adjust_holm, e_value, sampling_error, shift_p_value
from pipelines.training.variation import natural_variation

PATH = Path(__file__).parent / "watch.json"
HISTORIES, PASSES, TRAINING_WEEKS = 500, 104, 9
COLUMNS, BINS = 15, 20
CHECKS = 25  # tests of inputs and volume, which share the budget
BUDGET = 52
ROWS = (2_000, 20_000, 150_000)  # of a pass
SHIFTS = {"small": 0.01, "medium": 0.03, "large": 0.1}  # PSI of one column
SHIFT_AT, SOON = 26, 12  # the pass in which the shift begins, and the passes within which it should be found
WEEKDAY, DAY, WEEK = 0.10, 0.05, 0.02  # standard deviations of the logarithm of a bin's share

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rates:
    """What was found for one number of rows a pass.

    Attributes:
        between: passes between two false alarms, with the bounds of its 95 % confidence interval; None is infinity.
        quiet: share of the histories without any false alarm.
        shifts: name -> share found within `SOON` passes, and the median delay in passes (1: in the first pass).
    """

    rows: int
    histories: int
    between: float | None
    low: float | None
    high: float | None
    quiet: float
    shifts: dict[str, dict[str, float | None]]


class World:
    """One history: the shares of the bins of each column, which vary, and counts drawn from them."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        zipf = 1 / np.arange(1, BINS + 1)
        even = np.full(BINS, 1 / BINS)
        self.shares = np.stack([even if column % 2 else zipf / zipf.sum() for column in range(COLUMNS)])
        self._weekday = WEEKDAY * self._effect(7)
        self._weekday -= self._weekday.mean(axis=0)
        self._traffic = generator.dirichlet(np.full(7, 20.0))

    def _effect(self, number: int) -> Floats:
        """Changes of the logarithm of shares, with variance 1 on average, of shape (number, columns, bins)."""
        own = self._generator.standard_normal((number, COLUMNS, BINS))
        slope = np.linspace(-np.sqrt(3), np.sqrt(3), BINS)
        together = self._generator.standard_normal((number, COLUMNS, 1)) * slope
        return np.where((np.arange(COLUMNS) % 4 < 2)[:, None], together, own)

    def daily_shares(self, weeks: int) -> Floats:
        """Shares of shape (weeks, 7, columns, bins)."""
        daily = DAY * self._effect(weeks * 7).reshape(weeks, 7, COLUMNS, BINS)
        weekly = WEEK * self._effect(weeks)[:, None]
        shares = self.shares * np.exp(self._weekday + daily + weekly)
        return shares / shares.sum(axis=-1, keepdims=True)

    def train(self, rows: int) -> Floats:
        """Counts of each day, of shape (columns, days, bins)."""
        shares = self.daily_shares(TRAINING_WEEKS)
        number = np.maximum(np.rint(rows * self._traffic), 1).astype(int)
        counts = self._generator.multinomial(number[None, :, None], shares).reshape(-1, COLUMNS, BINS)
        return counts.transpose(1, 0, 2).astype(np.float64)

    def watch(self, rows: int) -> tuple[Floats, Floats]:
        """Counts and shares of each pass, of shape (passes, columns, bins)."""
        shares = np.einsum("wdcb,d->wcb", self.daily_shares(PASSES), self._traffic)
        return self.draw(rows, shares), shares

    def draw(self, rows: int, shares: Floats) -> Floats:
        """Counts of so many rows."""
        return self._generator.multinomial(rows, shares / shares.sum(axis=-1, keepdims=True)).astype(np.float64)


def shifted(shares: Floats, psi: float) -> Floats:
    """Shares of shape (..., bins) after a shift of about this PSI, by which the last bins grow."""
    slope = np.linspace(-1, 1, shares.shape[-1])
    low, high = 0.0, 10.0
    mean = shares.reshape(-1, shares.shape[-1]).mean(axis=0)
    for _ in range(60):
        size = (low + high) / 2
        moved = mean * np.exp(size * slope)
        moved /= moved.sum()
        distance = ((moved - mean) * np.log(moved / mean)).sum()
        low, high = (size, high) if distance < psi else (low, size)
    moved = shares * np.exp(low * slope)
    return moved / moved.sum(axis=-1, keepdims=True)


def alarms(p_values: Floats, checks: Floats, reset: bool) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Judge a history as the monitor does.

    Args:
        p_values: of the columns, of shape (passes, columns).
        checks: of the other tests, of shape (passes, checks).
        reset: acknowledge every alarm at once.

    Returns:
        Whether each pass has an alarm, and whether one of it names column 0; both of shape (passes,).
    """
    any_alarm, names_first = np.zeros((2, len(p_values)), dtype=bool)
    evidence = np.zeros(p_values.shape[1])
    for i, (columns, others) in enumerate(zip(p_values, checks, strict=True)):
        # Holm rejects none unless the smallest p-value is below the level divided by the number of tests.
        smallest = min(columns.min(), others.min()) * (columns.size + others.size)
        adjusted = adjust_holm([*columns, *others]) if smallest <= 1 / (2 * BUDGET) else [1.0]
        evidence = add_evidence(evidence, e_value(columns))
        slow = evidence.mean() >= 2 * BUDGET
        any_alarm[i] = slow or min(adjusted) <= 1 / (2 * BUDGET)
        names_first[i] = adjusted[0] <= 1 / (2 * BUDGET) or (slow and evidence[0] >= 2 * BUDGET)
        if any_alarm[i] and reset:
            evidence = np.zeros_like(evidence)
    return any_alarm, names_first


def history(rows: int, generator: np.random.Generator) -> tuple[int, dict[str, float]]:
    """Simulate one history: the number of false alarms, and the delay until each shift is named (infinite if never)."""
    world = World(generator)
    days = world.train(rows)
    reference = days.sum(axis=1)
    variation = np.array([natural_variation(column).get("7", 0.0) for column in days])
    tolerance = variation + sampling_error(BINS, reference[0].sum())
    shares = reference / reference.sum(axis=-1, keepdims=True)
    counts, production = world.watch(rows)
    p_values = shift_p_value(counts, shares, tolerance)
    checks = generator.random((PASSES, CHECKS))
    false, _ = alarms(p_values, checks, reset=True)
    delays = {}
    for name, psi in SHIFTS.items():
        # Which column shifts must not matter: every history takes another one.
        column = int(generator.integers(COLUMNS))
        moved = world.draw(rows, shifted(production[SHIFT_AT:, column], psi))
        with_shift = p_values.copy()
        with_shift[SHIFT_AT:, column] = shift_p_value(moved, shares[column], tolerance[column])
        with_shift[:, [0, column]] = with_shift[:, [column, 0]]
        _, named = alarms(with_shift[SHIFT_AT:], checks[SHIFT_AT:], reset=False)
        delays[name] = float(np.argmax(named) + 1) if named.any() else np.inf
    return int(false.sum()), delays


def simulate(rows: int, histories: int, seed: int = 7) -> Rates:
    """Simulate histories with so many rows a pass; the interval takes histories as independent, and passes not."""
    console = Console(stderr=True)
    generators = [np.random.default_rng([seed, rows, i]) for i in range(histories)]
    outcomes = [history(rows, generator) for generator in track(generators, f"{rows:,} rows", console=console)]
    counts = np.array([count for count, _ in outcomes], dtype=np.float64)
    rate, error = counts.mean() / PASSES, 1.96 * counts.std(ddof=1) / np.sqrt(histories) / PASSES
    # Without any alarm: the rule of three.
    highest = rate + error if counts.any() else 3 / (histories * PASSES)
    shifts: dict[str, dict[str, float | None]] = {}
    for name in SHIFTS:
        delays = np.array([delay[name] for _, delay in outcomes])
        median = float(np.median(delays))
        shifts[name] = {"found": float((delays <= SOON).mean()), "delay": median if np.isfinite(median) else None}
    return Rates(
        rows,
        histories,
        1 / rate if rate else None,
        1 / highest,
        1 / (rate - error) if rate > error else None,
        float((counts == 0).mean()),
        shifts,
    )


def markdown(measured: list[Rates]) -> str:
    """Return the table of docs/monitoring.md."""
    header = ["rows a pass", "passes between false alarms (95 % CI)"]
    header += [f"{name} shift (PSI {psi:g}) found, median delay" for name, psi in SHIFTS.items()]
    lines = [header, ["---"] * len(header)]
    for rates in measured:
        cells = [f"{rates.rows:,}", f"{_number(rates.between)} ({_number(rates.low)} to {_number(rates.high)})"]
        for shift in rates.shifts.values():
            delay = "never" if shift["delay"] is None else f"{shift['delay']:.0f}"
            cells.append(f"{shift['found']:.0%}, {delay}")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _number(passes: float | None) -> str:
    return "∞" if passes is None else f"{float(f'{passes:.2g}'):,.0f}"


def main() -> int:
    """Simulate, print the table, write bench/watch.json; 1 if the false alarms exceed the budget."""
    started = time.monotonic()
    measured = [simulate(rows, HISTORIES) for rows in ROWS]
    print(markdown(measured))
    document: dict[str, Any] = {
        "budget": BUDGET,
        "passes": PASSES,
        "columns": COLUMNS,
        "shifts": SHIFTS,
        "rates": [asdict(rates) for rates in measured],
    }
    write_json(PATH, document)
    print(f"Written to bench/{PATH.name}; {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0 if all(rates.low is not None and rates.low >= BUDGET for rates in measured) else 1


if __name__ == "__main__":
    sys.exit(main())

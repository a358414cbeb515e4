"""Drift over 15 inputs of Parquet files: against reading the columns with Arrow, and against Evidently."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.problem import Problem
from bench.results import Result
from bench.timing import THREADS, Show, in_turns, peak_memory
from pipelines.model.profile import Profile, Reference
from pipelines.model.signature import Input, Signature
from pipelines.monitor.drift import measure_shifts, references
from pipelines.monitor.observation import observe
from pipelines.predictions.window import LATENCY, SCORE, open_connection
from pipelines.training.profile import profile

NAMES = (
    "drift over 10 million rows and 15 inputs",
    "memory of drift over 10 million rows and 15 inputs",
    "drift over 1 million rows and 15 inputs, against Evidently",
)
ROWS, FEWER_ROWS, FILE_ROWS = 10_000_000, 1_000_000, 500_000
NUMBERS, CATEGORIES = 10, 5
INPUTS = (
    *(Input(f"number_{i}", "number", nullable=True) for i in range(NUMBERS)),
    *(Input(f"category_{i}", "category") for i in range(CATEGORIES)),
)
SIGNATURE = Signature("fraud", "classification", "is_fraud", INPUTS, "probability", "boosting", ("0", "1"), 0.5)


def measure(problem: Problem, show: Show) -> list[Result]:
    """Time each pair in turns, and the peak memory of drift in a process of its own."""
    folder = problem.folder / "drift"
    show(f"writing {ROWS:,} rows")
    files = write(folder, ROWS)
    reference = folder / "profile.json"
    reference.write_text(profile_of(files[:2]).model_dump_json())
    few = files[: FEWER_ROWS // FILE_ROWS]
    many = in_turns({"drift": lambda: drift(files, reference), "read": lambda: read(files)}, show, runs=3)
    show("memory of drift")
    peak = peak_memory(["bench.drift", str(folder), str(reference)])
    fewer = in_turns({"drift": lambda: drift(few, reference)}, show, runs=3)
    fewer |= in_turns({"Evidently": lambda: evidently(files[-2:], few)}, show, runs=1)
    note = f"{THREADS} threads"
    arrow = {"reading the columns with Arrow": many["read"]}
    preset = {"DataDriftPreset with PSI": fewer["Evidently"]}
    return [
        Result(NAMES[0], many["drift"], "s", "ratio <= 3", arrow, note=note),
        Result(NAMES[1], peak, "GB", "value < 1"),
        Result(NAMES[2], fewer["drift"], "s", "ratio >= 15", preset, note=note),
    ]


def write(folder: Path, rows: int) -> list[Path]:
    """Write the rows of a window, with the columns of `Window.table`, in files of 500,000 rows."""
    folder.mkdir()
    files = []
    names = np.array([f"value {i}" for i in range(20)])
    for start in range(0, rows, FILE_ROWS):
        generator = np.random.default_rng(start)
        columns = {}
        for i, item in enumerate(INPUTS):
            if item.type == "number":
                missing = generator.random(FILE_ROWS) < 0.02 * (i % 3)
                columns[item.name] = pa.array(generator.lognormal(3, 1, FILE_ROWS).round(2), mask=missing)
            else:
                columns[item.name] = pa.array(names[np.minimum(generator.geometric(0.2, FILE_ROWS) - 1, 19)])
        columns[SCORE] = pa.array(generator.beta(1, 20, FILE_ROWS))
        columns[LATENCY] = pa.array(generator.gamma(2, 1, FILE_ROWS))
        files.append(folder / f"{start:09d}.parquet")
        pq.write_table(pa.table(columns), files[-1])
    return files


def profile_of(files: list[Path]) -> Profile:
    """Profile the inputs and the score of a million rows."""
    table = open_connection().read_parquet([str(path) for path in files])
    made = Profile.model_validate(profile(table, (*INPUTS, Input(SCORE, "number"))))
    inputs = {name: reference for name, reference in made.inputs.items() if name != SCORE}
    score: Reference = made.inputs[SCORE]
    return made.model_copy(update={"inputs": inputs, "score": score})


def drift(files: list[Path], reference: Path) -> int:
    """Measure the shift of every input and of the score, as a pass does; return their number."""
    connection = open_connection()
    connection.raw_sql(f"SET threads={THREADS}")
    loaded = Profile.model_validate_json(reference.read_text())
    table = connection.read_parquet([str(path) for path in files])
    observation = observe(table, SIGNATURE, loaded)
    shifts = measure_shifts(observation, references(loaded, SIGNATURE, {}), 7, 0.005)
    assert len(shifts) == len(INPUTS) + 1
    return len(shifts)


def read(files: list[Path]) -> int:
    """Read the columns that drift counts, file by file; return the rows."""
    pa.set_cpu_count(THREADS)
    columns = [item.name for item in INPUTS]
    return sum(pq.read_table(path, columns=columns).num_rows for path in files)


def evidently(reference: list[Path], current: list[Path]) -> None:
    """Run Evidently's preset, its rows in memory already."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = {kind: [item.name for item in INPUTS if item.type == kind] for kind in ("number", "category")}
    definition = DataDefinition(numerical_columns=names["number"], categorical_columns=names["category"])
    columns = [item.name for item in INPUTS]
    frames = [pq.read_table(list(map(str, files)), columns=columns).to_pandas() for files in (current, reference)]
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    Report([DataDriftPreset(num_method="psi", cat_method="psi")]).run(*sides).dict()


if __name__ == "__main__":
    print(json.dumps(drift(sorted(Path(sys.argv[1]).glob("*.parquet")), Path(sys.argv[2]))))

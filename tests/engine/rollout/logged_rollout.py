"""A rollout whose rows and labels are in a folder, for the tests of what the prediction log tells."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.repository.tags import Annotation, Version
from tests.engine.monitor.log_files import log_table, write_log
from tests.engine.monitor.quality_cases import write_labels

NOW = datetime.now(UTC).replace(microsecond=0)
BEGAN = NOW - timedelta(hours=3)
PRODUCTION, CANARY = "a" * 12, "b" * 12


def version(release: str, contract: str | None) -> Version:
    """A version with this contract, on the newest commit."""
    image = f"127.0.0.1:5000/fraud@sha256:{'a' * 64}"
    annotation = Annotation(release=release, image=image, model="m", signature="s", contract=contract)
    return Version(f"fraud@v1.{'ab'.index(release[0])}.0", (1, "ab".index(release[0]), 0), "HEAD", annotation)


def write_arm(
    log: Path, release: str, rows: int, ids: Sequence[str] | None = None, seed: int = 0, **columns: Any
) -> pa.Table:
    """Log rows of a release, spread over the time since the rollout began."""
    times = [(BEGAN + (NOW - BEGAN) * (i + 0.5) / rows).replace(tzinfo=None) for i in range(rows)]
    names = list(ids) if ids is not None else [f"{release}-{seed}-{i}" for i in range(rows)]
    seconds = pa.array(times, pa.timestamp("us"))
    table = log_table(rows, seed=seed, release=release, time=seconds, request_id=names, **columns)
    write_log(log, table, BEGAN, f"{release}-{seed}")
    return table


def label(folder: Path, table: pa.Table, skill: float = 1.0) -> None:
    """Write the labels of logged rows; with a skill of 0 they do not depend on the score."""
    scores = table["probability"].to_numpy()
    generator = np.random.default_rng(9)
    folder.mkdir(exist_ok=True)
    truth = generator.random(len(scores)) < skill * scores + (1 - skill) * scores.mean()
    release = table["release"][0].as_py()
    write_labels(
        folder / f"{release}.parquet", table["request_id"], truth, NOW.replace(tzinfo=None) - timedelta(hours=1)
    )

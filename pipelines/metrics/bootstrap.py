"""The paired bootstrap: metrics of several models on the same resampled rows, and percentile intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipelines.metrics.compute import Weighted
from pipelines.metrics.table import Floats

MIN_OF_EACH_CLASS = 20  # below that, percentile intervals are too narrow
_MAX_UNDEFINED = 0.01
_CHUNK = 32  # resamples at a time; those of 50,000 rows fit into the cache of a core


def resamples(rows: int, count: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Bootstrap weights (how often each row was drawn) of `count` resamples, in chunks of shape (<= 32, rows)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        drawn = generator.integers(0, rows, size=(size, rows), dtype=np.int32 if rows < 2**31 else np.int64)
        yield np.stack([np.bincount(row, minlength=rows) for row in drawn]).astype(np.float32)


def paired_bootstrap(
    models: Sequence[Weighted], rows: int, count: int, seed: int, only: Sequence[str] | None = None
) -> list[dict[str, Floats]]:
    """Metrics of several models on the same resampled rows.

    Args:
        only: names of the metrics to keep; all of them if it is None.

    Returns:
        For each model a mapping name -> shape (count,); entry i of every model comes from the same resample.
    """
    from threadpoolctl import threadpool_limits

    collected: list[dict[str, list[Floats]]] = [{} for _ in models]
    with threadpool_limits(limits=1, user_api="blas"):  # several threads only slow down products this small
        for weights in resamples(rows, count, seed):
            for model, values in zip(models, collected, strict=True):
                for name, value in model(weights, only).items():
                    values.setdefault(name, []).append(value)
    return [{name: np.concatenate(parts) for name, parts in values.items()} for values in collected]


def too_few(task: str, target: Floats) -> str:
    """Why rows with these targets are too few for an interval; empty if they are enough."""
    if task == "regression":
        return f"{len(target)} rows are fewer than {MIN_OF_EACH_CLASS}" if len(target) < MIN_OF_EACH_CLASS else ""
    positives = int(target.sum())
    count, name = min((positives, "positives"), (len(target) - positives, "negatives"))
    return f"{count} {name} are fewer than {MIN_OF_EACH_CLASS}" if count < MIN_OF_EACH_CLASS else ""


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval (Efron, 1979) of bootstrap values of shape (b,).

    Returns:
        NaN twice if more than 1 % of the values are not defined: the others alone would give a wrong interval.
    """
    undefined = np.isnan(values)
    if not len(values) or undefined.mean() > _MAX_UNDEFINED:
        return float("nan"), float("nan")
    low, high = np.quantile(values[~undefined], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

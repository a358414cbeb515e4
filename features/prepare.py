"""Columns that the model reads besides those of data/: each has `prepared: true` in schema.columns of params.yaml."""

import numpy as np
import pandas as pd


def prepare(frame: pd.DataFrame) -> pd.DataFrame:
    """Add how many payments the customer made in the hour and in the day before each payment.

    Args:
        frame: all columns of data/ but the label's, in order of time. A row may only depend on rows up to its own time.
    """
    ordered = frame.sort_values("customer_id", kind="stable")
    customer = ordered["customer_id"].factorize()[0]
    second = (ordered["paid_at"] - frame["paid_at"].min()) // pd.Timedelta("1s")
    columns = {}
    for name, window in (("payments_1h", 3_600), ("payments_24h", 86_400)):
        # All customers on one axis, farther apart than the window: one search finds the start of every window.
        axis = (customer * (second.max() + window + 1) + second).to_numpy()
        earlier = np.arange(len(axis)) - np.searchsorted(axis, axis - window)
        columns[name] = pd.Series(earlier, index=ordered.index)
    return frame.assign(**columns)

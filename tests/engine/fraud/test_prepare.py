"""features/prepare.py of the default problem counts the payments of the hour and the day before each payment."""

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.fraud.simulator import simulate

WINDOWS = (("payments_1h", 3_600), ("payments_24h", 86_400))
times = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 59, 3599, 3600, 3601, 40_000, 86_399, 86_400, 86_401])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=40)
@given(gaps=times)
def test_the_counts_agree_with_a_search_through_all_earlier_rows(gaps, preparation):
    customer = [f"c{who}" for who, _ in gaps]
    second = np.cumsum([gap for _, gap in gaps])
    frame = pd.DataFrame({"payment_id": range(len(gaps)), "customer_id": customer})
    frame["paid_at"] = pd.to_datetime(second + 1_767_225_600, unit="s").astype("datetime64[us]")
    prepared = preparation.function(frame.copy())
    for row in range(len(gaps)):
        earlier = [other for other in range(row) if customer[other] == customer[row]]
        for name, window in WINDOWS:
            assert prepared[name][row] == sum(second[row] - second[other] <= window for other in earlier)


def test_the_counts_of_the_table_include_fraud(spec, preparation):
    table = simulate(spec)
    prepared = preparation.run(table)
    who = np.array(table["customer_id"].to_pylist())
    second = table["paid_at"].to_numpy().astype("datetime64[s]").astype(np.int64)
    frauds = np.flatnonzero(pc.equal(table["is_fraud"], 1).fill_null(False).to_numpy(zero_copy_only=False))
    sample = np.concatenate([np.random.default_rng(1).integers(0, len(who), 300), frauds])
    for name, window in WINDOWS:
        counts = prepared[name].to_numpy()
        for row in sample:
            earlier = (who[:row] == who[row]) & (second[row] - second[:row] <= window)
            assert counts[row] == earlier.sum()
        assert counts[frauds].max() >= 3

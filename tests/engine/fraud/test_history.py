import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from examples.fraud.history import REMEMBERED, history

times = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 59, 60, 3599, 3600, 3601, 40_000, 86_399, 86_400, 86_401])),
    max_size=60,
)


@given(times, st.integers(1, 10_000))
def test_history_agrees_with_a_search_through_all_earlier_rows(gaps, cents):
    customer = np.array([who for who, _ in gaps], dtype=np.int64)
    second = np.cumsum(np.array([gap for _, gap in gaps], dtype=np.int64))
    amount = np.arange(len(gaps), dtype=np.int64) * cents
    known = history(customer, second, amount)
    for row in range(len(gaps)):
        earlier = [other for other in range(row) if customer[other] == customer[row]]
        assert known.first[row] == (not earlier)
        if earlier:
            assert known.minutes_since_last[row] == (second[row] - second[earlier[-1]]) // 60
            remembered = amount[earlier[-REMEMBERED:]]
            assert abs(known.usual_cents[row] - remembered.mean()) <= 0.5
        else:
            assert known.minutes_since_last[row] == known.usual_cents[row] == 0


@given(times.filter(len))
def test_later_payments_do_not_change_the_history(gaps):
    customer = np.array([who for who, _ in gaps], dtype=np.int64)
    second = np.cumsum(np.array([gap for _, gap in gaps], dtype=np.int64))
    amount = np.full(len(gaps), 100, dtype=np.int64)
    whole, part = history(customer, second, amount), history(customer[:-1], second[:-1], amount[:-1])
    for name in ("first", "minutes_since_last", "usual_cents"):
        assert (getattr(whole, name)[:-1] == getattr(part, name)).all()

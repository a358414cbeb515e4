import numpy as np
import pyarrow as pa

from pipelines.config.selection import Value
from pipelines.tables.costs import costs_of


def test_each_outcome_costs_its_number_or_its_column():
    value = Value(unit="EUR", false_positive=2.5, false_negative="amount", true_positive=-1.0)
    rows = pa.table({"amount": [10.0, 20.0, 30.0]})
    costs = costs_of(rows, np.array([1.0, 0.0, 1.0]), value)
    assert costs.tolist() == [[10.0, -1.0], [0.0, 2.5], [30.0, -1.0]]
    assert costs_of(rows, np.zeros(3), None) is None

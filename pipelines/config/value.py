"""Section `value`: what the decisions of a classification cost."""

from pipelines.config.base import Strict

Cost = float | str
"""A number, or the name of a column of numbers."""


class Value(Strict):
    """The cost of each outcome of a row; a gain is negative.

    Attributes:
        unit: of the costs, for instance `EUR`.
        rows: what a row is called in reports, in the plural.
        true_positive: the cost of a positive that is found, such as `1.5`, or a column of numbers.
        false_positive: the cost of a false alarm.
        false_negative: the cost of a positive that is missed, such as `amount`.
        true_negative: the cost of a negative that is let pass.
    """

    unit: str
    rows: str = "rows"
    true_positive: Cost = 0.0
    false_positive: Cost = 0.0
    false_negative: Cost = 0.0
    true_negative: Cost = 0.0

    @property
    def columns(self) -> dict[str, str]:
        """Outcome -> column, for the outcomes whose cost is a column."""
        outcomes = ("true_positive", "false_positive", "false_negative", "true_negative")
        costs = {outcome: getattr(self, outcome) for outcome in outcomes}
        return {outcome: cost for outcome, cost in costs.items() if isinstance(cost, str)}

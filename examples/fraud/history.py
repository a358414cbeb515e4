"""Features of a customer before a payment, from earlier rows only."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from examples.fraud.population import Flags, Ints

REMEMBERED = 30  # payments that make up the habit


@dataclass(frozen=True)
class History:
    """Arrays of shape (n,), in the order of the payments."""

    first: Flags  # no earlier payment is known
    minutes_since_last: Ints  # whole minutes, 0 at a first payment
    usual_cents: Ints  # mean of the last REMEMBERED payments, 0 at a first payment

    def since(self, row: int) -> History:
        """Return the rows from one on."""
        return History(*(getattr(self, field.name)[row:] for field in fields(self)))


def history(customer: Ints, second: Ints, cents: Ints) -> History:
    """Summarise, for each payment, the earlier payments of the same customer.

    Args:
        customer: shape (n,), not negative.
        second: shape (n,), not negative and ascending; of two payments in one second the former is the earlier.
        cents: shape (n,).
    """
    n = len(customer)
    order = np.argsort(customer, kind="stable")
    who, when = customer[order], second[order]
    place = np.arange(n)
    first = np.concatenate([[True], who[1:] != who[:-1]])[:n]
    begin = np.maximum.accumulate(np.where(first, place, 0))
    last = np.where(first, 0, when - np.concatenate([[0], when[:-1]])[:n])
    total = np.concatenate([[0], np.cumsum(cents[order])])
    since = np.maximum(begin, place - REMEMBERED)
    count = np.maximum(place - since, 1)
    usual = (2 * (total[place] - total[since]) + count) // (2 * count)
    back = np.empty(n, dtype=np.int64)
    back[order] = place
    return History(
        first[back],
        (last // 60)[back],
        usual[back],
    )

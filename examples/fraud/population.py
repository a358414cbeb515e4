"""The customers and merchants of the simulator."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CATEGORIES = (
    "airline", "clothing", "electronics", "fuel", "gambling",
    "gift_cards", "groceries", "pharmacy", "restaurant", "travel",
)  # fmt: skip
COUNTRIES = ("AT", "BE", "CH", "CY", "DE", "ES", "FR", "IT", "MT", "NL", "RO", "US")
HOMES = ("AT", "BE", "CH", "DE", "ES", "FR", "IT", "NL")
AGE_GROUPS = ("18-29", "30-44", "45-59", "60+")

POPULARITY = np.array([0.05, 0.11, 0.08, 0.10, 0.04, 0.04, 0.27, 0.08, 0.17, 0.06])  # of CATEGORIES
MERCHANTS_IN = np.array([0.06, 0.06, 0.06, 0.03, 0.20, 0.12, 0.16, 0.12, 0.03, 0.08, 0.04, 0.04])  # COUNTRIES
CUSTOMERS_IN = np.array([0.08, 0.08, 0.08, 0.26, 0.14, 0.16, 0.12, 0.08])  # of HOMES
AGES = np.array([0.22, 0.29, 0.27, 0.22])
TRIPS = 2


@dataclass(frozen=True)
class Customers:
    """Arrays of shape (n,) over customers; the trips have shape (n, TRIPS)."""

    home: Ints  # index into COUNTRIES
    age: Ints
    usual: Floats  # euros of a typical payment
    activity: Floats  # relative number of payments
    trip_start: Ints  # day; far beyond the end for no trip
    trip_end: Ints
    trip_to: Ints  # index into COUNTRIES

    def country_on(self, who: Ints, day: Ints) -> Ints:
        """Return the country of each customer on a day, both of shape (m,)."""
        where = self.home[who].copy()
        for trip in range(TRIPS):
            away = (day >= self.trip_start[who, trip]) & (day <= self.trip_end[who, trip])
            where[away] = self.trip_to[who, trip][away]
        return where


class Picker:
    """Draws a member of a group in proportion to its weight."""

    def __init__(self, group: Ints, weight: Floats, groups: int) -> None:
        self._order = np.argsort(group, kind="stable")
        # Whole numbers, so that the sums are exact on every machine.
        whole = np.maximum(1, np.rint(weight[self._order] * 1_000_000)).astype(np.int64)
        self._upto = np.cumsum(whole)
        ends = np.searchsorted(group[self._order], np.arange(groups), side="right")
        self._ends = np.concatenate([[0], self._upto])[ends]
        self._starts = np.concatenate([[0], self._ends[:-1]])

    def pick(self, rng: np.random.Generator, group: Ints) -> Ints:
        """Draw a member of each group in an array; no group may be empty. Same shape as `group`."""
        low, high = self._starts[group], self._ends[group]
        at = low + np.floor(rng.random(len(group)) * (high - low)).astype(np.int64)
        return np.asarray(self._order[np.searchsorted(self._upto, at, side="right")], dtype=np.int64)


@dataclass(frozen=True)
class Merchants:
    """Arrays of shape (n,) over merchants, and draws among them."""

    category: Ints
    country: Ints
    colluding: Flags
    by_country: Picker
    by_category: Picker


def customers(rng: np.random.Generator, n: int, days: int) -> Customers:
    """Draw n customers with their habits and the journeys of the period."""
    homes = np.array([COUNTRIES.index(name) for name in HOMES])
    home = homes[rng.choice(len(HOMES), n, p=CUSTOMERS_IN)]
    age = rng.choice(len(AGE_GROUPS), n, p=AGES)
    usual = np.array([27.0, 31.0, 33.0, 30.0])[age] * np.exp(rng.normal(0, 0.45, n))
    activity = rng.gamma(2.0, 0.5, n) + 0.1
    travels = rng.random((n, TRIPS)) < min(0.9, 0.45 * days / 120)
    start = np.where(travels, rng.integers(0, days, (n, TRIPS)), days + 1000)
    destination = rng.integers(0, len(COUNTRIES), (n, TRIPS))
    return Customers(home, age, usual, activity, start, start + rng.integers(2, 12, (n, TRIPS)), destination)


def merchants(rng: np.random.Generator, n: int) -> Merchants:
    """Draw n merchants, of which a few collude with fraudsters."""
    category = rng.integers(0, len(CATEGORIES), n)
    country = rng.choice(len(COUNTRIES), n, p=MERCHANTS_IN)
    # The first merchants go through categories and countries in turn, so that a small world lacks none.
    first = np.arange(min(n, 60))
    category[first] = first % len(CATEGORIES)
    country[first] = first % len(COUNTRIES)
    in_category = np.bincount(category, minlength=len(CATEGORIES))
    weight = POPULARITY[category] / in_category[category] * n * (rng.gamma(2.0, 0.5, n) + 0.1)
    colluding = rng.random(n) < 0.02
    colluding[[7, 16, 28]] = True
    return Merchants(
        category,
        country,
        colluding,
        Picker(country, weight, len(COUNTRIES)),
        Picker(category, weight, len(CATEGORIES)),
    )

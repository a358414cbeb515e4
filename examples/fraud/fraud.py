"""Fraudulent payments of four scenarios, from easy to very hard to detect."""

from collections.abc import Sequence

import numpy as np

from examples.fraud.habits import (
    CHIP,
    CONTACTLESS,
    CONTACTLESS_LIMIT,
    DAY,
    ONLINE,
    PRICE,
    Payments,
    cents_of,
    payments,
    seconds_of_day,
)
from examples.fraud.population import CATEGORIES, Customers, Floats, Ints, Merchants

# Share of all fraudulent payments.
TESTING, STOLEN, TAKEOVER = 0.26, 0.34, 0.28  # the rest: collusion
AGE_RISK = np.array([1.0, 0.95, 1.0, 1.08])  # of AGE_GROUPS; mild, so that fairness between them is attainable
NIGHT = np.array([7, 8, 8, 7, 6, 4, 3, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 5, 6, 6, 7], dtype=np.float64)


def fraudulent(rng: np.random.Generator, people: Customers, shops: Merchants, n: int, days: int) -> Payments:
    """Draw n fraudulent payments over the period."""
    world = _World(rng, people, shops, days)
    testing, stolen, takeover = (round(n * share) for share in (TESTING, STOLEN, TAKEOVER))
    parts = [world.card_testing(testing), world.stolen_card(stolen), world.account_takeover(takeover)]
    return Payments.joined([*parts, world.collusion(n - testing - stolen - takeover)])


def imitate(
    rng: np.random.Generator, people: Customers, shops: Merchants, drawn: Payments, days: int, from_day: int
) -> None:
    """From a day on, change most fraud to look like the habits of its victim; in place."""
    index = np.flatnonzero(drawn.fraud & (drawn.second >= from_day * DAY))
    index = index[rng.random(len(index)) < 0.8]
    day = np.minimum(drawn.second[index] // DAY + rng.integers(0, 6, len(index)), days - 1)
    like = payments(rng, people, shops, drawn.customer[index], day)
    drawn.second[index], drawn.merchant[index], drawn.channel[index] = like.second, like.merchant, like.channel
    drawn.cents[index] = cents_of(like.cents / 100 * 1.2)
    drawn.new_device[index] = like.new_device


class _World:
    """Draws episodes: a victim, a start, and payments after it."""

    def __init__(self, rng: np.random.Generator, people: Customers, shops: Merchants, days: int) -> None:
        self.rng, self.people, self.shops, self.days = rng, people, shops, days
        risk = people.activity * AGE_RISK[people.age]
        self._risk = np.cumsum(risk / risk.sum())[:-1]

    def _episodes(self, n: int, size: tuple[int, int], gap: tuple[int, int], hours: Floats) -> tuple[Ints, Ints]:
        """Victims and seconds of n payments in episodes of size[0] to size[1], gap[0] to gap[1] seconds apart."""
        rng = self.rng
        sizes = rng.integers(size[0], size[1] + 1, n + 1)
        episode = np.repeat(np.arange(n + 1), sizes)[:n]
        victim = np.searchsorted(self._risk, rng.random(n + 1), side="right").astype(np.int64)
        hour = np.searchsorted(np.cumsum(hours / hours.sum())[:-1], rng.random(n + 1), side="right")
        start = rng.integers(0, self.days, n + 1) * DAY + hour * 3600 + rng.integers(0, 3600, n + 1)
        gaps = rng.integers(gap[0], gap[1] + 1, n)
        first = np.concatenate([[True], episode[1:] != episode[:-1]])[:n]
        passed = np.cumsum(np.where(first, 0, gaps))
        passed -= np.maximum.accumulate(np.where(first, passed, 0))
        # A payment after the end of the period moves to the start of its episode.
        second = start[episode] + passed
        return victim[episode], np.where(second < self.days * DAY, second, start[episode])

    def _merchants(self, who: Ints, favourites: Sequence[str], focus: float, at_home: float) -> Ints:
        """Merchants of the favourite categories for a share `focus`, at the victim's home for `at_home` of the rest."""
        rng, n = self.rng, len(who)
        wanted = np.array([CATEGORIES.index(name) for name in favourites])[rng.integers(0, len(favourites), n)]
        other = rng.integers(0, len(CATEGORIES), n)
        anywhere = self.shops.by_category.pick(rng, np.where(rng.random(n) < focus, wanted, other))
        home = self.shops.by_country.pick(rng, self.people.home[who])
        return np.where(rng.random(n) < at_home, home, anywhere)

    def _payments(self, who: Ints, second: Ints, merchant: Ints, channel: Ints, euros: Floats, new: float) -> Payments:
        new_device = (channel == ONLINE) & (self.rng.random(len(who)) < new)
        cents = cents_of(euros)
        return Payments(who, second, merchant, channel, cents, new_device, np.ones(len(who), dtype=np.bool_))

    def _channels(self, n: int, shares: Sequence[float]) -> Ints:
        return self.rng.choice(4, n, p=shares).astype(np.int64)

    def card_testing(self, n: int) -> Payments:
        """Many small payments within minutes, to learn whether a stolen number works: easy."""
        who, second = self._episodes(n, (4, 9), (20, 240), NIGHT)
        merchant = self._merchants(who, ("gift_cards", "gambling", "electronics", "travel"), 0.6, 0.3)
        channel = self._channels(n, (0.05, 0.10, 0.75, 0.10))
        return self._payments(who, second, merchant, channel, 0.5 + self.rng.gamma(1.5, 3.0, n), 0.5)

    def stolen_card(self, n: int) -> Payments:
        """Large purchases against the victim's habits, mostly abroad and at night: medium."""
        who, second = self._episodes(n, (1, 4), (300, 5400), NIGHT)
        merchant = self._merchants(who, ("electronics", "airline", "travel", "clothing"), 0.55, 0.35)
        price = 0.5 + 0.5 * PRICE[self.shops.category[merchant]]
        euros = self.people.usual[who] * price * (1.5 + self.rng.gamma(2.0, 1.8, n))
        channel = self._channels(n, (0.38, 0.17, 0.20, 0.25))
        channel = np.where((channel == CONTACTLESS) & (cents_of(euros) > CONTACTLESS_LIMIT), CHIP, channel)
        return self._payments(who, second, merchant, channel, euros, 0.5)

    def account_takeover(self, n: int) -> Payments:
        """Online from a new device, moderately above the habit: harder."""
        who, second = self._episodes(n, (1, 3), (600, 20_000), NIGHT + 4)
        merchant = self._merchants(who, ("electronics", "clothing", "gift_cards", "gambling", "airline"), 0.5, 0.45)
        price = 0.4 + 0.6 * PRICE[self.shops.category[merchant]]
        euros = self.people.usual[who] * price * (1.0 + self.rng.gamma(2.0, 0.9, n))
        return self._payments(who, second, merchant, self._channels(n, (0.02, 0.02, 0.94, 0.02)), euros, 0.85)

    def collusion(self, n: int) -> Payments:
        """A merchant charges known cards a round sum in business hours, almost like a habit: hardest."""
        who, _ = self._episodes(n, (1, 1), (0, 0), NIGHT)
        colluding = np.flatnonzero(self.shops.colluding)
        merchant = colluding[self.rng.integers(0, len(colluding), n)]
        category = self.shops.category[merchant]
        second = self.rng.integers(0, self.days, n) * DAY + seconds_of_day(self.rng, category)
        euros = self.people.usual[who] * PRICE[category] * (1.0 + self.rng.gamma(2.0, 0.5, n))
        channel = self._channels(n, (0.25, 0.05, 0.2, 0.5))
        return self._payments(who, second, merchant, channel, np.ceil(euros / 10) * 10, 0.1)

"""Payments of honest customers: where, when, how and how much they pay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.fraud.population import COUNTRIES, Customers, Flags, Floats, Ints, Merchants

DAY = 86_400
CHANNELS = ("chip", "contactless", "online", "stripe")
CHIP, CONTACTLESS, ONLINE, STRIPE = range(4)
CONTACTLESS_LIMIT = 5_000  # cents

# Per category: share bought online, and its price relative to the customer's typical payment.
ONLINE_SHARE = np.array([0.90, 0.35, 0.45, 0.02, 0.90, 0.55, 0.08, 0.10, 0.10, 0.80])
PRICE = np.array([4.0, 1.4, 2.6, 1.3, 0.8, 1.0, 0.8, 0.5, 0.8, 3.0])

# Relative number of payments per weekday (Monday first) and per hour.
WEEKDAYS = np.array([0.92, 0.93, 0.97, 1.02, 1.20, 1.22, 0.74])
_SHOPS = [1, 1, 1, 1, 1, 2, 8, 22, 40, 55, 64, 70, 74, 66, 60, 62, 70, 80, 76, 55, 30, 12, 5, 2]
_MEALS = [4, 2, 1, 1, 1, 2, 5, 12, 16, 14, 16, 45, 80, 70, 25, 18, 22, 38, 65, 85, 80, 55, 28, 12]
_SCREEN = [16, 10, 6, 4, 4, 5, 9, 16, 28, 36, 40, 42, 44, 42, 40, 40, 42, 46, 54, 62, 68, 64, 48, 30]
_GAMES = [46, 36, 24, 14, 8, 6, 6, 8, 12, 16, 20, 24, 28, 30, 30, 32, 36, 42, 52, 64, 74, 78, 74, 62]
HOURS = np.array(
    [_SCREEN, _SHOPS, _SCREEN, _SHOPS, _GAMES, _SCREEN, _SHOPS, _SHOPS, _MEALS, _SCREEN],
    dtype=np.float64,
)  # of CATEGORIES


@dataclass
class Payments:
    """Arrays of shape (n,) over payments, in no order yet."""

    customer: Ints
    second: Ints  # since the start of the simulation
    merchant: Ints
    channel: Ints
    cents: Ints
    new_device: Flags
    fraud: Flags

    @classmethod
    def joined(cls, parts: list[Payments]) -> Payments:
        """All payments of the parts, one after another."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__annotations__})


def days_of(rng: np.random.Generator, n: int, days: int, first_weekday: int) -> Ints:
    """Draw n days of the period by the weekly rhythm."""
    weight = WEEKDAYS[(np.arange(days) + first_weekday) % 7]
    return np.searchsorted(np.cumsum(weight / weight.sum())[:-1], rng.random(n), side="right").astype(np.int64)


def seconds_of_day(rng: np.random.Generator, category: Ints) -> Ints:
    """Draw the time of day by the rhythm of each payment's category."""
    u = rng.random(len(category))
    hour = np.zeros(len(category), dtype=np.int64)
    for index, weights in enumerate(HOURS):
        here = category == index
        hour[here] = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], u[here], side="right")
    return hour * 3600 + rng.integers(0, 3600, len(category))


def cents_of(euros: Floats) -> Ints:
    """Whole cents within what a card allows (0.50 to 50,000 euros)."""
    return np.clip(np.rint(euros * 100), 50, 5_000_000).astype(np.int64)


def card_channel(rng: np.random.Generator, cents: Ints, american: Flags) -> Ints:
    """How a card is read in a shop: contactless for small sums, the stripe rarely, in the US more often."""
    u = rng.random(len(cents))
    channel = np.where((cents <= CONTACTLESS_LIMIT) & (u < 0.78), CONTACTLESS, CHIP)
    return np.where(rng.random(len(cents)) < np.where(american, 0.4, 0.035), STRIPE, channel).astype(np.int64)


def payments(rng: np.random.Generator, people: Customers, shops: Merchants, who: Ints, day: Ints) -> Payments:
    """Draw one ordinary payment for each customer and day, both of shape (m,)."""
    n = len(who)
    merchant = shops.by_country.pick(rng, people.country_on(who, day))
    online = rng.random(n) < ONLINE_SHARE[shops.category[merchant]]
    # A part of what is bought online comes from any country.
    anywhere = shops.by_category.pick(rng, shops.category[merchant])
    merchant = np.where(online & (rng.random(n) < 0.3), anywhere, merchant)
    category = shops.category[merchant]
    spread = np.exp(rng.normal(0, 0.5, n))
    splurge = np.where(rng.random(n) < 0.025, 2 + rng.gamma(1.5, 3.0, n), 1.0)
    cents = cents_of(people.usual[who] * PRICE[category] * spread * splurge)
    channel = card_channel(rng, cents, shops.country[merchant] == COUNTRIES.index("US"))
    channel = np.where(online, ONLINE, channel)
    new_device = online & (rng.random(n) < 0.05)
    second = day * DAY + seconds_of_day(rng, category)
    return Payments(who, second, merchant, channel, cents, new_device, np.zeros(n, dtype=np.bool_))


def ordinary(
    rng: np.random.Generator, people: Customers, shops: Merchants, n: int, days: int, first_weekday: int
) -> Payments:
    """Draw n payments of honest customers over the period; some follow another within the hour."""
    alone = n - n // 12
    share = np.cumsum(people.activity / people.activity.sum())
    who = np.searchsorted(share[:-1], rng.random(alone), side="right").astype(np.int64)
    day = days_of(rng, alone, days, first_weekday)
    before = rng.integers(0, alone, n - alone)
    drawn = payments(rng, people, shops, np.concatenate([who, who[before]]), np.concatenate([day, day[before]]))
    second = drawn.second[before] + rng.integers(60, 3000, n - alone)
    drawn.second[alone:] = np.minimum(second, days * DAY - 1)
    # A payment to each of the merchants that go through all categories and countries.
    first = np.arange(min(60, alone, len(shops.category)))
    drawn.merchant[first] = first
    return drawn

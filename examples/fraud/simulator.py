"""Source `simulator`: card payments of a simulated world; equal settings give equal bytes."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from examples.fraud import fraud, habits, population
from examples.fraud.history import history
from examples.fraud.population import Flags, Ints
from pipelines.cli.errors import InputError
from pipelines.config.ingest import Simulator
from pipelines.config.table_schema import Table
from pipelines.ingest.rows import Rows

DAY = habits.DAY
MAX_MINUTES_SINCE_LAST = 300_000
MAX_LABEL_DELAY = 14  # days
WARM_UP = 120  # days before the period: without their payments, customers would have no habits at first


def read_rows(spec: Simulator, table: Table, root: Path, progress: Callable[[str], None]) -> Rows:
    """Return the simulated rows, for the verb `data`; `table` and `root` are for other sources."""
    progress(f"simulating {spec.payments} payments")
    table_of_payments = simulate(spec)
    return Rows(table_of_payments.schema, [table_of_payments])


def simulate(spec: Simulator) -> pa.Table:
    """Return `spec.payments` rows, sorted by time, with the columns of params.yaml's schema.

    A row whose label would come after the end of the period has neither a label nor a label time.

    Raises:
        InputError: if `drift_from` or `fraud_change_from` lies outside the period.
    """
    people = population.customers(_stream(spec, 1), spec.customers, spec.days)
    shops = population.merchants(_stream(spec, 2), spec.merchants)
    payments = _draw(spec, people, shops, 3, spec.payments, spec.days, spec.start.weekday())
    weekday = (spec.start.weekday() - WARM_UP) % 7
    earlier = _draw(spec, people, shops, 8, round(spec.payments * WARM_UP / spec.days), WARM_UP, weekday)
    earlier.second -= WARM_UP * DAY
    if spec.fraud_change_from is not None:
        fraud.imitate(_stream(spec, 5), people, shops, payments, spec.days, _day(spec, spec.fraud_change_from))
    if spec.drift_from is not None:
        _drift(_stream(spec, 6), shops, payments, _day(spec, spec.drift_from))
    return _table(spec, people, shops, habits.Payments.joined([earlier, payments]))


def _stream(spec: Simulator, number: int) -> np.random.Generator:
    """Return an independent generator for each part, so that switching a part on does not change the others."""
    return np.random.Generator(np.random.PCG64([spec.seed, number]))


def _day(spec: Simulator, changed: date) -> int:
    day = (changed - spec.start).days
    if not 0 <= day < spec.days:
        raise InputError(
            f"ingest: {changed} lies outside the simulated period of {spec.days} days from {spec.start}",
            "Set drift_from and fraud_change_from in params.yaml to a day of that period, or to null.",
        )
    return day


def _draw(
    spec: Simulator,
    people: population.Customers,
    shops: population.Merchants,
    stream: int,
    n: int,
    days: int,
    first_weekday: int,
) -> habits.Payments:
    """Draw n payments over some days, with the share of fraud, by two streams."""
    frauds = round(n * spec.fraud_rate)
    return habits.Payments.joined(
        [
            habits.ordinary(_stream(spec, stream), people, shops, n - frauds, days, first_weekday),
            fraud.fraudulent(_stream(spec, stream + 1), people, shops, frauds, days),
        ]
    )


def _drift(rng: np.random.Generator, shops: population.Merchants, payments: habits.Payments, from_day: int) -> None:
    """From a day on, raise amounts and move payments online and abroad; in place, without changing times."""
    later = payments.second >= from_day * DAY
    n = len(later)
    payments.cents[later] = habits.cents_of(payments.cents / 100 * (1.25 + 0.2 * rng.random(n)))[later]
    moved = later & (payments.channel != habits.ONLINE) & (rng.random(n) < 0.25)
    payments.channel[moved] = habits.ONLINE
    abroad = shops.by_category.pick(rng, shops.category[payments.merchant])
    moved = later & (rng.random(n) < 0.2)
    payments.merchant[moved] = abroad[moved]


def _delay(rng: np.random.Generator, is_fraud: Flags) -> Ints:
    """Draw the seconds until the label is known: 1 to 14 days, later on average for fraud."""
    n = len(is_fraud)
    share = rng.random(n) * np.where(is_fraud, 1.0, rng.random(n))
    return DAY + np.floor(share * (MAX_LABEL_DELAY - 1) * DAY).astype(np.int64)


def _texts(texts: Sequence[str], index: Ints) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(index))


def _numbered(prefix: str, numbers: Ints, width: int) -> pa.Array:
    width = max(width, len(str(int(numbers.max(initial=0)))))
    return pa.array([f"{prefix}{number:0{width}d}" for number in numbers.tolist()], pa.string())


def _table(
    spec: Simulator, people: population.Customers, shops: population.Merchants, payments: habits.Payments
) -> pa.Table:
    """Return the payments of the period in order of time, with the history of their customers and with labels."""
    order = np.argsort(payments.second, kind="stable")
    past = history(payments.customer[order], payments.second[order] + WARM_UP * DAY, payments.cents[order])
    before = int((payments.second < 0).sum())
    order, past = order[before:], past.since(before)
    who, second, merchant = payments.customer[order], payments.second[order], payments.merchant[order]
    channel, cents, is_fraud = payments.channel[order], payments.cents[order], payments.fraud[order]
    n = len(order)
    rng = _stream(spec, 7)
    no_usual = past.first | (rng.random(n) < spec.missing_rate)
    no_device = rng.random(n) < spec.missing_rate
    start = (spec.start - date(1970, 1, 1)).days * DAY
    labelled = second + _delay(rng, is_fraud)
    unknown = labelled >= spec.days * DAY
    time = pa.timestamp("s")
    return pa.table(
        {
            "payment_id": _numbered("p", np.arange(1, n + 1), 8),
            "customer_id": _numbered("c", who + 1, 5),
            "paid_at": pa.array(second + start).cast(time),
            "amount": pa.array(cents / 100),
            "merchant_category": _texts(population.CATEGORIES, shops.category[merchant]),
            "card_country": _texts(population.COUNTRIES, people.home[who]),
            "merchant_country": _texts(population.COUNTRIES, shops.country[merchant]),
            "channel": _texts(habits.CHANNELS, channel),
            "new_device": pa.array(payments.new_device[order], mask=no_device),
            "age_group": _texts(population.AGE_GROUPS, people.age[who]),
            "usual_amount": pa.array(past.usual_cents / 100, mask=no_usual),
            "minutes_since_last": pa.array(
                np.minimum(past.minutes_since_last, MAX_MINUTES_SINCE_LAST), mask=past.first
            ),
            "is_fraud": pa.array(is_fraud.astype(np.int64), mask=unknown),
            "labelled_at": pa.array(labelled + start, mask=unknown).cast(time),
        }
    )

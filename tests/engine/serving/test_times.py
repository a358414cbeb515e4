"""Reading times."""

import calendar
import datetime as dt
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.model import encoding
from serving.times import MAX_EPOCH, PATTERN, to_epoch

MIDNIGHT = 1_767_225_600  # 2026-01-01 in UTC


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01", 0),
        ("2026-01-01T00:01", 60),
        ("2026-01-01 00:00:01", 1),
        ("2026-01-01T00:00:01Z", 1),
        ("2026-01-01t00:00:01z", 1),
        ("2026-01-01 00:00z", 0),
        ("2026-01-01T00:00:01.9", 1),
        ("2026-01-01T00:00:01.123456789123Z", 1),
        ("2026-01-01T01:00:00+01:00", 0),
        ("2025-12-31T23:00:00.5-01:00", 0),
        ("2026-01-01T23:59-00:00", 86_340),
        ("2026-01-01T23:59+23:59", 0),
    ],
)
def test_a_date_or_a_time_of_rfc_3339_is_read_as_utc_by_default(text, seconds):
    assert to_epoch(text) == MIDNIGHT + seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "20260101",
        "2026-W01-4",
        "2026-W01",
        "2026W014",
        "2026-001",
        "2026-1-1",
        "2026-01",
        "26-01-01",
        "+2026-01-01",
        "-2026-01-01",
        "0000-01-01",
        "0000-02-29",
        "2026-00-01",
        "2026-13-01",
        "2026-01-01x00:00",
        "2026-01-01_00:00:00",
        "2026-01-01  00:00:00",
        "2026-01-01T",
        "2026-01-01Z",
        "2026-01-01T00",
        "2026-01-01T0000",
        "2026-01-01T000000Z",
        "2026-01-01T24:00",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-12-31T23:59:60Z",
        "2026-01-01T00:00:00.",
        "2026-01-01T00:00:00,5",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+01:00:01",
        "2026-01-01T00:00:00 Z",
        "2026-01-01T00:00:00ZZ",
        "2026-01-01T00:00:00Z\n",
        "2026-01-01\n",
        " 2026-01-01",
        "１９７０-01-01",
        "1970-01-0١",
    ],
)
def test_any_other_text_is_invalid(text):
    with pytest.raises(ValueError):
        to_epoch(text)


@pytest.mark.parametrize("year", [1, 4, 96, 100, 400, 999, 1000, 1900, 1970, 2000, 2024, 2026, 2100, 9996, 9999])
def test_the_pattern_matches_the_days_of_the_calendar(year):
    for month in range(14):
        days = calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0
        taken = [day for day in range(33) if re.fullmatch(PATTERN, f"{year:04}-{month:02}-{day:02}")]
        assert taken == list(range(1, days + 1))


@settings(max_examples=250)
@given(st.from_regex(PATTERN, fullmatch=True))
def test_a_text_that_matches_the_pattern_is_read_as_by_the_scorer(text):
    """The scorer only reads capital letters."""
    assert -MAX_EPOCH < to_epoch(text) == encoding.to_epoch(text.upper()) < MAX_EPOCH


PLACES = st.lists(st.tuples(st.integers(0, 19), st.sampled_from("0123456789-+:.,TtZzWx ٣")), max_size=4)


@settings(max_examples=400)
@given(st.datetimes(), PLACES)
def test_a_text_of_the_usual_shape_is_read_if_it_matches_the_pattern(moment, places):
    text = list(f"{moment.replace(microsecond=0).isoformat()}Z")
    for at, letter in places:
        text[at] = letter
    try:
        to_epoch("".join(text))
        taken = True
    except ValueError:
        taken = False
    assert taken == bool(re.fullmatch(PATTERN, "".join(text)))


ZONES = st.integers(-1_439, 1_439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


@given(st.datetimes(timezones=ZONES), st.sampled_from("T "))
def test_a_time_keeps_its_second_at_any_distance_from_1970(moment, separator):
    exact = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(seconds=1)
    assert to_epoch(moment.isoformat(separator)) == exact

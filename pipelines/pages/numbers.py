"""Numbers as texts of a report."""

import math
from collections.abc import Iterable


def plain_number(value: float | None) -> str:
    """Four significant digits; from a thousand on, whole numbers with thousands separators."""
    if value is None:
        return "not defined"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def decimals(value: float, digits: int) -> int:
    """How many decimals show a value with so many significant digits."""
    return max(0, digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])) if value else digits - 1


def describe_change(metric: str, delta: float, low: float, high: float) -> str:
    """A difference head - base with its 95 % confidence interval, in words."""
    places = decimals(max(abs(delta), abs(low), abs(high)), 3)
    interval = f"(95 % CI {low:z,.{places}f} to {high:z,.{places}f})"
    if delta == 0:
        return f"{metric} is unchanged {interval}"
    return f"{metric} {'rose' if delta > 0 else 'dropped'} by {abs(delta):,.{places}f} {interval}"


def number(value: float | None, like: float | None = None, digits: int = 4) -> str:
    """Four significant digits with thousands separators and a minus sign; a dash if it is not defined.

    Args:
        like: a value with whose number of decimals this one is shown.
    """
    if value is None or not math.isfinite(value):
        return "—"
    value += 0.0  # minus zero becomes zero
    places = decimals(value if like is None or not math.isfinite(like) else like, digits)
    if value and not round(value, places):
        places = decimals(value, 2)  # a small difference of large values must not be shown as zero
    text = f"{value:,.{places}f}" if places < 10 and abs(value) < 1e15 else f"{value:.2e}"
    return text.replace("-", "−")


def brief(value: float | None) -> str:
    """A number without zeros at its end."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def signed(value: float | None, like: float | None = None) -> str:
    """A difference, with its plus or minus."""
    text = number(value, like)
    return f"+{text}" if value is not None and math.isfinite(value) and value > 0 else text


def largest(values: Iterable[float | None]) -> float | None:
    """The largest size in a column of numbers, with whose decimals (`like`) all of them are shown; None without any."""
    return max((abs(value) for value in values if value is not None and math.isfinite(value)), default=None)


def percent(value: float | None, like: float | None = None) -> str:
    """A share as per cent."""
    if value is None or not math.isfinite(value):
        return "—"
    return f"{number(value * 100, None if like is None else like * 100, digits=3)} %"


def count(value: int | None) -> str:
    """A count with thousands separators."""
    return "—" if value is None else f"{value:,}".replace("-", "−")


def of(value: int, noun: str) -> str:
    """A count with its noun, in the plural if need be."""
    return f"{count(value)} {noun}{'s' * (value != 1)}"


def seconds(value: float) -> str:
    """Seconds, or minutes and seconds."""
    return f"{value:.1f} s" if round(value, 1) < 60 else f"{int(value + 0.5) // 60} min {int(value + 0.5) % 60} s"

"""Which texts are times, and when that is.

A date, or a date and a time as RFC 3339 writes it, of which seconds, their fraction and the zone may be left out, as
in tables; a space may stand for the T. Other forms of ISO 8601 (week dates, dates without dashes) are refused: versions
of Python differ about them, and no schema could tell a client. So are leap seconds, which have no number of their own.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

MAX_EPOCH = 2**40  # no calendar goes further, and milliseconds taken for seconds do
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)

_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LONG = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = "02-(?:0[1-9]|1[0-9]|2[0-8])"
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_DAY = f"(?:{_YEAR}-(?:{_LONG}|{_SHORT}|{_FEBRUARY})|{_LEAP_YEAR}-02-29)"
_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
# In the dialect that ECMAScript, Python and RE2 read alike: the OpenAPI document has it too.
PATTERN = rf"{_DAY}(?:[Tt ]{_MINUTE}(?::[0-5][0-9](?:\.[0-9]+)?)?(?:[Zz]|[+-]{_MINUTE})?)?"
_is_time = re.compile(PATTERN).fullmatch
# Of this shape Python reads what the pattern takes and nothing else, and it is looked at in less than half of the time.
_is_usual = re.compile("....-..-..T..:..:..Z").fullmatch


def to_epoch(value: str | int | float) -> int:
    """Seconds since 1970, cut downwards, of a text or of a number; a time without a zone is UTC.

    Raises:
        ValueError: if it is no time, or one beyond any calendar.
    """
    if isinstance(value, str):
        if not (_is_usual(value) or _is_time(value)):
            raise ValueError("not a time")
        # Without its Z a time is read as quickly as it can be, and Python 3.11 knows no small one.
        time = datetime.fromisoformat(value[:-1] if value[-1] in "Zz" else value)
        # Whole numbers all the way: a float has no microseconds left far from 1970.
        since = time - (_EPOCH_UTC if time.tzinfo else _EPOCH)
        return since.days * 86_400 + since.seconds
    seconds = math.floor(value)
    if not -MAX_EPOCH < seconds < MAX_EPOCH:
        raise ValueError("not a time")
    return seconds

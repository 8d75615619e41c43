"""The dates of cookies, which are read as leniently as browsers read them (RFC 6265bis 5.1.1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["parse_cookie_date"]

_tokens = re.compile(r"[^\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+").findall
_time = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_day = re.compile(r"([0-9]{1,2})(?![0-9])").match
_year = re.compile(r"([0-9]{2,4})(?![0-9])").match
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_cookie_date(text: str) -> float | None:
    """Return seconds since 1970, or None for what is no date."""
    hour = minute = second = day = month = year = None
    for token in _tokens(text):
        if hour is None and (found := _time(token)):
            hour, minute, second = (int(part) for part in found.groups())
        elif day is None and (found := _day(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _year(token)):
            year = int(found[1])
    if (
        hour is None
        or minute is None
        or second is None
        or day is None
        or month is None
        or year is None
    ):
        return None
    if year < 70:
        year += 2000
    elif year < 100:
        year += 1900
    if year < 1601:
        return None
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:  # no such day, or no such time
        return None

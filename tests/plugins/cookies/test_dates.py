"""Cookie dates: the algorithm of the RFC, beside two other clients that have it."""

from __future__ import annotations

from datetime import UTC, datetime
from http import cookiejar

import pytest
from aiohttp import CookieJar
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.plugins.cookies.dates import parse_cookie_date

http2time = vars(cookiejar)["http2time"]  # which its stubs do not have

THE_TIME = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "06 Nov 1994 08:49:37",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "nov 6 1994 08:49:37",
        "1994/NOVEMBER/6 8:49:37",
        "08:49:37 06 Nov 94",
        "6 Nov 94 8:49:37PM",  # what stands behind the seconds is not looked at
        "Tue, 6th November, 1994 at 08:49:37.25 Z",
    ],
)
def test_many_ways_to_write_one_time(text: str) -> None:
    assert parse_cookie_date(text) == THE_TIME


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "Sun, 06 Nov 1994",
        "06 Nov 08:49:37",
        "Nov 1994 08:49:37",
        "06 1994 08:49:37",
        "30 Feb 1994 08:49:37",
        "00 Nov 1994 08:49:37",
        "32 Nov 1994 08:49:37",
        "06 Nov 1600 08:49:37",
        "06 Nov 199 08:49:37",
        "06 Nov 19945 08:49:37",
        "06 Nov 1994 24:00:00",
        "06 Nov 1994 08:60:00",
        "06 Nov 1994 08:49:60",
        "06 Nov 1994 08:49",
        "06 Nov 1994 108:49:37",
        "٠٦ Nov ١٩٩٤ ٠٨:٤٩:٣٧",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_cookie_date(text) is None


@pytest.mark.parametrize(
    ("year", "full"), [("70", 1970), ("99", 1999), ("00", 2000), ("69", 2069), ("1601", 1601)]
)
def test_years_of_two_digits(year: str, full: int) -> None:
    expected = datetime(full, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert parse_cookie_date(f"Mon, 02-Jan-{year} 03:04:05 GMT") == expected


TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2068, 12, 31)).map(
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)


@given(
    TIMES,
    st.sampled_from(
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]
    ),
)
def test_what_servers_send_is_read_as_others_read_it(time: datetime, form: str) -> None:
    text = time.strftime(form)
    assert parse_cookie_date(text) == time.timestamp()
    if form.startswith("%a,"):  # of the others the standard library reads less
        assert http2time(text) == time.timestamp()
    theirs = CookieJar._parse_date(text)
    assert theirs is not None
    assert float(theirs) == time.timestamp()


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    parse_cookie_date(text)

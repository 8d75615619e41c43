"""The bytes of a request."""

from __future__ import annotations

import pytest

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http1 import LAST_CHUNK, chunk, request_head


def test_a_head_has_its_host_first() -> None:
    assert request_head("GET", "/x?", "h:1", [("A", "b"), ("C", "\u00fc")]) == (
        b"GET /x? HTTP/1.1\r\nHost: h:1\r\nA: b\r\nC: \xc3\xbc\r\n\r\n"
    )


def test_a_host_of_the_callers_takes_its_place() -> None:
    head = request_head("GET", "/", "h", [("host", "a"), ("X", "1"), ("HOST", "b")])
    assert head == b"GET / HTTP/1.1\r\nHost: b\r\nX: 1\r\n\r\n"


@pytest.mark.parametrize("bad", ["a\r\nB: c", "a\nb", "\x00", "\x7f", "\ud800"])
def test_nothing_is_smuggled(bad: str) -> None:
    for where in ({"target": "/" + bad}, {"host": bad}, {"fields": [("X", bad)]}):
        parts = {"method": "GET", "target": "/", "host": "h", "fields": [], **where}
        with pytest.raises(UnsafeHeaderError) as caught:
            request_head(**parts)  # type: ignore[arg-type]  # a dict of them
        assert caught.value.__context__ is None  # which would show all of the head


def test_chunks() -> None:
    assert chunk(b"x" * 26) + LAST_CHUNK == b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n"

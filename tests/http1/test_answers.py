"""What a parsed answer says: fields, lengths, whether the connection may be used again."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from ktor_client.http1 import AnswerError, AnswerParser
from ktor_client.http1.bodies import ChunkedBody
from ktor_client.http1.rules import MAX_CHUNK_LINE, MAX_HEAD, MAX_TRAILER
from tests.http1.reading import pieces, read_answer

OK = b"HTTP/1.1 200 OK\r\n"


def keeps(answer: bytes, method: str = "GET") -> bool:
    return read_answer([answer], method)[0].keeps


def test_fields_as_they_came() -> None:
    head, _, _ = read_answer([OK + b"X-B:  2 \t\r\nx-a: 1\r\nX-B:\r\nContent-Length: 0\r\n\r\n"])
    assert head.fields == [
        (b"X-B", b"2"), (b"x-a", b"1"), (b"X-B", b""), (b"Content-Length", b"0"),
    ]  # fmt: skip
    assert (head.version, head.reason) == ("1.1", b"OK")


def test_folds_become_blanks() -> None:
    head, _, _ = read_answer([OK + b"X: a\r\n \t b\r\n\tc\r\nContent-Length: 0\r\n\r\n"])
    assert head.fields[0] == (b"X", b"a b c")


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", True),
        (OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n", False),
        (OK + b"Content-Length: 0\r\nConnection: x, Close\r\n\r\n", False),
        (OK + b"Content-Length: 0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", True),
        (OK + b"\r\n", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
         b"0\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
    ],
)  # fmt: skip
def test_when_a_connection_is_kept(answer: bytes, kept: bool) -> None:
    assert keeps(answer) is kept


def test_the_server_tells_how_long_it_waits() -> None:
    head, _, _ = read_answer([OK + b"Keep-Alive: max=5, Timeout=7\r\nContent-Length: 0\r\n\r\n"])
    assert head.idle_limit == 7
    assert (
        read_answer([OK + b"Keep-Alive: soon\r\nContent-Length: 0\r\n\r\n"])[0].idle_limit is None
    )


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_no_body_whatever_the_length_says(status: bytes) -> None:
    _, content, surplus = read_answer([b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nhi"])
    assert (content, surplus) == (b"", b"hi")


def test_head_has_no_body() -> None:
    for framing in (b"Content-Length: 2", b"Transfer-Encoding: chunked"):
        _, content, surplus = read_answer([OK + framing + b"\r\n\r\nhi"], "HEAD")
        assert (content, surplus) == (b"", b"hi")


def test_a_trailer_is_kept() -> None:
    head, content, surplus = read_answer(
        [OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: 1\r\nY:2\r\n\r\nmore"]
    )
    assert (content, surplus) == (b"a", b"more")
    assert getattr(head.body, "trailer") == [(b"X", b"1"), (b"Y", b"2")]  # noqa: B009  # of chunks


@pytest.mark.parametrize(
    "rest",
    [
        b";" + b"a" * MAX_CHUNK_LINE,
        b"0\r\nX: " + b"a" * MAX_TRAILER,
        b"0\r\n\n",
        b"0\r\n\rX",
        b"11111111111111111\r\n",
        b"x",
        b"1\r\na\n",
        b"1;\x00\r\na\r\n0\r\n\r\n",
    ],
)
def test_broken_chunks_are_refused_at_once(rest: bytes) -> None:
    with pytest.raises(AnswerError):
        read_answer([OK + b"Transfer-Encoding: chunked\r\n\r\n", rest], is_handshake=False)


@pytest.mark.parametrize(
    "bad", [b"zz\r\n", b"\r\n", b"2\r\nabc", b"0\r\nX: y\n\n", b"0\r\n=\r\n\r\n"]
)
def test_what_came_before_a_fault_is_content_however_it_is_cut(bad: bytes) -> None:
    data = b"4\r\ngood\r\n6\r\n chunk\r\n" + bad
    for size in range(1, len(data) + 1):
        body, content = ChunkedBody(), b""
        for part in pieces(data, size):
            if body.fault is None:
                content += body.feed(part)
        assert body.fault is not None
        assert content.removesuffix(b"ab") == b"good chunk"


@pytest.mark.parametrize("size", [100, 4096, MAX_TRAILER * 2])
def test_a_trailer_has_its_limit_however_it_is_cut(size: int) -> None:
    for length in (MAX_TRAILER, MAX_TRAILER + 1):
        answer = OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n%b\r\n\r\n"
        parts = pieces(answer % b"X: ".ljust(length, b"a"), size)
        with nullcontext() if length == MAX_TRAILER else pytest.raises(AnswerError, match="long"):
            read_answer(parts)


def test_a_switch_of_protocols() -> None:
    head, content, surplus = read_answer(
        [b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x01a"], is_handshake=True
    )
    assert (head.status, content, surplus) == (101, b"", b"\x81\x01a")


def test_what_does_not_begin_as_an_answer_is_not_waited_for() -> None:
    for begin in (b"\x00", b"HTTP/2", b"HTP", b"<html>", b"HTTP/1.1 x"):
        parser = AnswerParser("GET")
        with pytest.raises(AnswerError, match="it starts with"):
            parser.feed(begin + b"\r\n\r\n")


def test_a_head_that_drips_costs_little_and_ends() -> None:
    parser = AnswerParser("GET")
    assert parser.feed(OK + b"X: ") is None
    assert parser.has_begun
    with pytest.raises(AnswerError, match="64 KiB"):
        for _ in range(MAX_HEAD):
            parser.feed(b"a")

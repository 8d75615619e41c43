"""What httpcore gets to see of an answer, however its bytes are cut."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from ktor_client.engine.deadlines import Deadline
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.engine.socket_stream import SocketStream
from ktor_client.engines._httpx.errors import ERRORS, NoAnswerError, UnheardError
from ktor_client.engines._httpx.network_stream import NetworkStream, Terms
from ktor_client.http1 import AnswerError
from ktor_client.http1.rules import MAX_INTERIM

INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
BARE_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
FRAMED_ANEW = b"2\r\nok\r\n0\r\n\r\n"
"""A chunk for each piece that has come, and no trailer."""


class Pieces(SocketStream):
    """Gives what it was given, so many bytes at a time, beside a socket where nothing comes."""

    ended_in_full = True

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self.data = data
        self.size = size

    async def read(self, size: int, limit: float | None = None) -> bytes:
        piece, self.data = self.data[: self.size], self.data[self.size :]
        return piece

    async def write(
        self, data: bytes, limit: float | None = None, is_moot: Callable[[], bool] | None = None
    ) -> None:
        """Answer at once."""


async def read_all(
    data: bytes, size: int, method: str = "GET", *, is_handshake: bool = False
) -> tuple[bytes, bool, bool]:
    """Ask once and read to the end, the empty piece; is the connection spent, and to be left?"""
    dialer = Dialer(SocketOptions(), ERRORS)
    ours, theirs = socket.socketpair()
    pieces = Pieces(data, size)
    await asyncio.get_running_loop().create_connection(lambda: pieces, sock=ours)
    stream = NetworkStream(pieces, dialer, lambda: False)
    terms = Terms(
        method, "h:80", lambda: Deadline(1), 1, is_handshake=is_handshake, may_repeat=False
    )
    try:
        await stream.write(b"GET / HTTP/1.1\r\n\r\n", terms)
        got = b""
        while piece := await stream.read(65536, terms):
            got += piece
        return got, stream.is_spent, stream.get_extra_info("is_readable")
    finally:
        theirs.close()
        await pieces.aclose()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("answer", "seen", "is_spent"),
    [
        (
            b"HTTP/1.1 200 Fine\nX: 1\nContent-Length: 2\nContent-Length: 2\n\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            False,
        ),
        (
            b"HTTP/1.0 404 No\r\nX: 1\r\n folded\r\n\r\nno",
            b"HTTP/1.1 404 OK\r\nConnection: close\r\n\r\nno",
            False,
        ),
        (CHUNKED + CHUNKS, BARE_CHUNKED + FRAMED_ANEW, False),
        (CHUNKED + CHUNKS + b"HTTP/1.1 200 EVIL", BARE_CHUNKED + FRAMED_ANEW, True),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 EVIL",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            True,
        ),
        (
            b"HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\nwrong",
            b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n",
            True,
        ),
    ],
    ids=["length", "until close", "chunks", "behind chunks", "behind a length", "behind nothing"],
)
async def test_a_head_says_no_more_than_where_the_body_ends(
    answer: bytes, seen: bytes, is_spent: bool, size: int
) -> None:
    if size == 1:
        seen = seen.replace(FRAMED_ANEW, b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n")
    assert await read_all(INTERIM * 3 + answer, size) == (seen, is_spent, is_spent)


async def test_what_comes_behind_a_101_passes() -> None:
    answer = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02ok"
    for size in (1, 1 << 20):
        got, _, _ = await read_all(answer, size, is_handshake=True)
        assert got.startswith(b"HTTP/1.1 101 ")
        assert got.endswith(b"\r\n\r\n\x81\x02ok")


async def test_an_answer_to_a_head_request_has_no_body() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    got, is_spent, _ = await read_all(answer, 1 << 20, "HEAD")
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert not is_spent


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTML", "it starts with b'HT"),
        (INTERIM + b"HTMLHTMLHTML", "it starts with b'H"),
        (INTERIM * (MAX_INTERIM + 1), "more than 16 interim answers"),
        (CHUNKED + b"zz\r\n", "is not a chunk's size"),
    ],
    ids=["no HTTP", "no HTTP after an interim answer", "interim", "bad chunk"],
)
async def test_what_is_no_answer_is_refused(data: bytes, text: str, size: int) -> None:
    with pytest.raises(AnswerError, match=text):
        await read_all(data, size)


async def test_an_end_before_an_answer_and_within_one() -> None:
    with pytest.raises(UnheardError, match=r"Server disconnected$"):
        await read_all(b"", 1)
    with pytest.raises(NoAnswerError, match="within the head of its answer"):
        await read_all(b"HTTP/1.1 2", 1)


async def test_a_connection_that_the_server_keeps_for_a_while() -> None:
    answer = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n"
    _, is_spent, is_to_be_left = await read_all(answer, 1 << 20)
    assert (is_spent, is_to_be_left) == (False, True)

"""How an answer begins, byte by byte, before httpcore makes anything of it."""

from __future__ import annotations

import httpcore
import pytest

from ktor_client.engine.dialer import Dialer
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.engine.socket_stream import SocketStream
from ktor_client.engines._httpx.errors import ERRORS
from ktor_client.engines._httpx.transport import NetworkStream, PoolTransport
from ktor_client.http1.rules import MAX_INTERIM

INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


class Pieces(SocketStream):
    """Gives what it was given, so many bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self.data = data
        self.size = size

    async def read(self, size: int) -> bytes:
        piece, self.data = self.data[: self.size], self.data[self.size :]
        return piece

    async def write(self, data: bytes) -> None:
        """Answer at once."""


async def read_all(data: bytes, size: int) -> bytes:
    """Ask once and read to the end."""
    owner = PoolTransport(Dialer(SocketOptions(), ERRORS))
    stream = NetworkStream(Pieces(data, size), owner)
    await stream.write(b"GET / HTTP/1.1\r\n\r\n")
    got = b""
    while piece := await stream.read(65536):
        got += piece
    return got


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + INTERIM * (MAX_INTERIM + 1) + b"not HTTP",
        b"HTTP/1.1 101 Switching\r\n\r\nnot HTTP" + INTERIM * (MAX_INTERIM + 1),
        b"HTTP/1.0 500 Oops\n\nnot HTTP",
        b"",
    ],
    ids=["200", "101", "bare line feeds", "nothing"],
)
async def test_an_answer_passes(answer: bytes, size: int) -> None:
    data = INTERIM * 3 + answer
    assert await read_all(data, size) == data


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTML", "it begins b'HT"),
        (INTERIM + b"HTMLHTMLHTML", "it begins b'H"),
        (INTERIM * (MAX_INTERIM + 1), "more than 1000 interim answers"),
        (INTERIM.replace(b"\r", b"") * (MAX_INTERIM + 1), "more than 1000 interim answers"),
    ],
    ids=["no HTTP", "no HTTP after an interim answer", "interim", "interim, bare line feeds"],
)
async def test_what_is_no_answer_is_refused(data: bytes, text: str, size: int) -> None:
    with pytest.raises(httpcore.RemoteProtocolError, match=text):
        await read_all(data, size)

"""Bodies with a content-encoding: undone in small pieces, also where they are a bomb."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import httpx
import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import HttpxEngine
from ktor_client.engines._httpx.decoding import _PIECE, decoder_for
from ktor_client.errors import ConnectError
from tests.support.raw_server import Peer, Script, raw_server
from tests.support.receiver import get, open_link

PLAIN = b"unpacked" * 200_000


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def answering(status: int, encoding: str, body: bytes) -> Script:
    """Return a script that answers so; the client may leave before the end."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = f"HTTP/1.1 {status} X\r\nContent-Encoding: {encoding}\r\n"
        try:
            await peer.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body)
        except OSError:
            pass

    return script


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PLAIN)),
        ("GZip", gzip.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", _raw_deflate(PLAIN)),
        ("identity", PLAIN),
    ],
    ids=["gzip", "other case", "deflate", "deflate without a header", "identity"],
)
async def test_a_packed_body(engine: EngineFactory, encoding: str, body: bytes) -> None:
    client = engine()
    async with raw_server(answering(200, encoding, body)) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = [chunk async for chunk in response.chunks()]
        assert b"".join(chunks) == PLAIN
        assert all(chunks)
        await client.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_packed_body_without_a_byte(engine: EngineFactory, encoding: str) -> None:
    client = engine()
    async with raw_server(answering(200, encoding, b"")) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == b""
        await client.close()


async def test_a_packed_body_that_is_cut(engine: EngineFactory) -> None:
    """Its length was kept, so it is taken as it is: some servers leave gzip's end out."""
    body = gzip.compress(PLAIN)[:-8]
    client = engine()
    async with raw_server(answering(200, "gzip", body)) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == PLAIN
        await client.close()


@pytest.mark.parametrize(
    ("encoding", "packed", "plain"),
    [
        ("gzip", gzip.compress(PLAIN) + bytes(512), PLAIN),
        ("gzip", gzip.compress(PLAIN) * 2, PLAIN * 2),
        ("deflate", zlib.compress(PLAIN) + b"more", PLAIN),
    ],
    ids=["padding", "members", "deflate and more"],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_follows_a_packed_body(encoding: str, packed: bytes, plain: bytes, size: int) -> None:
    response = httpx.Response(200, headers={"content-encoding": encoding})
    decode = decoder_for(response, asked=True)
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    got = b"".join(chunk for piece in [*pieces, None] for chunk in decode(piece))
    assert got == plain


def test_a_member_that_is_a_whole_piece() -> None:
    """The end of the last piece and the end of the member come at once."""
    plain = bytes(_PIECE)
    decode = decoder_for(httpx.Response(200, headers={"content-encoding": "gzip"}), asked=True)
    chunks = [*decode(gzip.compress(plain)), *decode(gzip.compress(b"x")), *decode(None)]
    assert b"".join(chunks) == plain + b"x"


async def test_packed_twice() -> None:
    twice = zlib.compress(gzip.compress(PLAIN))
    client = HttpxEngine()
    async with raw_server(answering(200, "gzip, deflate", twice)) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == PLAIN
        await client.close()


async def test_packed_twice_and_broken() -> None:
    client = HttpxEngine()
    async with raw_server(answering(200, "gzip, deflate", b"hello")) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        with pytest.raises(ConnectError, match="could not decode"):
            await response.body_as_bytes()
        await client.close()


async def test_a_packed_refusal(engine: EngineFactory) -> None:
    client = engine()
    async with raw_server(answering(403, "gzip", gzip.compress(b"no"))) as server:
        upgrade = await open_link(client, server.url)
        assert await upgrade.response.body_as_bytes() == b"no"
        await client.close()


async def test_a_refusal_that_is_a_bomb() -> None:
    """Of a refusal a mebibyte is kept, and not much more is ever unpacked."""
    bomb = gzip.compress(bytes(100_000_000))
    client = HttpxEngine()
    async with raw_server(answering(403, "gzip", bomb)) as server, asyncio.timeout(50):
        tracemalloc.start()
        try:
            upgrade = await open_link(client, server.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert await upgrade.response.body_as_bytes() == bytes(1 << 20)
        assert peak < 8 << 20
        await client.close()


async def test_a_refusal_that_is_a_bomb_in_a_bomb() -> None:
    """Nobody asked for it: it is kept as it is."""
    bomb = gzip.compress(gzip.compress(bytes(100_000_000)))
    client = HttpxEngine()
    async with raw_server(answering(403, "gzip, gzip", bomb)) as server:
        upgrade = await open_link(client, server.url)
        assert await upgrade.response.body_as_bytes() == bomb
        await client.close()

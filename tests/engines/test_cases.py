"""Answers that could mean two things: what each engine makes of them, and what comes next.

Whatever the answer, the next request on the same client gets its own.
"""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp.client_proto import ResponseHandler

from ktor_client import ConnectError, HttpClient
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine
from ktor_client.http1 import AnswerError
from tests.http1.cases import CASES, Case
from tests.http1.reading import pieces, read_answer
from tests.support.raw_server import Peer, raw_server

KINDS = tuple(dict.fromkeys(case.kind for case in CASES))


def waits_for_the_end(case: Case) -> bool:
    """Whether the answer is over, or known to be none, only when the connection ends."""
    try:
        head, content, _ = read_answer([case.answer], case.method)
    except AnswerError as error:
        return "RFC 9112 8" in str(error)
    except EOFError:
        return True
    return not head.keeps and bool(content) and not head.body.framing


@pytest.mark.parametrize("kind", KINDS)
async def test_each_request_gets_its_own_answer(engine: EngineFactory, kind: str) -> None:
    case = CASES[0]
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        own = b"%d of %s" % (connections, case.what.encode())
        try:
            await peer.read_request()
            if b"GET /next" not in peer.request:
                await peer.send(case.answer)
                if waits_for_the_end(case):
                    peer.writer.write_eof()
                await peer.read_request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(own), own))
        except (asyncio.IncompleteReadError, OSError):
            return

    for case in CASES:
        if case.kind != kind:
            continue
        connections = 0
        async with (
            raw_server(script) as server,
            asyncio.timeout(20),
            HttpClient(engine(limit=1)) as client,
        ):
            url = f"http://127.0.0.1:{server.port}/"
            try:
                response = await client.request(case.method, url)
                got = response.status, await response.body_as_bytes()
            except ConnectError:
                got = 0, b""
            assert got == (case.status, case.body), case.what
            own = await (await client.get(f"{url}next")).body_as_text()
            count = 1 if case.keeps and not case.surplus else 2
            assert own == f"{count} of {case.what}"
            await client.engine.close()


PACKED = gzip.compress(b"what was meant", mtime=0)
WHOLE = (
    b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x;n=v\r\n%b\r\n" % (len(part), part) for part in pieces(PACKED, 11))
    + b"0\r\nX-Sum: 1\r\n\r\n"
)
"""An interim answer, and one that is packed, in chunks with extensions, with a trailer."""


@pytest.mark.parametrize("is_cut_once", [True, False], ids=["each cut", "each size"])
async def test_an_answer_comes_in_pieces(engine: EngineFactory, is_cut_once: bool) -> None:
    """One request after another on one connection, which is kept."""
    ways = (
        [[WHOLE[:cut], WHOLE[cut:]] for cut in range(1, len(WHOLE))]
        if is_cut_once
        else [pieces(WHOLE, size) for size in range(1, 40)]
    )
    left = iter(ways)
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        for parts in left:
            await peer.read_request()
            for part in parts:
                await peer.send(part)
                for _ in range(3):  # the client has the part before the next one comes
                    await asyncio.sleep(0)
        await peer.read_eof()

    async with (
        raw_server(script) as server,
        asyncio.timeout(50),
        HttpClient(engine(limit=1)) as client,
    ):
        for _ in ways:
            response = await client.get(f"http://127.0.0.1:{server.port}/")
            assert await response.body_as_text() == "what was meant"
        await client.engine.close()
    assert connections == 1


async def test_aiohttp_gets_frames_of_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside Python's development mode its parser forgives what could mean two things."""
    got: list[bytes] = []
    real = ResponseHandler.data_received

    def data_received(self: ResponseHandler, data: bytes) -> None:
        got.append(data)
        real(self, data)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2;a=b\r\nhi\r\n003\r\n, u\r\n0;c\r\nX-Sum: 1\r\n\r\nmore"
        )
        await peer.read_eof()

    monkeypatch.setattr(ResponseHandler, "data_received", data_received)
    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(AiohttpEngine) as client,
    ):
        response = await client.get(f"http://127.0.0.1:{server.port}/")
        assert await response.body_as_text() == "hi, u"
    assert b"".join(got) == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi, u\r\n0\r\n\r\n"
    )

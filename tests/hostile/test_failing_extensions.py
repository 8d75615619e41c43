"""Extensions whose code fails: the session ends and says why, whatever it was doing."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.link import FrameLink
from ktor_client.plugin import PluginScope, client_plugin
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    ExtensionParameters,
    WebSocketExtension,
)
from ktor_client.session.call import HttpClientCall
from ktor_client.testing import MockPeerSession
from tests.support.raw_server import CLOSE, PING, TEXT, Peer, close_frame, frame, raw_server

RSV = 0x40


class Picky(ExtensionCodec):
    """Changes nothing; fails on a payload with "bad" in it, and at the end if told to."""

    def __init__(self, *, fails_at_the_end: bool = False) -> None:
        self.fails_at_the_end = fails_at_the_end

    def encode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        return payload

    def decode(self, payload: bytes, *, first: bool, fin: bool, limit: int) -> bytes:
        if b"bad" in payload:
            raise LookupError("the table has no such entry")
        return payload

    def close(self) -> None:
        if self.fails_at_the_end:
            raise LookupError("closed twice")


class Pickiness(WebSocketExtension):
    """Offers itself without parameters."""

    name = "x-picky"
    rsv = RSV

    def __init__(self, *, fails_at_the_end: bool = False) -> None:
        self.fails_at_the_end = fails_at_the_end

    def offers(self) -> Sequence[ExtensionParameters]:
        return [[]]

    def accept(self, parameters: ExtensionParameters) -> Picky:
        return Picky(fails_at_the_end=self.fails_at_the_end)

    def agree(self, parameters: ExtensionParameters) -> tuple[ExtensionParameters, Picky]:
        return [], Picky()


WAYS = {
    "a message": frame(TEXT, b"bad", rsv=RSV),
    "a fragment": frame(TEXT, b"ba", rsv=RSV, fin=False) + frame(0, b"d and bad"),
    "a long one": frame(TEXT, b"bad" * 50_000, rsv=RSV),
    "what is left for the next step": frame(PING) * 1024 + frame(TEXT, b"bad", rsv=RSV),
}


@pytest.mark.parametrize("when", ["with the 101", "later"])
@pytest.mark.parametrize("data", WAYS.values(), ids=WAYS)
async def test_what_cannot_be_decoded(engine: EngineFactory, data: bytes, when: str) -> None:
    closes: list[int | None] = []

    async def script(peer: Peer) -> None:
        rest = frame(TEXT, b"good", rsv=RSV) + data + frame(TEXT, b"behind it")
        if when == "later":
            await peer.upgrade("Sec-WebSocket-Extensions: x-picky")
            await peer.send(rest)
        else:
            await peer.upgrade("Sec-WebSocket-Extensions: x-picky", trailing=rest)
        closes.append((await peer.read_close())[0])

    plugin = install(WebSockets, extensions=[Pickiness()])
    async with (
        asyncio.timeout(20),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == "good"
            with pytest.raises(ConnectionClosedError, match="could not be decoded") as caught:
                await session.receive_text()
        error = caught.value
        assert error.reason == CloseReason(1011, "What came could not be decoded")
        assert isinstance(error.__cause__, LookupError)
        assert "test_failing_extensions.py" in error.__cause__.__notes__[0]
        assert ", decode" in error.__cause__.__notes__[0]
    assert closes == [1011]


async def test_in_memory() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.send("good")
        await session.send("bad")
        await session.wait_closed()

    engine = MockEngine()
    engine.on_web_socket("/", peer, extensions=[Pickiness()])
    async with HttpClient(engine, install(WebSockets, extensions=[Pickiness()])) as client:
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "good"
            with pytest.raises(ConnectionClosedError) as caught:
                await session.receive_text()
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.reason.code == 1011


async def test_an_end_that_fails_is_told_and_strands_nobody(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: x-picky")
        await peer.read_frame()
        peer.reset()

    told: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    plugin = install(WebSockets, extensions=[Pickiness(fails_at_the_end=True)])
    async with (
        asyncio.timeout(20),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        await session.send("leave")
        assert (await session.close_reason).code == 1006
        await session.wait_closed()
    assert [str(error) for error in told] == ["closed twice"]


class Held(Pickiness):
    """Its codecs hold something; with an error it makes none."""

    def __init__(self, name: str, rsv: int, held: set[str], error: Exception | None = None) -> None:
        self.name, self.rsv, self.held, self.error = name, rsv, held, error

    def accept(self, parameters: ExtensionParameters) -> Picky:
        if self.error is not None:
            raise self.error
        self.held.add(self.name)
        return Holding(self.held, self.name)


class Holding(Picky):
    def __init__(self, held: set[str], name: str) -> None:
        self.held, self.name = held, name

    def close(self) -> None:
        self.held.remove(self.name)


@client_plugin
def spoiling(scope: PluginScope) -> None:
    def spoil(link: FrameLink, call: HttpClientCall) -> FrameLink:
        raise LookupError("spoilt")

    scope.on_link(spoil)


@pytest.mark.parametrize("error", [None, LookupError("spoilt"), ValueError("spoilt")])
async def test_what_was_negotiated_is_freed_where_opening_fails(
    engine: EngineFactory, error: Exception | None
) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: x-1, x-2, x-3")

    held: set[str] = set()
    extensions = [Held("x-1", 0x40, held), Held("x-2", 0x20, held), Held("x-3", 0x10, held, error)]
    plugin = install(WebSockets, extensions=extensions)
    spoilt = [install(spoiling)] if error is None else []
    async with (
        asyncio.timeout(20),
        raw_server(script) as server,
        HttpClient(engine, plugin, *spoilt) as client,
    ):
        with pytest.raises((LookupError, WebSocketHandshakeError), match="spoilt"):
            await client.web_socket_session(server.url)
    assert not held


# --- what is sent


class Greedy(Picky):
    """Encodes nothing once it is out of memory, but only once."""

    is_full = False

    def encode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        if self.is_full:
            self.is_full = False
            raise MemoryError("in an extension")
        return payload


class Greed(Pickiness):
    """Has one codec."""

    rsv = 0x20

    def __init__(self) -> None:
        super().__init__()
        self.codec = Greedy()

    def accept(self, parameters: ExtensionParameters) -> Picky:
        return self.codec


@pytest.mark.parametrize("how", ["send", "send_nowait", "send_stream"])
@pytest.mark.parametrize("what", ["an extension behind it", "zlib", "masking"])
async def test_what_failed_on_its_way_leaves_no_trace_in_the_compression(
    engine: EngineFactory, what: str, how: str
) -> None:
    """A message that refers to what the peer never got cannot be read, nor can those behind it."""
    words = "words that come again and again, " * 4
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate, x-picky")
        window = zlib.decompressobj(-15)
        while True:
            first, payload = await peer.read_frame()
            if first & 0x0F == CLOSE:
                break
            got.append(window.decompress(payload + b"\0\0\xff\xff"))
        await peer.send(close_frame(1000))

    async def chunks() -> AsyncIterator[str]:
        yield words

    greed = Greed()
    plugin = install(WebSockets, extensions=[WebSocketDeflate(), greed])
    async with (
        asyncio.timeout(20),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        async with client.web_socket(server.url) as session:
            await session.send("first")
            link: Any = session._link
            if what == "an extension behind it":
                greed.codec.is_full = True
            elif what == "zlib":
                Full(link._encoder._extensions[0][1], "_deflater")
            else:
                Full(link._encoder, "_mask")
            with pytest.raises(MemoryError):
                if how == "send":
                    await session.send(words)
                elif how == "send_nowait":
                    session.outgoing.send_nowait(Frame.Text(words))
                else:
                    await session.send_stream(chunks())
            for number in range(3):
                await session.send(words + str(number))
    assert got == [b"first", *(f"{words}{number}".encode() for number in range(3))]


class Full:
    """Stands in an attribute for a function, or for a compressor, and fails once."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name, self._real = owner, name, getattr(owner, name)
        setattr(owner, name, self)

    def compress(self, data: bytes) -> Any:
        return self._real.compress(data)

    def flush(self, mode: int) -> bytes:
        self._real.flush(mode)
        return self()

    def __call__(self, *_: object) -> bytes:
        setattr(self._owner, self._name, self._real)
        raise MemoryError("there is none")

"""Our client, on each socket engine, against each foreign server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

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
from ktor_client.plugins import WebSockets

from .lanes import DEFLATE, LANES, PINGING_LANES, TELLING_LANES, Server

pytestmark = [pytest.mark.interop, pytest.mark.timeout(30, func_only=True)]
on_deflating_lanes = pytest.mark.parametrize(
    ("server", "deflate"),
    [
        pytest.param(lane, way, marks=() if way in ("plain", "deflate") else pytest.mark.exhaustive)
        for lane in LANES
        for way in DEFLATE
        if way not in lane.cannot_deflate
    ],
    indirect=True,
    ids=str,
)
on_pinging_lanes = pytest.mark.parametrize("server", PINGING_LANES, indirect=True, ids=str)
on_telling_lanes = pytest.mark.parametrize("server", TELLING_LANES, indirect=True, ids=str)

MIB = 2**20


@pytest.fixture
async def client(engine: EngineFactory) -> AsyncIterator[HttpClient]:
    async with HttpClient(engine, install(WebSockets)) as client:
        yield client


@pytest.fixture
def deflate(request: pytest.FixtureRequest) -> str:
    """The way to negotiate deflate, a key of `DEFLATE`."""
    return str(request.param)


@pytest.fixture
async def deflating(client: HttpClient, deflate: str) -> AsyncIterator[HttpClient]:
    """A client on the same engine, with deflate as the parameter says."""
    async with client.config(install(WebSockets, extensions=DEFLATE[deflate])) as derived:
        yield derived


def with_empties(
    server: Server, deflate: str, messages: Sequence[str | bytes]
) -> list[str | bytes]:
    """The messages, an empty one after each where the server can compress that."""
    empties = server.lane.deflates_empty or deflate in ("plain", "server-no-context")
    return [
        part for message in messages for part in ((message, message[:0]) if empties else (message,))
    ]


async def test_http_get(client: HttpClient, server: Server) -> None:
    response = await client.get(server.http("/hello"))
    assert response.status == 200
    assert await response.body_as_text() == f"hello from {server.lane}"


@on_deflating_lanes
async def test_echo(deflating: HttpClient, server: Server, deflate: str) -> None:
    small: list[str | bytes] = [
        "hello",
        "жук 🪲",
        bytes(range(256)),
        "a" * 125,
        "b" * 126,
        b"c" * 65535,
        "d" * 65536,
    ]
    large: list[str | bytes] = ["ж" * (MIB // 2), bytes(range(256)) * (MIB // 256)]
    async with deflating.web_socket(server.ws("/echo")) as session:
        assert bool(session.extensions) is (deflate != "plain")
        for message in with_empties(server, deflate, small + large):
            await session.send(message)
            frame = await session.incoming.receive()
            assert frame == (
                Frame.Text(message) if isinstance(message, str) else Frame.Binary(message)
            )
    assert (await session.close_reason).clean


@on_deflating_lanes
async def test_echo_of_a_pipelined_thousand(
    deflating: HttpClient, server: Server, deflate: str
) -> None:
    messages = [f"{i} " * (i % 50 + 1) for i in range(1000)]
    async with deflating.web_socket(server.ws("/echo")) as session:

        async def send_all() -> None:
            for message in messages:
                await session.send(message)

        sender = asyncio.create_task(send_all())
        assert [await session.receive_text() for _ in messages] == messages
        await sender


@on_deflating_lanes
async def test_echo_of_a_fragmented_message(
    deflating: HttpClient, server: Server, deflate: str
) -> None:
    async def chunks() -> AsyncIterator[str]:
        for i in range(100):
            yield f"жук {i} "

    async with deflating.web_socket(server.ws("/echo")) as session:
        for _ in range(2):
            await session.send_stream(chunks())
            assert await session.receive_text() == "".join(f"жук {i} " for i in range(100))


@on_deflating_lanes
async def test_a_thousand_messages_then_a_normal_end(
    deflating: HttpClient, server: Server, deflate: str
) -> None:
    async with deflating.web_socket(server.ws("/count?n=1000")) as session:
        assert [message async for message in session] == [str(i) for i in range(1000)]
        reason = await session.close_reason
        assert (reason.code, reason.message, reason.clean) == (1000, "done", True)


async def test_we_ping(client: HttpClient, server: Server) -> None:
    async with client.web_socket(server.ws("/echo")) as session:
        assert await session.ping(b"are you there") > 0
        assert await session.ping() > 0
        await session.send("still here")
        assert await session.receive_text() == "still here"


@on_pinging_lanes
async def test_we_are_pinged(client: HttpClient, server: Server) -> None:
    async with client.web_socket(server.ws("/ping")) as session:
        assert await session.receive_text() == "pong: are you there"


@pytest.mark.parametrize("offered", [["v2.interop"], ["v0.interop", "v1.interop"]], ids=str)
async def test_subprotocol(client: HttpClient, server: Server, offered: list[str]) -> None:
    async with client.web_socket(server.ws("/subprotocol"), subprotocols=offered) as session:
        assert session.subprotocol == offered[-1]
        await session.send("hello")
        assert await session.receive_text() == "hello"


async def test_no_subprotocol(client: HttpClient, server: Server) -> None:
    async with client.web_socket(server.ws("/echo")) as session:
        assert session.subprotocol is None


async def test_the_server_closes(client: HttpClient, server: Server) -> None:
    async with client.web_socket(server.ws("/close")) as session:
        with pytest.raises(ConnectionClosedError) as end:
            await session.incoming.receive()
        reason = await session.close_reason
        assert reason == end.value.reason == CloseReason(4001, "bye")
        assert reason.clean
        assert reason.received == reason.sent == CloseReason(4001, "bye")


async def recorded(client: HttpClient, server: Server, session_id: str) -> str:
    """The code and reason that the server saw at the end of that session."""
    return await (await client.get(server.http(f"/recorded?id={session_id}"))).body_as_text()


@pytest.fixture
def session_id(request: pytest.FixtureRequest, server: Server) -> str:
    return "".join(filter(str.isalnum, request.node.name))


@on_telling_lanes
async def test_we_close(client: HttpClient, server: Server, session_id: str) -> None:
    async with client.web_socket(server.ws(f"/record?id={session_id}")) as session:
        await session.send("about to leave")
        await session.close(CloseReason(4002, "so long"))
        reason = await session.close_reason
        assert reason.clean
        assert reason.sent == CloseReason(4002, "so long")
    assert await recorded(client, server, session_id) == "4002 so long"


@on_telling_lanes
async def test_we_leave_the_body(client: HttpClient, server: Server, session_id: str) -> None:
    async with client.web_socket(server.ws(f"/record?id={session_id}")) as session:
        await session.send("about to leave")
    assert (await recorded(client, server, session_id)).split()[0] == "1000"


@on_telling_lanes
async def test_we_fail(client: HttpClient, server: Server, session_id: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with client.web_socket(server.ws(f"/record?id={session_id}")) as session:
            await session.send("about to fail")
            _ = 1 / 0
    assert (await recorded(client, server, session_id)).split()[0] == "1011"


@on_telling_lanes
async def test_we_are_cancelled(client: HttpClient, server: Server, session_id: str) -> None:
    opened = asyncio.Event()

    async def listen() -> None:
        async with client.web_socket(server.ws(f"/record?id={session_id}")) as session:
            opened.set()
            await session.incoming.receive()

    task = asyncio.create_task(listen())
    await opened.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert (await recorded(client, server, session_id)).split()[0] == "1001"


async def test_refusal(client: HttpClient, server: Server) -> None:
    with pytest.raises(WebSocketHandshakeError) as refusal:
        async with client.web_socket(server.ws("/refuse")):
            pytest.fail("refused, and yet open")
    assert refusal.value.response.status == 403
    assert await refusal.value.response.body_as_text() == "no entry"
    assert "but was 403" in str(refusal.value)


async def test_a_refusal_does_no_harm(client: HttpClient, server: Server) -> None:
    """Hypercorn hangs up behind its refusal without a word: such a connection has no future."""
    for _ in range(2):
        with pytest.raises(WebSocketHandshakeError, match="but was 403"):
            await client.web_socket_session(server.ws("/refuse"))
    assert (await client.get(server.http("/hello"))).status == 200


async def test_many_sessions_and_requests_at_once(client: HttpClient, server: Server) -> None:
    async def talk(i: int) -> str:
        async with client.web_socket(server.ws("/echo")) as session:
            await session.send(f"hello {i}")
            response = await client.get(server.http("/hello"))
            assert response.status == 200
            return await session.receive_text()

    talks = await asyncio.gather(*(talk(i) for i in range(20)))
    assert talks == [f"hello {i}" for i in range(20)]

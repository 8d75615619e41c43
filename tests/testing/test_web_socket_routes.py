"""The echo server's WebSocket routes: those of Ktor's test server, and those that break rules."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    ProtocolViolationError,
    WebSocketHandshakeError,
    bearer_auth,
    install,
)
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.testing import EchoServer


async def asked(client: HttpClient, server: EchoServer, target: str) -> dict[str, Any]:
    response = await client.get(server.http_url + target)
    assert response.status == 200
    found: dict[str, Any] = await response.body(dict)
    return found


async def messages(client: HttpClient, server: EchoServer, path: str) -> list[str | bytes]:
    async with client.web_socket(server.url + path) as session:
        return [message async for message in session]


# --- Ktor's routes ---


@pytest.mark.parametrize("prefix", ["", "/websockets"])
async def test_echo(client: HttpClient, server: EchoServer, prefix: str) -> None:
    async with client.web_socket(f"{server.url}{prefix}/echo") as session:
        for frame in (Frame.Text("hello"), Frame.Binary(b"\x00"), Frame.Text("")):
            await session.send(frame)
            assert await session.incoming.receive() == frame
        await session.close(CloseReason(4001, "enough"))
        assert session.close_reason.received == CloseReason(4001, "enough")


async def test_receive_backpressure(client: HttpClient, server: EchoServer) -> None:
    seen = await messages(client, server, "/receive-backpressure")
    assert seen == [f"Hello {i}" for i in range(1001)]


async def test_headers(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/headers", headers={"X-Id": "7"}) as session:
        seen = json.loads(await session.receive_text())
    assert seen["X-Id"] == ["7"]
    assert seen["Sec-WebSocket-Version"] == ["13"]


async def test_close(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/close") as session:
        await session.send("more")
        await session.send("End")
        assert await session.close_reason == CloseReason(1000, "End")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("code=4001&reason=bye", CloseReason(4001, "bye")),
        ("code=1001", CloseReason(1001)),
        ("code=none", CloseReason(1005)),
        ("code=1006", CloseReason(1011, "illegal code or reason")),
    ],
)
async def test_close_as_asked(
    client: HttpClient, server: EchoServer, query: str, reason: CloseReason
) -> None:
    async with client.web_socket(f"{server.url}/close?{query}") as session:
        assert await session.close_reason == reason


async def test_echo_query(client: HttpClient, server: EchoServer) -> None:
    assert await messages(client, server, "/echo-query?param=hello%20there") == ["hello there"]


async def test_count_pong(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/count-pong") as session:
        await session.send("count pong")
        assert await session.receive_text() == "1"


async def test_sub_protocol(client: HttpClient, server: EchoServer) -> None:
    url = f"{server.url}/sub-protocol"
    async with client.web_socket(url, subprotocols=["other", "test-protocol"]) as session:
        assert session.subprotocol == "test-protocol"
        await session.send("hello")
        assert await session.receive_text() == "hello"
    with pytest.raises(WebSocketHandshakeError, match="400"):
        async with client.web_socket(url):
            pytest.fail("opened without the subprotocol")


async def test_text(client: HttpClient, server: EchoServer) -> None:
    assert await messages(client, server, "/text?size=24000") == ["x" * 24_000]


async def test_authorization(client: HttpClient, server: EchoServer) -> None:
    url = f"{server.url}/auth/websocket"
    async with client.web_socket(url, bearer_auth("valid")) as session:
        assert await session.receive_text() == "Hello from server"
    with pytest.raises(WebSocketHandshakeError) as refused:
        async with client.web_socket(url, bearer_auth("invalid")):
            pytest.fail("opened with a wrong token")
    assert refused.value.response.status == 401
    basic = f"ws://user1:Password1@127.0.0.1:{server.port}/auth/basic/ws/1"
    async with client.web_socket(basic, subprotocols=["ocpp2.0", "ocpp1.6"]) as session:
        assert session.subprotocol == "ocpp2.0"
        await session.send("hello")
        assert await session.receive_text() == "hello"


async def test_refusals(client: HttpClient, server: EchoServer) -> None:
    for path, status in (("/500", 500), ("/status/403?body=no", 403), ("/nowhere", 404)):
        with pytest.raises(WebSocketHandshakeError) as refused:
            async with client.web_socket(server.url + path):
                pytest.fail("opened")
        assert refused.value.response.status == status


# --- routes for tests ---


async def test_redirected_handshakes(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/redirect/3") as session:
        assert session.call.request.url.path == "/echo"


async def test_count(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/count?n=3") as session:
        assert [message async for message in session] == ["0", "1", "2"]
        assert session.close_reason == CloseReason(1000, "done")


async def test_send(client: HttpClient, server: EchoServer) -> None:
    path = "/send?n=3&size=5&type=binary&code=1000"
    assert await messages(client, server, path) == [b"xxxxx"] * 3
    async with client.web_socket(f"{server.url}/send") as session:
        assert await session.receive_text() == "x" * 100
        await session.send("then an echo")
        assert await session.receive_text() == "then an echo"


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_fragments(client: HttpClient, server: EchoServer, kind: str) -> None:
    url = f"{server.url}/fragments?type={kind}&ping=yes"
    async with client.web_socket(url) as session:
        message = (await session.incoming.receive()).data
        assert message == b"aaaabbbbcccc"
    async with client.web_socket_raw(url) as raw:
        frames = [await raw.incoming.receive() for _ in range(6)]
    assert [(frame.frame_type.name, frame.fin, frame.data) for frame in frames] == [
        (kind.upper(), False, b"aaaa"),
        ("PING", True, b"between 1"),
        (kind.upper(), False, b"bbbb"),
        ("PING", True, b"between 2"),
        (kind.upper(), False, b"cccc"),
        (kind.upper(), True, b""),
    ]


async def test_ping(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/ping?n=3") as session:
        assert await session.receive_text() == "pong: are you there"


async def test_keepalive_as_asked(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket_raw(f"{server.url}/echo?ping_interval=0.01") as session:
        first = await session.incoming.receive()
        assert isinstance(first, Frame.Ping)
        await session.send(Frame.Pong(first.data))
        assert isinstance(await session.incoming.receive(), Frame.Ping)


async def test_a_peer_that_gives_up(client: HttpClient, server: EchoServer) -> None:
    url = f"{server.url}/echo?ping_interval=0.01&timeout=0.01&close_timeout=0.01"
    async with client.web_socket_raw(url) as session:
        assert isinstance(await session.incoming.receive(), Frame.Ping)
        close = await session.incoming.receive()
        assert close == Frame.Close(CloseReason(1011, "Ping timeout"))


async def test_a_limit_as_asked(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(
        f"{server.url}/echo?max_frame_size=10&close_timeout=0.01"
    ) as session:
        await session.send("x" * 11)
        assert (await session.close_reason).code == 1009


async def test_the_record_of_a_session(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/record?id=a") as session:
        await session.send("one")
        await session.send(b"\x02")
        await session.ping()
        now = await asked(client, server, "/session?id=a")
        assert now["open"] is True
        assert now["code"] is None
        assert now["frames"] == [
            {"type": "TEXT", "fin": True, "data": "6f6e65"},
            {"type": "BINARY", "fin": True, "data": "02"},
        ]
        await session.close(CloseReason(4002, "so long"))
    ended = await asked(client, server, "/recorded?id=a")
    assert (ended["open"], ended["code"], ended["reason"]) == (False, 4002, "so long")


async def test_without_an_id_nothing_is_recorded(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/record") as session:
        await session.send("hello")
        await session.flush()
    assert session.close_reason.clean
    assert (await client.get(f"{server.http_url}/recorded?id=")).status == 404


async def test_what_is_still_open_is_not_recorded(
    client: HttpClient, server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktor_client.testing.http_routes.RECORD_TIMEOUT", 0.01)
    async with client.web_socket(f"{server.url}/echo?id=a"):
        assert (await client.get(f"{server.http_url}/recorded?id=a")).status == 504


async def test_records_are_bounded(
    client: HttpClient, server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktor_client.testing.sessions.MAX_RECORDS", 2)
    monkeypatch.setattr("ktor_client.testing.sessions.MAX_FRAMES", 2)
    for name in "abc":
        async with client.web_socket(f"{server.url}/record?id={name}") as session:
            for i in range(3):
                await session.send(str(i))
    assert (await client.get(f"{server.http_url}/recorded?id=a")).status == 404
    assert len((await asked(client, server, "/recorded?id=c"))["frames"]) == 2


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("", ("permessage-deflate",)),
        ("?deflate=off", ()),
        (
            "?deflate=no-context",
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover",),
        ),
        (
            "?deflate=9",
            ("permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",),
        ),
    ],
)
async def test_deflate(
    client: HttpClient, server: EchoServer, query: str, answer: tuple[str, ...]
) -> None:
    deflate = install(WebSockets, extensions=[WebSocketDeflate()])
    async with client.config(deflate) as deflating:
        async with deflating.web_socket(f"{server.url}/echo{query}") as session:
            assert session.extensions == answer
            for message in ("hello" * 1000, "hello" * 1000, ""):
                await session.send(message)
                assert await session.receive_text() == message


@pytest.mark.parametrize(
    "query",
    ["deflate=7", "deflate=x", "ping_interval=x", "timeout=-1", "max_frame_size=-1", "hex=0"],
)
async def test_a_query_that_makes_no_sense_is_400(
    client: HttpClient, server: EchoServer, query: str
) -> None:
    with pytest.raises(WebSocketHandshakeError, match="400"):
        async with client.web_socket(f"{server.url}/wire?{query}"):
            pytest.fail("opened")


# --- peers that break rules ---


@pytest.mark.parametrize(
    "query",
    ["Upgrade=", "Connection=close", "Sec-WebSocket-Accept=x", "Sec-WebSocket-Protocol=x"],
)
async def test_a_handshake_with_a_wrong_header(
    client: HttpClient, server: EchoServer, query: str
) -> None:
    with pytest.raises(WebSocketHandshakeError):
        async with client.web_socket(f"{server.url}/handshake?{query}"):
            pytest.fail("opened")


async def test_a_handshake_with_more_headers(client: HttpClient, server: EchoServer) -> None:
    url = f"{server.url}/handshake?Connection=keep-alive,%20Upgrade&X-More=1&id=a"
    async with client.web_socket(url, subprotocols=["chat"]) as session:
        assert session.subprotocol is None
        assert session.call.response.headers["x-more"] == "1"
        await session.send("hello")
        assert await session.receive_text() == "hello"
    for wrong in ("a%20b=1", "X-Split=1%0d%0aX-Other:2"):
        with pytest.raises(WebSocketHandshakeError, match="400"):
            async with client.web_socket(f"{server.url}/handshake?{wrong}"):
                pytest.fail("opened")


async def test_wire(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/wire?id=a&hex=8105{b'hello'.hex()}8300") as session:
        assert await session.receive_text() == "hello"
        with pytest.raises(ProtocolViolationError):
            await session.incoming.receive()
    ended = await asked(client, server, "/recorded?id=a")
    assert ended["code"] == 1002
    assert [frame["type"] for frame in ended["frames"]] == ["CLOSE"]


async def test_wire_that_ends(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/wire?hex=810561&end=yes") as session:
        assert (await session.close_reason).code == 1006


async def test_silent(client: HttpClient, server: EchoServer) -> None:
    async with client.config(install(WebSockets, close_timeout=0.01)) as hasty:
        async with hasty.web_socket(f"{server.url}/silent?id=a") as session:
            await session.send("hello?")
        assert not session.close_reason.clean
    frames = (await asked(client, server, "/recorded?id=a"))["frames"]
    assert [frame["type"] for frame in frames] == ["TEXT", "CLOSE"]


async def test_stalled(client: HttpClient, server: EchoServer) -> None:
    message = b"x" * 1_000_000
    async with client.web_socket(f"{server.url}/stalled?id=a") as session:
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                while True:
                    await session.send(message)
                    sent += 1
        assert (await asked(client, server, "/release?id=a"))["frames_received"] == 0
        for _ in range(sent):
            assert await session.receive_bytes() == message
    with pytest.raises(WebSocketHandshakeError, match="400"):
        async with client.web_socket(f"{server.url}/stalled"):
            pytest.fail("opened without an id")


async def test_a_stalled_session_goes_on_by_itself(
    client: HttpClient, server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ktor_client.testing.hostile_routes.STALL_LIMIT", 0.01)
    async with client.web_socket(f"{server.url}/stalled?id=a") as session:
        await session.send("hello")
        assert await session.receive_text() == "hello"


async def test_stream_goes_on_after_our_close(client: HttpClient, server: EchoServer) -> None:
    async with client.config(install(WebSockets, close_timeout=0.05)) as hasty:
        async with hasty.web_socket(f"{server.url}/stream?id=a&ping=yes") as session:
            assert await session.receive_bytes() == b"x" * 1000
        assert session.close_reason.received is None
    ended = await asked(client, server, "/recorded?id=a")
    assert ended["code"] == 1000


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_drop(client: HttpClient, server: EchoServer, how: str) -> None:
    async with client.web_socket(f"{server.url}/drop?after=2&how={how}") as session:
        for message in ("one", "two"):
            await session.send(message)
            assert await session.receive_text() == message
        with pytest.raises(ConnectionClosedError) as end:
            await session.incoming.receive()
        assert end.value.reason.code == 1006


async def test_data_after_close(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/data-after-close?code=4000") as session:
        assert await session.receive_text() == "before"
        with pytest.raises(ConnectionClosedError) as end:
            await session.incoming.receive()
        assert end.value.reason == CloseReason(4000)


@pytest.mark.parametrize("path", ["/garbage", "/truncated"])
async def test_a_handshake_that_breaks_off(
    client: HttpClient, server: EchoServer, path: str
) -> None:
    with pytest.raises((ConnectionError, WebSocketHandshakeError)):
        async with client.web_socket(server.url + path):
            pytest.fail("opened")


async def test_last_words_are_for_a_close(client: HttpClient, server: EchoServer) -> None:
    async with client.web_socket(f"{server.url}/last-words?n=2") as session:
        await session.send("no reason to answer")
        await session.close()
        assert [message async for message in session] == ["last word 0", "last word 1"]

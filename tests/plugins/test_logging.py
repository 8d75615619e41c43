"""What is logged of requests, responses and frames, and above all what is not."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from ktor_client import (
    Body,
    ConnectError,
    Frame,
    HttpClient,
    bearer_auth,
    cookie,
    header,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    HttpRequestRetry,
    Logging,
    LogLevel,
    WebSocketDeflate,
    WebSockets,
)
from ktor_client.testing import MockPeerSession, echo_server, respond
from tests.support.raw_server import Peer, frame, raw_server


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.logger = logging.Logger(name, logging.INFO)  # of no tree
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def text(self) -> str:
        return "\n".join(record.getMessage() for record in self.records)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def log() -> Lines:
    """A logger for everything."""
    return Lines("test")


def to(log: Lines, level: LogLevel = LogLevel.ALL, **options: Any) -> Any:
    return install(Logging, level=level, logger=log.logger, **options)


# --- levels


@pytest.mark.parametrize("level", [LogLevel.NONE, LogLevel.INFO, LogLevel.HEADERS, LogLevel.BODY])
async def test_levels(log: Lines, level: LogLevel) -> None:
    engine = MockEngine(lambda _: respond("answer", headers={"X-Id": "1"}))
    async with HttpClient(engine, to(log, level)) as client:
        response = await client.post("http://h/path", header("X-Mine", "2"), body="question")
        assert await response.body_as_text() == "answer"
    shown = "\n".join(log.lines)
    assert ("#1 --> POST http://h/path" in shown) is (level is not LogLevel.NONE)
    assert ("#1 <-- 200 OK after 0.000 s, POST http://h/path" in shown) is (
        level is not LogLevel.NONE
    )
    assert ("\n    X-Mine: 2" in shown) is level.says(LogLevel.HEADERS)
    assert ("\n    X-Id: 1" in shown) is level.says(LogLevel.HEADERS)
    assert ("#1 --> body, 8 bytes: question" in shown) is level.says(LogLevel.BODY)
    assert ("#1 <-- body, 6 bytes: answer" in shown) is level.says(LogLevel.BODY)
    if level is LogLevel.NONE:
        assert "Logging" not in client.explain()


async def test_the_names_of_the_loggers(caplog: pytest.LogCaptureFixture) -> None:
    engine = MockEngine(lambda _: "ok")
    engine.on_web_socket("/", lambda session: session.send("hello"))
    with caplog.at_level(logging.INFO, "ktor_client"):
        plugins = (install(WebSockets), install(Logging, level=LogLevel.ALL))
        async with HttpClient(engine, *plugins) as client:
            await client.get("/")
            async with client.web_socket("/") as session:
                await session.receive_text()
    names = {record.name for record in caplog.records}
    assert names == {"ktor_client.http", "ktor_client.websocket"}
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert "#2 <-- TEXT, 5 characters: hello" in caplog.text


async def test_a_logger_that_is_off_costs_nothing_and_sees_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = MockEngine(lambda _: "ok")
    engine.on_web_socket("/", lambda session: session.send("hello"))
    with caplog.at_level(logging.WARNING, "ktor_client"):
        plugins = (install(WebSockets), install(Logging, level=LogLevel.ALL))
        async with HttpClient(engine, *plugins) as client:
            response = await client.get("/")
            assert response.is_made_of(engine.response_history[0])
            assert response is engine.response_history[0]
            async with client.web_socket("/") as session:
                await session.receive_text()
    assert caplog.records == []


async def test_frames_alone(log: Lines) -> None:
    engine = MockEngine()
    engine.on_web_socket("/", lambda session: session.send("hello"))
    plugins = (install(WebSockets), to(log, LogLevel.NONE, frames=True))
    async with HttpClient(engine, *plugins) as client:
        async with client.web_socket("/") as session:
            await session.receive_text()
    assert log.lines[0] == "#1 <-- TEXT, 5 characters: hello"


# --- failures


async def test_a_request_that_fails(log: Lines) -> None:
    engine = MockEngine(lambda _: ConnectError("lost\r\n#9 <-- 200 OK"))
    async with HttpClient(engine, to(log)) as client:
        with pytest.raises(ConnectError):
            await client.get("http://h/?token=s3cret")
    assert log.lines[-1] == (
        "#1 <-- ConnectError: lost\n    #9 <-- 200 OK after 0.000 s, GET http://h/?token=***"
    )


async def test_an_error_that_is_not_ours_may_say_anything(log: Lines) -> None:
    engine = MockEngine(lambda _: LookupError("s3cret"))
    async with HttpClient(engine, to(log)) as client:
        with pytest.raises(LookupError):
            await client.get("/")
    assert "LookupError after" in log.text
    assert "s3cret" not in log.text


async def test_a_request_that_is_cancelled(log: Lines) -> None:
    begun = asyncio.Event()

    async def wait(request: object) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ""

    async with HttpClient(MockEngine(wait), to(log)) as client:
        call = asyncio.create_task(client.get("/"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert "#1 <-- CancelledError after" in log.text


async def test_every_repetition_and_hop_is_logged(log: Lines) -> None:
    engine = MockEngine()
    engine.on_request("/", respond("busy", 503), times=1)
    engine.on_request("/", respond("moved", 302, {"Location": "/there?token=s3cret"}))
    engine.on_request("/there", "here")
    async with HttpClient(engine, to(log, LogLevel.HEADERS), install(HttpRequestRetry)) as client:
        await client.get("/")
    marks = [line.partition(" GET")[0].partition(" after")[0] for line in log.lines]
    assert marks == [
        *("#1 -->", "#1 <-- 503 Service Unavailable"),
        *("#2 -->", "#2 <-- 302 Found"),
        *("#3 -->", "#3 <-- 200 OK"),
    ]
    assert "Location: /there?token=***" in log.text
    assert "s3cret" not in log.text


# --- secrets


async def test_no_secret_of_a_request_or_its_answer_is_logged(log: Lines) -> None:
    answer = respond(
        json={"accessToken": "s3cret", "list": [{"Client-Secret": "s3cret"}], "n": 1},
        headers=[
            ("Set-Cookie", "session=s3cret; Path=/"),
            ("X-Auth-Token", "s3cret"),
            ("Location", "https://u:s3cret@h/?api_key=s3cret"),
        ],
    )
    async with HttpClient(MockEngine(lambda _: answer), to(log, sanitize=["X-Mine"])) as client:
        response = await client.post(
            "http://user:s3cret@h/?token=s3cret&API-Key=s3cret&n=1",
            bearer_auth("s3cret"),
            cookie("session", "s3cret"),
            header("Proxy-Authorization", "Basic s3cret"),
            header("x-mine", "s3cret"),
            json={"password": "s3cret", "deep": {"refresh_token": "s3cret"}, "mine": 1},
        )
        assert "s3cret" in await response.body_as_text()
        await client.post(
            "/", header("Content-Type", "application/x-www-form-urlencoded"), body="password=s3cret"
        )
    assert "s3cret" not in log.text
    assert "n=1" in log.text
    assert '"n":1' in log.text.replace(" ", "")
    assert "Authorization: Bearer ***" in log.text


async def test_secrets_of_sessions(log: Lines) -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.expect()
        await session.send('{"token": "s3cret", "n": 1}')

    engine = MockEngine()
    engine.on_web_socket("/", peer, subprotocols=["bearer.s3cret", "chat"])
    async with HttpClient(engine, install(WebSockets), to(log)) as client:
        call = client.web_socket("/?token=s3cret", subprotocols=["bearer.s3cret"])
        async with call as session:
            await session.send('{"type": "auth", "password": "s3cret"}')
            assert "s3cret" in await session.receive_text()
            assert session.subprotocol == "bearer.s3cret"
    assert "s3cret" not in log.text
    assert '{"type": "auth", "password": "***"}' in log.text
    assert '{"token": "***", "n": 1}' in log.text


@pytest.mark.parametrize(
    "sanitize", [["X-Mine"], ("x_mine",), {"xMine"}, lambda name: name.lower() == "x-mine"]
)
async def test_more_secrets(log: Lines, sanitize: Any) -> None:
    async with HttpClient(MockEngine(lambda _: "ok"), to(log, sanitize=sanitize)) as client:
        await client.get("/", header("X-Mine", "s3cret"), header("X-Other", "shown"))
    assert "s3cret" not in log.text
    assert "X-Other: shown" in log.text


# --- bodies


async def pieces(count: int, piece: bytes = b"x" * 100) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield piece


async def test_a_body_is_cut(log: Lines) -> None:
    engine = MockEngine(lambda _: "é" * 2000)
    async with HttpClient(engine, to(log)) as client:
        assert len(await (await client.get("/")).body_as_text()) == 2000
        assert log.lines[-1].partition(": ")[2] == "é" * 1000 + "…"
    async with HttpClient(engine, to(log, body_limit=5)) as client:
        await client.post("/", body="x" * 30)
    assert log.lines[-3] == "#1 --> body, 30 bytes: xxxxx…"
    async with HttpClient(engine, to(log, body_limit=0)) as client:
        await client.post("/", body="x" * 30)
    assert log.lines[-3] == "#1 --> body, 30 bytes: …"


async def test_a_stream_is_logged_once_there_is_enough_of_it(log: Lines) -> None:
    engine = MockEngine(lambda _: respond(pieces(1000)))
    async with HttpClient(engine, to(log)) as client:
        async with client.prepare_get("/") as response:
            chunks = response.chunks()
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if "body" in log.text:
                    break
            assert 1000 <= size <= 5000
            async for chunk in chunks:
                size += len(chunk)
            assert size == 100_000
    assert [line for line in log.lines if "body" in line] == [
        f"#1 <-- body, 4100 bytes and more: {'x' * 1000}…"
    ]


async def test_a_stream_that_nobody_reads_or_that_breaks_off(log: Lines) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b'{"token": "s3'
        raise ConnectError("lost")

    engine = MockEngine()
    engine.on_request("/left", lambda _: respond(pieces(10)))
    engine.on_request("/broken", lambda _: respond(breaking()))
    async with HttpClient(engine, to(log)) as client:
        async with client.prepare_get("/left") as response:
            async for _ in response.chunks():
                break
        with pytest.raises(ConnectError):
            await client.get("/broken")
    assert f"#1 <-- body, left after 100 bytes: {'x' * 100}…" in log.lines
    assert '#2 <-- body, broken off by ConnectError after 13 bytes: {"token": "***…' in log.lines


async def test_a_streamed_upload(log: Lines) -> None:
    engine = MockEngine(lambda request: request.body)  # type: ignore[arg-type, return-value]
    async with HttpClient(engine, to(log)) as client:
        response = await client.post("/", body=pieces(3, b'{"password": "s3cret"}'))
        assert len(await response.body_as_bytes()) == 66
    assert "#1 --> body, 66 bytes: " + '{"password": "***"}' * 3 in log.lines
    assert "s3cret" not in log.text


async def test_an_upload_that_an_early_answer_ends_is_whole(
    engine: EngineFactory, log: Lines
) -> None:
    answered = asyncio.Event()

    async def reluctant() -> AsyncIterator[bytes]:
        yield b"12345"
        await answered.wait()
        for _ in range(20):  # until the answer is read
            await asyncio.sleep(0)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.reader.readexactly(5)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        answered.set()
        await peer.read_eof()

    async with asyncio.timeout(20), raw_server(script) as server:
        async with HttpClient(engine, to(log)) as client:
            await client.post(server.url.replace("ws", "http"), body=Body(reluctant, 5))
    assert "#1 --> body, 5 bytes: 12345" in log.lines


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (respond(b"\x89PNG\x00\x01"), "6 bytes, binary"),
        (respond(b"GIF", headers={"Content-Type": "image/gif"}), "3 bytes, binary"),
        (respond("hé".encode("utf-16"), headers={"Content-Type": "x/y; charset=utf-16"}), ": hé"),
        (respond("a\r\n#1 --> forged\x1b[2J"), "a\n    #1 --> forged\\x1b[2J"),
    ],
    ids=["binary", "image", "charset", "forged"],
)
async def test_kinds_of_bodies(log: Lines, answer: Any, shown: str) -> None:
    async with HttpClient(MockEngine(lambda _: answer), to(log)) as client:
        await client.get("/")
    assert log.lines[-1].endswith(shown)


async def test_a_packed_body_is_shown_unpacked(log: Lines) -> None:
    answer = respond(gzip.compress(b'{"token": "s3cret"}'), headers={"Content-Encoding": "gzip"})
    async with HttpClient(MockEngine(lambda _: answer), to(log)) as client:
        assert await (await client.get("/")).body_as_text() == '{"token": "s3cret"}'
    assert log.lines[-1] == '#1 <-- body, 19 bytes: {"token": "***"}'


async def test_no_body_is_no_record(log: Lines) -> None:
    async with HttpClient(MockEngine(lambda _: respond("", 204)), to(log)) as client:
        await client.head("/")
        await client.get("/")
        await client.post("/", body=b"")
    assert "body" not in log.text


# --- frames


async def test_frames_both_ways(log: Lines) -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.expect("hello")
        await session.send(b"\x00\x01")
        await session.send("x" * 5000)
        await session.expect(b"123")

    engine = MockEngine()
    engine.on_web_socket("/", peer)
    async with HttpClient(engine, install(WebSockets), to(log, body_limit=10)) as client:
        async with client.web_socket("/") as session:
            await session.send("hello")
            assert await session.receive_bytes() == b"\x00\x01"
            assert await session.receive_text() == "x" * 5000
            await session.ping(b"12")
            await session.send(Frame.Binary(b"123"))
    frames = [line for line in log.lines if "GET" not in line]
    assert (
        frames[:6]
        == [
            "#1 --> TEXT, 5 characters: hello",
            "#1 <-- BINARY, 2 bytes",
            "#1 <-- TEXT, 5000 characters: xxxxxxxxxx…",
            "#1 --> PING, 2 bytes",
            "#1 <-- PONG, 2 bytes",
            "#1 --> BINARY, 3 bytes",
        ]
        or "#1 <-- CLOSE 1000" in frames
    )
    assert "#1 --- the connection ended" in frames


async def test_frames_on_the_wire(engine: EngineFactory, log: Lines) -> None:
    plugins = (install(WebSockets, extensions=[WebSocketDeflate()]), to(log))
    async with echo_server() as server, HttpClient(engine, *plugins) as client:
        async with client.web_socket(f"{server.url}/echo") as session:
            for message in ("é" * 300, '{"token": "s3cret"}'):
                await session.send(message)
                assert await session.receive_text() == message
            assert session.statistics.frames_sent == 2
    assert f"--> TEXT, 300 characters: {'é' * 300}" in log.text
    assert f"<-- TEXT, 300 characters: {'é' * 300}" in log.text
    assert log.text.count('TEXT, 19 characters: {"token": "***"}') == 2
    assert "--> CLOSE 1000" in log.text
    assert "s3cret" not in log.text


async def test_parts_of_messages_show_no_text_that_may_be_within_a_secret(
    engine: EngineFactory, log: Lines
) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.send(frame(1, b'{"token": "s3', fin=False), frame(0, b'cret"}'))
        await peer.read_close()

    async with raw_server(script) as server:
        async with HttpClient(engine, install(WebSockets), to(log)) as client:
            async with client.web_socket_raw(server.url) as session:
                await session.incoming.receive()
                await session.incoming.receive()
                await session.close()
    assert "s3" not in log.text
    assert "cret" not in log.text
    assert "<-- TEXT, 13 bytes" in log.text


async def test_a_connection_that_is_lost(engine: EngineFactory, log: Lines) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        peer.reset()

    async with raw_server(script) as server:
        async with HttpClient(engine, install(WebSockets), to(log)) as client:
            session = await client.web_socket_session(server.url)
            await session.wait_closed()
    assert "#1 --- the connection ended" in log.text


# --- loggers that fail


class FailingLogger(logging.Logger):
    """Raises, whatever it is told."""

    def handle(self, record: logging.LogRecord) -> None:
        raise RuntimeError("no disk")


class FailingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("no disk")


def failing_handler() -> logging.Logger:
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(FailingHandler())
    return logger


@pytest.mark.parametrize("make", [lambda: FailingLogger("test"), failing_handler])
async def test_a_logger_that_fails_harms_nothing(
    make: Callable[[], logging.Logger], engine: EngineFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    plugins = (install(WebSockets), install(Logging, level=LogLevel.ALL, logger=make()))
    async with echo_server() as server, HttpClient(partial(engine, limit=1), *plugins) as client:
        for _ in range(2):
            response = await client.post(f"{server.http_url}/echo-body", body="data")
            assert await response.body_as_text() == "data"
        async with client.web_socket(f"{server.url}/echo") as session:
            await session.send("hello")
            assert await session.receive_text() == "hello"
    assert "RuntimeError: no disk" in capsys.readouterr().err


# --- options


async def test_an_adapter_is_a_logger(log: Lines) -> None:
    adapter = logging.LoggerAdapter(log.logger, {"service": "shop"})
    async with HttpClient(MockEngine(lambda _: "ok"), install(Logging, logger=adapter)) as client:
        await client.get("/")
    assert len(log.records) == 2
    assert log.records[0].service == "shop"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"level": "INFO"}, TypeError, "level takes LogLevel.INFO, HEADERS, BODY or ALL"),
        ({"level": logging.INFO}, TypeError, "level takes LogLevel.INFO"),
        ({"logger": "name"}, TypeError, "logger takes a logging.Logger, not 'name'"),
        ({"frames": 1}, TypeError, "frames is True or False, not 1"),
        ({"body_limit": -1}, ValueError, "body_limit must be 0 or more, not -1"),
        ({"body_limit": 1.5}, TypeError, "body_limit takes a number of characters"),
        ({"body_limit": True}, TypeError, "body_limit takes a number of characters"),
        ({"sanitize": "X-Mine"}, TypeError, "names of secrets are a collection of str"),
        ({"sanitise": ["X-Mine"]}, TypeError, "did you mean 'sanitize'"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        HttpClient(MockEngine(), install(Logging, **options))


# --- what others log


async def test_libraries_below_show_no_secret_at_info(
    engine: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
            await client.get(
                f"{server.http_url}/hello?token=s3cret&n=1",
                bearer_auth("s3cret"),
                cookie("session", "s3cret"),
            )
            async with client.web_socket(f"{server.url}/echo?token=s3cret"):
                pass
    assert "s3cret" not in caplog.text

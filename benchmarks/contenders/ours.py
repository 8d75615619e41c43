"""This library in pure Python, on each of its engines with a socket: another first argument."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from benchmarks.contenders.base import Contender, Message, WrongMessageError
from ktor_client import Block, DefaultClientWebSocketSession, Frame, HttpClient, install
from ktor_client.engine.registry import engine_class
from ktor_client.plugins import WebSocketDeflate, WebSockets


def length_of(frame: Frame | None) -> int:
    match frame:
        case Frame.Text(text):
            return len(text)
        case Frame.Binary(data):
            return len(data)
        case _:
            pass
    raise WrongMessageError(repr(frame))


def every_plugin() -> list[Block]:
    """Install what is there beside `WebSockets`, with options that change nothing of a GET."""
    from ktor_client import plugins

    basic = plugins.BasicAuth("user", "password")
    return [
        install(plugins.Auth, providers=[basic, plugins.DigestAuth("user", "password")]),
        install(plugins.BodyProgress),
        install(plugins.ContentEncoding),
        install(plugins.ContentNegotiation),
        install(plugins.DefaultRequest, url="http://localhost/"),
        install(plugins.HttpCallValidator, validate=lambda response: None),
        install(plugins.HttpCookies),
        install(plugins.HttpRequestRetry),
        install(plugins.HttpTimeout),
        install(plugins.Logging),
        install(plugins.SSE),
        install(plugins.UserAgent),
        install(plugins.WebSocketReconnect),
    ]


class Ours(Contender[DefaultClientWebSocketSession]):
    engine: ClassVar[str]
    environment: ClassVar = {"KTOR_CLIENT_PURE": "1"}
    has_every_plugin: ClassVar[bool] = False

    async def start(self) -> None:
        extensions = [WebSocketDeflate()] if self.deflate else []
        plugin = install(WebSockets, ping_interval=self.keepalive, extensions=extensions)
        engine = engine_class(self.engine)
        if self.tls is not None:
            engine = partial(engine, ssl_context=self.tls)
        others = every_plugin() if self.has_every_plugin else []
        self.client = HttpClient(engine, plugin, *others)

    async def stop(self) -> None:
        await self.client.close()

    async def open(self, url: str) -> DefaultClientWebSocketSession:
        return await self.client.web_socket_session(url)

    async def close(self, session: DefaultClientWebSocketSession) -> None:
        await session.close()

    async def round_trips(
        self, session: DefaultClientWebSocketSession, message: Message, count: int
    ) -> int:
        frame: Frame | None = None
        for _ in range(count):
            await session.send(message)
            frame = await session.incoming.receive()
        return length_of(frame)

    async def receive(self, session: DefaultClientWebSocketSession, count: int) -> int:
        frame: Frame | None = None
        async for frame in session.incoming:
            count -= 1
            if not count:
                break
        return length_of(frame)

    async def send(
        self, session: DefaultClientWebSocketSession, message: Message, count: int
    ) -> None:
        for _ in range(count):
            await session.send(message)

    async def get(self, url: str, count: int) -> int:
        body = b""
        for _ in range(count):
            response = await self.client.get(url)
            body = await response.body_as_bytes()
        return len(body)

    async def post(self, url: str, body: bytes, count: int) -> int:
        answer = b""
        for _ in range(count):
            response = await self.client.post(url, body=body)
            answer = await response.body_as_bytes()
        return len(answer)

    async def download(self, url: str) -> int:
        total = 0
        async with self.client.prepare_get(url) as response:
            async for piece in response.chunks():
                total += len(piece)
        return total


class OursAiohttp(Ours):
    packages: ClassVar = ("ktor-client", "aiohttp")
    engine: ClassVar = "aiohttp"


class OursHttpx(Ours):
    packages: ClassVar = ("ktor-client", "httpx", "httpx-ws")
    engine: ClassVar = "httpx"


class OursCio(Ours):
    packages: ClassVar[tuple[str, ...]] = ("ktor-client",)
    engine: ClassVar = "cio"


class OursCioPlugins(OursCio):
    has_every_plugin: ClassVar = True

"""The least that can stand above a link: a receiver that keeps what comes."""

from __future__ import annotations

import asyncio
from collections import deque

from ktor_client.engine import HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.frames import Frame
from ktor_client.http import Headers, HttpMethod, HttpRequest, Url
from ktor_client.link import FrameLink, LinkOptions
from ktor_client.protocol.handshake import make_key, request_headers
from ktor_client.protocol.violation import Violation


class Receiver:
    """Keeps frames in order, and how the connection ended."""

    def __init__(self) -> None:
        self.messages: deque[Frame] = deque()
        self.controls: list[Frame] = []
        self.violation: Violation | None = None
        self.end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.broken = asyncio.Event()
        self.room = asyncio.Event()
        self.is_cut = False
        self._news = asyncio.Event()

    def arrived(self, size: int) -> None:
        self._news.set()

    def control(self, frame: Frame) -> None:
        self.controls.append(frame)
        self._news.set()

    def violated(self, violation: Violation) -> None:
        self.violation = violation
        self.broken.set()
        self._news.set()

    def writable(self) -> None:
        self.room.set()

    def cut(self, error: BaseException | None) -> None:
        self.is_cut = True

    def lost(self, error: BaseException | None) -> None:
        self.end.set_result(error)
        self._news.set()

    async def next(self) -> Frame:
        """Return the next data frame; an end before it is a failure."""
        while not self.messages:
            assert not self.end.done(), f"the connection ended: {self.end.result()!r}"
            self._news.clear()
            await self._news.wait()
        return self.messages.popleft()


def handshake(url: str, *fields: tuple[str, str]) -> HttpRequest:
    """Return a request that is an opening handshake."""
    headers = [*request_headers(make_key(), (), ()), *fields]
    return HttpRequest(HttpMethod.Get, Url.parse(url), Headers(headers))


def get(url: str, *fields: tuple[str, str]) -> HttpRequest:
    """Return a plain GET."""
    return HttpRequest(HttpMethod.Get, Url.parse(url), Headers(fields))


async def open_link(engine: HttpClientEngine, url: str) -> WebSocketUpgrade:
    """Open a WebSocket."""
    return await engine.open_web_socket(handshake(url), WebSocketOptions())


def start(link: FrameLink | None, max_frame_size: int = 1 << 24) -> Receiver:
    """Start a link and return what stands above it."""
    assert link is not None
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=max_frame_size))
    return receiver

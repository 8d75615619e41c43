"""Default sessions: whole messages, answered pings, keepalive, typed messages (Ktor's names)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ktor_client._twin import twin
from ktor_client.channels import ReceiveChannel
from ktor_client.durations import Duration, optional_seconds
from ktor_client.frames import Frame, TextFrame
from ktor_client.link.home_loop import wake
from ktor_client.mistakes import subscripted
from ktor_client.session.base import WebSocketSession
from ktor_client.session.call import HttpClientCall
from ktor_client.session.converter import WebSocketContentConverter
from ktor_client.session.core import SessionCore
from ktor_client.session.keepalive import PAYLOAD_SIZE
from ktor_client.session.messages import as_bytes, as_text, receive_object, serialized
from ktor_client.session.raw import ClientWebSocketSession
from ktor_client.session.streaming import Chunks, send_stream

__all__ = ["DefaultClientWebSocketSession", "DefaultWebSocketSession"]

T = TypeVar("T")


class DefaultWebSocketSession(WebSocketSession):
    """A session of whole messages: it joins fragments, answers pings and echoes Close.

    `async for message in session` yields str and bytes. Iteration ends quietly when the peer closed
    with 1000, 1001 or no code, or when we closed first; otherwise it raises.
    """

    __slots__ = ("_converter", "_require")

    def __init__(
        self,
        core: SessionCore,
        call: HttpClientCall | None = None,
        *,
        content_converter: WebSocketContentConverter | None = None,
        require: Callable[[str, str], None] | None = None,
    ) -> None:
        super().__init__(core, call)
        self._converter = content_converter
        self._require = require

    # --- receiving ---

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return aiter(_Messages(self))

    async def receive_text(self) -> str:
        """Return the next message, which must be text.

        Raises:
            ConnectionClosedError: the session has ended.
            DeserializationError: the message is binary; `frame` has it.
        """
        return as_text(await self._core.incoming.receive())

    async def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary. Raises what `receive_text` raises."""
        return as_bytes(await self._core.incoming.receive())

    # --- typed messages ---

    @property
    def converter(self) -> WebSocketContentConverter | None:
        """The `content_converter` of the plugin."""
        return self._converter

    async def send_serialized(self, value: object) -> None:
        """Send an object as one message, through the `content_converter`.

        Raises:
            ConverterNotFoundError: the plugin has no converter.
            ConnectionClosedError: as `send`.
        """
        await self.send(serialized(self._converter, value))

    @overload
    async def receive_deserialized(self, type_: type[T]) -> T: ...
    @overload
    async def receive_deserialized(self, type_: Any) -> Any: ...
    @subscripted("write `await session.receive_deserialized(dict)`")
    async def receive_deserialized(self, type_: Any) -> Any:
        """Receive one message as an object of that type; `X | None` allows null.

        Raises:
            ConverterNotFoundError: the plugin has no converter; nothing was consumed.
            DeserializationError: the message does not hold the type; `frame` has it.
            ConnectionClosedError: the session has ended.
        """
        return await receive_object(self._core.incoming, self._converter, type_)

    # --- fragments ---

    async def send_stream(self, chunks: Chunks) -> None:
        """Send one message in fragments, each chunk as soon as it is ready.

        The first chunk makes the message text or binary. Other messages wait until this one is
        finished; pings and pongs pass. Nothing is sent for an iterator without chunks.

        Raises:
            ConnectionClosedError: the session has ended.
            UnsupportedCapabilityError: the engine cannot send fragments.
            TypeError: a chunk has another type than the first.

        If the iterator fails, or the call is cancelled, after the first fragment, the message
        cannot be finished: the session closes with 1011 and the exception passes through. When the
        session ends, a waiting iterator is cancelled.
        """
        if self._require is not None:
            self._require("FragmentationCapability", "send_stream")
        await send_stream(self._core, chunks)

    # --- keepalive ---

    async def ping(self, data: bytes = b"") -> float:
        """Send a ping and return the seconds until its pong; empty data means 8 random bytes.

        While `incoming` is full, nothing is read, not even a pong, so this waits as well.

        Raises:
            ConnectionClosedError: the session ended before the pong arrived.
            UnsupportedCapabilityError: the engine cannot send pings.
            ValueError: more than 125 bytes, or a ping with the same data is already waiting.
        """
        if self._require is not None:
            self._require("PingCapability", "ping")
        core = self._core
        core.sending.check_open()
        payload = data or os.urandom(PAYLOAD_SIZE)
        answered: asyncio.Future[BaseException | None]
        answered = asyncio.get_running_loop().create_future()
        sent_at = core.pings.time()
        core.pings.send(payload, partial(wake, answered))
        try:
            error = await answered
            if error is not None:
                raise error
        finally:
            core.pings.forget(payload)
            del answered  # whose result would refer to this frame
            error = None
        return core.pings.time() - sent_at

    @property
    def latency(self) -> float | None:
        """Round-trip time of the last ping, keepalive's too, in seconds; None before the first."""
        return self._core.pings.latency

    @property
    def ping_interval(self) -> float | None:
        """Seconds between a pong and the next keepalive ping; None turns it off. Can be changed."""
        return self._core.keepalive.interval

    @ping_interval.setter
    def ping_interval(self, value: Duration | None) -> None:
        keepalive = self._core.keepalive
        keepalive.interval = self._checked(value, "ping_interval")
        keepalive.start()

    @property
    def timeout(self) -> float | None:
        """Seconds that a keepalive pong may take; by default twice `ping_interval`."""
        return self._core.keepalive.timeout

    @timeout.setter
    def timeout(self, value: Duration | None) -> None:
        keepalive = self._core.keepalive
        keepalive.own_timeout = self._checked(value, "timeout")
        keepalive.start()

    def _checked(self, value: Duration | None, option: str) -> float | None:
        """Return the seconds of a setting of keepalive's, if it can be had, and here."""
        if value is not None and self._require is not None:
            self._require("PingCapability", option)
        seconds = optional_seconds(value, option)
        self._core.home.check()
        return seconds


class DefaultClientWebSocketSession(DefaultWebSocketSession, ClientWebSocketSession):
    """What `web_socket` and `web_socket_session` give (Ktor's `DefaultClientWebSocketSession`)."""

    __slots__ = ()

    if TYPE_CHECKING:  # so that a `match` with these two cases is known to be complete

        @property
        def incoming(self) -> ReceiveChannel[Frame.Text | Frame.Binary]:
            """Whole messages from the peer."""
            ...


@twin
class _Messages(AsyncIterator[str | bytes]):
    __slots__ = ("_incoming",)

    def __init__(self, session: DefaultWebSocketSession) -> None:
        self._incoming = session.incoming

    async def __anext__(self) -> str | bytes:
        frame = await self._incoming.__anext__()
        return frame.text if type(frame) is TextFrame else frame.data

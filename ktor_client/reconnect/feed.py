"""The steady form, as users see it: one stream of messages both ways, whatever becomes of the wire.

What goes on behind it is in `running.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Hashable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast, overload

from ktor_client.channels import ReceiveChannel
from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import CloseReason, Frame
from ktor_client.reconnect.arriving import Merged, Messages
from ktor_client.reconnect.log import AllEvents
from ktor_client.reconnect.options import FeedState
from ktor_client.reconnect.outbox import Receipt
from ktor_client.reconnect.running import Running
from ktor_client.session import DefaultClientWebSocketSession
from ktor_client.session.ending import checked_reason
from ktor_client.session.messages import as_bytes, as_text, receive_object, serialized

__all__ = ["WebSocketFeed"]

T = TypeVar("T")

_NORMAL = CloseReason(CloseReason.Codes.NORMAL)
_INTERNAL_ERROR = CloseReason(CloseReason.Codes.INTERNAL_ERROR)


class WebSocketFeed:
    """One WebSocket that reconnects: what `async with client.web_socket_reconnecting(url)` gives.

    Messages of all connections arrive in order. What you send while there is no connection waits in
    the outbox. Leaving the block ends everything.
    """

    def __init__(self, running: Running) -> None:
        self._running = running

    # --- receiving ---

    @property
    def incoming(self) -> ReceiveChannel[Frame.Text | Frame.Binary]:
        """The messages of all connections, in order."""
        return cast("ReceiveChannel[Frame.Text | Frame.Binary]", self._running.arriving.incoming)

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield the messages of all connections, in order.

        Ends quietly when we closed the feed, or the peer did with 1000; else it raises
        `ReconnectStoppedError` with the last failure as cause.
        """
        return Messages(self._running.arriving.incoming)

    async def receive_text(self) -> str:
        """Return the next message, which must be text.

        Raises:
            ReconnectStoppedError: the feed has ended.
            DeserializationError: the message is binary; `frame` has it.
        """
        return as_text(await self._running.arriving.incoming.receive())

    async def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary. Raises what `receive_text` raises."""
        return as_bytes(await self._running.arriving.incoming.receive())

    @overload
    async def receive_deserialized(self, type_: type[T]) -> T: ...
    @overload
    async def receive_deserialized(self, type_: Any) -> Any: ...
    async def receive_deserialized(self, type_: Any) -> Any:
        """Receive one message as an object of that type; see the session's method."""
        return await receive_object(
            self._running.arriving.incoming, self._running.source.converter, type_
        )

    @property
    def events(self) -> AllEvents:
        """What happens to the connections: `async for event in feed.events`.

        Each iteration begins with the first event; only the last thousand are kept.
        """
        return AllEvents(self._running.arriving.log)

    def merged(self) -> Merged:
        """Yield messages and events in the order in which they happened: `async for item in
        feed.merged()`.

        Ends as iteration over the feed does, after `Stopped`.
        """
        return Merged(self._running.arriving)

    # --- sending ---

    async def send(
        self,
        message: str | bytes | bytearray | memoryview | Frame,
        *,
        key: Hashable | None = None,
    ) -> Receipt:
        """Send a whole message and return its receipt; `await receipt` tells what became of it.

        Without a connection, the message waits in the outbox, within its limits. While the
        connection is busy, this waits like a session's `send`. A newer message replaces a waiting
        one with the same `key`. A cancelled `send` has sent the whole message or nothing.

        Raises:
            ReconnectStoppedError: the feed has ended.
            OutboxFullError: the outbox is full and does not wait.
            ValueError: a frame is not a whole message.
            UnicodeEncodeError: the text has a lone surrogate.
        """
        self._running.home.check()
        return await self._running.sending.send(message, key)

    async def send_serialized(self, value: object, *, key: Hashable | None = None) -> Receipt:
        """Send an object as one message, through the `content_converter`; see `send`.

        Raises:
            ConverterNotFoundError: the plugin has no converter.
        """
        return await self.send(serialized(self._running.source.converter, value), key=key)

    async def send_stream(self, chunks: AsyncIterable[str] | AsyncIterable[bytes]) -> None:
        """Send one message in fragments on the open connection, or on the next one.

        No other connection can continue the message: when this one ends, it raises.

        Raises:
            ConnectionClosedError: the connection ended before the message did.
            ReconnectStoppedError: the feed has ended.
        """
        await self.opened()
        await self._running.sending.drained()
        session = self._running.session
        if session is None:
            raise ConnectionClosedError("the connection was lost before the stream began")
        await session.send_stream(chunks)

    # --- now ---

    @property
    def state(self) -> FeedState:
        """Where the feed is now."""
        return self._running.state

    @property
    def generation(self) -> int:
        """How many connections there have been, including the open one."""
        return self._running.generation

    @property
    def session(self) -> DefaultClientWebSocketSession | None:
        """The open connection, or None. The feed, not this session, receives its messages."""
        return self._running.session if self._running.is_open else None

    async def opened(self) -> None:
        """Wait for a connection; returns immediately if one is open.

        Raises:
            ReconnectStoppedError: there will be no connection any more.
        """
        await self._running.opened()

    def retry_now(self) -> None:
        """Stop waiting and try now. Does nothing during a connection or an attempt."""
        self._running.connector.waits.wake()

    # --- the end ---

    async def close(self, reason: CloseReason = _NORMAL) -> None:
        """End the feed: send what waits if a connection is open, close it, and stop.

        Idempotent; every caller waits for the end. What could not be sent within `close_timeout`
        is `NOT_SENT`.

        Raises:
            ValueError: the code may not be sent (RFC 6455 7.4.1).
        """
        if not isinstance(reason, CloseReason):
            raise TypeError(f"close takes a CloseReason, not {type(reason).__name__}")
        checked_reason(reason)
        self._running.home.check()
        await self._running.close(reason)

    def cancel(self) -> None:
        """Drop the connection, or the wait for one, now; waiting messages become `NOT_SENT`."""
        if not self._running.home.is_closed:
            self._running.home.check()
        self._running.cancel()

    async def _leave(self, exc_type: type[BaseException] | None) -> None:
        """End it as leaving its `async with` does."""
        running = self._running
        if exc_type is not None and running.home.is_elsewhere:
            return  # nothing can be said from there, and the exception passes
        if exc_type is not None and not issubclass(exc_type, Exception):
            await running.close_without_waiting()
            return
        await self.close(_NORMAL if exc_type is None else _INTERNAL_ERROR)
        try:
            await running.over()
        except Exception:
            if exc_type is None:
                raise

    if not TYPE_CHECKING:  # for type checkers a feed has none of these

        def __iter__(self) -> NoReturn:
            raise TypeError("what arrives is awaited; write `async for message in feed:`")

    def __repr__(self) -> str:
        return f"<WebSocketFeed {self.state}, generation {self.generation}>"

"""One connection of ours: an asyncio protocol that carries one exchange after another.

Bytes become answers in `http1/`; who gets the connection next is the pool's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from ktor_client.engine.readable import ended_in_full, poll_of, rest_of
from ktor_client.engine.reading import ReadInPlace
from ktor_client.engine.silence import Silence
from ktor_client.engine.wire.errors import NoAnswerError
from ktor_client.engine.wire.exchange import Exchange

__all__ = ["Connection"]

KEPT = 15.0
"""Seconds that an idle connection is kept, unless the server has told less."""


class Connection(ReadInPlace):
    """A connection to an origin, or to a proxy."""

    __slots__ = (
        "__weakref__",
        "_error",
        "_exchange",
        "_expiry",
        "_idle_until",
        "_is_long",
        "_on_gone",
        "_poll",
        "_room",
        "is_congested",
        "is_gone",
        "loop",
        "silence",
        "transport",
        "was_used",
    )

    transport: asyncio.Transport
    """Set by `connection_made`."""

    def __init__(self, on_gone: Callable[[Connection], None]) -> None:
        """Wait for a transport; `on_gone` is called once, when that is gone."""
        self.loop = asyncio.get_running_loop()
        self._read_in_place(self.loop)
        self._on_gone: Callable[[Connection], None] | None = on_gone
        self._exchange: Exchange | None = None
        self._error: Exception | None = None
        self._poll: Callable[[int], Sequence[object]] | None = None
        self._idle_until = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        self.silence: Silence | None = None
        self.is_congested = self.is_gone = False
        self.was_used = False
        """Whether an answer has come on it: it may have been closed since."""

    # --- the engine's calls ---

    def begin(self, exchange: Exchange) -> None:
        """Carry an exchange.

        Raises:
            NoAnswerError: the connection is gone.
        """
        if self.is_gone or self.transport.is_closing():
            raise NoAnswerError("Server disconnected") from self._error
        self._exchange = exchange

    def listen(self) -> Silence:
        """Return what counts silence, for the first exchange that has a limit of it."""
        self.silence = Silence(self._unsent, self._is_ours, self._was_silent)
        return self.silence

    def finish(self, idle_limit: float | None) -> None:
        """Take note that the exchange is over and that the connection may be used again."""
        self._exchange = None
        self.was_used = True
        self._end_long()
        kept = KEPT if idle_limit is None else min(KEPT, idle_limit - 1)
        self._idle_until = self.loop.time() + kept
        if self._expiry is None:
            self._expiry = self.loop.call_later(kept, self._expire)

    @property
    def is_usable(self) -> bool:
        """Whether an idle connection may be used: nothing waits to be read, no end either.

        The event loop may not have come to that yet; what is sent then gets no answer.
        """
        if self.is_gone or self.transport.is_closing() or self.loop.time() >= self._idle_until:
            return False
        if self._poll is None:
            self._poll = poll_of(self.transport)
        return not self._poll(0)

    def drop(self) -> None:
        """Close the connection now; what was not sent is lost."""
        self._end_timers()
        if self.is_gone:
            return
        if self.loop.is_closed():
            self.connection_lost(None)  # the loop will not say it any more
        else:
            self.transport.abort()

    def release(self) -> tuple[asyncio.Transport, Exception | None]:
        """Give the transport away, and the error that it was lost by if it was."""
        self._exchange = None
        self._end_timers()
        self._on_gone = None
        return self.transport, self._error

    def _expire(self) -> None:
        """Drop a connection that was idle for long; else look again when it may have been."""
        self._expiry = None
        left = self._idle_until - self.loop.time()
        if self._exchange is not None or left > 0:
            self._expiry = self.loop.call_later(max(left, 1.0), self._expire)
        else:
            self.drop()

    def _end_timers(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.silence is not None:
            self.silence.close()

    # --- silence ---

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _is_ours(self) -> bool:
        return self._exchange is not None and self._exchange.is_ours

    def _was_silent(self, limit: float) -> None:
        if self._exchange is not None:
            self._exchange.was_silent(limit)

    # --- the transport's calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; without an exchange they are an answer to nothing (RFC 9112 6.3)."""
        if self._exchange is None:
            self.drop()
        else:
            self._exchange.received(data)

    def eof_received(self) -> None:
        """Pass the end on, and let the transport close."""
        if self._exchange is not None:
            self._exchange.ended(None, in_full=ended_in_full(self.transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone, and tell everybody."""
        self.is_gone = True
        self._error = exc
        self._end_timers()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if exchange.sending is not None:
                exchange.sending.resume()
            for data in () if exchange.is_over else rest_of(self.transport, exc):
                exchange.received(data)
            exchange.ended(exc, in_full=False)
        if self._on_gone is not None:
            on_gone, self._on_gone = self._on_gone, None
            on_gone(self)

    def pause_writing(self) -> None:
        """Make the upload wait, also one that begins later."""
        self.is_congested = True
        if self._exchange is not None and self._exchange.sending is not None:
            self._exchange.sending.pause()

    def resume_writing(self) -> None:
        """Let the upload go on."""
        self.is_congested = False
        if self._exchange is not None and self._exchange.sending is not None:
            self._exchange.sending.resume()

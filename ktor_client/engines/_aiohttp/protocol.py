"""A connection of the engine's own pool: aiohttp's, with our rules for heads and for silence.

aiohttp's parser is given a head of our writing, which says how long the body is and no more, and
the body in frames of ours; so what is accepted, repaired or refused is the same on every engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from ktor_client.engine.phases import phase_of_an_exchange
from ktor_client.engine.readable import ended_in_full, poll_of, rest_of
from ktor_client.engine.reading import ReadInPlace
from ktor_client.engine.sending import Sending
from ktor_client.engine.silence import Silence, socket_timeout_error
from ktor_client.engines._aiohttp.errors import NoAnswerError, said
from ktor_client.http1 import AnswerError, AnswerHead, AnswerParser

__all__ = ["ENGINE", "PooledProtocol"]

ENGINE = "AiohttpEngine"

_CLOSED = "the connection was closed here"


class PooledProtocol(ResponseHandler, ReadInPlace):
    """Carries one exchange after another, each from `begin` to `finish`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._read_in_place(loop)
        self.head: AnswerHead | None = None
        """That of the answer, once it is here."""
        self.leading: bytearray | None = None
        """What came behind a 101."""
        self.broken: Exception | None = None
        """What has broken off the body of the answer."""
        self.was_used = False
        """Whether an answer has come on it: it may have been closed since."""
        self.is_awaited = False
        """Whether somebody waits for the peer."""
        self.silence = Silence(self._unsent, self._is_ours, self._was_silent)
        self.sending = Sending(self.silence.heard, self.fail)
        self._answers: AnswerParser | None = None  # until a head is here
        self._is_busy = self._is_handshake = self._is_in_full = False
        self._where = ""
        self._idle_until = 0.0
        self._poll: Callable[[int], Sequence[object]] | None = None

    # --- the engine's calls ---

    def begin(self, where: str, method: str, limit: float | None, *, is_handshake: bool) -> None:
        """Expect the answer to a request to `where`.

        Raises:
            NoAnswerError: the connection is gone.
        """
        self._answers = AnswerParser(method, is_handshake=is_handshake)
        if self.transport is None or self.transport.is_closing():
            raise NoAnswerError("Server disconnected") from self.exception()
        self.head = self.broken = None
        self._parser = None
        self._payload = None
        self._where = where
        self._is_handshake = is_handshake
        self._is_busy = self.is_awaited = True
        self.silence.begin(limit)

    def finish(self) -> None:
        """Take note that the exchange is over and that the connection may be used again."""
        self._is_busy = self.is_awaited = False
        self.was_used = True
        self._end_long()
        self.silence.end()
        limit = None if self.head is None else self.head.idle_limit
        self._idle_until = 0.0 if limit is None else self._loop.time() + limit - 1

    @property
    def is_unheard(self) -> bool:
        """Whether no byte of an answer has come."""
        return self._answers is not None and not self._answers.has_begun

    def fail(self, error: Exception) -> None:
        """End the exchange with an error, for whoever waits for the head or reads the body."""
        self.set_exception(error)
        self._break_off(error)

    # --- silence ---

    def _unsent(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _is_ours(self) -> bool:
        if self.sending.is_ours:
            return not self._unsent()
        return self._reading_paused or not self.is_awaited

    def _was_silent(self, limit: float) -> None:
        is_sending = self.sending.is_running or self._unsent() > 0
        phase = phase_of_an_exchange(self._answers, is_sending=is_sending)
        self.fail(socket_timeout_error(ENGINE, self._where, limit, phase))

    # --- the pool's calls ---

    def is_connected(self) -> bool:
        """Whether the pool may use the connection again: nothing waits to be read, no end either.

        The event loop may not have come to that yet; what is sent then gets no answer.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self.should_close:
            return False
        if self._idle_until and self._loop.time() >= self._idle_until:
            return False
        if self._poll is None:
            self._poll = poll_of(transport)
        return not self._poll(0)

    def close(self) -> None:
        if self._loop.is_closed():
            return  # nobody hears of it; the socket goes with the transport
        transport = self.transport
        if transport is None or transport.is_closing():
            self.abort()
            return
        waits = self._unsent() or transport.get_extra_info("ssl_object")
        self.sending.stop()
        self._break_off(aiohttp.ClientPayloadError(_CLOSED))
        super().close()  # TLS says farewell,
        if waits:
            transport.abort()  # and nobody waits for a peer that reads nothing, or says none

    def abort(self) -> None:
        self.sending.stop()
        self._break_off(aiohttp.ClientPayloadError(_CLOSED))
        super().abort()

    # --- the transport's calls ---

    def data_received(self, data: bytes) -> None:
        self.silence.heard()
        answers = self._answers
        if answers is None:
            if self.leading is not None:
                self.leading += data
            elif self._is_busy and not (self._payload is None or self._payload.is_eof()):
                self._take_body(data)
            elif data and self.transport is not None:  # it belongs to no answer (RFC 9112 6.3)
                self.transport.abort()
            return
        if not data:  # aiohttp has paused for a body, and goes on; there is none yet
            return
        try:
            found = answers.feed(data)
        except AnswerError as error:
            self.fail(error)
            return
        if found is None:
            if answers.was_told_to_go_on:
                self.sending.go_on()
            return
        self._answers, self.is_awaited = None, False
        self.head, rest = found
        if self.head.status == 101:
            self.leading = bytearray(rest)
            if self.transport is not None:
                self.transport.pause_reading()
            self._should_close = True
            self.feed_data((None, EMPTY_PAYLOAD), 0)  # type: ignore[arg-type]  # the head is ours
            return
        self._take_head(self.head, rest)

    def _take_head(self, head: AnswerHead, rest: bytes) -> None:
        if self._is_handshake:  # many servers drop the connection of a refused one without a word
            head.keeps = False
        if self.sending.is_running and (head.status >= 400 or not head.keeps):
            self.sending.stop()  # nobody reads it (RFC 9112 9.3)
            head.keeps = False
        self.set_response_params(read_until_eof=True, auto_decompress=False)
        super().data_received(head.framing())
        if rest:
            self._take_body(rest)

    def _take_body(self, data: bytes) -> None:
        head = self.head
        assert head is not None
        if not data:  # aiohttp goes on with what it had when it paused
            super().data_received(data)
            return
        if head.body.is_done:  # it belongs to no answer (RFC 9112 6.3)
            head.keeps = False
            return
        framed = head.body.relay(data)
        if head.body.surplus:
            head.keeps = False
        if framed:
            super().data_received(framed)
        if head.body.fault is not None:
            self._break_body(head.body.fault)

    def _break_body(self, error: AnswerError) -> None:
        if self.transport is not None:
            self.transport.close()
        self.set_exception(error)
        self._break_off(aiohttp.ClientPayloadError(str(error)))

    def _break_off(self, error: Exception) -> None:
        """End the body here: who reads it gets what has come, and then the error."""
        self._release()
        body = self._payload
        if self.head is not None and not (body is None or body.is_eof()):
            self.broken, self.head.keeps = error, False
            self._parser = self._payload = None  # aiohttp would find words of its own
            body.feed_eof()

    def _release(self) -> None:
        """Take from aiohttp's parser what it holds back while the reader is slow."""
        while self._reading_paused and self._parser is not None:
            self._reading_paused = False
            super().data_received(b"")

    def eof_received(self) -> None:
        super().eof_received()
        self._is_in_full = self.transport is not None and ended_in_full(self.transport)
        if self.transport is not None and self._unsent():  # which nobody reads any more
            self.transport.abort()

    def set_exception(self, exc: Any, exc_cause: Any = None) -> None:
        super().set_exception(exc, exc_cause or exc)
        if isinstance(exc, HttpProcessingError):
            self._break_off(aiohttp.ClientPayloadError(said(exc)))

    def connection_lost(self, exc: BaseException | None) -> None:
        transport: Any = self.transport
        self.transport = None  # which is not to be closed again by who hears of the body's end
        for data in rest_of(transport, exc) if transport is not None and self._is_busy else ():
            self.data_received(data)
        self.silence.close()
        self._release()
        if isinstance(exc, OSError):
            self._break_off(aiohttp.ClientOSError(*exc.args))
        elif exc is not None:
            self._break_off(aiohttp.ClientConnectionError(str(exc)))
        elif self.head is not None and not (self._payload is None or self._payload.is_eof()):
            try:
                self.head.body.end(in_full=self._is_in_full)
            except AnswerError as error:
                self._break_body(error)
        super().connection_lost(exc)
        self.sending.stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.sending.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.sending.resume()

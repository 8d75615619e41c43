"""One request and its answer on a connection of ours: what is read, and the end.

The answer's content waits here, up to a mark; beyond it the socket is not read. The body is sent by
`engine/sending.py`, so that an early answer is heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable
from typing import TYPE_CHECKING

from ktor_client.engine.error_table import place
from ktor_client.engine.phases import phase_of_an_exchange
from ktor_client.engine.sending import Sending
from ktor_client.engine.silence import socket_timeout_error
from ktor_client.engine.upload import Upload
from ktor_client.engine.wire.errors import NoAnswerError
from ktor_client.http import HttpRequest
from ktor_client.http1 import AnswerError, AnswerHead, AnswerParser
from ktor_client.link.home_loop import wake

if TYPE_CHECKING:
    from ktor_client.engine.wire.connection import Connection

__all__ = ["Exchange"]

HIGH_WATER = 256 * 1024
"""Bytes that wait for the reader, from which on the socket is not read."""
LOW_WATER = 64 * 1024


class Exchange:
    """A request under way. It owns its connection until `over` is called."""

    __slots__ = (
        "_engine",
        "_error",
        "_is_handshake",
        "_is_paused",
        "_over",
        "_parser",
        "_pieces",
        "_queued",
        "_reader",
        "_request",
        "_silence",
        "connection",
        "head",
        "is_last",
        "is_over",
        "leading",
        "sending",
        "source",
    )

    def __init__(
        self,
        connection: Connection,
        engine: str,
        request: HttpRequest,
        over: Callable[[Exchange, bool], None],
        *,
        limit: float | None,
        is_handshake: bool = False,
    ) -> None:
        """Begin.

        Args:
            connection: which carries it.
            engine: its name, for messages.
            request: which it is.
            over: called once, when nothing of the answer is missing or will come, with whether
                the connection may be used again.
            limit: seconds without a byte, either way, after which it fails; None for no limit.
            is_handshake: whether 101 is an answer.

        Raises:
            NoAnswerError: the connection is gone.
        """
        self.connection = connection
        self.head: AnswerHead | None = None
        self.is_last = False
        """Whether the request has said that none follows on its connection."""
        self.is_over = False
        self.leading = b""
        """What came behind a 101."""
        self.source: Upload | None = None
        """What the body comes from, if it is streamed."""
        self._engine = engine
        self.sending: Sending | None = None
        """What sends the body, if it does not leave with its head."""
        self._request = request
        self._over = over
        self._is_handshake = is_handshake
        self._parser = AnswerParser(request.method, is_handshake=is_handshake)
        self._pieces: deque[bytes] = deque()
        self._queued = 0
        self._is_paused = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        connection.begin(self)
        self._silence = None
        if limit is not None:
            self._silence = connection.silence or connection.listen()
            self._silence.begin(limit)

    # --- the engine's calls ---

    def upload(
        self, body: bytes | AsyncIterable[bytes], *, chunked: bool, waits_for_go_on: bool
    ) -> None:
        """Send a body behind its head, while the answer may come."""
        if isinstance(body, Upload):
            self.source = body
        self.sending = Sending(self._heard, self._fail)
        self.sending.begin(
            self.connection.transport, body, chunked=chunked, waits_for_go_on=waits_for_go_on
        )
        if self.connection.is_congested:  # by the head, or by what a request before has left
            self.sending.pause()

    def more(self) -> asyncio.Future[None]:
        """Return what to await for the head of the answer, or the next piece, before a look.

        Raises:
            NoAnswerError, AnswerError, OSError: nothing will come.
            RequestTimeoutError: nothing has come for too long.
            Exception: what the iterator of the body has raised.
        """
        if self._error is not None:
            raise self._error
        self._reader = self.connection.loop.create_future()
        return self._reader

    @property
    def is_unheard(self) -> bool:
        """Whether no byte of an answer has come."""
        return self.head is None and not self._parser.has_begun

    @property
    def whole(self) -> bytes | None:
        """The content, if all of it is here and nobody has begun to read it."""
        if not self.is_over or self._error is not None:
            return None
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    async def next_piece(self) -> bytes:
        """Return what has come of the content; b"" is its end. Raises what `more` raises."""
        pieces = self._pieces
        while not pieces:
            if self.is_over and self._error is None:
                return b""
            await self.more()
        piece = pieces.popleft()
        self._queued -= len(piece)
        if self._is_paused and self._queued <= LOW_WATER:
            self._resume()
        return piece

    async def close(self) -> None:
        """Drop the connection, unless all of the answer has come. Idempotent.

        After a 101 it is for who does not take the connection over.
        """
        if not self.is_over:
            self._pieces.clear()
            self._fail(NoAnswerError("the response was closed"))  # told to who is reading it
        elif self.head is not None and self.head.status == 101:
            self._over(self, False)
        if self.sending is not None:
            await self.sending.ended()

    @property
    def _is_sending(self) -> bool:
        return self.sending is not None and self.sending.is_running

    # --- told by the connection ---

    @property
    def is_ours(self) -> bool:
        """Whether we keep the peer waiting: nobody reads, or the body yields nothing."""
        return self._is_paused or (self.sending is not None and self.sending.is_ours)

    def was_silent(self, limit: float) -> None:
        """Fail: no byte has come or gone for too long."""
        unsent = self.connection.transport.get_write_buffer_size()
        answers = self._parser if self.head is None else None
        phase = phase_of_an_exchange(answers, is_sending=self._is_sending or unsent > 0)
        self._fail(socket_timeout_error(self._engine, place(self._request), limit, phase))

    def received(self, data: bytes) -> None:
        """Take what was read."""
        if self._silence is not None:
            self._silence.heard()
        if self.is_over:  # behind a 101, in the steps until a link has the transport
            self.leading += data
            self.connection.transport.pause_reading()
            return
        try:
            if self.head is None:
                found = self._parser.feed(data)
                if found is None:
                    if self._parser.was_told_to_go_on and self.sending is not None:
                        self.sending.go_on()
                    return
                self.head, data = found
                if self.head.status == 101:
                    self.leading = data
                    self.is_over = True
                    if self._silence is not None:
                        self._silence.end()
                    return
                if self.sending is not None and self.sending.is_running:
                    if self.head.status >= 400 or not self.head.keeps:
                        self.sending.stop()  # nobody reads it (RFC 9112 9.3)
                        self.head.keeps = False
            body = self.head.body
            if data and not body.is_done:
                content = body.feed(data)
                data = body.surplus
                if content:
                    self._take(content)
                if body.fault is not None:
                    self._fail(body.fault)
            if body.is_done:
                # Many servers drop the connection of a refused handshake without a word.
                self._end(keeps=self.head.keeps and not (data or self._is_handshake))
        except AnswerError as error:
            self._fail(error)
        finally:
            self._wake()

    def _take(self, content: bytes) -> None:
        self._pieces.append(content)
        self._queued += len(content)
        if self._queued >= HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self.connection.transport.pause_reading()

    def _resume(self) -> None:
        self._is_paused = False
        if not self.connection.transport.is_closing():
            self._heard()
            self.connection.transport.resume_reading()

    def ended(self, error: Exception | None, *, in_full: bool) -> None:
        """Take the end of the connection; `in_full` says that it is the peer's word."""
        if self.is_over:
            return
        if error is not None:
            self._fail(error)
        elif self.head is None:
            within = " within the head of its answer" if self._parser.has_begun else ""
            self._fail(NoAnswerError(f"Server disconnected{within}"))
        else:
            try:
                self.head.body.end(in_full=in_full)
            except AnswerError as broken:
                self._fail(broken)
            else:
                self._end(keeps=False)

    # --- inside ---

    def _fail(self, error: Exception) -> None:
        if self.is_over:
            return
        self._error = error
        self._end(keeps=False)

    def _end(self, *, keeps: bool) -> None:
        self.is_over = True
        if self._silence is not None:
            self._silence.end()
        if self.sending is not None and not self.sending.is_whole:
            keeps = False
            self.sending.stop()
        if keeps and self._is_paused:
            self._resume()
        self._over(self, keeps)
        self._wake()

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.heard()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            wake(reader)

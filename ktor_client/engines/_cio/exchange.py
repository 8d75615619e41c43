"""One request and its answer on a connection of ours: what is read, what is still sent, the end.

The answer's content waits here, up to a mark; beyond it the socket is not read. A body that is
streamed is sent by a task of the exchange, so that an early answer is heard.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ktor_client.engine.upload import Upload
from ktor_client.engines._cio.errors import NoAnswerError
from ktor_client.errors import RequestTimeoutError
from ktor_client.http import RequestBody
from ktor_client.http1 import LAST_CHUNK, AnswerError, AnswerHead, AnswerParser, chunk

if TYPE_CHECKING:
    from ktor_client.engines._cio.connection import Connection

__all__ = ["Exchange"]

HIGH_WATER = 256 * 1024
"""Bytes that wait for the reader, from which on the socket is not read."""
LOW_WATER = 64 * 1024
PIECE = 256 * 1024
"""Bytes of a long body that are written at a time."""
GO_ON = 1.0
"""Seconds that `Expect: 100-continue` waits before the body is sent all the same (RFC 9110
10.1.1)."""


class Exchange:
    """A request under way. It owns its connection until `over` is called."""

    __slots__ = (
        "_buffered",
        "_error",
        "_is_handshake",
        "_is_paused",
        "_is_uploading",
        "_limit",
        "_over",
        "_parser",
        "_pieces",
        "_queued",
        "_reader",
        "_uploader",
        "_wakes_upload",
        "connection",
        "head",
        "is_over",
        "leading",
        "source",
    )

    def __init__(
        self,
        connection: Connection,
        method: str,
        over: Callable[[Exchange, bool], None],
        *,
        limit: float | None,
        is_handshake: bool = False,
    ) -> None:
        """Begin.

        Args:
            connection: which carries it.
            method: of the request.
            over: called once, when nothing of the answer is missing or will come, with whether
                the connection may be used again.
            limit: seconds without a byte, either way, after which it fails; None for no limit.
            is_handshake: whether 101 is an answer.

        Raises:
            NoAnswerError: the connection is gone.
        """
        self.connection = connection
        self.head: AnswerHead | None = None
        self.is_over = False
        self.leading = b""
        """What came behind a 101."""
        self.source: Upload | None = None
        """What the body comes from, if it is streamed."""
        self._over = over
        self._limit = limit
        self._is_handshake = is_handshake
        self._parser = AnswerParser(method, is_handshake=is_handshake)
        self._pieces: deque[bytes] = deque()
        self._queued = 0
        self._is_paused = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._uploader: asyncio.Task[None] | None = None
        self._is_uploading = False
        self._wakes_upload: asyncio.Future[None] | None = None
        self._buffered = 0
        connection.begin(self, limit)

    # --- the engine's calls ---

    async def answered(self) -> AnswerHead:
        """Return the head of the answer.

        Raises:
            NoAnswerError, AnswerError, OSError: there is none.
            RequestTimeoutError: nothing has come for too long.
            Exception: what the iterator of the body has raised.
        """
        while self.head is None:
            if self._error is not None:
                raise self._error
            await self._wait()
        return self.head

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
        """Return what has come of the content; b"" is its end. Raises what `answered` raises."""
        pieces = self._pieces
        while not pieces:
            if self._error is not None:
                raise self._error
            if self.is_over:
                return b""
            await self._wait()
        piece = pieces.popleft()
        self._queued -= len(piece)
        if self._is_paused and self._queued <= LOW_WATER:
            self._resume()
        return piece

    async def close(self) -> None:
        """Drop the connection, unless all of the answer has come. Idempotent."""
        if not self.is_over:
            self._pieces.clear()
            self._fail(NoAnswerError("the response was closed"))  # told to who is reading it
        await self.upload_ended()

    async def upload_ended(self) -> None:
        """Return when nothing of the request is being sent any more."""
        if self._uploader is not None:
            await asyncio.wait({self._uploader})

    # --- sending ---

    def send(self, data: bytes) -> None:
        """Write bytes of the request."""
        self.connection.transport.write(data)

    def upload(self, body: RequestBody | Upload, *, chunked: bool, waits_for_go_on: bool) -> None:
        """Send a long body, or one that is made while it is sent, in a task."""
        self._is_uploading = True
        self.source = body if isinstance(body, Upload) else None
        self._uploader = asyncio.get_running_loop().create_task(
            self._upload(body, chunked=chunked, waits_for_go_on=waits_for_go_on)
        )
        self._uploader.add_done_callback(self._uploaded)

    def wake_upload(self) -> None:
        """Let the upload look again at what it waits for."""
        if self._wakes_upload is not None and not self._wakes_upload.done():
            self._wakes_upload.set_result(None)

    async def _upload(
        self, body: RequestBody | Upload, *, chunked: bool, waits_for_go_on: bool
    ) -> None:
        if waits_for_go_on:
            await self._told_to_go_on()
        if isinstance(body, bytes):
            view = memoryview(body)
            for at in range(0, len(view), PIECE):
                await self._write(view[at : at + PIECE])
            return
        iterator = body.__aiter__()
        try:
            async for piece in iterator:
                await self._write(chunk(piece) if chunked else piece)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
        if chunked:
            await self._write(LAST_CHUNK)

    async def _told_to_go_on(self) -> None:
        try:
            async with asyncio.timeout(GO_ON):
                while not self._parser.was_told_to_go_on:
                    await self._until_woken()
        except TimeoutError:
            pass  # a server that knows nothing of it says nothing (RFC 9110 10.1.1)

    async def _write(self, data: bytes | memoryview) -> None:
        connection = self.connection
        connection.transport.write(data)
        while connection.is_congested:
            await self._until_woken()
        if connection.is_gone:
            raise NoAnswerError("Server disconnected")
        connection.heard()

    async def _until_woken(self) -> None:
        self._wakes_upload = asyncio.get_running_loop().create_future()
        await self._wakes_upload

    def _uploaded(self, task: asyncio.Task[None]) -> None:
        self._is_uploading = False
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        if isinstance(error, Exception):
            if not isinstance(error, NoAnswerError):  # reading tells that better
                self._fail(error)
        else:
            self._fail(ConnectionAbortedError("the upload was ended"))
            raise error

    def _stop_upload(self) -> None:
        if self._is_uploading and self._uploader is not None:
            self._uploader.cancel()

    # --- told by the connection ---

    def received(self, data: bytes) -> None:
        """Take what was read."""
        if self.is_over:  # behind a 101, in the steps until a link has the transport
            self.leading += data
            return
        try:
            if self.head is None:
                found = self._parser.feed(data)
                if found is None:
                    if self._parser.was_told_to_go_on:
                        self.wake_upload()
                    return
                self.head, data = found
                if self.head.status == 101:
                    self.leading = data
                    self.connection.transport.pause_reading()
                    self.is_over = True
                    self._wake()
                    return
                if self._is_uploading and (self.head.status >= 400 or not self.head.keeps):
                    self._stop_upload()  # nobody reads it (RFC 9112 9.3)
                    self.head.keeps = False
                self._wake()
            body = self.head.body
            if data and not body.is_done:
                content = body.feed(data)
                data = body.surplus
                if content:
                    self._take(content)
            if body.is_done:
                # Many servers drop the connection of a refused handshake without a word.
                self._end(keeps=self.head.keeps and not (data or self._is_handshake))
        except AnswerError as error:
            self._fail(error)

    def _take(self, content: bytes) -> None:
        self._pieces.append(content)
        self._queued += len(content)
        if self._queued >= HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self.connection.transport.pause_reading()
        self._wake()

    def _resume(self) -> None:
        self._is_paused = False
        if not self.connection.transport.is_closing():
            self.connection.heard()
            self.connection.transport.resume_reading()

    def ended(self, error: Exception | None) -> None:
        """Take the end of the connection."""
        if self.is_over:
            return
        if error is not None:
            self._fail(error)
        elif self.head is None:
            within = " within the head of its answer" if self._parser.has_begun else ""
            self._fail(NoAnswerError(f"Server disconnected{within}"))
        else:
            try:
                self.head.body.end()
            except AnswerError as broken:
                self._fail(broken)
            else:
                self._end(keeps=False)

    def check_silence(self) -> float | None:
        """Fail if no byte went either way for too long; return when to look again."""
        limit = self._limit
        if limit is None:
            return None
        connection = self.connection
        buffered = connection.transport.get_write_buffer_size()
        is_ours = self._is_paused or (self._is_uploading and not buffered)
        if is_ours or buffered < self._buffered:
            connection.heard()
        self._buffered = buffered
        left = limit - connection.silence
        if left > 0:
            return left
        self._fail(RequestTimeoutError(f"nothing came for {limit:g} s"))
        return None

    # --- inside ---

    def _fail(self, error: Exception) -> None:
        if self.is_over:
            return
        self._error = error
        self._end(keeps=False)

    def _end(self, *, keeps: bool) -> None:
        self.is_over = True
        if self._is_uploading:
            keeps = False
            self._stop_upload()
        if keeps and self._is_paused:
            self._resume()
        self._over(self, keeps)
        self._wake()

    async def _wait(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        await self._reader

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

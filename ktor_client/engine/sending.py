"""Sending a request's body while its answer may come: in pieces, as fast as the peer takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable

from ktor_client.http.body import opened
from ktor_client.http1 import LAST_CHUNK, chunk

__all__ = ["AT_ONCE", "Sending"]

AT_ONCE = 64 * 1024
"""Bytes of a body that leave with their head in one write."""

_PIECE = 256 * 1024
"""Bytes of a long body that are written at a time."""

_GO_ON = 1.0
"""Seconds that `Expect: 100-continue` waits before the body is sent all the same (RFC 9110
10.1.1)."""


class _GoneError(Exception):
    """The connection is closed; who reads hears why."""


class Sending:
    """The task that sends a body. Its owner tells it of the transport, and ends it."""

    __slots__ = ("_heard", "_is_congested", "_on_error", "_task", "_waiter", "_was_told", "is_ours")

    def __init__(self, heard: Callable[[], None], on_error: Callable[[Exception], None]) -> None:
        """Take whom to tell: of progress, and of an error that ends the exchange."""
        self._heard = heard
        self._on_error = on_error
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_congested = False
        self._was_told = False
        self.is_ours = False
        """Whether it waits for the body's next piece, and not for the peer."""

    @property
    def is_running(self) -> bool:
        """Whether something of the body is still to be sent."""
        return self._task is not None and not self._task.done()

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the body is missing; else what follows would be taken for it."""
        task = self._task
        return task is None or (task.done() and not task.cancelled() and task.exception() is None)

    def begin(
        self,
        transport: asyncio.Transport,
        body: bytes | AsyncIterable[bytes],
        *,
        chunked: bool,
        waits_for_go_on: bool,
    ) -> None:
        """Send a body behind its head."""
        self._was_told = False
        sending = self._send(transport, body, chunked=chunked, waits_for_go_on=waits_for_go_on)
        self._task = asyncio.get_running_loop().create_task(sending)
        self._task.add_done_callback(self._sent)

    # --- told by the owner ---

    def pause(self) -> None:
        """Take note that the transport is above its mark."""
        self._is_congested = True

    def resume(self) -> None:
        """Take note that it is below again, or gone."""
        self._is_congested = False
        self._wake()

    def go_on(self) -> None:
        """Take note of a 100: the server wants the body."""
        self._was_told = True
        self._wake()

    def stop(self) -> None:
        """Send no more: nobody reads it."""
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Return when nothing is sent any more, and the body's iterator is closed."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    # --- inside ---

    async def _send(
        self,
        transport: asyncio.Transport,
        body: bytes | AsyncIterable[bytes],
        *,
        chunked: bool,
        waits_for_go_on: bool,
    ) -> None:
        if waits_for_go_on:
            await self._told_to_go_on()
        if isinstance(body, bytes):
            view = memoryview(body)
            for at in range(0, len(view), _PIECE):
                await self._write(transport, view[at : at + _PIECE])
            return
        async with opened(body) as pieces:
            try:
                self.is_ours = True
                async for piece in pieces:
                    self.is_ours = False
                    if piece:
                        await self._write(transport, chunk(piece) if chunked else piece)
                    self.is_ours = True
            finally:
                self.is_ours = False
        if chunked:
            await self._write(transport, LAST_CHUNK)

    async def _told_to_go_on(self) -> None:
        self.is_ours = True  # by our choice: the wait is no silence of the peer's
        try:
            async with asyncio.timeout(_GO_ON):
                while not self._was_told:
                    await self._until_woken()
        except TimeoutError:
            pass  # a server that knows nothing of it says nothing
        finally:
            self.is_ours = False

    async def _write(self, transport: asyncio.Transport, data: bytes | memoryview) -> None:
        if transport.is_closing():
            raise _GoneError
        transport.write(data)
        while self._is_congested:
            await self._until_woken()
        self._heard()

    async def _until_woken(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _sent(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if task.cancelling():
                return
            error: BaseException | None = asyncio.CancelledError()  # what the body waits for was
        else:
            error = task.exception()
        if error is None or isinstance(error, _GoneError):
            return
        if not isinstance(error, Exception):
            error = ConnectionAbortedError("the upload was ended")
        self._on_error(error)

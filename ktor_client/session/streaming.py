"""One message in fragments, each chunk as it comes: `send_stream`, and every way it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from types import TracebackType
from typing import TypeAlias

from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import BinaryFrame, CloseReason, TextFrame
from ktor_client.session.core import SessionCore
from ktor_client.session.sending import Sending

__all__ = ["Chunk", "Chunks", "send_stream"]

Chunk: TypeAlias = str | bytes | bytearray | memoryview
Chunks: TypeAlias = AsyncIterable[str] | AsyncIterable[bytes]

_FAILED = CloseReason(CloseReason.Codes.INTERNAL_ERROR)


async def send_stream(core: SessionCore, chunks: Chunks) -> None:
    """Send one message; see `DefaultWebSocketSession.send_stream`."""
    if not isinstance(chunks, AsyncIterable):
        raise TypeError(
            f"send_stream takes an async iterable of str or bytes, not {type(chunks).__name__}; "
            "what is there already is one message: `await session.send(...)`"
        )
    sending = core.sending
    sending.check_open()
    turn = kind = None
    try:
        async with _UntilTheEnd(sending):
            async for chunk in chunks:
                fragment = _fragment(chunk, kind)
                kind = type(fragment)
                if turn is None:
                    turn = await sending.begin_stream()
                await sending.send_fragment(turn, fragment)
            if turn is not None and kind is not None:
                await sending.send_fragment(turn, kind(b""))
    except BaseException as error:
        if core.home.is_closed:
            pass  # thrown away with its loop: nothing can be said any more
        elif turn is not None and turn.has_begun and not isinstance(error, ConnectionClosedError):
            if isinstance(error, asyncio.CancelledError):
                core.close_without_waiting(_FAILED)
            else:
                core.start_close(_FAILED)
        raise
    finally:
        if turn is not None:
            sending.end_stream(turn)
        if isinstance(chunks, AsyncGenerator) and not core.home.is_closed:
            await chunks.aclose()


class _UntilTheEnd:
    """Cuts a block short when the session ends, wherever it waits.

    No generator: the frames of `contextlib` would hold the error that goes through them, and that
    holds the frames. What is raised holds neither the timeout, which knows the task, nor itself.
    """

    __slots__ = ("_limit", "_loop", "_sending")

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._sending.on_end.append(self._expire)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End.

        Raises:
            ConnectionClosedError: the session has ended.
        """
        on_end = self._sending.on_end
        if self._expire in on_end:
            on_end.remove(self._expire)
        limit = self._limit
        del self._limit
        try:
            await limit.__aexit__(exc_type, exc, traceback)
        except TimeoutError:
            error = self._sending.error()
            try:
                raise error from error.__cause__
            finally:
                error.__context__ = None
                del error
        finally:
            del limit

    def _expire(self) -> None:
        if not self._loop.is_closed():
            self._limit.reschedule(self._loop.time())


def _fragment(
    chunk: Chunk, kind: type[TextFrame] | type[BinaryFrame] | None
) -> TextFrame | BinaryFrame:
    if isinstance(chunk, str) and kind is not BinaryFrame:
        return TextFrame(chunk, fin=False)
    if isinstance(chunk, bytes | bytearray | memoryview) and kind is not TextFrame:
        return BinaryFrame(chunk, fin=False)
    raise TypeError(
        f"send_stream takes chunks of str or of bytes, all alike; got {type(chunk).__name__}"
    )

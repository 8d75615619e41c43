"""One message in fragments, each chunk as it comes: `send_stream`, and every way it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from functools import partial
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
    sending = core.sending
    sending.check_open()
    turn = kind = None
    try:
        async with _until_the_end(sending):
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


@asynccontextmanager
async def _until_the_end(sending: Sending) -> AsyncGenerator[None]:
    """Cut the block short when the session ends, wherever it waits.

    Raises:
        ConnectionClosedError: the session has ended.
    """
    limit = asyncio.timeout(None)
    expire = partial(_expire, limit, asyncio.get_running_loop())
    sending.on_end.append(expire)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        error = sending.error()
        try:
            raise error from error.__cause__
        finally:
            error.__context__ = None  # whose frames refer to the task, which may end with this
            del error  # which refers to this frame
    finally:
        if expire in sending.on_end:
            sending.on_end.remove(expire)
        del limit, expire  # which refer to the task, too


def _expire(limit: asyncio.Timeout, loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        limit.reschedule(loop.time())


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

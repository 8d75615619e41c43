"""Lines of a file descriptor, read without blocking the event loop: a terminal, a pipe, a file.

And the sending of them, as both kinds of chat do it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from ktor_client import ConnectionClosedError
from ktor_client.cli.failure import CommandError
from ktor_client.cli.prompt import TypedLines, editor
from ktor_client.cli.screen import is_interactive, say

__all__ = ["Lines", "sending_lines"]

MAX_LINE = 64 * 1024 * 1024
_CHUNK = 64 * 1024


class Lines:
    """`async for line in Lines(0)`: text without the end of line.

    A thread reads, one chunk whenever a chunk is awaited, since only so terminals, pipes and files
    can be read alike on every system. It is a daemon and uses no buffer of Python's, so that the
    process can end while a read is under way.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Semaphore(0)
        self._chunk: asyncio.Future[bytes] | None = None
        self._buffer = bytearray()
        self._searched = 0
        self._at_end = False
        threading.Thread(target=self._read_chunks, name="stdin", daemon=True).start()

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str:
        """Return the next line.

        Raises:
            CommandError: what comes is not UTF-8, or is a line beyond 64 MiB.
        """
        while (at := self._buffer.find(b"\n", self._searched)) < 0 and not self._at_end:
            self._searched = len(self._buffer)
            if self._searched > MAX_LINE:
                raise CommandError(f"a line of the input is longer than {MAX_LINE} bytes")
            chunk = await self._read()
            self._at_end = not chunk
            self._buffer += chunk
        self._searched = 0
        if at < 0 and not self._buffer:
            raise StopAsyncIteration
        line = bytes(self._buffer if at < 0 else self._buffer[:at])
        del self._buffer[: len(line) + 1]
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise CommandError(f"the input is not UTF-8: {error}") from error

    async def _read(self) -> bytes:
        if self._chunk is None:
            self._chunk = self._loop.create_future()
            self._wanted.release()
        chunk = await asyncio.shield(self._chunk)
        self._chunk = None
        return chunk

    def _read_chunks(self) -> None:
        chunk = b"more"
        while chunk:
            self._wanted.acquire()
            try:
                chunk = os.read(self._fd, _CHUNK)
            except OSError:  # a terminal that is gone
                chunk = b""
            try:
                self._loop.call_soon_threadsafe(self._deliver, chunk)
            except RuntimeError:  # the loop is closed: nobody wants it
                return

    def _deliver(self, chunk: bytes) -> None:
        assert self._chunk is not None
        self._chunk.set_result(chunk)


@asynccontextmanager
async def sending_lines(
    send: Callable[[str], Awaitable[object]],
    sent: Callable[[], Awaitable[object]],
    close: Callable[[], Awaitable[object]],
    *,
    arrived: asyncio.Event,
    wait: float,
) -> AsyncGenerator[None]:
    """While the block shows what comes, send each line; unless somebody types, wait for answers.

    Then close, which should end the block; its end is the end of sending too.

    Args:
        send: sends one.
        sent: waits until all of them are on their way.
        close: closes; the server may have been first.
        arrived: is set when an answer has come.
        wait: seconds without an answer that are the end.

    Raises:
        CommandError: the lines cannot be read.
    """
    typist = asyncio.create_task(_send_lines(send, sent, close, arrived, wait))
    try:
        yield
    finally:
        typist.cancel()
        await asyncio.wait([typist])
    with suppress(asyncio.CancelledError, ConnectionClosedError):
        typist.result()


async def _send_lines(
    send: Callable[[str], Awaitable[object]],
    sent: Callable[[], Awaitable[object]],
    close: Callable[[], Awaitable[object]],
    arrived: asyncio.Event,
    wait: float,
) -> None:
    failure: CommandError | None = None
    readline = editor()
    typed = None if readline is None else TypedLines(readline)
    try:
        async for line in typed or Lines(0):
            await send(line)
        await sent()
        while not is_interactive():
            arrived.clear()
            try:
                async with asyncio.timeout(wait):
                    await arrived.wait()
            except TimeoutError:
                break
    except CommandError as error:
        failure = error
    finally:
        if typed is not None:
            typed.close()
    if is_interactive():
        say("closing ...")
    with suppress(ConnectionClosedError):
        await close()
    if failure is not None:
        raise failure

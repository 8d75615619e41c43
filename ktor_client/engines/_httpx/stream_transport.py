"""An asyncio transport over a stream that only has `read` and `write`: of a client we did not make.

Flow control both ways. One task owns it: the one that calls `carry`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpcore

__all__ = ["StreamTransport"]

_CHUNK = 64 * 1024
_HIGH_WATER = 64 * 1024
_NAMES = {"peername": "server_addr", "sockname": "client_addr"}


class StreamTransport(asyncio.Transport):
    """Carries bytes between a network stream and a protocol."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        super().__init__()
        self._stream = stream
        self._out = bytearray()
        self._out_changed = asyncio.Event()
        self._resumed = asyncio.Event()
        self._aborted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = False
        self._protocol: asyncio.Protocol | None = None
        self._congested = False
        self.set_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the stream has not taken yet."""
        return len(self._out)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks; see `asyncio.WriteTransport`."""
        self._high = _HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the stream tells under httpcore's name for it."""
        value = self._stream.get_extra_info(_NAMES.get(name, name))
        return default if value is None else value

    async def carry(self, protocol: asyncio.Protocol) -> None:
        """Carry bytes until either side ends it, then tell the protocol."""
        self._protocol = protocol
        reader = asyncio.ensure_future(self._read())
        writer = asyncio.ensure_future(self._write())
        error: Exception | None = None
        try:
            await asyncio.wait({reader, writer, self._aborted}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                self.close()  # the peer has ended; what was written before still leaves
                await asyncio.wait({writer, self._aborted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._closing = True
            for task in (reader, writer):
                task.cancel()
            for result in await asyncio.gather(reader, writer, return_exceptions=True):
                if isinstance(result, Exception):
                    error = error or result
            protocol.connection_lost(error)

    async def _read(self) -> None:
        while True:
            data = await self._stream.read(_CHUNK)
            await self._resumed.wait()
            if not data:
                return
            assert self._protocol is not None
            self._protocol.data_received(data)

    async def _write(self) -> None:
        while self._out or not self._closing:
            if not self._out:
                self._out_changed.clear()
                await self._out_changed.wait()
                continue
            data = bytes(self._out[:_CHUNK])
            await self._stream.write(data)
            del self._out[: len(data)]
            if self._congested and len(self._out) <= self._low:
                self._congested = False
                assert self._protocol is not None
                self._protocol.resume_writing()

    def pause_reading(self) -> None:
        """Hold back what is read; one chunk may be read already."""
        self._resumed.clear()

    def resume_reading(self) -> None:
        """Deliver again."""
        self._resumed.set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes; above the mark, tell the protocol to wait."""
        if self._closing:
            return
        self._out += data
        self._out_changed.set()
        if len(self._out) > self._high and not self._congested and self._protocol is not None:
            self._congested = True
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """End once everything written has left."""
        self._closing = True
        self._out_changed.set()

    def abort(self) -> None:
        """End now."""
        self._closing = True
        if not self._aborted.done():
            self._aborted.set_result(None)

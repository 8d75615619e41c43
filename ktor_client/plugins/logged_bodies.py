"""Bodies in the log: their beginning is copied as they pass, and nothing is held back."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable

from ktor_client.http import Headers, ResponseBody
from ktor_client.http.body import WrappedBody, checked_chunk
from ktor_client.http.shown_text import Redactor

__all__ = ["BodyLog", "LoggedBody", "LoggedUpload"]

BYTES_OF_A_CHARACTER = 4


class BodyLog:
    """The record of one body: said at its end, or as soon as there is more than is shown."""

    def __init__(
        self, mark: str, headers: Headers, say: Callable[[str], None], redactor: Redactor
    ) -> None:
        self._mark = mark
        self._type = headers.get("content-type", "")
        self._say = say
        self._redactor = redactor
        self._enough = redactor.limit * BYTES_OF_A_CHARACTER + 1
        self._beginning = bytearray()
        self._size = 0
        self._is_said = False

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk."""
        self._size += len(chunk)
        if not self._is_said:
            self._beginning += chunk[: self._enough - len(self._beginning)]
            if self._size >= self._enough:
                self.end(f"{self._size} bytes and more")

    def end(self, size: str = "") -> None:
        """Say what there was of the body, unless that was said."""
        if self._is_said:
            return
        self._is_said = True
        data = bytes(self._beginning)
        self._beginning.clear()
        if data or size:
            size = size or f"{self._size} bytes"
            text = self._redactor.body(data, self._type)
            shown = ", binary" if text is None else f": {text}" if text else ""
            self._say(f"{self._mark} body, {size}{shown}")


class LoggedBody(WrappedBody):
    """The body of a response that tells its log what passes."""

    def __init__(self, body: ResponseBody, log: BodyLog) -> None:
        super().__init__(body)
        self._log = log

    async def chunks(self) -> AsyncIterator[bytes]:
        async with self.source() as chunks:
            try:
                async for chunk in chunks:
                    self._log.take(chunk)
                    yield chunk
            except Exception as error:
                self._log.end(f"broken off by {type(error).__name__}")
                raise
            self._log.end()

    async def close(self) -> None:
        self._log.end("left unread")
        await super().close()


class LoggedUpload:
    """The streamed body of a request that tells a log what passes, each time that it is sent."""

    def __init__(self, body: AsyncIterable[bytes], log: Callable[[], BodyLog]) -> None:
        self._body = body
        self._log = log

    async def __aiter__(self) -> AsyncIterator[bytes]:
        log = self._log()
        try:
            async for chunk in self._body:
                log.take(checked_chunk(chunk))
                yield chunk
        finally:
            log.end()

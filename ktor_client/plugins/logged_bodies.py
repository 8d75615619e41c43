"""Bodies in the log: their beginning is copied as they pass, and nothing is held back."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable

from ktor_client.http import Headers, ResponseBody
from ktor_client.http.body import (
    Body,
    RequestBody,
    WrappedBody,
    checked_chunk,
    length_of,
    opened,
    passed_through,
)
from ktor_client.http.shown_text import Redactor

__all__ = ["BodyLog", "LoggedBody", "logged_upload"]

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
        self.size = 0
        self._is_said = False

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk."""
        self.size += len(chunk)
        if not self._is_said:
            self._beginning += chunk[: self._enough - len(self._beginning)]
            if self.size >= self._enough:
                self._tell(f"{self.size} bytes and more", is_cut=True)

    def end(self) -> None:
        """Say what there was of the body, if there was any, unless that was said."""
        if self.size:
            self._tell(f"{self.size} bytes", is_cut=False)
        self._is_said = True

    def break_off(self, how: str) -> None:
        """Say what there was of the body, whose end nobody has seen, unless that was said."""
        self._tell(f"{how} after {self.size} bytes", is_cut=True)

    def whole(self, body: bytes) -> None:
        """Say what a body has that is here."""
        self.size = len(body)
        self._beginning += body[: self._enough]
        if body:
            self._tell(f"{self.size} bytes", is_cut=len(body) > self._enough)

    def _tell(self, size: str, *, is_cut: bool) -> None:
        if self._is_said:
            return
        self._is_said = True
        data, self._beginning = bytes(self._beginning), bytearray()
        text = self._redactor.body(data, self._type, is_cut=is_cut) if data else ""
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
                self._log.break_off(f"broken off by {type(error).__name__}")
                raise
            self._log.end()

    async def close(self) -> None:
        self._log.break_off("left")
        await super().close()


def logged_upload(body: RequestBody, log: Callable[[], BodyLog]) -> Body:
    """Return the streamed body of a request that tells a log what passes, at each sending."""
    length = length_of(body)

    async def logged(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        this = log()
        try:
            async with opened(chunks) as pieces:
                async for piece in pieces:
                    this.take(checked_chunk(piece))
                    yield piece
        except BaseException as error:
            if this.size == length:  # an answer came before the body said its end
                this.end()
            else:
                this.break_off(f"broken off by {type(error).__name__}")
            raise
        this.end()

    return passed_through(body, logged)

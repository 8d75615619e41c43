"""Bodies of answers (RFC 9112 6, 7): of a length, in chunks, or until the connection ends."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from ktor_client.http1.requests import LAST_CHUNK, chunk
from ktor_client.http1.rules import MAX_CHUNK_LINE, MAX_TRAILER, AnswerError

if TYPE_CHECKING:
    from ktor_client.http1.heads import Fields

__all__ = ["AnswerBody", "ChunkedBody", "LengthBody", "UntilCloseBody"]

_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?").fullmatch
_LONE_LF = "a line behind its last chunk does not end in CR LF (RFC 9112 7.1)"
_find_lone_lf = re.compile(rb"(?<!\r)\n").search


class AnswerBody(ABC):
    """The body of one answer, as it comes."""

    __slots__ = ()

    is_done: bool
    """Whether nothing of it is missing."""
    surplus: bytes
    """What came behind it, which belongs to no answer."""
    fault: AnswerError | None = None
    """What has broken its framing: nothing follows what `feed` returned last."""
    framing = b"Content-Length: 0\r\n"
    """The field that says where it ends."""

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Take what came; return what of it is content, up to a `fault` if there is one."""

    def relay(self, data: bytes) -> bytes:
        """Do what `feed` does; return the content framed as `framing` says: for others' parsers."""
        return self.feed(data)

    @abstractmethod
    def end(self, *, in_full: bool) -> None:
        """Take the end of the connection; `in_full` says that it is the peer's word.

        Raises:
            AnswerError: something is missing.
        """


class LengthBody(AnswerBody):
    """A body with a `Content-Length`."""

    __slots__ = ("_missing", "_size", "is_done", "surplus")

    def __init__(self, size: int) -> None:
        self._size = self._missing = size
        self.is_done = not size
        self.surplus = b""

    @property
    def framing(self) -> bytes:  # type: ignore[override]  # of each length its own
        """See `AnswerBody.framing`."""
        return b"Content-Length: %d\r\n" % self._size

    def feed(self, data: bytes) -> bytes:
        """See `AnswerBody.feed`."""
        size = len(data)
        if size < self._missing:
            self._missing -= size
            return data
        self.is_done = True
        if size > self._missing:
            data, self.surplus = data[: self._missing], data[self._missing :]
        self._missing = 0
        return data

    def end(self, *, in_full: bool) -> None:
        """See `AnswerBody.end`."""
        if not self.is_done:
            raise AnswerError(
                f"{self._size - self._missing} of {self._size} bytes came (RFC 9112 8)"
            )


class UntilCloseBody(AnswerBody):
    """A body that ends with its connection (RFC 9112 6.3, 8)."""

    __slots__ = ("is_done", "surplus")

    framing = b""

    def __init__(self) -> None:
        self.is_done = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        """See `AnswerBody.feed`."""
        return data

    def end(self, *, in_full: bool) -> None:
        """See `AnswerBody.end`."""
        if not in_full:
            raise AnswerError("it was to end with its connection, which was cut (RFC 9112 9.8)")
        self.is_done = True


class ChunkedBody(AnswerBody):
    """A body in chunks (RFC 9112 7.1). Its trailer is checked and kept."""

    __slots__ = ("_in_trailer", "_line", "_missing", "fault", "is_done", "surplus", "trailer")

    framing = b"Transfer-Encoding: chunked\r\n"

    def __init__(self) -> None:
        self._line = b""  # of a line that is not whole yet, or of the trailer
        self._missing = 0  # bytes of the open chunk, and the line end behind it
        self._in_trailer = False
        self.fault = None
        self.is_done = False
        self.surplus = b""
        self.trailer: Fields = []

    def feed(self, data: bytes) -> bytes:
        """See `AnswerBody.feed`."""
        pieces: list[bytes] = []
        try:
            self._take(data, pieces)
        except AnswerError as error:
            self.fault = error.with_traceback(None)  # whose frames refer to this body
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take(self, data: bytes, pieces: list[bytes]) -> None:
        position, end = 0, len(data)
        if self._line:
            data, self._line = self._line + data, b""
            end = len(data)
        while position < end and not self._in_trailer:
            if self._missing > 2:
                piece = data[position : position + self._missing - 2]
                pieces.append(piece)
                position += len(piece)
                self._missing -= len(piece)
            elif self._missing:
                expected = b"\r\n"[-self._missing :]
                found = data[position : position + self._missing]
                if found != expected[: len(found)]:
                    raise AnswerError("a chunk is longer than its size (RFC 9112 7.1)")
                position += len(found)
                self._missing -= len(found)
            else:
                position = self._begin_chunk(data, position)
        if self._in_trailer:
            self._take_trailer(data[position:])

    def relay(self, data: bytes) -> bytes:
        """See `AnswerBody.relay`: chunks of ours, without extensions and trailer."""
        content = self.feed(data)
        framed = chunk(content) if content else b""
        return framed + LAST_CHUNK if self.is_done else framed

    def end(self, *, in_full: bool) -> None:
        """See `AnswerBody.end`."""
        if not self.is_done:
            raise AnswerError("it ended before its last chunk (RFC 9112 8)")

    def _begin_chunk(self, data: bytes, position: int) -> int:
        at = data.find(b"\n", position, position + MAX_CHUNK_LINE)
        if at < 0:
            if len(data) - position >= MAX_CHUNK_LINE:
                raise AnswerError("the line with a chunk's size does not end")
            self._line = data[position:]
            self._check_begun_line()
            return len(data)
        line = data[position:at]
        found = _chunk_line(line[:-1])
        if found is None or line[-1:] != b"\r":
            raise AnswerError(f"{line[:20]!r} is not a chunk's size (RFC 9112 7.1)")
        size = int(found[1], 16)
        if size:
            self._missing = size + 2
        else:
            self._in_trailer = True
        return at + 1

    def _check_begun_line(self) -> None:
        """Refuse at its first byte what can become no size: nobody waits for its line's end."""
        if self._line[0] not in b"0123456789abcdefABCDEF":
            raise AnswerError(f"{self._line[:20]!r} is not a chunk's size (RFC 9112 7.1)")

    def _take_trailer(self, data: bytes) -> None:
        from ktor_client.http1.heads import parse_fields, split_lines

        if data[:2] != b"\r\n"[: len(data)] and data[:1] == b"\r":
            raise AnswerError(_LONE_LF)
        if data.startswith(b"\r\n"):
            end = 0
        else:
            end = data.find(b"\r\n\r\n")
            lone = _find_lone_lf(data)
            if lone is not None and not 0 <= end < lone.start():
                raise AnswerError(_LONE_LF)
            if (len(data) - 3 if end < 0 else end) > MAX_TRAILER:
                raise AnswerError("the trailer behind its last chunk is too long")
            if end < 0:
                self._line = data
                return
            self.trailer = parse_fields(split_lines(data[:end]))
            end += 2
        self.is_done = True
        self.surplus = data[end + 2 :]

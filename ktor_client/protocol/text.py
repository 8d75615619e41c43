"""A text that comes in pieces and is decoded as it comes. What its frames are is not known here."""

from __future__ import annotations

from codecs import utf_8_decode

from ktor_client.protocol.rules import not_utf8

__all__ = ["NO_TEXT", "OpenText"]

_MANY = 256
"""Pieces that are joined into one: of a letter each they would weigh far more than their text."""


class OpenText:
    """The beginning of a text."""

    __slots__ = ("_joined", "_pending", "_pieces")

    def __init__(self) -> None:
        self._joined: list[str] = []
        self._pieces: list[str] = []
        self._pending = b""  # the bytes of a character whose end is still to come

    def take(self, data: bytes | memoryview, final: bool) -> None:
        """Add the next piece, the last one if `final`.

        Raises:
            Violation: 1007, at the first byte that cannot be right (RFC 6455 8.1).
        """
        text = self.check(data, final)
        if text:
            self._pieces.append(text)
            if len(self._pieces) >= _MANY:
                self._joined.append("".join(self._pieces))
                self._pieces.clear()

    def check(self, data: bytes | memoryview, final: bool) -> str:
        """Decode the next piece as `take` does, and do not keep it."""
        if self._pending:
            data = self._pending + bytes(data)
        try:
            text, used = utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as error:
            raise not_utf8("Text") from error
        self._pending = pending = bytes(data[used:])
        if len(pending) == 2 and pending[0] == 0xED and pending[1] >= 0xA0:
            raise not_utf8("Text")  # half a surrogate: CPython waits for the third byte
        return text

    def whole(self) -> str:
        """Return the text that was taken."""
        return "".join(self._joined + self._pieces)


NO_TEXT = OpenText()
"""Stands where no text has begun; nothing is ever added."""

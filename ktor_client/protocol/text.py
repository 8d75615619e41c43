"""A text that comes in pieces and is decoded as it comes. What its frames are is not known here."""

from __future__ import annotations

from codecs import utf_8_decode

from ktor_client.protocol.violation import Violation

__all__ = ["OpenText", "decode_text"]

_MANY = 256
"""Pieces that are joined into one: of a letter each they would weigh far more than their text."""


def decode_text(data: bytes | bytearray | memoryview) -> str:
    """Return a whole text.

    Raises:
        Violation: 1007.
    """
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Violation.not_utf8("Text") from error


class OpenText:
    """The beginning of a text."""

    __slots__ = ("_joined", "_pending", "_pieces")

    def __init__(self) -> None:
        self._joined: list[str] = []
        self._pieces: list[str] = []
        self._pending = b""  # the bytes of a character whose end is still to come

    def take(self, data: bytes | bytearray | memoryview, final: bool) -> None:
        """Add the next piece, the last one if `final`.

        Raises:
            Violation: 1007, at the first byte that cannot be right (RFC 6455 8.1).
        """
        if self._pending:
            data = self._pending + bytes(data)
        try:
            text, used = utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as error:
            raise Violation.not_utf8("Text") from error
        self._pending = pending = bytes(data[used:])
        if len(pending) == 2 and pending[0] == 0xED and pending[1] >= 0xA0:
            raise Violation.not_utf8("Text")  # half a surrogate: CPython waits for the third byte
        if text:
            self._pieces.append(text)
            if len(self._pieces) >= _MANY:
                self._joined.append("".join(self._pieces))
                self._pieces.clear()

    def whole(self) -> str:
        """Return the text that was taken."""
        return "".join(self._joined + self._pieces)

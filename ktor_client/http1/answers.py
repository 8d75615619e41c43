"""One answer from bytes: interim answers are passed over, the head is found, a body follows.

One parser serves one request; what a connection does between two is not its business.
"""

from __future__ import annotations

import re

from ktor_client.http1.heads import AnswerHead, parse_head
from ktor_client.http1.rules import MAX_HEAD, MAX_INTERIM, AnswerError

__all__ = ["AnswerParser"]

_find_end = re.compile(rb"\n\r?\n").search
_BEGIN = b"HTTP/1."


class AnswerParser:
    """Finds the head of the answer to one request."""

    __slots__ = ("_interim", "_is_handshake", "_method", "_searched", "_tail", "was_told_to_go_on")

    def __init__(self, method: str, *, is_handshake: bool = False) -> None:
        """Begin.

        Args:
            method: of the request; an answer to HEAD has no body.
            is_handshake: whether 101 is an answer.
        """
        self._method = method
        self._is_handshake = is_handshake
        self._tail: bytearray | None = None  # what has come of a head
        self._searched = 0
        self._interim = 0
        self.was_told_to_go_on = False
        """Whether a 100 came: the server wants the body (RFC 9110 15.2.1)."""

    @property
    def has_begun(self) -> bool:
        """Whether a byte of an answer has come."""
        return bool(self._tail or self._interim)

    def feed(self, data: bytes) -> tuple[AnswerHead, bytes] | None:
        """Take bytes; return the head and what stands behind it, once the head is whole.

        Raises:
            AnswerError: what came breaks a rule.
        """
        if self._tail is not None:
            self._tail += data
            if _find_end(self._tail, self._searched, MAX_HEAD) is None:
                self._wait(self._tail)
                return None
            data, self._tail = bytes(self._tail), None
        while True:
            if not data.startswith(_BEGIN[: len(data)]):
                raise AnswerError(f"it starts with {data[:20]!r}")
            found = _find_end(data, self._searched, MAX_HEAD)
            if found is None:
                if data:
                    self._tail = bytearray(data)
                    self._wait(self._tail)
                return None
            self._searched = 0
            at, end = found.span()
            head = data[:at].removesuffix(b"\r")
            answer = parse_head(head, self._method, is_handshake=self._is_handshake)
            data = data[end:]
            if answer.status >= 200 or answer.status == 101:
                return answer, data
            self.was_told_to_go_on |= answer.status == 100
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise AnswerError(f"more than {MAX_INTERIM} interim answers came before it")
            if not data:
                return None

    def _wait(self, tail: bytearray) -> None:
        """Take note of how far the end was looked for."""
        if not tail.startswith(_BEGIN[: len(tail)]):
            raise AnswerError(f"it starts with {bytes(tail[:20])!r}")
        if len(tail) >= MAX_HEAD:
            raise AnswerError(f"its head has more than {MAX_HEAD // 1024} KiB")
        self._searched = max(0, len(tail) - 2)

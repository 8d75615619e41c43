"""Reading a whole answer with the parser, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterable

from ktor_client.http1 import AnswerHead, AnswerParser

__all__ = ["pieces", "read_answer"]


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into pieces of one size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def read_answer(
    parts: Iterable[bytes], method: str = "GET", *, is_handshake: bool = False
) -> tuple[AnswerHead, bytes, bytes]:
    """Return head, body and surplus of an answer behind which the connection ends.

    Raises:
        AnswerError: it breaks a rule.
        EOFError: the connection ended within the head.
    """
    parser = AnswerParser(method, is_handshake=is_handshake)
    head: AnswerHead | None = None
    content = surplus = b""
    for part in parts:
        if head is None:
            found = parser.feed(part)
            if found is None:
                continue
            head, part = found
        if part:
            if head.body.is_done:
                surplus += part
            else:
                content += head.body.feed(part)
                if head.body.fault is not None:
                    raise head.body.fault
    if head is None:
        raise EOFError
    head.body.end(in_full=True)
    return head, content, head.body.surplus + surplus

"""HTTP/1.1 as a client speaks it (RFC 9112), sans-IO: a request's bytes out, an answer's bytes in.

What is accepted, repaired or refused stands in `rules.py`. No socket, no asyncio, no WebSocket.
"""

from ktor_client.http1.answers import AnswerParser
from ktor_client.http1.bodies import AnswerBody
from ktor_client.http1.heads import AnswerHead, is_bodiless
from ktor_client.http1.requests import LAST_CHUNK, chunk, request_head
from ktor_client.http1.rules import AnswerError

__all__ = [
    "LAST_CHUNK",
    "AnswerBody",
    "AnswerError",
    "AnswerHead",
    "AnswerParser",
    "chunk",
    "is_bodiless",
    "request_head",
]

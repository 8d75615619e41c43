"""What can go wrong on our own wire, and the error of ours for each."""

from __future__ import annotations

from ktor_client.engine.error_table import ErrorTable
from ktor_client.errors import ConnectError
from ktor_client.http1 import AnswerError

__all__ = ["BODY_ERRORS", "ERRORS", "NoAnswerError"]


class NoAnswerError(ConnectionError):
    """The connection ended where an answer was due."""


ERRORS = ErrorTable(
    "CioEngine",
    (
        (NoAnswerError, ConnectError, "got no answer from"),
        (ConnectionRefusedError, ConnectError, "could not connect to"),
        (ConnectionError, ConnectError, "got no answer from"),
        (AnswerError, ConnectError, "got an answer that is not HTTP from"),
    ),
)

BODY_ERRORS = ErrorTable(
    "CioEngine",
    (
        (NoAnswerError, ConnectError, "did not get the whole body from"),
        (ConnectionError, ConnectError, "lost the connection to"),
        (AnswerError, ConnectError, "did not get the whole body from"),
        *ERRORS.rows,
    ),
)
"""While a body is read: an answer that is HTTP has come, and was cut off or broke its framing."""

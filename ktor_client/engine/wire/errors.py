"""What can go wrong on our own wire, and the error of ours for each."""

from __future__ import annotations

from ktor_client.engine.error_table import ErrorTable
from ktor_client.errors import ConnectError
from ktor_client.http1 import AnswerError

__all__ = ["NoAnswerError", "WireErrors"]


class NoAnswerError(ConnectionError):
    """The connection ended where an answer was due."""


class WireErrors:
    """The tables of an engine on our wire."""

    __slots__ = ("body", "engine", "request")

    def __init__(self, engine: str) -> None:
        """Make them for an engine's name."""
        self.engine = engine
        self.request = ErrorTable(
            engine,
            (
                (NoAnswerError, ConnectError, "got no answer from"),
                (ConnectionRefusedError, ConnectError, "could not connect to"),
                (ConnectionError, ConnectError, "got no answer from"),
                (AnswerError, ConnectError, "got an answer that is not HTTP from"),
            ),
        )
        """Up to the head of the answer."""
        self.body = ErrorTable(
            engine,
            (
                (NoAnswerError, ConnectError, "did not get the whole body from"),
                (ConnectionError, ConnectError, "lost the connection to"),
                (AnswerError, ConnectError, "did not get the whole body from"),
                *self.request.rows,
            ),
        )
        """While a body is read: an answer that is HTTP has come, and was cut off or broke its
        framing."""

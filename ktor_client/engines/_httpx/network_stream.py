"""A connection as httpcore sees it: a `SocketStream`, with our rules for heads and for silence.

httpcore's parser is given a head of our writing, which says how long the body is and no more, and
the body in frames of ours; so what is accepted, repaired or refused is the same on every engine.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import httpcore

from ktor_client.engine.phases import phase_of_an_exchange
from ktor_client.engine.readable import poll_of
from ktor_client.engine.silence import socket_timeout_error
from ktor_client.engine.socket_stream import SocketStream
from ktor_client.engines._httpx.errors import NoAnswerError, UnheardError
from ktor_client.errors import ClientClosedError, KtorClientError
from ktor_client.http1 import AnswerBody, AnswerHead, AnswerParser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ktor_client.engine.deadlines import Deadline
    from ktor_client.engine.dialer import Dialer

__all__ = ["STREAM", "NetworkStream", "NotConnectedError", "Terms"]

ENGINE = "HttpxEngine"

STREAM = "ktor_client.stream"
"""Name under which `get_extra_info` gives the `SocketStream`."""

_SWITCHED = b"HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Terms:
    """What one exchange is about, and the head of its answer.

    It travels in the place of the timeouts that httpcore hands to whoever reads and writes.
    """

    __slots__ = (
        "_new_deadline",
        "deadline",
        "head",
        "is_handshake",
        "limit",
        "may_repeat",
        "method",
        "where",
    )

    def __init__(
        self,
        method: str,
        where: str,
        new_deadline: Callable[[], Deadline],
        limit: float | None,
        *,
        is_handshake: bool,
        may_repeat: bool,
    ) -> None:
        """Take them.

        Args:
            method: of the request.
            where: host and port, for messages.
            new_deadline: begins to count the time for getting a connection.
            limit: seconds without a byte.
            is_handshake: whether 101 is an answer.
            may_repeat: whether the request may be sent a second time.
        """
        self.method = method
        self.where = where
        self.limit = limit
        self.is_handshake = is_handshake
        self.may_repeat = may_repeat
        self.head: AnswerHead | None = None
        self._new_deadline = new_deadline
        self.deadline = new_deadline()

    def begin_again(self) -> None:
        """Count anew, for a second connection."""
        self.deadline = self._new_deadline()


class NotConnectedError(Exception):
    """Carries an error of the dialer's through httpcore, which strips causes."""

    def __init__(self, error: KtorClientError) -> None:
        super().__init__(error)
        self.error = error


class NetworkStream(httpcore.AsyncNetworkStream):
    """A `SocketStream` with httpcore's names and exceptions."""

    def __init__(self, stream: SocketStream, dialer: Dialer, is_closed: Callable[[], bool]) -> None:
        self._stream = stream
        self._dialer = dialer
        self._is_owner_closed = is_closed
        self._terms: Terms | None = None
        self._answers: AnswerParser | None = None  # until a head is here
        self._early: tuple[AnswerHead, bytes] | None = None  # what came while a body was sent
        self._body: AnswerBody | None = None
        self._poll: Callable[[int], Sequence[object]] | None = None
        self._idle_until: float | None = None
        self.is_spent = False
        """Whether no other request may follow: httpcore asks for that by another name."""

    async def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        terms: Terms | None = timeout
        if self._early is not None and terms is not None:
            early, self._early, self._answers = self._early, None, None
            return self._take_head(terms, *early)
        answers = self._answers
        while True:
            body = self._body
            if body is not None and body.fault is not None:
                raise body.fault
            data = await self._read(max_bytes, terms)
            if answers is None or terms is None:
                framed = self._within_body(data)
                if not (data or body is None or body.is_done):
                    body.end(in_full=self._stream.ended_in_full)
                if framed or not data or self.is_spent:
                    return framed
                continue
            if not data:
                if not answers.has_begun:
                    raise UnheardError("Server disconnected")
                raise NoAnswerError("Server disconnected within the head of its answer")
            found = answers.feed(data)
            if found is not None:
                self._answers = None
                return self._take_head(terms, *found)

    def _take_head(self, terms: Terms, head: AnswerHead, rest: bytes) -> bytes:
        terms.head = head
        if head.status == 101:
            return _SWITCHED + rest
        self._body = head.body
        if head.idle_limit is not None:
            self._idle_until = asyncio.get_running_loop().time() + head.idle_limit - 1
        return head.framing() + self._within_body(rest)

    def _within_body(self, data: bytes) -> bytes:
        """Leave out what comes behind a body: it belongs to no answer (RFC 9112 6.3)."""
        body = self._body
        if body is None or not data:
            return data
        if body.is_done:
            self.is_spent = True
            return b""
        framed = body.relay(data)
        if body.surplus:
            self.is_spent = True
        return framed

    async def _read(self, max_bytes: int, terms: Terms | None) -> bytes:
        try:
            return await self._stream.read(max_bytes, None if terms is None else terms.limit)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:  # not the system's
                raise self._silent(terms) from error
            if self._answers is not None and not self._answers.has_begun:
                raise UnheardError(error) from error
            raise httpcore.ReadError(error) from error

    async def write(self, buffer: bytes, timeout: Any = None) -> None:
        terms: Terms | None = timeout
        if not buffer:
            return
        if self._is_owner_closed():  # while this was connecting, unseen by the pool
            raise ClientClosedError("HttpxEngine was closed before the request was sent")
        if terms is not None and terms is not self._terms:
            self._terms = terms
            self._answers = AnswerParser(terms.method, is_handshake=terms.is_handshake)
            self._body = self._early = None
        if self._is_refused():  # httpcore goes on to read the answer
            raise httpcore.WriteError("nobody reads it")
        try:
            limit = None if terms is None else terms.limit
            await self._stream.write(buffer, limit, self._is_refused)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                raise self._silent(terms, is_sending=True) from error
            raise httpcore.WriteError(error) from error

    def _is_refused(self) -> bool:
        """Whether an answer has come whose server does not read the rest (RFC 9112 9.3)."""
        if self._answers is None:
            return False
        if self._early is None and self._stream.has_unread:
            self._early = self._answers.feed(self._stream.take())
        if self._early is None:
            return False
        head = self._early[0]
        head.keeps = head.keeps and head.status < 400
        return not head.keeps

    def _silent(self, terms: Terms | None, *, is_sending: bool = False) -> KtorClientError:
        assert terms is not None
        assert terms.limit is not None
        phase = phase_of_an_exchange(self._answers, is_sending=is_sending)
        return socket_timeout_error(ENGINE, terms.where, terms.limit, phase)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            await self._dialer.start_tls(self._stream, server_hostname or "")
        except KtorClientError as error:
            raise NotConnectedError(error) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == STREAM:
            return self._stream
        if info == "is_readable":
            return self.is_spent or self._stream.is_readable or self._is_to_be_left()
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._stream.transport.get_extra_info(names.get(info, info))

    def _is_to_be_left(self) -> bool:
        """Whether the server drops it soon, or something waits that the loop has not come to."""
        if self._idle_until is not None and asyncio.get_running_loop().time() >= self._idle_until:
            return True
        if self._stream.transport.is_closing():
            return True
        if self._poll is None:
            self._poll = poll_of(self._stream.transport)
        return bool(self._poll(0))

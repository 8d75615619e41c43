"""The response that an app makes event by event: to a request, or to a handshake that it denies."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from ktor_client.engines._asgi.body import AppBody
from ktor_client.engines._asgi.scope import Event, bytes_of, headers_from
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.http1 import is_bodiless

__all__ = ["ResponseInTheMaking"]


class ResponseInTheMaking:
    """Takes the app's start and body events; `head` is the response, its body may still come."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._body: AppBody | None = None
        self._size = 0
        self._length: int | None = None  # that the app has promised
        self.head: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self.is_complete = False
        self.over: asyncio.Event = asyncio.Event()
        """Set when the app has said everything, or the client wants no more."""

    def start(self, event: Event) -> None:
        """Take the status and the headers."""
        if self._body is not None:
            raise RuntimeError(f"the app started the response to {self._request!r} twice")
        status = int(event["status"])
        if not (200 <= status <= 999 or status == 101):
            raise RuntimeError(
                f"the app answers with {status}, which is not the status of a response"
            )
        headers = headers_from(event)
        empty = is_bodiless(self._request.method, status)
        if not empty and (length := headers.single("content-length")) is not None:
            if not (length.isascii() and length.isdigit()):
                raise RuntimeError(f"the app's Content-Length is {length!r}")
            self._length = int(length)
        self._body = AppBody(self.over.set, empty=empty)
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = ""
        if not self.head.done():
            self.head.set_result(
                HttpResponse(self._request, status, headers, self._body, reason=reason)
            )

    async def add(self, event: Event) -> None:
        """Take a piece of the body, and wait while the client is behind.

        Raises:
            ConnectionResetError: the client wants no more.
            RuntimeError, TypeError: it is not what the app may send.
        """
        if self._body is None:
            raise RuntimeError("the app sent a response's body before its start")
        if self.is_complete:
            raise RuntimeError("the app sent a response's body after its end")
        if self.over.is_set():
            raise ConnectionResetError("the client has closed the response")
        data = bytes_of(event.get("body", b""), "a body")
        self._check_size(len(data), at_end=not event.get("more_body", False))
        if event.get("more_body", False):
            await self._body.put(data)
        else:
            self.is_complete = True
            self._body.finish(data)
            self.over.set()

    def _check_size(self, size: int, *, at_end: bool) -> None:
        """Refuse what a server refuses: the client would wait, or take the rest for an answer."""
        self._size += size
        length = self._length
        if length is not None and (self._size > length or (at_end and self._size < length)):
            more = "" if at_end else " or more"
            raise RuntimeError(
                f"the app's Content-Length says {length} bytes, but its body has {self._size}{more}"
            )

    def fail(self, error: BaseException) -> None:
        """Let the client hear of an error, in place of the response or of the rest of its body."""
        if not self.head.done():
            self.head.set_exception(error)
            self.head.exception()  # a call that was cancelled does not ask for it
        if self._body is not None:
            self._body.finish(error=error)
        self.over.set()

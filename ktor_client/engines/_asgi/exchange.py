"""One HTTP request to the app: the request streams in, the response streams out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ktor_client.engine.upload import is_cancelled
from ktor_client.engines._asgi.failures import Failures, is_about_disconnect
from ktor_client.engines._asgi.response import ResponseInTheMaking
from ktor_client.engines._asgi.scope import App, Event, Scope
from ktor_client.errors import ClientClosedError, ConnectError
from ktor_client.http import Headers, HttpRequest, HttpResponse
from ktor_client.http.body import checked_chunk, opened
from ktor_client.memory.outcome import outcome

__all__ = ["Exchange"]

CHUNK = 64 * 1024
"""Bytes of a request body that the app gets at once."""


class Exchange:
    """The app's side of one request."""

    def __init__(self, app: App, scope: Scope, request: HttpRequest, failures: Failures) -> None:
        self._app = app
        self._scope = scope
        self._request = request
        self._failures = failures
        self._response = ResponseInTheMaking(request)
        self._pieces: Any = _pieces(request)  # whose `ag_running` type checkers do not know
        self._has_more = True
        self._error: BaseException | None = None

    async def response(self) -> HttpResponse:
        """Return the response as soon as its head is there.

        Raises what the app raised if it has ended by then: middleware answers 500 and raises on.
        Raises what the request's body iterator raised.
        """
        response = await asyncio.shield(self._response.head)
        if self._error is not None and self._failures.enabled:
            self._failures.forget(self._error)
            raise self._error
        return response

    async def run(self) -> None:
        """Run the app; what it raises goes to the client, or into the failures."""
        try:
            self._end(await outcome("the app", self._app, self._scope, self._receive, self._send))
        except asyncio.CancelledError:
            error = ConnectError if self._response.head.done() else ClientClosedError
            self._response.fail(error("TestEngine was closed during the request"))
            raise
        finally:
            if not self._pieces.ag_running:  # or a task of the app's still asks for more
                await self._pieces.aclose()

    def _end(self, error: BaseException | None) -> None:
        response, wanted = self._response, self._failures.enabled
        if not response.head.done():
            if wanted:
                silent = RuntimeError(f"the app ended without a response to {self._request!r}")
                response.fail(error or silent)
            else:
                internal = HttpResponse(self._request, 500, Headers(), b"Internal Server Error")
                response.head.set_result(internal)
        elif not response.over.is_set():
            unfinished = ConnectError(f"the app left its response to {self._request!r} unfinished")
            unfinished.__cause__ = error
            response.fail(error if wanted and error is not None else unfinished)
        elif error is not None and (response.is_complete or not is_about_disconnect(error)):
            self._error = error
            self._failures.add(error)

    # --- the app's calls ---

    async def _receive(self) -> Event:
        if self._has_more and not self._response.over.is_set():
            try:
                piece, self._has_more = await anext(self._pieces)
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                self._has_more = False
                self._response.fail(error)
            else:
                return {"type": "http.request", "body": piece, "more_body": self._has_more}
        await self._response.over.wait()
        await asyncio.sleep(0)  # an app that asks again and again must not stop the loop
        return {"type": "http.disconnect"}

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if kind == "http.response.start":
            self._response.start(event)
        elif kind == "http.response.body":
            await self._response.add(event)
        else:
            raise RuntimeError(f"the app sent {kind!r}; TestEngine takes http.response events")


async def _pieces(request: HttpRequest) -> AsyncGenerator[tuple[bytes, bool]]:
    """Yield the request's body, each piece with whether more will come; the last one without."""
    body = request.body
    if isinstance(body, bytes):
        while len(body) > CHUNK:
            yield body[:CHUNK], True
            body = body[CHUNK:]
        yield body, False
    else:
        if body is not None:
            async with opened(body) as chunks:
                async for chunk in chunks:
                    yield checked_chunk(chunk), True
        yield b"", False

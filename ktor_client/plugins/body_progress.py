"""How far the body of a request or of its response is (Ktor's `BodyProgress`).

The blocks `on_upload(f)` and `on_download(f)` ask for it, request by request.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable

from ktor_client.engine.capabilities import StreamingUploadCapability
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody
from ktor_client.http.body import WrappedBody, length_of, opened, passed_through
from ktor_client.http.progress import DOWNLOAD_LISTENER, UPLOAD_LISTENER, ProgressListener
from ktor_client.link import Clock
from ktor_client.plugin import HttpClientPlugin, PluginScope, Send

__all__ = ["BodyProgress"]

INTERVAL = 0.05
"""Seconds between two calls of a listener, unless the second is the last."""


class BodyProgress(HttpClientPlugin):
    """Report the progress of bodies to the listeners of `on_upload` and `on_download`."""

    def __init__(self) -> None:
        """There are no options."""

    def install(self, scope: PluginScope) -> None:
        """Register the layer."""
        self._engine = scope.engine
        scope.on_send(self._observe, when=_is_listened_to)

    async def _observe(self, request: HttpRequest, send: Send) -> HttpResponse:
        upload = request.attributes.get(UPLOAD_LISTENER)
        download = request.attributes.get(DOWNLOAD_LISTENER)
        clock = self._engine.clock
        meter: _UploadMeter | None = None
        if upload is not None and request.body is not None:
            meter = _UploadMeter(clock, upload, length_of(request.body))
            if StreamingUploadCapability in self._engine.capabilities:
                request = _observed(request, meter)
        response = await (send(request) if meter is None else _sent(request, send, meter))
        if download is None or response.status == 101:
            return response
        return response.copy(
            wire=lambda body: _Observed(body, _Meter(clock, download, _length(response, body)))
        )


def _is_listened_to(request: HttpRequest) -> bool:
    return UPLOAD_LISTENER in request.attributes or DOWNLOAD_LISTENER in request.attributes


class _Meter:
    """Counts bytes, and tells a listener."""

    def __init__(self, clock: Clock, listener: ProgressListener, total: int | None) -> None:
        self._clock = clock
        self._listener = listener
        self._total = total
        self._done = 0
        self._told = -1
        self._due = 0.0

    def begin(self) -> None:
        """Count from 0: the body is sent from its beginning."""
        self._done, self._told, self._due = 0, -1, 0.0

    async def advance(self, size: int) -> None:
        """Take note of bytes; tell if they are the last, or the last call was long enough ago."""
        self._done += size
        is_last = self._done == self._total  # an answer may come before the body says its end
        if is_last or self._told < 0 or self._clock.time() >= self._due:
            await self.tell()

    async def tell(self) -> None:
        """Tell how far it is, unless that was told."""
        if self._told == self._done:
            return
        self._told = self._done
        self._due = self._clock.time() + INTERVAL
        result = self._listener(self._done, self._total)
        if inspect.isawaitable(result):
            await self._run(result)

    async def _run(self, telling: Awaitable[None]) -> None:
        await telling


class _UploadMeter(_Meter):
    """The answer ends what still sends a body, so the last call goes on by itself."""

    _last: asyncio.Future[None] | None = None

    async def _run(self, telling: Awaitable[None]) -> None:
        if self._done != self._total:
            await telling
            return
        self._last = asyncio.ensure_future(telling)
        self._last.add_done_callback(_notice)

    async def end(self) -> None:
        """Wait for the last call. Raises what it raises."""
        last, self._last = self._last, None
        if last is not None:
            await last

    async def stop(self) -> None:
        """End the last call, if it goes on."""
        last, self._last = self._last, None
        if last is not None:
            last.cancel()
            await asyncio.wait({last})


def _notice(last: asyncio.Future[None]) -> None:
    """Look at how a call has ended: asyncio complains of errors that nobody has seen."""
    if not last.cancelled():
        last.exception()


async def _sent(request: HttpRequest, send: Send, meter: _UploadMeter) -> HttpResponse:
    """Send a request, and wait until the last has been told of its body."""
    try:
        response = await send(request)
        if isinstance(request.body, bytes):  # which the engine takes in one piece
            await meter.advance(len(request.body))
        await meter.end()
        return response
    except BaseException:
        await meter.stop()
        raise


class _Observed(WrappedBody):
    """The body of a response, counted."""

    def __init__(self, body: ResponseBody, meter: _Meter) -> None:
        super().__init__(body)
        self._meter = meter

    async def chunks(self) -> AsyncIterator[bytes]:
        async with self.source() as chunks:
            async for chunk in chunks:
                await self._meter.advance(len(chunk))
                yield chunk
        await self._meter.tell()


def _observed(request: HttpRequest, meter: _UploadMeter) -> HttpRequest:
    async def counted(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        await meter.end()
        meter.begin()
        async with opened(chunks) as pieces:
            async for piece in pieces:
                yield piece
                await meter.advance(len(piece))  # the engine has taken it
        await meter.tell()

    assert request.body is not None
    return request.copy(body=passed_through(request.body, counted))


def _length(response: HttpResponse, body: ResponseBody) -> int | None:
    """Return how many bytes of a body are going to come over the wire."""
    length = response.headers.single("content-length") or ""
    if response.request.method == "HEAD" or not (length.isascii() and length.isdigit()):
        return None
    if body.is_decoded and "content-encoding" in response.headers:
        return None  # the length is that of the packed body, which nobody sees
    return int(length)

"""Time limits of requests (Ktor's `HttpTimeout`). The engine keeps two of them, this plugin one.

`timeout(request=..., connect=..., socket=...)` changes them for one request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

from ktor_client.durations import Duration, optional_seconds
from ktor_client.engine import HttpClientEngine
from ktor_client.engine.phases import READING_THE_BODY, WAITING_FOR_THE_ANSWER, was_still
from ktor_client.engine.settings import CONNECT_TIMEOUT, REQUEST_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.errors import RequestTimeoutError
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody
from ktor_client.http.body import WrappedBody
from ktor_client.http.interruptible import Interruptible
from ktor_client.link.sleeping import passing
from ktor_client.plugin import HttpClientPlugin, LayerKind, PluginScope, Send
from ktor_client.unset import UNSET

__all__ = ["HttpTimeout"]


class HttpTimeout(HttpClientPlugin):
    """Limit how long requests take: `install(HttpTimeout, request_timeout=30)`.

    Each limit has its own error, a `RequestTimeoutError` that names the option, the seconds and
    what was going on.
    """

    def __init__(
        self,
        *,
        request_timeout: Duration | None = None,
        connect_timeout: Duration | None = UNSET,
        socket_timeout: Duration | None = UNSET,
    ) -> None:
        """Check and keep the limits: seconds or `timedelta`; None for no limit.

        Args:
            request_timeout: for a whole call, from sending the request to reading the last byte of
                the response. Each step of a redirect, and each repetition by `HttpRequestRetry`,
                has its own. Does not apply to sessions.
            connect_timeout: to get a connection, including the wait for a free one, DNS, TCP, TLS
                and proxy. By default the engine's own limit, usually 10 s.
            socket_timeout: without a byte in either direction; 60 s by default. For a handshake,
                between the bytes of the response's head; does not apply to an open session.

        Raises:
            TypeError, ValueError: a limit is not a positive, finite time.
        """
        self._request_timeout = optional_seconds(request_timeout, "request_timeout")
        self._settings = {
            key: optional_seconds(value, key.name)
            for key, value in ((CONNECT_TIMEOUT, connect_timeout), (SOCKET_TIMEOUT, socket_timeout))
            if value is not UNSET
        }

    def install(self, scope: PluginScope) -> None:
        """Pass the limits to the engine, and register the layer."""
        self._engine = scope.engine
        for key, limit in self._settings.items():
            scope.engine_settings[key] = limit
        scope.on_send(self._limit, kind=LayerKind.TIMEOUT, when=self._has_limit)

    def _has_limit(self, request: HttpRequest) -> bool:
        limit = request.attributes.get(REQUEST_TIMEOUT, self._request_timeout)
        return limit is not None and request.url.scheme in ("http", "https")

    async def _limit(self, request: HttpRequest, send: Send) -> HttpResponse:
        limit = request.attributes.get(REQUEST_TIMEOUT, self._request_timeout)
        assert limit is not None
        deadline = _Deadline(self._engine, request, limit)
        try:
            with deadline.waiting(WAITING_FOR_THE_ANSWER):
                response = await send(request)
            return response.copy(body=lambda body: _LimitedBody(body, deadline))
        except BaseException:
            deadline.end()
            raise


class _Deadline:
    """The time limit of one call: a timer that ends whatever wait it finds."""

    def __init__(self, engine: HttpClientEngine, request: HttpRequest, limit: float) -> None:
        self._engine = engine
        self._request = request
        self._limit = limit
        self._wait = Interruptible()
        self._over = TimeoutError()
        self._timer = engine.clock.call_later(limit, self._wait.interrupt, self._over)

    @contextmanager
    def waiting(self, what: str) -> Generator[None]:
        """Guard a wait.

        Raises:
            RequestTimeoutError: the time is over.
        """
        try:
            with passing(self._engine.clock), self._wait:
                yield
        except TimeoutError as error:
            if error is not self._over:
                raise
            still = was_still(error) or f"; it was still {what}"
            request = self._request
            raise RequestTimeoutError(
                f"{type(self._engine).__name__} did not finish {request.method} "
                f"{request.url._shown} within request_timeout={self._limit:g} s{still}"
            ) from error.__cause__

    def end(self) -> None:
        self._timer.cancel()


class _LimitedBody(WrappedBody):
    """A body that has to be read in time."""

    def __init__(self, body: ResponseBody, deadline: _Deadline) -> None:
        super().__init__(body)
        self._deadline = deadline

    async def chunks(self) -> AsyncIterator[bytes]:
        async with self.source() as chunks:
            while True:
                try:
                    with self._deadline.waiting(READING_THE_BODY):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                yield chunk

    async def close(self) -> None:
        self._deadline.end()
        await super().close()

"""`TestEngine` as clients hold it: starts the app, hands requests over, and ends what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any

from ktor_client.durations import Duration, seconds
from ktor_client.engine import Capability, HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.idle_limit import IdleLimit
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines._asgi.exchange import Exchange
from ktor_client.engines._asgi.failures import Failures
from ktor_client.engines._asgi.lifespan import Lifespan
from ktor_client.engines._asgi.scope import App, Scope, make_scope
from ktor_client.engines._asgi.web_socket import WebSocketConnection
from ktor_client.errors import ClientClosedError, SocketTimeoutError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.link import FrameLink
from ktor_client.memory.faults import Faults
from ktor_client.memory.pipe import PipedLink, piped_links
from ktor_client.protocol.extensions import WebSocketExtension

__all__ = ["TestEngine"]


class TestEngine(HttpClientEngine):
    """An ASGI app in process: `HttpClient(TestEngine(app), install(WebSockets))`.

    URLs without a host go to `http://testserver`. The app's lifespan begins with the first request
    and ends when no client is left. Pings are answered without the app, as servers do.
    """

    __test__ = False  # pytest must not take it for a test

    name = "test"
    default_url = "http://testserver"

    def __init__(
        self,
        app: App,
        *,
        lifespan: bool = True,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        extensions: Sequence[WebSocketExtension] = (),
        max_frame_size: int = 16 * 1024 * 1024,
        shutdown_timeout: Duration = 1.0,
    ) -> None:
        """Take an app; nothing is started yet.

        Args:
            app: any ASGI 3 application: Starlette, FastAPI, Quart, Litestar, Django ...
            lifespan: whether to run the app's startup and shutdown.
            raise_app_exceptions: raise the app's exceptions, from the call concerned or when the
                client closes. Otherwise they become status 500, or a Close with 1011.
            root_path: where the app is mounted, for its scope.
            extensions: what the server's side offers, such as `[WebSocketDeflate()]`.
            max_frame_size: bytes that a message to the app may have; a larger one closes with 1009,
                as servers do.
            shutdown_timeout: seconds that handlers have to end once their clients are gone, and the
                lifespan after its last word; then they are cancelled.
        """
        if not callable(app):
            raise TypeError(f"TestEngine takes an ASGI app, not {app!r}")
        self.app = app
        self.faults = Faults()
        """What is to go wrong on the wire of WebSockets that are opened from now on."""
        self._with_lifespan = lifespan
        self._lifespan: Lifespan | None = None
        self._failures = Failures(enabled=raise_app_exceptions)
        self._root_path = root_path
        self._extensions = tuple(extensions)
        if max_frame_size < 1:
            raise ValueError("max_frame_size must be at least 1")
        self._max_frame_size = max_frame_size
        self._shutdown_timeout = seconds(shutdown_timeout, "shutdown_timeout")
        self._tasks: set[asyncio.Task[None]] = set()
        self._links: set[PipedLink] = set()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything that needs no network."""
        return BUILT_IN[self.name].capabilities

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Hand a request to the app; see `HttpClientEngine.execute`. Raises what the app raises."""
        limit = IdleLimit(self, request)
        scope = await limit.wait(self._scope("http", request))
        exchange = Exchange(self.app, scope, request, self._failures)
        task = self._start(exchange.run(), request)
        try:
            return limit.watched(await limit.wait(exchange.response()))
        except (asyncio.CancelledError, SocketTimeoutError):
            task.cancel()
            raise

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Hand a handshake to the app; see `HttpClientEngine.open_web_socket`.

        Raises what the app raises before it accepts or denies.
        """
        limit = IdleLimit(self, request)
        scope = await limit.wait(self._scope("websocket", request))

        def connect() -> tuple[FrameLink, FrameLink]:
            address = f"{request.url.host}:{request.url.port}"
            client, server = piped_links(self.faults, address=address)
            self._links.add(client)
            client.watch(lambda: None, lambda: self._links.discard(client))
            return client, server

        connection = WebSocketConnection(
            self.app,
            scope,
            request,
            self._failures,
            self._extensions,
            self._max_frame_size,
            connect,
        )
        task = self._start(connection.run(), request)
        try:
            return await limit.wait(connection.upgrade())
        except (asyncio.CancelledError, SocketTimeoutError):
            task.cancel()
            raise

    async def idle(self) -> None:
        """End handlers and lifespan, and raise what the app raised unseen by the client."""
        try:
            await self._end_tasks()
        finally:
            lifespan, self._lifespan = self._lifespan, None
            if lifespan is not None:
                await lifespan.stop()
        self._failures.raise_first()

    async def close(self) -> None:
        """Abort what is open, end handlers and lifespan. Raises what the app raised meanwhile."""
        if not self._closed:
            self._closed = True
            await self.idle()

    async def __aenter__(self) -> TestEngine:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # --- inside ---

    async def _scope(self, kind: str, request: HttpRequest) -> Scope:
        if self._closed:
            raise ClientClosedError("TestEngine is closed; make a new one")
        state: dict[str, Any] | None = None
        if self._with_lifespan:
            if self._lifespan is None:
                self._lifespan = Lifespan(self.app, self._shutdown_timeout)
            await self._lifespan.start()
            state = self._lifespan.state
        return make_scope(kind, request, root_path=self._root_path, state=state)

    def _start(
        self, running: Coroutine[Any, Any, None], request: HttpRequest
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(running, name=f"TestEngine {request!r}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_tasks(self) -> None:
        for link in list(self._links):
            link.abort()
        self._tasks -= {task for task in self._tasks if task.get_loop().is_closed()}
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=self._shutdown_timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def __repr__(self) -> str:
        return f"TestEngine({self.app!r})"

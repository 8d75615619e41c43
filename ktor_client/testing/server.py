"""The echo server: its listener, its connections, and their end. Routes are in `*_routes.py`."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from ktor_client.testing import hostile_routes, http_routes, web_socket_routes
from ktor_client.testing.exchange import Exchange, Refusal, Response
from ktor_client.testing.files import find_file
from ktor_client.testing.sessions import Sessions
from ktor_client.testing.wire import BadRequestError, ServerStream

__all__ = ["EchoServer", "Handler", "echo_server"]

IDLE_TIMEOUT = 60.0
"""Seconds that a connection may be without a request."""

Handler: TypeAlias = Callable[[Exchange], Awaitable[Response | None]]
"""A route: returns a response; or None, when it has accepted a session or taken the connection."""

_log = logging.getLogger("ktor_client.testing")


class EchoServer:
    """A small server for tests and experiments: `async with echo_server() as server`.

    Each route exists with and without the prefix /websockets; `GET /` lists them. Put your own
    routes into `routes`; a path ending in "/" serves everything below it.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        files: Mapping[str, str | Path] | None = None,
        file_headers: Mapping[str, str] | None = None,
    ) -> None:
        self.sessions = Sessions()
        """`len(server.sessions)`: how many WebSockets are open."""
        self.routes: dict[str, Handler] = {
            **http_routes.ROUTES,
            **web_socket_routes.ROUTES,
            **hostile_routes.ROUTES,
        }
        self.host = ""
        self.port = 0
        self._ssl_context = ssl_context
        self._files = {prefix.rstrip("/") + "/": Path(at) for prefix, at in (files or {}).items()}
        self._file_headers = dict(file_headers or {})
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    # --- where it is ---

    @property
    def url(self) -> str:
        """Such as "ws://127.0.0.1:54321", without a path."""
        return f"{'ws' if self._ssl_context is None else 'wss'}://{self._authority}"

    @property
    def http_url(self) -> str:
        """Such as "http://127.0.0.1:54321", without a path."""
        return f"{'http' if self._ssl_context is None else 'https'}://{self._authority}"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open, HTTP and WebSockets."""
        return sum(not task.done() for task in self._tasks)

    # --- its life ---

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, unix_socket: str | None = None
    ) -> None:
        """Start listening; port 0 chooses a free one.

        Raises:
            OSError: the address is in use, or not of this machine.
        """
        loop = asyncio.get_running_loop()
        if unix_socket is not None:
            self._listener = await loop.create_unix_server(self._protocol, unix_socket)
            self.host = "localhost"
            return
        self._listener = await loop.create_server(self._protocol, host, port, backlog=1024)
        address: Any = self._listener.sockets[0].getsockname()
        self.host, self.port = address[0], address[1]

    async def close(self) -> None:
        """Close sessions with 1001 and drop connections; return when all are gone."""
        self._is_closing = True
        if self._listener is not None:
            self._listener.close()
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        if self._listener is not None:
            await self._listener.wait_closed()

    # --- connections ---

    def _protocol(self) -> ServerStream:
        return ServerStream(self._accepted)

    def _accepted(self, stream: ServerStream) -> None:
        if self._is_closing:
            stream.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(stream))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not stream.is_lost:  # cancelled before it began
                stream.abort()

        task.add_done_callback(ended)

    async def _serve(self, stream: ServerStream) -> None:
        try:
            await stream.begin(self._ssl_context)
            while await self._serve_one(stream):
                pass
            stream.close()
        except (EOFError, OSError) as error:  # the client left; our ConnectionClosedError too
            _log.debug("connection ended: %r", error)
            stream.close()
        except asyncio.CancelledError:
            if not stream.is_session:
                stream.abort()
            raise
        except Exception:
            _log.exception("a route of the echo server failed")
            stream.abort()
        finally:
            try:
                await stream.wait_lost()
            except asyncio.CancelledError:
                stream.abort()
                await stream.wait_lost()
                raise

    async def _serve_one(self, stream: ServerStream) -> bool:
        """Serve one request; say whether another may follow."""
        try:
            async with asyncio.timeout(IDLE_TIMEOUT):
                method, target, version, headers = await stream.head()
        except TimeoutError:
            return False
        except BadRequestError as error:
            exchange = Exchange(self, stream, "GET", "/", http_routes.NO_HEADERS)
            await exchange.respond(Response(400, str(error)), keep_alive=False)
            return False
        exchange = Exchange(self, stream, method, target, headers)
        keep_alive = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
        try:
            response = await self.answer(exchange)
            if exchange.is_taken:
                return False
            async for _ in exchange.chunks():
                pass  # what the route did not read
        except BadRequestError as error:
            response, keep_alive = Response(400, str(error)), False
        except Refusal as refusal:
            response = refusal.response
            keep_alive = keep_alive and "content-length" not in headers
        if response is None:
            raise RuntimeError(f"the route {exchange.path} returned no Response")
        await exchange.respond(response, keep_alive=keep_alive)
        return keep_alive

    async def answer(self, exchange: Exchange) -> Response | None:
        """Run the route for an exchange; see `Handler` for what it returns.

        Raises:
            Refusal: there is no such route, or it refuses.
        """
        path = exchange.path.removeprefix("/websockets") or "/"
        handler = self.routes.get(path)
        while handler is None and path != "/":
            path = path.rstrip("/").rpartition("/")[0] + "/"
            handler = self.routes.get(path) if path != "/" else None
        if handler is not None:
            return await handler(exchange)
        for prefix, folder in self._files.items():
            if exchange.path.startswith(prefix):
                return await find_file(folder, exchange.path[len(prefix) :], self._file_headers)
            if f"{exchange.path}/" == prefix:  # a page's relative URLs need the slash
                location = prefix + "".join(exchange.target.partition("?")[1:])
                return Response(302, f"see {location}", headers={"Location": location})
        raise Refusal(404, f"there is no {exchange.path} here; GET / lists what there is")


@asynccontextmanager
async def echo_server(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    ssl_context: ssl.SSLContext | None = None,
    unix_socket: str | None = None,
    files: Mapping[str, str | Path] | None = None,
    file_headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[EchoServer]:
    """Run an echo server on this loop, for the length of an `async with`.

    Its address is `server.url`. On leaving, it closes sessions with 1001 and leaves no task or
    socket.

    Args:
        host: the interface to listen on.
        port: 0 chooses a free one; see `server.port`.
        ssl_context: serve only wss and https, with this context.
        unix_socket: path of a Unix socket to listen on instead.
        files: folders to serve, by URL prefix: `{"/page": "tests/browser/page"}`.
        file_headers: added to each file's response.

    Raises:
        OSError: the address is in use, or not of this machine.
    """
    server = EchoServer(ssl_context=ssl_context, files=files, file_headers=file_headers)
    await server.start(host, port, unix_socket=unix_socket)
    try:
        yield server
    finally:
        await server.close()

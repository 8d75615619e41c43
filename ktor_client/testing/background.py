"""The echo server in a thread of its own: for tests that have no loop, or another one each."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType

from ktor_client.testing.server import EchoServer, echo_server

__all__ = ["BackgroundEchoServer"]


class BackgroundEchoServer:
    """`with BackgroundEchoServer() as server:` listens on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.url = ""
        """Such as "ws://127.0.0.1:54321", without a path."""
        self.http_url = ""
        """Such as "http://127.0.0.1:54321", without a path."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready: Future[EchoServer] = Future()
        self._thread = threading.Thread(
            target=self._run, name="ktor-client echo server", daemon=True
        )

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._ready.set_exception(error)  # which cannot be, and is told, once it is ready

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with echo_server() as server:
            self._ready.set_result(server)
            await self._stop.wait()

    def __enter__(self) -> BackgroundEchoServer:
        """Return when it listens.

        Raises:
            OSError: it cannot.
        """
        self._thread.start()
        server = self._ready.result()
        self.url, self.http_url = server.url, server.http_url
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __repr__(self) -> str:
        return f"BackgroundEchoServer({self.url!r})"

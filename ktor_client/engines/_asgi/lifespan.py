"""The app's lifespan: started with the first request, ended when no client is left (ASGI 3.0)."""

from __future__ import annotations

import asyncio
from typing import Any

from ktor_client.engines._asgi.scope import App, Event
from ktor_client.errors import ClientClosedError
from ktor_client.memory.outcome import outcome

__all__ = ["Lifespan"]


class _LastWordError(BaseException):
    """The app goes on, although its startup has failed or its shutdown is over."""


class Lifespan:
    """One run of an app's startup and shutdown, in a task of its own."""

    def __init__(self, app: App, patience: float) -> None:
        """Begin the startup.

        Args:
            app: the application.
            patience: seconds that it has to end after its last word; then it is cancelled.
        """
        self._app = app
        self._patience = patience
        self.state: dict[str, Any] = {}
        """What the app keeps there; each request gets a copy of the dict."""
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._events.put_nowait({"type": "lifespan.startup"})
        self._failed: str | None = None
        self._has_said_all = False
        self._is_late = False
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(self._run(), name="TestEngine lifespan")

    async def start(self) -> None:
        """Wait until the app has started; an app that knows no lifespan has.

        Raises what the app raised, or a `RuntimeError` with what it said went wrong.
        """
        await asyncio.shield(self._started)

    async def stop(self) -> None:
        """Let the app shut down, and wait for its end. Raises what `start` does.

        An app that is still starting is cancelled: nobody waits for it any more.
        """
        if not self._loop.is_closed():
            if self._started.done():
                self._events.put_nowait({"type": "lifespan.shutdown"})
                await self._task
            else:
                self._task.cancel()
                await asyncio.wait({self._task})

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            error = await outcome("the app", self._app, scope, self._receive, self._send)
        except asyncio.CancelledError:
            if not self._is_late:
                if not self._started.done():
                    what = "TestEngine was closed while the app was starting"
                    self._fail_to_start(ClientClosedError(what))
                raise
            error = None
        if isinstance(error, _LastWordError):
            error = None
        if self._failed is not None:
            error = error or RuntimeError(self._failed)
        if self._started.done():
            if error is not None:
                raise error  # stop() hears it
        elif self._failed is not None or not isinstance(error, Exception | None):
            assert error is not None
            self._fail_to_start(error)
        else:
            self._started.set_result(None)

    def _fail_to_start(self, error: BaseException) -> None:
        self._started.set_exception(error)
        self._started.exception()  # a call that was cancelled does not ask for it

    async def _receive(self) -> Event:
        if self._has_said_all:
            raise _LastWordError
        return await self._events.get()

    async def _send(self, event: Event) -> None:
        kind = event["type"]
        if self._has_said_all:
            raise _LastWordError
        if kind == "lifespan.startup.complete":
            if self._started.done():
                raise RuntimeError("the app completed its startup twice")
            self._started.set_result(None)
        elif kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            what = kind.removeprefix("lifespan.").removesuffix(".failed")
            self._failed = f"the app's {what} failed: {event.get('message', '')}"
            self._end_soon()
        elif kind == "lifespan.shutdown.complete":
            self._end_soon()
        else:
            raise RuntimeError(f"the app sent {kind!r} during its lifespan")

    def _end_soon(self) -> None:
        """Let the app end by itself, or else by a timer: a server does not wait for it."""
        self._has_said_all = True
        timer = self._loop.call_later(self._patience, self._give_up)
        self._task.add_done_callback(lambda _: timer.cancel())

    def _give_up(self) -> None:
        self._is_late = True
        self._task.cancel()

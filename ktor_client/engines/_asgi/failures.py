"""What the app raised, and whether that is news: told once, at the next chance."""

from __future__ import annotations

import asyncio

from ktor_client.causes import causes
from ktor_client.engine.upload import is_cancelled
from ktor_client.engines._asgi.scope import App, Receive, Scope, Send

__all__ = ["Failures", "is_about_disconnect", "outcome"]


class Failures:
    """Exceptions of the app that no call of the client's has raised yet."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        """`raise_app_exceptions`."""
        self._errors: list[BaseException] = []

    def add(self, error: BaseException) -> None:
        """Keep an exception to raise when the client is closed."""
        if self.enabled:
            self._errors.append(error)

    def forget(self, error: BaseException) -> None:
        """Take note that a call has raised it."""
        if error in self._errors:
            self._errors.remove(error)

    def raise_first(self) -> None:
        """Raise the first exception, unchanged; notes tell of the others."""
        errors, self._errors = self._errors, []
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"The app also raised {type(other).__name__}: {other}")
            raise errors[0]


def is_about_disconnect(error: BaseException) -> bool:
    """Whether an exception only says that the client has gone.

    Frameworks raise their own `WebSocketDisconnect` or `ClientDisconnect` into handlers, and
    handlers need not catch them; from `send` apps get an `OSError` (ASGI 2.4).
    """
    return any(
        isinstance(cause, OSError) or type(cause).__name__.endswith("Disconnect")
        for cause in causes(error)
    )


async def outcome(app: App, scope: Scope, receive: Receive, send: Send) -> BaseException | None:
    """Run an app, and return what it raised.

    Raises:
        CancelledError, GeneratorExit: its task was to end, or its loop.
    """
    task = asyncio.current_task()
    assert task is not None
    try:
        await app(scope, receive, send)
    except (asyncio.CancelledError, GeneratorExit) as ended:
        if is_cancelled() or asyncio.current_task(task.get_loop()) is not task:
            raise
        error = RuntimeError(f"the app raised {type(ended).__name__}, but nobody had cancelled it")
        error.__cause__ = ended
        return error
    except BaseException as raised:  # such as that of pytest.fail()
        return raised
    return None

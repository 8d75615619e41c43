"""What the app raised, and whether that is news: told once, at the next chance."""

from __future__ import annotations

from ktor_client.causes import causes

__all__ = ["Failures", "is_about_disconnect"]


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

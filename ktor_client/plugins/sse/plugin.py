"""The `SSE` plugin: its options, and opening a stream; the stream itself is in `session.py`."""

from __future__ import annotations

from ktor_client.durations import Duration, optional_seconds
from ktor_client.errors import ClientClosedError
from ktor_client.http import HttpRequest
from ktor_client.http.conversion import ContentConverter
from ktor_client.plugin import HttpClientPlugin, PluginScope
from ktor_client.plugins.sse.session import SseSession, StreamOptions
from ktor_client.retry import RetryPolicy

__all__ = ["SSE"]

MAX_EVENT_SIZE = 1024 * 1024


class SSE(HttpClientPlugin):
    """Server-sent events for a client (Ktor's `SSE`): `install(SSE)`, then `client.sse(url)`."""

    def __init__(
        self,
        *,
        policy: RetryPolicy | None = None,
        show_comments: bool = False,
        show_retry: bool = False,
        max_event_size: int = MAX_EVENT_SIZE,
        idle_timeout: Duration | None = None,
        content_converter: ContentConverter | None = None,
    ) -> None:
        """Check and keep the options.

        Args:
            policy: when and how often a stream that has ended is reopened. Without a policy it
                always is, after 3 s or the time in the server's `retry:`.
                `RetryPolicy(max_attempts=1)` opens it once.
            show_comments: whether comments without data are events too, with empty data.
            show_retry: whether `retry:` without data is an event too, with empty data.
            max_event_size: characters of one event; beyond it `SseError`.
            idle_timeout: seconds without a byte after which the stream is reopened; no limit by
                default. Time limits of requests do not apply to an open stream.
            content_converter: for `events.typed(Type)`, for instance `JsonConverter()`.

        Raises:
            ValueError: an option out of its range.
            TypeError: an option of the wrong type.
        """
        if not isinstance(policy, RetryPolicy | None):
            raise TypeError(f"policy takes RetryPolicy(...), not {policy!r}")
        if not isinstance(content_converter, ContentConverter | None):
            raise TypeError(
                f"content_converter takes an instance such as JsonConverter(), "
                f"not {content_converter!r}"
            )
        if isinstance(max_event_size, bool) or not isinstance(max_event_size, int):
            raise TypeError(
                f"max_event_size is a number of characters, not {type(max_event_size).__name__}"
            )
        if max_event_size < 1:
            raise ValueError(f"max_event_size must be at least 1 character, not {max_event_size}")
        self._options = StreamOptions(
            policy=policy,
            shows_comments=bool(show_comments),
            shows_retry=bool(show_retry),
            max_event_size=max_event_size,
            idle_timeout=optional_seconds(idle_timeout, "idle_timeout"),
            converter=content_converter,
        )
        self._open: dict[SseSession, None] = {}

    def install(self, scope: PluginScope) -> None:
        """Register the end of the streams that are open when the client closes."""
        scope.on_close(self._end)

    async def open(self, scope: PluginScope, request: HttpRequest) -> SseSession:
        """Open a stream through the layers of a scope: what `client.sse` does.

        Raises:
            SseError: the answer is not an event stream; it is in `response`.
            ConnectError: no connection. Engine and plugins may raise other errors.
        """
        session = SseSession(scope, request, self._options, self._open.pop)
        self._open[session] = None
        try:
            await session._begin()
        except BaseException:
            await session.close()
            raise
        return session

    async def _end(self) -> None:
        for session in list(self._open):
            await session._end(ClientClosedError("the client was closed: the event stream ends"))

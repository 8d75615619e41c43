"""Sessions that come back: the call, and what `reconnect/` needs of the client. Nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ktor_client.client.statements import WebSocketStatement
from ktor_client.durations import Duration, optional_seconds
from ktor_client.http import HttpMethod, RequestBlock
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.http.request import AnyBlock
from ktor_client.link import Clock
from ktor_client.mistakes import answering
from ktor_client.plugins import reconnect, websockets
from ktor_client.plugins.reconnect import WebSocketReconnect
from ktor_client.plugins.websockets import WebSockets
from ktor_client.reconnect import Outbox, ReconnectingStatement, Resume
from ktor_client.reconnect.budget import Budget
from ktor_client.reconnect.opening import OnOpen
from ktor_client.reconnect.options import FeedOptions
from ktor_client.reconnect.target import Anew, Asked, Target, UrlAnew
from ktor_client.retry import RetryPolicy
from ktor_client.session import DefaultClientWebSocketSession

if TYPE_CHECKING:
    from ktor_client.client.http_client import HttpClient

__all__ = ["ReconnectingCalls"]


class ReconnectingCalls:
    """Mixed into `HttpClient`."""

    @answering("web_socket")
    def web_socket_reconnecting(
        self,
        url: UrlAnew | RequestBlock | Sequence[UrlAnew] | None = None,
        *blocks: AnyBlock,
        method: str = HttpMethod.Get,
        host: str | None = None,
        port: int | None = None,
        path: str | None = None,
        params: Anew[ParametersLike | None] = None,
        headers: Anew[HeadersLike | None] = None,
        subprotocols: Anew[Sequence[str]] = (),
        policy: RetryPolicy | None = None,
        on_open: OnOpen | None = None,
        outbox: Outbox | None = None,
        resume: Resume | None = None,
        overlap: bool = False,
        max_age: Duration | None = None,
    ) -> ReconnectingStatement:
        """Prepare sessions that come back: `async with ... as feed`, or `async for session in ...`.

        Takes what `web_socket` takes, and raises what it raises as far as that is known at once.
        `url`, `params`, `headers` and `subprotocols` may also be functions, async or not. They are
        called before each attempt, because tokens age; blocks run again too. Given several URLs, a
        failure moves on to the next; the first is used again after a rest.

        `policy` says when to try again: that of `install(WebSocketReconnect)` if None, else
        `RetryPolicy()`. `on_open(session)` runs on each connection before any traffic of yours (log
        in, subscribe); if it fails, so has that attempt.

        For a feed only: `outbox` limits what may wait for a connection (`Outbox()` if None).
        `resume` continues where a connection was cut. A session that reaches `max_age` is replaced.
        With `overlap`, its successor opens before it ends if possible, and at once after the peer
        closes with 1001 or 1012.
        """
        age = optional_seconds(max_age, "max_age")
        options = FeedOptions(on_open, outbox, resume, overlap, age)
        client = cast("HttpClient", self)
        settings = reconnect.settings_of(client.plugin_or_none(WebSocketReconnect))
        if not isinstance(policy, RetryPolicy | None):
            raise TypeError(f"policy takes RetryPolicy(...), not {policy!r}")
        target = Target(url, blocks, headers, params, subprotocols)
        parts = {"method": method, "host": host, "port": port, "path": path}
        source = _Source(client, parts, settings.budget)
        for known in target.known():
            source.prepare(known)
        return ReconnectingStatement(source, target, policy or settings.policy, options)


class _Source:
    """The client: implements `Source`."""

    def __init__(self, client: HttpClient, parts: dict[str, Any], budget: Budget | None) -> None:
        """Open what `parts`, which are the same for every attempt, say."""
        settings = websockets.settings_of(client.plugin(WebSockets), client.engine)
        self._client = client
        self._parts = parts
        self.budget = budget
        self.open_timeout = settings.open_timeout
        self.incoming_limit = settings.incoming
        self.converter = settings.converter

    @property
    def clock(self) -> Clock:
        return self._client.engine.clock

    def prepare(self, asked: Asked) -> WebSocketStatement[DefaultClientWebSocketSession]:
        """Prepare a session. Raises what `web_socket` raises."""
        return self._client._statement(
            WebSockets.open,
            asked.url,
            (),
            **self._parts,
            headers=asked.headers,
            params=asked.params,
            subprotocols=asked.subprotocols,
            late_blocks=asked.blocks,
        )

    async def open(self, asked: Asked) -> DefaultClientWebSocketSession:
        return await self.prepare(asked).__aenter__()

    def raise_if_closed(self) -> None:
        self._client._raise_if_closed()

    def on_closing(self, callback: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._client._on_closing[key] = callback

        def forget() -> None:
            self._client._on_closing.pop(key, None)

        return forget

    def on_network_back(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._client.engine.on_network_back(callback)

"""Sessions that come back: the call, which loads `reconnect/`: not every client needs that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from ktor_client.http import HttpMethod
from ktor_client.mistakes import answering

if TYPE_CHECKING:
    from ktor_client.client.http_client import HttpClient
    from ktor_client.durations import Duration
    from ktor_client.http import RequestBlock
    from ktor_client.http.headers import HeadersLike
    from ktor_client.http.parameters import ParametersLike
    from ktor_client.http.request import AnyBlock
    from ktor_client.reconnect import Outbox, ReconnectingStatement, Resume
    from ktor_client.reconnect.opening import OnOpen
    from ktor_client.reconnect.target import Anew, UrlAnew
    from ktor_client.retry import RetryPolicy

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
        from ktor_client.client.source import prepared
        from ktor_client.durations import optional_seconds
        from ktor_client.reconnect.options import FeedOptions
        from ktor_client.reconnect.target import Target

        age = optional_seconds(max_age, "max_age")
        options = FeedOptions(on_open, outbox, resume, overlap, age)
        target = Target(url, blocks, headers, params, subprotocols)
        parts = {"method": method, "host": host, "port": port, "path": path}
        return prepared(cast("HttpClient", self), target, parts, policy, options)

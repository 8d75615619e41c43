"""The event streams of a client: prepared or opened. Nothing is opened here."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, cast

from ktor_client.client.content import content_of
from ktor_client.client.preparing import UrlLike
from ktor_client.client.scope import PluginView
from ktor_client.client.statements import SseStatement
from ktor_client.client.twins import opened
from ktor_client.http import HttpMethod, HttpRequest, HttpRequestBuilder, RequestBlock
from ktor_client.http.content import BodyLike
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.mistakes import answering
from ktor_client.unset import UNSET

if TYPE_CHECKING:
    from ktor_client.client.http_client import HttpClient
    from ktor_client.plugins.sse import SseSession

__all__ = ["SseCalls"]


class SseCalls:
    """Mixed into `HttpClient`."""

    @answering("request")
    def sse(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        method: HttpMethod | str = HttpMethod.Get,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
    ) -> SseStatement:
        """Prepare a stream: `async with client.sse(url) as events: async for event in events: ...`.

        Entering waits for the first answer. A stream that ends is reopened, unless its method must
        not be repeated, such as POST.

        Raises:
            PluginNotInstalledError: `install(SSE)` is missing.
            InvalidUrlError, UnsafeHeaderError: the request is not legal.
            ClientClosedError: the client is closed.

        Entering raises `SseError` when the answer is not an event stream, and whatever `get`
        raises.
        """
        from ktor_client.plugins.sse import SSE  # which not every client needs

        client = cast("HttpClient", self)
        client._raise_if_closed()
        plugin = client.plugin(SSE)
        content = content_of(body, json, None, None)
        draft = client._draft(method, url, (*blocks, _for_events), params, headers, content)

        def open_stream(request: HttpRequest) -> Awaitable[SseSession]:
            return plugin.open(PluginView(client, client._scope, plugin), request)

        return SseStatement(lambda: client._call(draft, open_stream))

    sse_session = opened(sse)
    """Takes what `sse` takes; awaited, it opens a stream that is yours to close."""


def _for_events(request: HttpRequestBuilder) -> None:
    """Say what an event stream asks for, where the caller has not."""
    request.headers.add_if_absent("Accept", "text/event-stream")
    request.headers.add_if_absent("Cache-Control", "no-store")

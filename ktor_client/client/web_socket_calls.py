"""The WebSocket calls of a client: prepared or opened, whole messages or raw frames.

Nothing is opened here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ktor_client.client.preparing import UrlLike
from ktor_client.client.statements import WebSocketStatement
from ktor_client.client.twins import opened, over_tls
from ktor_client.http import HttpMethod, HttpRequest, RequestBlock
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.mistakes import answering
from ktor_client.plugin import PluginScope

if TYPE_CHECKING:
    from ktor_client.plugins.websockets import WebSockets
    from ktor_client.session import (
        ClientWebSocketSession,
        DefaultClientWebSocketSession,
        WebSocketSession,
    )

__all__ = ["Opening", "WebSocketCalls", "web_sockets"]

S = TypeVar("S", bound="WebSocketSession")

Opening: TypeAlias = (
    "Callable[[WebSockets, PluginScope, HttpRequest, tuple[str, ...]], Awaitable[S]]"
)
"""A method of the plugin's that opens a session."""


@cache
def web_sockets() -> type[WebSockets]:
    """Return the plugin, which not every client needs."""
    from ktor_client.plugins.websockets import WebSockets

    return WebSockets


class WebSocketCalls(ABC):
    """Mixed into `HttpClient`."""

    @abstractmethod
    def _statement(
        self, opening: Opening[S], url: UrlLike, blocks: tuple[RequestBlock, ...], **parts: Any
    ) -> WebSocketStatement[S]:
        """Build the request of a handshake, check it, and return what opens the session."""

    @answering("web_socket")
    def web_socket(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        method: str = HttpMethod.Get,
        host: str | None = None,
        port: int | None = None,
        path: str | None = None,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        subprotocols: Sequence[str] = (),
    ) -> WebSocketStatement[DefaultClientWebSocketSession]:
        """Prepare a session: `async with client.web_socket(url) as session`, or `.execute(fn)`.

        `http(s)://` becomes `ws(s)://`. A missing or empty host means DefaultRequest's, else
        localhost; "example.org/feed", without a scheme, has none: it is a path, as in Ktor.

        Raises:
            PluginNotInstalledError: `install(WebSockets)` is missing.
            UnsupportedCapabilityError: the engine cannot do what options or call ask.
            InvalidUrlError, UnsafeHeaderError, ValueError: the request is not legal.
            ClientClosedError: the client is closed.

        Entering raises `WebSocketHandshakeError` when the server refuses or answers wrongly,
        `OpenTimeoutError` after `open_timeout`, and `ConnectError` without a connection.
        """
        return self._statement(
            web_sockets().open,
            url,
            blocks,
            method=method,
            host=host,
            port=port,
            path=path,
            params=params,
            headers=headers,
            subprotocols=subprotocols,
        )

    @answering("web_socket")
    def web_socket_raw(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        method: str = HttpMethod.Get,
        host: str | None = None,
        port: int | None = None,
        path: str | None = None,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        subprotocols: Sequence[str] = (),
    ) -> WebSocketStatement[ClientWebSocketSession]:
        """Prepare a raw session: you receive every frame, may send any, and nothing is answered for
        you.

        Takes and raises what `web_socket` does.
        """
        return self._statement(
            web_sockets().open_raw,
            url,
            blocks,
            method=method,
            host=host,
            port=port,
            path=path,
            params=params,
            headers=headers,
            subprotocols=subprotocols,
        )

    ws = web_socket
    """`web_socket` by its short name."""
    wss = over_tls(web_socket)
    """`web_socket`, always over TLS; an explicit port stays."""
    web_socket_session = opened(web_socket)
    """Takes what `web_socket` takes; awaited, it opens a session that is yours to close."""
    web_socket_raw_session = opened(web_socket_raw)
    """The same for `web_socket_raw`."""

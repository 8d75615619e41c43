"""The browser engine as clients hold it: what it can do, what it has open, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from ktor_client.engine import HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.capabilities import (
    Capability,
    ProxyCapability,
    SocketTimeoutCapability,
    TimeoutCapability,
    TlsOptionsCapability,
    UnixSocketCapability,
    WebSocketCapability,
)
from ktor_client.engine.idle_limit import IdleLimit
from ktor_client.engine.settings import DEFAULT_SOCKET_TIMEOUT
from ktor_client.engine.shared import refuse_options, require, require_handshake_headers
from ktor_client.engines._browser.bursts import Bursts
from ktor_client.engines._browser.fetch import Exchange, check
from ktor_client.engines._browser.link import BrowserLink
from ktor_client.engines._browser.network import watch_network
from ktor_client.engines._browser.page_clock import PageClock
from ktor_client.engines._browser.platform import Platform
from ktor_client.engines._browser.wakeups import Wakeups
from ktor_client.errors import ClientClosedError
from ktor_client.http import Headers, HttpRequest, HttpResponse
from ktor_client.link import Clock

__all__ = ["BrowserEngine"]

_WHY = ": connections are the browser's own business"
_SOCKET_OPTIONS = {
    "connect_timeout": (TimeoutCapability, _WHY),
    "limit": ("a limit of connections", _WHY),
    "proxy": (ProxyCapability, _WHY),
    "server_hostname": (TlsOptionsCapability, _WHY),
    "ssl_context": (TlsOptionsCapability, _WHY),
    "trust_env": (ProxyCapability, _WHY),
    "unix_socket": (UnixSocketCapability, _WHY),
}
"""Options that socket engines share, and what an engine needs for them."""

SHORT = 64 * 1024
"""Bytes of a body that leaves at once, so that what is waited for then is the answer."""


class BrowserEngine(HttpClientEngine):
    """WebSockets and HTTP through the browser that this Python runs in (Ktor's `Js`).

    Runs in a tab and in a Web Worker, under Pyodide. The browser decides about TLS, proxies,
    cookies, redirects, compression and pings; whatever it denies a page is missing from
    `capabilities` and refused. Close codes other than 1000 and 3000 to 4999 are mapped: 1001 is
    sent as 1000, 1011 as 4011 and so on; `close_reason.sent` shows it. A URL without a host means
    the page's own origin.
    """

    name: ClassVar[str] = "browser"

    def __init__(
        self,
        *,
        credentials: Literal["omit", "same-origin", "include"] = "same-origin",
        **socket_options: None,
    ) -> None:
        """Find the browser.

        Args:
            credentials: whether `fetch` sends the browser's cookies and HTTP authentication;
                WebSockets always send them.
            **socket_options: options of other engines, such as `proxy`, which a browser decides
                itself.

        Raises:
            EngineUnavailableError: this Python does not run in a browser.
            UnsupportedCapabilityError: a socket option was given a value.
            ValueError: `credentials` is none of the three.
        """
        refuse_options(
            "BrowserEngine", socket_options, _SOCKET_OPTIONS, has="; it has 'credentials'"
        )
        if credentials not in ("omit", "same-origin", "include"):
            raise ValueError(
                f"credentials is 'omit', 'same-origin' or 'include', not {credentials!r}"
            )
        self._platform = Platform()
        self.default_url = self._platform.origin or self.default_url
        self._clock = PageClock()
        self._wakeups = Wakeups(self._platform.js, self._platform.ffi)
        self._bursts = Bursts(self._platform.js)
        self._credentials = credentials
        self._live: set[BrowserLink | Exchange] = set()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """A limit for silence; WebSockets, wherever there is a global `WebSocket`."""
        own: set[Capability] = {SocketTimeoutCapability}
        return frozenset(own | ({WebSocketCapability} if self._platform.has_web_sockets else set()))

    @property
    def clock(self) -> Clock:
        """The loop's time, by timers that end when they are cancelled."""
        return self._clock

    def on_network_back(self, callback: Callable[[], object]) -> Callable[[], None]:
        """See `HttpClientEngine.on_network_back`."""
        return watch_network(self._platform, callback)

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request by `fetch`; see `HttpClientEngine.execute`."""
        self._raise_if_closed()
        check(request)
        exchange = Exchange(self._platform, self._live.discard)
        self._live.add(exchange)
        # How far a body is on its way, a page does not hear.
        is_long = isinstance(request.body, bytes) and len(request.body) > SHORT
        limit = IdleLimit(self, request, None if is_long else DEFAULT_SOCKET_TIMEOUT)
        response = await limit.wait(exchange.send(request, self._credentials))
        return IdleLimit(self, request, DEFAULT_SOCKET_TIMEOUT).watched(response)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Open a `js.WebSocket`; see `HttpClientEngine.open_web_socket`.

        The browser has verified the answer, and shows of it only what it negotiated.
        """
        self._raise_if_closed()
        require(self, WebSocketCapability)
        require_handshake_headers(self, request.headers)
        socket = self._new_socket(request, options)
        link = BrowserLink(
            self._platform.ffi,
            self._clock,
            self._wakeups,
            self._bursts,
            socket,
            self._live.discard,
        )
        self._live.add(link)
        try:
            await IdleLimit(self, request, DEFAULT_SOCKET_TIMEOUT).wait(link.opened())
        except BaseException:
            link.abort()
            raise
        shown = {
            "Sec-WebSocket-Protocol": str(socket.protocol),
            "Sec-WebSocket-Extensions": str(socket.extensions),
        }
        headers = Headers([(name, value) for name, value in shown.items() if value])
        response = HttpResponse(request, 101, headers, reason="Switching Protocols")
        return WebSocketUpgrade(response, link, verified=True)

    def _new_socket(self, request: HttpRequest, options: WebSocketOptions) -> Any:
        platform = self._platform
        try:
            return platform.js.WebSocket.new(
                str(request.url), platform.ffi.to_js(list(options.subprotocols))
            )
        except platform.ffi.JsException as error:
            raise platform.error(request.url, error) from error

    async def close(self) -> None:
        """Abort every socket and request. Idempotent."""
        self._closed = True
        for one in list(self._live):
            one.abort()
        self._wakeups.close()

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ClientClosedError("BrowserEngine is closed; make a new one")

"""`HttpClient`: what users make, what it opens, and how all of that ends."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ktor_client.client.building import EngineLike, install_plugins, make_engine, only_blocks
from ktor_client.client.expectation import fail_unless_success
from ktor_client.client.preparing import (
    Body,
    UrlLike,
    http_request,
    tell_of_missing_scheme,
    web_socket_request,
)
from ktor_client.client.scope import ClientScope
from ktor_client.client.statements import WebSocketStatement
from ktor_client.client.twins import opened, over_tls
from ktor_client.client.verbs import HttpCalls
from ktor_client.config import Block, HttpClientConfig, apply_blocks, plugin_name
from ktor_client.engine import Capability, HttpClientEngine
from ktor_client.engine.capabilities import ManualRedirectsCapability, StreamingUploadCapability
from ktor_client.engine.shared import SharedEngine, require
from ktor_client.errors import ClientClosedError, ConnectError, PluginNotInstalledError
from ktor_client.frames import CloseReason
from ktor_client.http import (
    Attributes,
    HttpMethod,
    HttpRequest,
    HttpResponse,
    RequestBlock,
)
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.plugin import Events, HttpClientPlugin
from ktor_client.plugins.websockets import WebSockets
from ktor_client.session import (
    ClientWebSocketSession,
    DefaultClientWebSocketSession,
    SessionCore,
    WebSocketSession,
)
from ktor_client.session.oneshot import OneShot

__all__ = ["HttpClient"]

T = TypeVar("T", bound=HttpClientPlugin)
S = TypeVar("S", bound=WebSocketSession)


class HttpClient(HttpCalls):
    """A client on an exchangeable engine: `HttpClient(AiohttpEngine, install(WebSockets))`.

    Making one touches no event loop; the engine binds to the loop of the first call. Use it as an
    async context manager, or `close()` it.
    """

    @only_blocks
    def __init__(self, engine: EngineLike = None, *blocks: Block) -> None:
        """Make a client.

        Args:
            engine: a class or factory (the client owns what it makes), an instance (yours to
                close), a registered name, or None for the best that is installed.
            blocks: functions of `HttpClientConfig`, such as `install(WebSockets)`, run in order.

        Raises:
            EngineUnavailableError: no such engine, or its library is not installed.
            TypeError: something is not an engine, not a block, or not an option.
        """
        config = HttpClientConfig()
        apply_blocks(config, blocks)
        self._set_up(config, make_engine(engine, config.engine_options))

    def _set_up(self, config: HttpClientConfig, shared: SharedEngine) -> None:
        self._config = config
        self._shared = shared
        self._scope = ClientScope(shared.engine)
        self._sessions: dict[SessionCore, WebSocketSession] = {}
        self._forget = self._sessions.pop  # one for all sessions
        self._closing = False
        self._closed: OneShot[None] = OneShot()
        self._used = False
        self._plugins = install_plugins(self._scope, config)

    def config(self, *blocks: Block) -> HttpClient:
        """Return a client with more blocks, on this client's engine.

        The engine is closed with the last client that shares it.

        Raises:
            TypeError: a block gives options to the engine, which exists already.
            ClientClosedError: this client is closed.
        """
        self._raise_if_closed()
        config = self._config.copy()
        before = config.engine_options
        apply_blocks(config, blocks)
        if config.engine_options != before:
            raise TypeError("config.engine(...) needs a new HttpClient; this engine exists already")
        twin = HttpClient.__new__(HttpClient)
        twin._set_up(config, self._shared)
        self._shared.share()
        return twin

    # --- what it is made of ---

    @property
    def engine(self) -> HttpClientEngine:
        """The engine; `client.engine.capabilities` says what it can do."""
        return self._shared.engine

    @property
    def attributes(self) -> Attributes:
        """Values that plugins share."""
        return self._scope.attributes

    @property
    def events(self) -> Events:
        """Where to watch requests and responses."""
        return self._scope.events

    def is_supported(self, capability: Capability) -> bool:
        """Whether the engine has a capability."""
        return capability in self.engine.capabilities

    def plugin(self, plugin: Callable[..., T]) -> T:
        """Return an installed plugin.

        Raises:
            PluginNotInstalledError: it is not installed.
        """
        found = self.plugin_or_none(plugin)
        if found is None:
            name = plugin_name(plugin)
            raise PluginNotInstalledError(
                f"{name} is not installed; add install({name}) to HttpClient(...)"
            )
        return found

    def plugin_or_none(self, plugin: Callable[..., T]) -> T | None:
        """Return an installed plugin, or None."""
        found: Any = self._plugins.get(plugin)
        return cast("T | None", found)

    # --- web sockets ---

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
        self._raise_if_closed()
        plugin = self.plugin(WebSockets)
        request, offered = web_socket_request(
            self._scope,
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
        plugin._check(self.engine, request.headers, raw=False)
        return WebSocketStatement(
            lambda: self._open(
                lambda: plugin._open(self._scope, self._scope.send, request, offered), request
            )
        )

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
        """Prepare a raw session: every frame in, any frame out, nothing answered by itself.

        Takes and raises what `web_socket` does.
        """
        self._raise_if_closed()
        plugin = self.plugin(WebSockets)
        request, offered = web_socket_request(
            self._scope,
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
        plugin._check(self.engine, request.headers, raw=True)
        return WebSocketStatement(
            lambda: self._open(
                lambda: plugin._open_raw(self._scope, self._scope.send, request, offered), request
            )
        )

    ws = web_socket
    """`web_socket` by its short name."""
    wss = over_tls(web_socket)
    """`web_socket`, always over TLS; an explicit port stays."""
    web_socket_session = opened(web_socket)
    """Takes what `web_socket` takes; awaited, it opens a session that is yours to close."""
    web_socket_raw_session = opened(web_socket_raw)
    """The same for `web_socket_raw`."""

    async def _open(self, open_session: Callable[[], Awaitable[S]], request: HttpRequest) -> S:
        self._begin()
        try:
            session = await open_session()
        except ConnectError as error:
            self._explain(error, request, "session was being opened")
            raise
        core = session._core
        if self._closing:
            core.cancel()
            raise ClientClosedError("the client was closed while the session was being opened")
        self._sessions[core] = session
        core.on_closed(self._forget)
        return session

    # --- HTTP ---

    def _request_of(
        self,
        method: HttpMethod | str,
        url: UrlLike,
        blocks: tuple[RequestBlock, ...],
        params: ParametersLike | None,
        headers: HeadersLike | None,
        body: Body,
        json: Any,
    ) -> HttpRequest:
        self._raise_if_closed()
        request = http_request(self._scope, method, url, blocks, params, headers, body, json)
        if request.body is not None and not isinstance(request.body, bytes):
            require(self.engine, StreamingUploadCapability, "a streamed body")
        if not self._config.follow_redirects:
            require(self.engine, ManualRedirectsCapability, "follow_redirects=False")
        return request

    async def _execute(self, request: HttpRequest) -> HttpResponse:
        self._begin()
        try:
            response = await self._scope.send(request, self.engine.execute)
        except ConnectError as error:
            self._explain(error, request, "request was under way")
            raise
        if self._config.expect_success:
            await fail_unless_success(response)
        return response

    # --- the end ---

    async def close(self) -> None:
        """Close open sessions with 1001, each within its `close_timeout`, then an owned engine.

        Idempotent; every caller waits for the end. Once its event loop is closed, a client drops
        what it has without a word.

        Raises:
            WrongLoopError: the client is in use on another event loop.
        """
        loop = self._shared.loop
        is_orphan = loop is not None and loop.is_closed
        if loop is not None and not (is_orphan or self._closed.is_set):
            loop.check()
        if self._closing:
            await self._closed.wait()
            return
        self._closing = True
        try:
            going_away = CloseReason(CloseReason.Codes.GOING_AWAY)
            sessions = list(self._sessions.values())
            if is_orphan:  # nothing can be said any more
                for session in sessions:
                    session.cancel()
                sessions = []
            try:
                await asyncio.gather(*(session.close(going_away) for session in sessions))
            except asyncio.CancelledError:
                for session in sessions:
                    session.cancel()
                raise
            await self._scope.close()
        finally:
            try:
                await self._shared.release()
            finally:
                self._closed.set(None)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    async def __aenter__(self) -> HttpClient:
        self._raise_if_closed()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    if not TYPE_CHECKING:  # for type checkers a client is no context manager but an async one

        def __enter__(self) -> NoReturn:
            raise TypeError(
                "a client needs `async with`; write `async with HttpClient(...) as client:`"
            )

        __exit__ = __enter__

    def _begin(self) -> None:
        if self._closing:
            self._raise_if_closed()
        self._shared.bind()
        self._used = True

    def _explain(self, error: ConnectError, request: HttpRequest, what: str) -> None:
        """Say what the engine cannot know, which saw no more than a connection that failed."""
        if self._closing:
            raise ClientClosedError(f"the client was closed while the {what}") from error
        tell_of_missing_scheme(error, request)

    def _raise_if_closed(self) -> None:
        if self._closing:
            raise ClientClosedError("this HttpClient is closed; make a new one")

    def __repr__(self) -> str:
        state = "closed" if self._closing else "open"
        return f"<HttpClient {state} on {self.engine!r}>"

    def __del__(self) -> None:
        if getattr(self, "_used", False) and not self._closing and self._shared.owned:
            warnings.warn(
                f"unclosed {self!r}; use `async with HttpClient(...)` or `await client.close()`",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

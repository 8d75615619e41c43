"""`HttpClient`: what users make, what it opens, and how all of that ends."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ktor_client.client.building import (
    install_plugins,
    make_engine,
    make_plugins,
    only_known_options,
)
from ktor_client.client.content import NOTHING, Content
from ktor_client.client.expectation import fail_unless_success
from ktor_client.client.explaining import explain
from ktor_client.client.passage import Passage
from ktor_client.client.preparing import (
    Draft,
    UrlLike,
    http_draft,
    tell_of_missing_scheme,
    web_socket_draft,
)
from ktor_client.client.reconnecting import ReconnectingCalls
from ktor_client.client.scope import ClientScope, PluginView, Preparation
from ktor_client.client.sse_calls import SseCalls
from ktor_client.client.statements import WebSocketStatement
from ktor_client.client.verbs import HttpCalls
from ktor_client.client.web_socket_calls import WebSocketCalls, web_sockets
from ktor_client.config import Block, HttpClientConfig, PluginKey, apply_blocks, plugin_name
from ktor_client.engine import Capability, EngineLike, HttpClientEngine
from ktor_client.engine.capabilities import ManualRedirectsCapability
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
from ktor_client.http.request import EXPECT_SUCCESS
from ktor_client.link.oneshot import OneShot
from ktor_client.mistakes import TaughtABC
from ktor_client.plugin import Events, HttpClientPlugin
from ktor_client.unset import UNSET

if TYPE_CHECKING:
    from ktor_client.client.web_socket_calls import Opening
    from ktor_client.session import SessionCore, WebSocketSession

__all__ = ["HttpClient"]

T = TypeVar("T", bound=HttpClientPlugin)
R = TypeVar("R")
S = TypeVar("S", bound="WebSocketSession")


class HttpClient(HttpCalls, WebSocketCalls, ReconnectingCalls, SseCalls, metaclass=TaughtABC):
    """A client on an exchangeable engine: `HttpClient(AiohttpEngine, install(WebSockets))`.

    The engine belongs to the event loop of the first call. Use the client as an async context
    manager, or `close()` it.
    """

    @only_known_options
    def __init__(
        self,
        engine: EngineLike = None,
        *blocks: Block,
        expect_success: bool = UNSET,
        follow_redirects: bool = UNSET,
    ) -> None:
        """Store the options. Nothing connects, and no event loop is needed yet.

        Args:
            engine: a class or factory (the client owns what it makes), an instance (yours to
                close), the name of either, or None for `CioEngine`, in a browser `BrowserEngine`.
            blocks: functions that take the `HttpClientConfig`, such as `install(WebSockets)`; they
                run in order.
            expect_success: raise for responses with status 300 and above. Off by default.
            follow_redirects: follow redirects; see `HttpRedirect`. On by default.

        Raises:
            EngineUnavailableError: no such engine, or its library is not installed.
            TypeError: something is not an engine, not a block, or not an option.
        """
        config = HttpClientConfig()
        apply_blocks(config, blocks)
        if expect_success is not UNSET:
            config.expect_success = expect_success
        if follow_redirects is not UNSET:
            config.follow_redirects = follow_redirects
        shared = make_engine(engine, config.engine_options)
        self._set_up(config, shared, make_plugins(config))
        install_plugins(self._view, config, self._plugins)

    def _set_up(
        self,
        config: HttpClientConfig,
        shared: SharedEngine,
        plugins: dict[PluginKey, HttpClientPlugin],
    ) -> None:
        self._config = config
        self._shared = shared
        self._plugins = plugins
        self._scope = ClientScope(shared.engine, plugins)
        self._sessions: dict[SessionCore, WebSocketSession] = {}
        self._forget = self._sessions.pop  # one for all sessions
        self._responses: set[HttpResponse] = set()
        self._twins: list[HttpClient] = []
        self._closing = False
        self._on_closing: dict[object, Callable[[], None]] = {}
        self._closed: OneShot[None] = OneShot()
        self._used = False

    def _view(self, plugin: HttpClientPlugin) -> PluginView:
        return PluginView(self, self._scope, plugin)

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
        twin._set_up(config, self._shared, make_plugins(config))
        install_plugins(twin._view, config, twin._plugins)
        self._shared.share()
        return twin

    def _without(self, plugins: tuple[PluginKey, ...]) -> HttpClient:
        """Return this client without some plugins; the others are the same ones."""
        self._raise_if_closed()
        twin = HttpClient.__new__(HttpClient)
        kept = {key: one for key, one in self._plugins.items() if key not in plugins}
        twin._set_up(self._config, self._shared, kept)
        gone = [self._plugins[key] for key in plugins if key in self._plugins]
        twin._scope = self._scope.without(gone, kept)
        self._shared.share()
        self._twins.append(twin)
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

    def explain(self) -> str:
        """Return the layers that a request passes from the call to the engine, one per line."""
        return explain(self._scope)

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
            if not callable(plugin):
                raise TypeError(
                    f"write the plugin itself, client.plugin(WebSockets), not {plugin!r}"
                )
            name = plugin_name(plugin)
            raise PluginNotInstalledError(
                f"{name} is not installed; add install({name}) to HttpClient(...)"
            )
        return found

    def plugin_or_none(self, plugin: Callable[..., T]) -> T | None:
        """Return an installed plugin, or None."""
        return cast("T | None", self._plugins.get(plugin))

    # --- its calls ---

    def _statement(
        self, opening: Opening[S], url: UrlLike, blocks: tuple[RequestBlock, ...], **parts: Any
    ) -> WebSocketStatement[S]:
        self._raise_if_closed()
        plugin = self.plugin(web_sockets())
        plugin.check(self.engine, raw=opening is web_sockets().open_raw)
        draft = web_socket_draft(self._scope, url, blocks, **parts)

        def open_session(request: HttpRequest) -> Awaitable[S]:
            view = PluginView(self, self._scope, plugin)
            return opening(plugin, view, request, draft.subprotocols)

        return WebSocketStatement(lambda: self._call(draft, open_session, self._keep))

    def _keep(self, session: WebSocketSession) -> None:
        """Hold a session that was opened until its connection is gone."""
        core = session._core
        if self._closing:
            core.cancel()
            raise ClientClosedError("the client was closed while the session was being opened")
        self._sessions[core] = session
        core.on_closed(self._forget)

    def _draft(
        self,
        method: HttpMethod | str,
        url: UrlLike,
        blocks: tuple[RequestBlock, ...],
        params: ParametersLike | None,
        headers: HeadersLike | None,
        content: Content = NOTHING,
    ) -> Draft:
        if self._closing:
            self._raise_if_closed()
        if not self._config.follow_redirects:
            require(self.engine, ManualRedirectsCapability, "follow_redirects=False")
        return http_draft(self._scope, method, url, blocks, params, headers, content)

    async def _send(self, draft: Draft, *, read: bool) -> HttpResponse:
        self._begin()
        request, scope = draft.request or await draft.finished(), self._scope
        try:
            response = await Passage(scope, scope.route).send(request, judged=True)
            if not read:
                response._stream()
            if response._read is None:
                response._watch(self._responses)
            if request.attributes.get(EXPECT_SUCCESS, self._config.expect_success):
                await fail_unless_success(response)
            if scope.validate_hooks:
                await scope.validate(response)
            if read and response._read is None:
                await response.body_as_bytes()
        except Exception as error:
            await self._explain(error, request)
            raise
        return response

    async def _call(
        self,
        draft: Draft,
        send: Callable[[HttpRequest], Awaitable[R]],
        keep: Callable[[R], None] = lambda result: None,
    ) -> R:
        """Do what every call does around its `send`: bind, finish the request, explain errors."""
        self._begin()
        request = draft.request or await draft.finished()
        try:
            result = await send(request)
            keep(result)
        except Exception as error:
            await self._explain(error, request)
            raise
        return result

    def _begin(self) -> None:
        if self._closing:
            self._raise_if_closed()
        self._shared.bind()
        self._used = True

    async def _explain(self, error: Exception, request: HttpRequest) -> None:
        """Say what the engine cannot know, and let error hooks do so, before the caller sees it."""
        if isinstance(error, ConnectError):
            if self._closing:
                closed = ClientClosedError("the client was closed while the call was under way")
                await self._scope.explain_error(closed, request)
                raise closed from error
            tell_of_missing_scheme(error, request)
        await self._scope.explain_error(error, request)

    # --- the end ---

    async def close(self) -> None:
        """Close open sessions with 1001, each within its `close_timeout`, then an owned engine.

        Idempotent; every caller waits for the end. If the event loop is already closed, the client
        silently drops what it has.

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
        for callback in list(self._on_closing.values()):
            callback()
        async with AsyncExitStack() as at_last:  # whatever fails before
            at_last.callback(self._closed.set, None)
            at_last.push_async_callback(self._shared.release)
            at_last.push_async_callback(self._scope.close)
            self._interrupt_requests()
            going_away = CloseReason(CloseReason.Codes.GOING_AWAY)
            sessions = list(self._sessions.values())
            if is_orphan:  # nothing can be said any more
                for session in sessions:
                    session.cancel()
                sessions = []
            try:
                await asyncio.gather(
                    *(
                        session.close(going_away)
                        for session in sessions
                        if not session._is_impatient
                    ),
                    *(twin.close() for twin in self._twins),
                    *(response.close() for response in list(self._responses)),
                )
            finally:  # both sides have said Close, or we do not wait: the connections end now
                for session in sessions:
                    session.cancel()
            await asyncio.gather(*(session.wait_closed() for session in sessions))

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def _interrupt_requests(self) -> None:
        """End what this client has under way; sessions are closed, which takes longer."""
        under_way: list[Passage | Preparation] = [*self._scope.under_way.values()]
        for wait in (*under_way, *self._scope.preparing):
            wait.interrupt(ClientClosedError(f"the client was closed while the {wait.what}"))
        for response in self._responses:
            response._abandon(
                ClientClosedError("the client was closed before the response was read")
            )

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

"""What a plugin's scope gives: hooks of every shape, layers by kind, sending below, settings."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ktor_client import (
    CONNECT_TIMEOUT,
    SOCKET_TIMEOUT,
    ClientRequestError,
    ConnectError,
    HttpClient,
    HttpRequest,
    HttpRequestBuilder,
    HttpResponse,
    PluginNotInstalledError,
    RequestCreated,
    ResponseReceived,
    UnsupportedCapabilityError,
    install,
    timeout,
)
from ktor_client.engine.capabilities import ALL_CAPABILITIES
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import FrameLink, MockEngine
from ktor_client.plugins import (
    Auth,
    BasicAuth,
    HttpClientPlugin,
    HttpRedirect,
    Interceptor,
    LayerKind,
    Logging,
    PluginScope,
    RequestPhase,
    Send,
    UserAgent,
    WebSocketDeflate,
    WebSockets,
    client_plugin,
)
from ktor_client.session import HttpClientCall
from ktor_client.testing import MockPeerSession, echo_server, respond


def echo(request: HttpRequest) -> bytes:
    return ", ".join(f"{n}: {v}" for n, v in request.headers.fields()).encode()


async def quiet(session: MockPeerSession) -> None:
    """Say nothing."""


# --- hooks


class Signer:
    """Hooks of every shape that Python calls async."""

    async def method(self, request: HttpRequestBuilder) -> None:
        await asyncio.sleep(0)
        request.headers.set("X-Signed", "yes")

    async def __call__(self, request: HttpRequestBuilder) -> None:
        await self.method(request)

    async def with_name(self, name: str, request: HttpRequestBuilder) -> None:
        await asyncio.sleep(0)
        request.headers.set(name, "yes")

    def awaitable(self, request: HttpRequestBuilder) -> Awaitable[None]:
        return self.method(request)


@pytest.mark.parametrize(
    "hook",
    [
        Signer().method,
        Signer(),
        functools.partial(Signer().with_name, "X-Signed"),
        functools.partial(functools.partial(Signer().with_name), "X-Signed"),
        Signer().awaitable,
        lambda request: Signer().method(request),
    ],
    ids=["method", "object", "partial", "partial of partial", "awaitable", "lambda"],
)
async def test_an_async_hook_has_run_before_the_request_leaves(
    hook: Callable[[HttpRequestBuilder], Awaitable[None]],
) -> None:
    @client_plugin
    def signing(scope: PluginScope) -> None:
        scope.on_request(hook)
        scope.on_request(lambda request: request.headers.set("X-Later", "too"))

    engine = MockEngine(echo)
    engine.on_web_socket("/", quiet)
    async with HttpClient(engine, install(signing), install(WebSockets)) as client:
        await client.get("http://h/")
        async with client.prepare_get("http://h/"):
            pass
        async with client.web_socket("ws://h/"):
            pass
        async with client.web_socket_raw("ws://h/"):
            pass
    for request in (*engine.request_history, *engine.handshakes):
        assert request.headers["x-signed"] == "yes"
        assert request.headers["x-later"] == "too"
    assert len(engine.request_history) == len(engine.handshakes) == 2


async def test_plain_hooks_run_at_the_call_and_async_ones_when_it_is_entered() -> None:
    seen: list[str] = []

    async def slow(request: HttpRequestBuilder) -> None:
        seen.append("async")

    @client_plugin
    def watching(scope: PluginScope) -> None:
        scope.on_request(lambda request: seen.append("plain"))
        scope.on_request(slow)
        scope.on_request(lambda request: seen.append("behind"))

    engine = MockEngine()
    engine.on_web_socket("/", quiet)
    async with HttpClient(engine, install(watching), install(WebSockets)) as client:
        statement = client.web_socket("ws://h/")
        assert seen == ["plain"]
        async with statement:
            assert seen == ["plain", "async", "behind"]


async def test_response_error_and_close_hooks_and_handlers_may_be_async() -> None:
    seen: list[object] = []

    async def answered(response: HttpResponse) -> None:
        await asyncio.sleep(0)
        seen.append(response.status)

    async def failed(error: Exception, request: HttpRequest) -> None:
        await asyncio.sleep(0)
        seen.append((type(error), request.url.path))

    async def handler(value: HttpRequest | HttpResponse) -> None:
        await asyncio.sleep(0)
        seen.append(type(value))

    @client_plugin
    def watching(scope: PluginScope) -> None:
        scope.on_response(answered)
        scope.on_error(failed)
        scope.on_close(lambda: seen.append("closed"))

    engine = MockEngine(lambda request: respond(status=404))
    async with HttpClient(engine, install(watching), expect_success=True) as client:
        client.events.subscribe(RequestCreated, handler)
        client.events.subscribe(ResponseReceived, handler)
        with pytest.raises(ClientRequestError):
            await client.get("http://h/x")
    assert seen == [HttpRequest, HttpResponse, 404, (ClientRequestError, "/x"), "closed"]


@pytest.mark.parametrize(
    "use",
    [
        lambda scope, function: scope.on_link(function),
        lambda scope, function: scope.on_send(_passing, when=function),
        lambda _, function: BasicAuth("user", "secret", send_without_request=function),
        lambda _, function: WebSocketDeflate(compress_if=function),
        lambda _, function: Logging(sanitize=function),
        lambda _, function: client_plugin(function),
    ],
)
@pytest.mark.parametrize("is_partial", [False, True])
async def test_a_coroutine_function_is_refused_where_nobody_awaits_it(
    use: Any, is_partial: bool
) -> None:
    async def function(*_: object) -> bool:
        return False

    @client_plugin
    def Using(scope: PluginScope) -> None:
        use(scope, functools.partial(function, 1) if is_partial else function)

    with pytest.raises(TypeError, match="a plain function, not a coroutine function"):
        HttpClient(MockEngine(), install(Using))


async def test_a_hook_on_links_that_forgets_the_link(engine: EngineFactory) -> None:
    def look(link: FrameLink, call: HttpClientCall) -> FrameLink:
        return None  # type: ignore[return-value]  # the mistake

    @client_plugin
    def Looking(scope: PluginScope) -> None:
        scope.on_link(look)

    limited = functools.partial(engine, limit=1)
    async with echo_server() as server:
        async with HttpClient(limited, install(WebSockets), install(Looking)) as client:
            for _ in range(2):
                with pytest.raises(TypeError, match=r"of Looking returned NoneType.*`return link`"):
                    await client.web_socket_session(f"{server.url}/echo")


async def _passing(request: HttpRequest, send: Send) -> HttpResponse:
    return await send(request)


async def test_an_error_hook_may_raise_another_error() -> None:
    class NotThere(Exception):
        pass

    def judge(error: Exception, request: HttpRequest) -> None:
        if isinstance(error, ClientRequestError):
            raise NotThere from error

    @client_plugin
    def judging(scope: PluginScope) -> None:
        scope.on_error(judge)

    engine = MockEngine(lambda request: respond(status=404))
    async with HttpClient(engine, install(judging), expect_success=True) as client:
        with pytest.raises(NotThere):
            await client.get("http://h/")


# --- layers


def tracing(seen: list[str], name: str, kind: LayerKind) -> Callable[[PluginScope], None]:
    def plugin(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            seen.append(name)
            return await send(request)

        scope.on_send(layer, kind=kind)

    plugin.__name__ = name
    return plugin


async def test_layers_lie_by_kind_whatever_the_order_of_installation() -> None:
    seen: list[str] = []
    kinds = [LayerKind.USER, *reversed(LayerKind), LayerKind.USER]
    blocks = [
        install(client_plugin(tracing(seen, f"{kind.value} {place}", kind)))
        for place, kind in enumerate(kinds)
    ]
    redirect = install(HttpRedirect, max_redirects=3)
    async with HttpClient(MockEngine(echo), *blocks, install(UserAgent), redirect) as client:
        await client.get("http://h/")
        text = client.explain()
    order = ["redirect 7", "cookies 6", "auth 5", "retry 4", "timeout 3", "logging 2"]
    assert seen == [*order, "user 0", "user 1", "user 8"]
    assert text.splitlines() == [
        "request hook   UserAgent",
        "redirect       redirect 7",
        "redirect       HttpRedirect",
        *(f"{name.split()[0]:<14} {name}" for name in seen[1:]),
        "engine         MockEngine",
    ]


async def test_a_plugin_sends_through_the_layers_below_its_own() -> None:
    seen: list[str] = []

    @client_plugin
    def refreshing(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            response = await scope.send(request.copy(url=request.url.join("/token")))
            token = await response.body_as_text()
            return await send(request.with_header("Authorization", token))

        scope.on_response(lambda response: seen.append(f"judged {response.request.url.path}"))
        scope.on_send(layer, kind=LayerKind.AUTH)

    blocks = [
        install(client_plugin(tracing(seen, "outside", LayerKind.COOKIES))),
        install(client_plugin(tracing(seen, "inside", LayerKind.USER))),
        install(refreshing),
    ]
    engine = MockEngine(
        lambda request: b"secret" if request.url.path == "/token" else echo(request)
    )
    async with HttpClient(engine, *blocks) as client:
        response = await client.get("http://h/")
        assert "Authorization: secret" in await response.body_as_text()
    assert seen == ["outside", "inside", "inside", "judged /"]


async def test_a_plugin_without_layers_sends_through_all() -> None:
    seen: list[str] = []
    scopes: list[PluginScope] = []

    @client_plugin
    def asking(scope: PluginScope) -> None:
        scopes.append(scope)
        scope.on_response(lambda response: seen.append("judged"))

    tracer = install(client_plugin(tracing(seen, "layer", LayerKind.COOKIES)))
    async with HttpClient(MockEngine(lambda _: b"x"), tracer, install(asking)) as client:
        request = (await client.get("http://h/")).request
        response = await scopes[0].send(request)
        assert await response.body_as_text() == "x"

        async def other(request: HttpRequest) -> HttpResponse:
            return HttpResponse(request, 200, request.headers, b"by hand")

        response = await scopes[0].send(request, via=other)
        assert await response.body_as_text() == "by hand"
    assert seen == ["layer", "judged"] * 3


async def test_the_client_without_a_plugin_shares_the_others() -> None:
    seen: list[str] = []
    clients: list[HttpClient] = []
    Auth = client_plugin(tracing(seen, "auth", LayerKind.AUTH))
    Other = client_plugin(tracing(seen, "other", LayerKind.USER))

    @client_plugin
    def asking(scope: PluginScope) -> None:
        def ask(request: HttpRequestBuilder) -> None:
            if not clients:
                clients.append(scope.client_without(Auth))

        scope.on_request(ask)

    blocks = [install(Auth), install(Other), install(asking)]
    async with HttpClient(MockEngine(echo), *blocks) as client:
        await client.get("http://h/")
        twin = clients[0]
        await twin.get("http://h/")
        assert twin.plugin(Other) is client.plugin(Other)
        assert twin.plugin_or_none(Auth) is None
        assert twin.engine is client.engine
    assert seen == ["auth", "other", "other"]
    assert twin.is_closed


async def test_follow_redirects_off_wins_over_the_plugin() -> None:
    engine = MockEngine(lambda request: respond(status=302, headers={"Location": "/x"}))
    redirect = install(HttpRedirect, max_redirects=5)
    async with HttpClient(engine, redirect, follow_redirects=False) as client:
        assert (await client.get("http://h/")).status == 302
        assert client.plugin_or_none(HttpRedirect) is not None
        assert "HttpRedirect" not in client.explain()


async def test_a_layer_that_returns_no_response_is_named() -> None:
    @client_plugin
    def forgetful(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            await send(request)
            return None  # type: ignore[return-value]  # pyright: ignore  # the mistake

        scope.on_send(layer)

    async with HttpClient(MockEngine(echo), install(forgetful)) as client:
        with pytest.raises(TypeError, match="a layer of forgetful returned NoneType"):
            await client.get("http://h/")


# --- settings


async def test_settings_of_client_and_request_reach_the_engine() -> None:
    @client_plugin
    def patient(scope: PluginScope) -> None:
        scope.engine_settings[CONNECT_TIMEOUT] = 3.0
        scope.engine_settings[SOCKET_TIMEOUT] = 4.0

    engine = MockEngine(echo, capabilities=ALL_CAPABILITIES)
    engine.on_web_socket("/", quiet)
    async with HttpClient(engine, install(patient), install(WebSockets)) as client:
        await client.get("http://h/")
        await client.get("http://h/", timeout(connect=None))
        async with client.web_socket("ws://h/", timeout(socket=9)):
            pass
    first, second = engine.request_history
    assert CONNECT_TIMEOUT.of(first, 1.0) == 3.0
    assert CONNECT_TIMEOUT.of(second, 1.0) is None
    assert SOCKET_TIMEOUT.of(second, 1.0) == 4.0
    assert SOCKET_TIMEOUT.of(engine.handshakes[0], 1.0) == 9.0


async def test_an_engine_refuses_a_setting_that_it_cannot_honour() -> None:
    engine = MockEngine(echo, capabilities=frozenset())
    async with HttpClient(engine) as client:
        with pytest.raises(UnsupportedCapabilityError, match=r"TimeoutCapability \(socket_timeout"):
            await client.get("http://h/", timeout(socket=3))
        with pytest.raises(UnsupportedCapabilityError, match="connect_timeout"):
            client.prepare_get("http://h/", timeout(connect=3))
    assert not engine.request_history


async def test_a_block_that_needs_a_plugin_says_so() -> None:
    async with HttpClient(MockEngine(echo)) as client:
        with pytest.raises(PluginNotInstalledError, match=r"add install\(HttpTimeout\)"):
            await client.get("http://h/", timeout(request=3))


async def test_a_layer_that_has_nothing_to_do_is_passed_by() -> None:
    seen: list[str] = []

    @client_plugin
    def picky(scope: PluginScope) -> None:
        def layer_of(name: str) -> Interceptor:
            async def layer(request: HttpRequest, send: Send) -> HttpResponse:
                seen.append(f"{name} {request.url.path}")
                return await send(request)

            return layer

        for kind in (LayerKind.REDIRECT, LayerKind.USER):
            scope.on_send(
                layer_of(kind.value), kind=kind, when=lambda request: request.url.path != "/plain"
            )
        with pytest.raises(TypeError, match="when is a function of the request, not True"):
            scope.on_send(layer_of(""), when=True)  # type: ignore[arg-type]  # pyright: ignore

    engine = MockEngine(echo)
    engine.on_web_socket("/", quiet)
    async with HttpClient(engine, install(picky), install(WebSockets)) as client:
        await client.get("http://h/plain")
        assert seen == []
        await client.get("http://h/special")
        async with client.web_socket("ws://h/"):
            pass
    assert seen == ["redirect /special", "user /special", "redirect /", "user /"]


async def test_a_condition_sees_what_outer_layers_have_made_of_the_request() -> None:
    seen: list[str] = []

    @client_plugin
    def marking(scope: PluginScope) -> None:
        async def mark(request: HttpRequest, send: Send) -> HttpResponse:
            return await send(request.with_header("X-Mark", "1"))

        async def tell(request: HttpRequest, send: Send) -> HttpResponse:
            seen.append(request.url.path)
            return await send(request)

        scope.on_send(tell, when=lambda request: "x-mark" in request.headers)
        scope.on_send(mark, kind=LayerKind.AUTH, when=lambda request: request.url.path == "/marked")

    async with HttpClient(MockEngine(echo), install(marking)) as client:
        await client.get("http://h/")
        await client.get("http://h/marked")
    assert seen == ["/marked"]


# --- phases of hooks


async def test_hooks_run_in_order_of_their_phases() -> None:
    seen: list[str] = []

    def tell(phase: RequestPhase, request: HttpRequestBuilder) -> None:
        seen.append(phase.value)

    @client_plugin
    def phased(scope: PluginScope) -> None:
        for phase in reversed(RequestPhase):
            scope.on_request(functools.partial(tell, phase), phase=phase)
        scope.on_request(lambda request: seen.append(f"handshake: {request.is_handshake}"))
        with pytest.raises(TypeError, match="phase is a RequestPhase, such as "):
            scope.on_request(print, phase="before")  # type: ignore[arg-type]  # pyright: ignore

    engine = MockEngine(echo)
    engine.on_web_socket("/", quiet)
    async with HttpClient(engine, install(phased), install(WebSockets)) as client:
        await client.get("http://h/")
        phases = ["before", "state", "handshake: False", "transform", "render"]
        assert seen == phases
        seen.clear()
        async with client.web_socket("ws://h/"):
            pass
        assert seen == ["before", "state", "handshake: True", "transform", "render"]


# --- layers that the answer calls


def failed(response: HttpResponse) -> bool:
    return response.status >= 500


class Repeating:
    """A plugin of two layers, which send again after 500 and 503, and tell what they see."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def plugin(self) -> Callable[[], HttpClientPlugin]:
        @client_plugin
        def repeating(scope: PluginScope) -> None:
            scope.on_send(self.layer("outer", 500), kind=LayerKind.AUTH, when=lambda _: failed)
            scope.on_send(self.layer("inner", 503), when=lambda _: failed)

        return repeating

    def layer(self, name: str, status: int) -> Interceptor:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            try:
                response = await send(request)
            except Exception as error:
                self.seen.append(f"{name} {type(error).__name__}")
                raise
            self.seen.append(f"{name} {response.status}")
            if response.status == status:
                await response.discard()
                response = await send(request.with_header("X-By", name))
            return response

        return layer


@pytest.mark.parametrize(
    ("statuses", "seen", "asked"),
    [
        ([200], [], [""]),
        ([404], [], [""]),
        ([503, 200], ["inner 503"], ["", "inner"]),
        ([500, 200], ["inner 500", "outer 500"], ["", "outer"]),
        ([503, 500, 200], ["inner 503", "outer 500"], ["", "inner", "outer"]),
        ([500, 503, 200], ["inner 500", "outer 500", "inner 503"], ["", "outer", "inner"]),
        ([502], ["inner 502", "outer 502"], [""]),
    ],
)
async def test_a_layer_that_waits_for_an_answer_that_concerns_it(
    statuses: list[int], seen: list[str], asked: list[str]
) -> None:
    repeating = Repeating()
    engine = MockEngine()
    for status in statuses:
        engine.enqueue(respond("", status))
    async with HttpClient(engine, install(repeating.plugin())) as client:
        response = await client.get("http://h/")
    assert response.status == statuses[-1]
    assert repeating.seen == seen
    assert [one.headers.get("x-by", "") for one in engine.request_history] == asked


async def test_such_a_layer_sees_each_exception_but_no_cancellation() -> None:
    repeating, started = Repeating(), asyncio.Event()

    async def answer(request: HttpRequest) -> bytes:
        if request.url.path == "/hang":
            started.set()
            await asyncio.Event().wait()
        raise ConnectError("nobody is there")

    async with HttpClient(MockEngine(answer), install(repeating.plugin())) as client:
        with pytest.raises(ConnectError, match="nobody is there") as caught:
            await client.get("http://h/")
        assert repeating.seen == ["inner ConnectError", "outer ConnectError"]
        assert caught.value.__context__ is None
        task = asyncio.create_task(client.get("http://h/hang"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(repeating.seen) == 2


async def test_an_exception_that_passed_such_layers_leaves_no_ring() -> None:
    def answer(request: HttpRequest) -> bytes:
        raise ConnectError("nobody is there")

    class Marker:
        pass

    async def call(client: HttpClient) -> weakref.ref[Marker]:
        marker = Marker()
        try:
            await client.get("http://h/")
        except ConnectError:
            return weakref.ref(marker)
        raise AssertionError

    async with HttpClient(MockEngine(answer), install(Repeating().plugin())) as client:
        gc.collect()
        gc.disable()
        try:
            marker = await call(client)
            assert marker() is None
        finally:
            gc.enable()


async def test_such_a_layer_may_not_change_what_was_sent() -> None:
    @client_plugin
    def late_signer(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            return await send(request.with_header("X-Signed", "yes"))

        scope.on_send(layer, when=lambda request: failed)

    engine = MockEngine(lambda request: respond("", 500))
    async with HttpClient(engine, install(late_signer)) as client:
        with pytest.raises(TypeError, match="late_signer changed a request that was sent already"):
            await client.get("http://h/")
    assert len(engine.request_history) == 1


async def test_a_sending_that_is_cancelled_before_it_begins() -> None:
    """Nothing below it was made yet, that nobody would await."""

    async def layer(request: HttpRequest, send: Send) -> HttpResponse:
        dropped = asyncio.ensure_future(send(request))
        dropped.cancel()
        return await send(request)

    @client_plugin
    def impatient(scope: PluginScope) -> None:
        scope.on_send(layer, kind=LayerKind.REDIRECT)

    engine = MockEngine(lambda request: respond("ok"))
    auth = install(Auth, providers=[BasicAuth("user", "password")])
    async with HttpClient(engine, install(impatient), auth) as client:
        assert (await client.get("http://h/")).status == 200
    gc.collect()


async def test_such_a_layer_that_returns_no_response_is_named() -> None:
    @client_plugin
    def forgetful(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            return None  # type: ignore[return-value]  # pyright: ignore  # the mistake

        scope.on_send(layer, when=lambda request: failed)

    async with HttpClient(
        MockEngine(lambda request: respond("", 500)), install(forgetful)
    ) as client:
        with pytest.raises(TypeError, match="a layer of forgetful returned NoneType"):
            await client.get("http://h/")

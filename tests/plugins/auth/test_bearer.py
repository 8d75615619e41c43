"""Bearer tokens: one refresh for all, whoever is cancelled, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ktor_client import (
    AuthError,
    HttpClient,
    HttpRequest,
    HttpResponse,
    KtorClientError,
    OpenTimeoutError,
    ResponseReceived,
    UnsafeHeaderError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    Auth,
    BasicAuth,
    BearerAuth,
    BearerTokens,
    HttpCookies,
    LayerKind,
    PluginScope,
    RefreshTokensParams,
    Send,
    WebSockets,
    client_plugin,
)
from ktor_client.plugins.auth import provider as provider_module
from ktor_client.testing import (
    EchoServer,
    Exchange,
    MockAcceptance,
    MockPeerSession,
    MockResponse,
    Response,
    accept,
    echo_server,
    respond,
)
from tests.support.raw_server import Peer, raw_server
from tests.support.twice import Twice

UNASKED = BearerTokens("old", "refresh")


class TokenServer:
    """A handler for MockEngine: it takes one token, and gives the next one at /token."""

    def __init__(self, *challenges: str) -> None:
        self.valid = "valid"
        self.challenges = challenges or ('Bearer realm="server"',)
        self.arrived = asyncio.Event()
        """Somebody asks for a new token."""
        self.gate = asyncio.Event()
        """Whether /token answers."""
        self.gate.set()
        self.tokens = 0
        self.log: list[tuple[str, str | None]] = []

    async def __call__(self, request: HttpRequest) -> MockResponse | str:
        authorization = request.headers.get("authorization")
        self.log.append((request.url.path, authorization))
        if request.url.path == "/token":
            self.tokens += 1
            self.arrived.set()
            await self.gate.wait()
            return self.valid
        if authorization == f"Bearer {self.valid}":
            return "welcome"
        return respond("no", 401, [("WWW-Authenticate", one) for one in self.challenges])

    @property
    def tried(self) -> list[str | None]:
        return [authorization for path, authorization in self.log if path != "/token"]


async def fetch_token(params: RefreshTokensParams) -> BearerTokens:
    response = await params.client.get("http://h.test/token")
    return BearerTokens(await response.body_as_text(), "refresh")


def old_token() -> BearerTokens:
    return UNASKED


def client_with(handler: Any, *providers: Any, engine: MockEngine | None = None) -> HttpClient:
    auth = install(Auth, providers=providers)
    return HttpClient(engine or MockEngine(handler), install(WebSockets), auth)


async def status_of(handler: Any, *providers: Any) -> int:
    async with client_with(handler, *providers) as client:
        return (await client.get("http://h.test/")).status


# --- loading ---


async def test_a_valid_token_needs_one_request() -> None:
    for load in (lambda: BearerTokens("valid"), lambda: tokens_later("valid")):
        server = TokenServer()
        assert await status_of(server, BearerAuth(load, fetch_token)) == 200
        assert server.tried == ["Bearer valid"]


async def tokens_later(token: str) -> BearerTokens:
    await asyncio.sleep(0)
    return BearerTokens(token)


async def test_tokens_are_loaded_once() -> None:
    loads: list[int] = []

    async def load() -> BearerTokens:
        loads.append(1)
        await asyncio.sleep(0)
        return BearerTokens("valid")

    async with client_with(TokenServer(), BearerAuth(load)) as client:
        responses = await asyncio.gather(*(client.get("http://h.test/") for _ in range(10)))
        assert [response.status for response in responses] == [200] * 10
        await client.get("http://h.test/")
        assert len(loads) == 1
        client.plugin(Auth).clear_tokens()
        await client.get("http://h.test/")
        assert len(loads) == 2


async def test_no_tokens_yet() -> None:
    answers: list[BearerTokens | None] = [None, BearerTokens("valid")]
    engine = MockEngine(lambda request: request.headers.get("authorization", "nothing"))
    async with client_with(None, BearerAuth(lambda: answers.pop(0)), engine=engine) as client:
        for expected in ("nothing", "Bearer valid", "Bearer valid"):
            response = await client.get("http://h.test/")
            assert await response.body_as_text() == expected


async def test_tokens_wait_for_a_challenge_where_that_is_asked_for() -> None:
    provider = BearerAuth(lambda: BearerTokens("valid"), send_without_request=False)
    server = TokenServer()
    assert await status_of(server, provider) == 200
    assert server.tried == [None, "Bearer valid"]


async def test_a_function_decides_for_each_request() -> None:
    provider = BearerAuth(
        lambda: BearerTokens("valid"), send_without_request=lambda r: r.url.path == "/api"
    )
    server = TokenServer()
    async with client_with(server, provider) as client:
        await client.get("http://h.test/api")
        await client.get("http://h.test/other")
    assert server.tried == ["Bearer valid", None, "Bearer valid"]


# --- refreshing ---


async def test_a_refused_token_is_refreshed() -> None:
    seen: list[RefreshTokensParams] = []

    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        seen.append(params)
        assert await params.response.body_as_text() == "no"
        return await fetch_token(params)

    server = TokenServer()
    async with client_with(server, BearerAuth(old_token, refresh)) as client:
        for _ in range(2):
            assert (await client.get("http://h.test/")).status == 200
        [params] = seen
        assert params.old_tokens == UNASKED
        assert params.response.status == 401
        assert params.client.plugin_or_none(Auth) is None
        assert params.client.plugin(WebSockets) is client.plugin(WebSockets)
        assert params.client.engine is client.engine
    assert server.log == [
        ("/", "Bearer old"),
        ("/token", None),
        ("/", "Bearer valid"),
        ("/", "Bearer valid"),
    ]
    assert params.client.is_closed


async def test_a_plain_function_may_refresh() -> None:
    assert (
        await status_of(TokenServer(), BearerAuth(old_token, lambda _: BearerTokens("valid")))
        == 200
    )


async def test_a_second_401_is_the_callers() -> None:
    server = TokenServer()
    provider = BearerAuth(old_token, lambda _: BearerTokens("also invalid"))
    assert await status_of(server, provider) == 401
    assert server.tried == ["Bearer old", "Bearer also invalid"]


async def test_waiting_for_the_challenge_costs_no_chance() -> None:
    server = TokenServer()
    provider = BearerAuth(old_token, fetch_token, send_without_request=False)
    assert await status_of(server, provider) == 200
    assert server.tried == [None, "Bearer old", "Bearer valid"]


async def test_nothing_to_refresh_with() -> None:
    server = TokenServer()
    assert await status_of(server, BearerAuth(old_token)) == 401
    assert server.tried == ["Bearer old"]


async def test_a_refresh_without_tokens_is_a_login() -> None:
    olds: list[BearerTokens | None] = []

    async def log_in(params: RefreshTokensParams) -> BearerTokens:
        olds.append(params.old_tokens)
        return await fetch_token(params)

    server = TokenServer()
    assert await status_of(server, BearerAuth(lambda: None, log_in)) == 200
    assert server.tried == [None, "Bearer valid"]
    assert olds == [None]


async def test_one_refresh_for_any_number_of_requests() -> None:
    server = TokenServer()
    server.gate.clear()
    async with client_with(server, BearerAuth(old_token, fetch_token)) as client:
        calls = [asyncio.create_task(client.get("http://h.test/")) for _ in range(20)]
        await server.arrived.wait()
        late = [asyncio.create_task(client.get("http://h.test/")) for _ in range(5)]
        server.gate.set()
        responses = await asyncio.gather(*calls, *late)
    assert [response.status for response in responses] == [200] * 25
    assert server.tokens == 1
    assert server.tried.count("Bearer old") == 20  # the late ones waited


async def test_a_401_that_comes_late_uses_what_is_fresh() -> None:
    """The request went out with the old token; its 401 comes when there is a new one."""
    holds, sent = asyncio.Event(), asyncio.Event()
    server = TokenServer()

    async def handle(request: HttpRequest) -> MockResponse | str:
        if request.url.path == "/slow" and request.headers["authorization"] == "Bearer old":
            sent.set()
            await holds.wait()
        return await server(request)

    async with client_with(handle, BearerAuth(old_token, fetch_token)) as client:
        slow = asyncio.create_task(client.get("http://h.test/slow"))
        await sent.wait()
        assert (await client.get("http://h.test/")).status == 200
        holds.set()
        assert (await slow).status == 200
    assert server.tokens == 1


async def test_a_layer_above_may_send_a_request_several_times() -> None:
    """The server takes each token once, and each sending has a refresh of its own."""
    numbers = itertools.count(1)
    server = TokenServer()
    answers: list[int] = []

    def refresh(_: RefreshTokensParams) -> BearerTokens:
        server.valid = f"valid {next(numbers)}"
        return BearerTokens(server.valid)

    @client_plugin
    def Repeating(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            for _ in range(3):
                server.valid = "another"
                answers.append((await send(request)).status)
            return await send(request)

        scope.on_send(layer, kind=LayerKind.COOKIES)

    async with client_with(server, BearerAuth(old_token, refresh)).config(
        install(Repeating)
    ) as client:
        assert (await client.get("http://h.test/")).status == 200
    assert answers == [200, 200, 200]


async def test_a_login_is_kept_while_tokens_are_loaded() -> None:
    """Another request began to load tokens before it, and there are none."""
    loading, loads, body, arrived = (asyncio.Event() for _ in range(4))
    loads.set()
    server = TokenServer()

    async def load() -> None:
        loading.set()
        await loads.wait()

    async def no() -> AsyncIterator[bytes]:
        arrived.set()
        await body.wait()
        yield b"no"

    async def handle(request: HttpRequest) -> MockResponse | str:
        answer = await server(request)
        return answer if isinstance(answer, str) else respond(no(), 401)

    async with client_with(handle, BearerAuth(load, fetch_token)) as client:
        first = asyncio.create_task(client.get("http://h.test/"))
        await arrived.wait()
        loading.clear()
        loads.clear()
        second = asyncio.create_task(client.get("http://h.test/"))
        await loading.wait()
        body.set()
        assert (await first).status == 200
        loads.set()
        assert (await second).status == 200
        assert (await client.get("http://h.test/")).status == 200
    assert server.tokens == 1


async def test_a_cancelled_request_does_not_spoil_the_refresh() -> None:
    """The server gives each new token once: a refresh that is cut off loses the session."""
    server = TokenServer()
    server.gate.clear()
    async with client_with(server, BearerAuth(old_token, fetch_token)) as client:
        first = asyncio.create_task(client.get("http://h.test/"))
        await server.arrived.wait()
        second = asyncio.create_task(client.get("http://h.test/"))
        third = asyncio.create_task(client.get("http://h.test/"))
        await asyncio.sleep(0)
        for call in (first, third):
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        server.gate.set()
        assert (await second).status == 200
        assert (await client.get("http://h.test/")).status == 200
    assert server.tokens == 1


async def test_a_refresh_that_nobody_waits_for_is_kept() -> None:
    server = TokenServer()
    server.gate.clear()
    async with client_with(server, BearerAuth(old_token, fetch_token)) as client:
        call = asyncio.create_task(client.get("http://h.test/"))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.gate.set()
        assert (await client.get("http://h.test/")).status == 200
    assert server.log == [("/", "Bearer old"), ("/token", None), ("/", "Bearer valid")]


async def test_the_client_ends_a_refresh() -> None:
    server = TokenServer()
    server.gate.clear()
    ended: list[str] = []

    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        try:
            return await fetch_token(params)
        finally:
            ended.append("refresh")

    client = client_with(server, BearerAuth(old_token, refresh))
    call = asyncio.create_task(client.get("http://h.test/"))
    await server.arrived.wait()
    await client.close()
    assert ended == ["refresh"]
    with pytest.raises(KtorClientError):
        await call


async def test_a_refresh_may_close_the_client() -> None:
    async def refresh(params: RefreshTokensParams) -> None:
        await client.close()

    client = client_with(TokenServer(), BearerAuth(old_token, refresh))
    with pytest.raises(KtorClientError):
        await client.get("http://h.test/")
    assert client.is_closed


async def test_requests_of_the_refresh_do_not_wait_for_it() -> None:
    """A refresh that uses the client itself, as in Ktor's tests, goes without its own token."""
    server = TokenServer()

    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        response = await client.get("http://h.test/token")
        assert (await client.get("http://h.test/refuses")).status == 401
        return BearerTokens(await response.body_as_text())

    async with client_with(server, BearerAuth(old_token, refresh)) as client:
        assert (await client.get("http://h.test/")).status == 200
    assert server.log == [
        ("/", "Bearer old"),
        ("/token", None),
        ("/refuses", None),
        ("/", "Bearer valid"),
    ]


async def test_tasks_of_the_refresh_get_tokens_again_when_it_is_over() -> None:
    server = TokenServer()
    go = asyncio.Event()
    background: list[asyncio.Task[HttpResponse]] = []

    async def poll() -> HttpResponse:
        await go.wait()
        return await client.get("http://h.test/poll")

    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        background.append(asyncio.create_task(poll()))
        return BearerTokens("valid")

    async with client_with(server, BearerAuth(old_token, refresh)) as client:
        assert (await client.get("http://h.test/")).status == 200
        go.set()
        assert (await background[0]).status == 200


async def test_a_refresh_answered_with_401() -> None:
    server = TokenServer()

    async def refresh(params: RefreshTokensParams) -> BearerTokens | None:
        response = await params.client.get("http://h.test/also-guarded")
        assert response.status == 401
        return None

    assert await status_of(server, BearerAuth(old_token, refresh)) == 401
    assert server.tried == ["Bearer old", None]


async def test_other_plugins_see_the_refresh() -> None:
    """The refresh token is a cookie: what the refresh sets goes with the repetition."""

    def handle(request: HttpRequest) -> MockResponse | str:
        cookies = request.headers.get("cookie", "")
        if request.url.path == "/token":
            assert "refresh=1" in cookies
            return respond("valid", 200, {"Set-Cookie": "session=new; Path=/"})
        if "session=new" not in cookies:
            challenge = ("WWW-Authenticate", "Bearer")
            return respond("", 401, [challenge, ("Set-Cookie", "refresh=1; Path=/")])
        return "welcome"

    auth = install(Auth, providers=[BearerAuth(old_token, fetch_token)])
    async with HttpClient(MockEngine(handle), auth, install(HttpCookies)) as client:
        assert (await client.get("http://h.test/")).status == 200


# --- a refresh that comes to nothing ---


async def test_a_refresh_that_gives_nothing() -> None:
    loads: list[int] = []

    def load() -> BearerTokens:
        loads.append(1)
        return UNASKED

    server = TokenServer()
    async with client_with(server, BearerAuth(load, lambda _: None)) as client:
        response = await client.get("http://h.test/")
        assert (response.status, await response.body_as_text()) == (401, "no")
        assert server.tried == ["Bearer old"]
        server.valid = "old"
        assert (await client.get("http://h.test/")).status == 200
    assert len(loads) == 2


async def test_a_refresh_that_gives_nothing_is_not_tried_by_each() -> None:
    server = TokenServer()
    server.gate.clear()
    tries: list[int] = []

    async def refresh(params: RefreshTokensParams) -> None:
        tries.append(1)
        await fetch_token(params)

    async with client_with(server, BearerAuth(old_token, refresh)) as client:
        calls = [asyncio.create_task(client.get("http://h.test/")) for _ in range(5)]
        await server.arrived.wait()
        server.gate.set()
        assert [(await call).status for call in calls] == [401] * 5
    assert len(tries) == 1


class Broken(Exception):
    """What a refresh may raise."""


async def test_a_refresh_that_raises() -> None:
    server = TokenServer()
    server.gate.clear()
    failures = [Broken("TOPSECRET")]

    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        tokens = await fetch_token(params)
        if failures:
            raise failures.pop()
        return tokens

    async with client_with(server, BearerAuth(old_token, refresh)) as client:
        calls = [asyncio.create_task(client.get("http://h.test/?q=TOPSECRET")) for _ in range(3)]
        await server.arrived.wait()
        server.gate.set()
        errors = [error for error in await asyncio.gather(*calls, return_exceptions=True)]
        assert len({id(error) for error in errors}) == 3
        for error in errors:
            assert isinstance(error, AuthError)
            assert str(error) == "refresh_tokens of BearerAuth(realm=None) raised Broken"
            assert isinstance(error.__cause__, Broken)
            assert error.response is not None
            assert await error.response.body_as_text() == "no"
        assert (await client.get("http://h.test/")).status == 200
    assert server.tokens == 2


async def test_a_refresh_that_raises_with_nobody_there() -> None:
    """No task of asyncio's complains of an exception that nobody has retrieved."""
    server = TokenServer()
    server.gate.clear()

    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        await fetch_token(params)
        raise Broken

    async with client_with(server, BearerAuth(old_token, refresh)) as client:
        call = asyncio.create_task(client.get("http://h.test/"))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.gate.set()
        assert (await client.get("http://h.test/token")).status == 200


async def test_a_refresh_that_hangs() -> None:
    engine = MockEngine(TokenServer())

    async def hang(params: RefreshTokensParams) -> BearerTokens:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with client_with(None, BearerAuth(old_token, hang, timeout=7), engine=engine) as client:
        calls = [asyncio.create_task(client.get("http://h.test/")) for _ in range(3)]
        await engine.clock.sleep(7.1)
        for call in calls:
            with pytest.raises(
                AuthError, match=r"refresh_tokens of .* took longer than timeout=7 s"
            ):
                await call


async def test_a_load_that_hangs_or_raises() -> None:
    engine = MockEngine(TokenServer())

    async def hang() -> BearerTokens:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with client_with(None, BearerAuth(hang), engine=engine) as client:
        call = asyncio.create_task(client.get("http://h.test/"))
        await engine.clock.sleep(31)
        with pytest.raises(
            AuthError, match=r"load_tokens of .* took longer than timeout=30 s"
        ) as caught:
            await call
        assert caught.value.response is None

    def broken() -> BearerTokens:
        raise Broken

    async with client_with(TokenServer(), BearerAuth(broken)) as client:
        with pytest.raises(AuthError, match=r"load_tokens of .* raised Broken"):
            await client.get("http://h.test/")


async def test_a_timeout_of_ones_own_is_an_error_like_others() -> None:
    def refresh(params: RefreshTokensParams) -> BearerTokens:
        raise TimeoutError("mine")

    async with client_with(TokenServer(), BearerAuth(old_token, refresh)) as client:
        with pytest.raises(AuthError, match="raised TimeoutError"):
            await client.get("http://h.test/")


@pytest.mark.parametrize("value", ["token", ("a", "b"), {"access_token": "TOPSECRET"}])
async def test_something_that_is_no_tokens(value: object) -> None:
    wrong: Any = lambda *_: value  # noqa: E731
    for provider in (BearerAuth(wrong), BearerAuth(old_token, wrong)):
        async with client_with(TokenServer(), provider) as client:
            with pytest.raises(AuthError, match="raised TypeError") as caught:
                await client.get("http://h.test/")
            assert "return BearerTokens(...) or None" in str(caught.value.__cause__)
            assert "TOPSECRET" not in str(caught.value.__cause__)


async def test_a_refresh_that_cancels_itself() -> None:
    def refresh(params: RefreshTokensParams) -> BearerTokens:
        raise asyncio.CancelledError

    async with client_with(TokenServer(), BearerAuth(old_token, refresh)) as client:
        with pytest.raises(AuthError, match=r"refresh_tokens of .* was ended"):
            await client.get("http://h.test/")


# --- logging out ---


async def test_tokens_that_are_cleared_during_a_refresh_stay_cleared() -> None:
    server = TokenServer()
    server.gate.clear()
    loads: list[int] = []

    def load() -> BearerTokens | None:
        loads.append(1)
        return UNASKED if len(loads) == 1 else None

    async with client_with(server, BearerAuth(load, fetch_token)) as client:
        call = asyncio.create_task(client.get("http://h.test/"))
        await server.arrived.wait()
        client.plugin(Auth).clear_tokens()
        server.gate.set()
        assert (await call).status == 401
        assert server.tried == ["Bearer old"]


async def test_tokens_that_are_cleared_while_they_are_loaded_stay_cleared() -> None:
    gate, begun = asyncio.Event(), asyncio.Event()
    tokens = iter(["first", "second"])

    async def load() -> BearerTokens:
        token = next(tokens)
        begun.set()
        await gate.wait()
        return BearerTokens(token)

    server = TokenServer()
    async with client_with(server, BearerAuth(load)) as client:
        call = asyncio.create_task(client.get("http://h.test/"))
        await begun.wait()
        client.plugin(Auth).clear_tokens()
        gate.set()
        await call
        await client.get("http://h.test/")
    assert server.tried == ["Bearer first", "Bearer second"]


async def test_a_late_401_after_a_logout_refreshes_nothing() -> None:
    holds, sent = asyncio.Event(), asyncio.Event()
    server = TokenServer()

    async def handle(request: HttpRequest) -> MockResponse | str:
        sent.set()
        await holds.wait()
        return await server(request)

    async with client_with(handle, BearerAuth(old_token, fetch_token)) as client:
        call = asyncio.create_task(client.get("http://h.test/"))
        await sent.wait()
        client.plugin(Auth).clear_tokens()
        holds.set()
        assert (await call).status == 401
    assert server.tokens == 0


# --- challenges ---


@pytest.mark.parametrize(
    ("challenges", "realm", "refreshes"),
    [
        (['Bearer realm="server"'], None, True),
        (['Bearer realm="server"'], "server", True),
        (['Bearer realm="server"'], "another", False),
        (["Bearer"], "server", False),
        ([], None, True),
        ([], "server", True),
        (["Basic"], None, True),
        (["Basic"], "server", True),
        (['Basic realm="x", bearer error="invalid_token"'], None, True),
    ],
)
async def test_with_one_provider(challenges: list[str], realm: str | None, refreshes: bool) -> None:
    server = TokenServer()
    server.challenges = tuple(challenges)
    provider = BearerAuth(old_token, fetch_token, realm)
    assert await status_of(server, provider) == (200 if refreshes else 401)
    assert server.tokens == refreshes


async def test_with_several_providers_the_challenge_decides() -> None:
    for challenges, tried in (
        ((), ["Bearer old"]),
        (("Bearer",), ["Bearer old", "Bearer valid"]),
        (('Bearer realm="x"',), ["Bearer old", "Bearer valid"]),
    ):
        server = TokenServer()
        server.challenges = challenges
        await status_of(server, BearerAuth(old_token, fetch_token), BasicAuth("a", "b"))
        assert server.tried == tried


async def test_two_realms() -> None:
    one, two = TokenServer('Bearer realm="one"'), TokenServer('Bearer realm="two"')
    two.valid = "other"

    async def handle(request: HttpRequest) -> MockResponse | str:
        return await (one if request.url.path == "/one" else two)(request)

    providers = [
        BearerAuth(lambda: BearerTokens("valid"), realm="one"),
        BearerAuth(lambda: BearerTokens("other"), realm="two", send_without_request=False),
    ]
    async with client_with(handle, *providers) as client:
        assert (await client.get("http://h.test/one")).status == 200
        assert (await client.get("http://h.test/two")).status == 200


async def test_a_token_that_is_refused_is_followed_by_another_provider() -> None:
    server = TokenServer('Bearer realm="x", Basic realm="x"')
    providers = BearerAuth(old_token, lambda _: None), BasicAuth("a", "b")
    assert await status_of(server, *providers) == 401
    assert server.tried == ["Bearer old", "Basic YTpi"]


# --- handshakes ---


async def peer(session: MockPeerSession) -> None:
    await session.send("Hello from server")


def door(server: TokenServer) -> Callable[[HttpRequest], Any]:
    async def decide(request: HttpRequest) -> MockAcceptance | MockResponse:
        answer = await server(request)
        return accept(peer) if isinstance(answer, str) else answer

    return decide


async def test_a_handshake_is_repeated_after_the_refresh() -> None:
    server = TokenServer()
    engine = MockEngine(server)
    engine.on_handshake("/ws", door(server))
    async with client_with(None, BearerAuth(old_token, fetch_token), engine=engine) as client:
        for _ in range(2):
            async with client.web_socket("ws://h.test/ws") as session:
                assert await session.receive_text() == "Hello from server"
    assert server.tried == ["Bearer old", "Bearer valid", "Bearer valid"]
    keys = [request.headers["sec-websocket-key"] for request in engine.handshakes]
    assert len(set(keys)) == 3


async def test_a_handshake_that_stays_refused() -> None:
    server = TokenServer()
    engine = MockEngine()
    engine.on_handshake("/ws", door(server))
    provider = BearerAuth(old_token, lambda _: BearerTokens("invalid"))
    async with client_with(None, provider, engine=engine) as client:
        with pytest.raises(WebSocketHandshakeError, match="101 but was 401"):
            await client.web_socket_session("ws://h.test/ws")
    assert server.tried == ["Bearer old", "Bearer invalid"]


async def test_a_handshake_does_not_wait_for_ever_for_a_refresh() -> None:
    server = TokenServer()
    server.gate.clear()
    engine = MockEngine(server)
    engine.on_handshake("/ws", door(server))
    async with client_with(None, BearerAuth(old_token, fetch_token), engine=engine) as client:
        opening = asyncio.create_task(client.web_socket_session("ws://h.test/ws"))
        await engine.clock.sleep(10.5)
        with pytest.raises(OpenTimeoutError):
            await opening
        server.gate.set()
        async with client.web_socket("ws://h.test/ws") as session:
            assert await session.receive_text() == "Hello from server"
    assert server.tokens == 1


# --- two clients, one provider ---


async def test_clients_that_share_a_provider_share_its_tokens() -> None:
    server = TokenServer()
    engine = MockEngine(server)
    provider = BearerAuth(old_token, fetch_token)
    async with client_with(None, provider, engine=engine) as one:
        async with one.config() as other:
            assert (await one.get("http://h.test/")).status == 200
            assert (await other.get("http://h.test/")).status == 200
    assert server.tokens == 1


async def test_a_client_that_closes_does_not_spoil_the_refresh_of_another() -> None:
    server = TokenServer()
    server.gate.clear()
    engine = MockEngine(server)
    one = client_with(None, BearerAuth(old_token, fetch_token), engine=engine)
    async with one.config() as other:
        first = asyncio.create_task(one.get("http://h.test/"))
        await server.arrived.wait()
        second = asyncio.create_task(other.get("http://h.test/"))
        for _ in range(5):
            await asyncio.sleep(0)
        await one.close()
        server.gate.set()
        assert (await second).status == 200
        with pytest.raises(KtorClientError):
            await first
    assert server.tokens == 2


async def test_a_twin_that_closes_leaves_the_refresh_of_another_client_alone() -> None:
    """The server gives each new token once, as where refresh tokens rotate."""
    server = TokenServer()
    server.gate.clear()
    loading, loads = asyncio.Event(), asyncio.Event()

    async def load() -> BearerTokens:
        loading.set()
        await loads.wait()
        return UNASKED

    async with client_with(server, BearerAuth(load, fetch_token)) as client:
        async with client.config():
            call = asyncio.create_task(client.get("http://h.test/"))
            await loading.wait()
            loading.clear()
        loads.set()
        async with client.config():
            await server.arrived.wait()
        server.gate.set()
        assert (await call).status == 200
    assert not loading.is_set()
    assert server.tokens == 1


def test_a_provider_outlives_its_loop() -> None:
    provider = BearerAuth(old_token, fetch_token)

    async def once(token: str) -> None:
        server = TokenServer()
        server.valid = token
        assert await status_of(server, provider) == 200

    asyncio.run(once("one"))
    asyncio.run(once("two"))


# --- options ---


def test_tokens_that_cannot_be() -> None:
    with pytest.raises(UnsafeHeaderError) as caught:
        BearerTokens("TOP\nSECRET")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(TypeError, match="access_token is a str, not NoneType"):
        BearerTokens(None)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError, match="refresh_token is a str or None, not bytes"):
        BearerTokens("a", b"b")  # type: ignore[arg-type]  # pyright: ignore
    assert BearerTokens("a", "b") == BearerTokens("a", "b")


def test_mistaken_options() -> None:
    with pytest.raises(TypeError, match="load_tokens is a function, not BearerTokens"):
        BearerAuth(BearerTokens("a"))  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError, match="refresh_tokens is a function, not str"):
        BearerAuth(old_token, "x")  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(ValueError, match="timeout must be a positive"):
        BearerAuth(old_token, timeout=0)


# --- on sockets ---


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as running:
        yield running


def guard(server: EchoServer) -> list[str | None]:
    """Add routes: /token gives "valid", /big refuses with a long body."""
    seen: list[str | None] = []

    async def token(exchange: Exchange) -> Response:
        seen.append(exchange.headers.get("authorization"))
        return Response(200, "valid")

    async def big(exchange: Exchange) -> Response:
        size = exchange.number("size", 1)
        return Response(401, b"x" * size, headers={"WWW-Authenticate": "Bearer"})

    server.routes |= {"/token": token, "/big": big}
    return seen


def refresh_at(server: EchoServer) -> BearerAuth:
    async def refresh(params: RefreshTokensParams) -> BearerTokens:
        response = await params.client.get(f"{server.http_url}/token")
        return BearerTokens(await response.body_as_text())

    return BearerAuth(old_token, refresh)


async def test_on_sockets(engine: EngineFactory, server: EchoServer) -> None:
    seen = guard(server)
    async with client_on(engine, refresh_at(server)) as client:
        responses = await asyncio.gather(
            *(client.get(f"{server.http_url}/auth/bearer") for _ in range(10))
        )
        assert [response.status for response in responses] == [200] * 10
        async with client.web_socket(f"{server.url}/auth/websocket") as session:
            assert await session.receive_text() == "Hello from server"
    assert seen == [None]


def client_on(engine: Any, provider: BearerAuth) -> HttpClient:
    return HttpClient(engine, install(WebSockets), install(Auth, providers=[provider]))


async def test_one_request_that_is_sent_twice_at_a_time(
    engine: EngineFactory, server: EchoServer
) -> None:
    seen = guard(server)
    statuses: list[int] = []
    twice = install(Twice, kinds=(LayerKind.COOKIES,))
    async with client_on(engine, refresh_at(server)).config(twice) as client:
        client.events.subscribe(ResponseReceived, lambda answer: statuses.append(answer.status))
        assert (await client.get(f"{server.http_url}/auth/bearer")).status == 200
        async with client.web_socket(f"{server.url}/auth/websocket") as session:
            assert await session.receive_text() == "Hello from server"
    assert seen == [None, None]  # one refresh, which is sent twice too
    assert sorted(statuses) == [101] * 2 + [200] * 4 + [401] * 2


async def test_ten_handshakes_one_refresh(engine: EngineFactory, server: EchoServer) -> None:
    seen = guard(server)
    async with client_on(engine, refresh_at(server)) as client:

        async def listen() -> str:
            async with client.web_socket(f"{server.url}/auth/websocket") as session:
                return await session.receive_text()

        texts = await asyncio.gather(*(listen() for _ in range(10)))
        assert texts == ["Hello from server"] * 10
    assert seen == [None]


async def test_with_one_connection(engine: Any, server: EchoServer) -> None:
    """The 401s have given their connection back before the refresh needs it."""
    guard(server)
    async with client_on(engine(limit=1), refresh_at(server)) as client:
        for _ in range(2):
            client.plugin(Auth).clear_tokens()
            responses = await asyncio.gather(
                *(client.get(f"{server.http_url}/auth/bearer") for _ in range(4))
            )
            assert [response.status for response in responses] == [200] * 4
            client.plugin(Auth).clear_tokens()
            async with client.web_socket(f"{server.url}/auth/websocket") as session:
                assert await session.receive_text() == "Hello from server"
        await client.engine.close()


@pytest.mark.parametrize("size", [0, 10, 100_000, 1 << 20])
async def test_the_body_of_the_401_is_the_callers(
    engine: EngineFactory, server: EchoServer, size: int
) -> None:
    guard(server)
    url = f"{server.http_url}/big?size={size}"
    async with client_on(engine, BearerAuth(old_token, lambda _: None)) as client:
        response = await client.get(url)
        assert (response.status, len(await response.body_as_bytes())) == (401, size)
        async with client.prepare_get(url) as response:
            got = b"".join([chunk async for chunk in response.chunks()])
            assert (response.status, len(got)) == (401, size)


async def test_a_packed_body_of_the_401(engine: EngineFactory, server: EchoServer) -> None:
    async def packed(exchange: Exchange) -> Response:
        headers = {"WWW-Authenticate": "Bearer", "Content-Encoding": "gzip"}
        return Response(401, gzip.compress(b"who are you?"), headers=headers)

    server.routes["/packed"] = packed
    async with client_on(engine, BearerAuth(old_token, lambda _: None)) as client:
        response = await client.get(f"{server.http_url}/packed")
        assert (response.status, await response.body_as_text()) == (401, "who are you?")


@pytest.mark.parametrize("is_late", [True, False])
async def test_a_body_of_the_401_that_does_not_come(
    engine: Any, is_late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came is kept, the connection is given up, and who reads to the end hears of it."""
    monkeypatch.setattr(provider_module, "KEEP_TIMEOUT", 0.05)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        head = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 10\r\n\r\n"
        await peer.send(head, b"half")
        if is_late:
            await peer.read_eof()

    words = "of this 401 was given up after 0.05 s" if is_late else None
    async with raw_server(script) as raw:
        url = raw.url.replace("ws:", "http:")
        async with client_on(engine(limit=1), BearerAuth(old_token, lambda _: None)) as client:
            for _ in range(2):
                async with client.prepare_get(url) as response:
                    assert response.status == 401
                    with pytest.raises(KtorClientError, match=words):
                        await response.body_as_bytes()
            await client.engine.close()


async def test_nothing_that_fails_keeps_a_connection(engine: Any, server: EchoServer) -> None:
    guard(server)
    failures: list[Any] = [Broken(), TimeoutError()]

    def refresh(params: RefreshTokensParams) -> BearerTokens:
        if failures:
            raise failures.pop()
        return BearerTokens("valid")

    async def body() -> AsyncIterator[bytes]:
        yield b"data"

    url = f"{server.http_url}/auth/bearer"
    async with client_on(engine(limit=1), BearerAuth(old_token, refresh)) as client:
        with pytest.raises(AuthError, match="raised TimeoutError"):
            await client.get(url)
        with pytest.raises(AuthError, match="raised Broken"):
            await client.web_socket_session(f"{server.url}/auth/websocket")
        for _ in range(2):
            with pytest.raises(AuthError, match="can be sent only once"):
                await client.post(url, body=body())
            client.plugin(Auth).clear_tokens()
        assert (await client.get(url)).status == 200
        async with client.web_socket(f"{server.url}/auth/websocket") as session:
            assert await session.receive_text() == "Hello from server"
        await client.engine.close()


async def test_a_401_without_end(engine: Any, server: EchoServer) -> None:
    guard(server)
    url = f"{server.http_url}/big?size={(1 << 20) + 1}"
    async with client_on(engine(limit=1), BearerAuth(old_token, lambda _: None)) as client:
        for _ in range(2):
            with pytest.raises(
                KtorClientError, match="of this 401 was given up after 1048576 bytes"
            ):
                await client.get(url)
        async with client.prepare_get(url) as response:
            assert response.status == 401
        await client.engine.close()

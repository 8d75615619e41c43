"""The `Auth` plugin with basic authentication and keys: who answers what, and who is left alone."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ktor_client import (
    AuthError,
    HttpClient,
    HttpRequest,
    HttpResponse,
    ServerResponseError,
    UnsafeHeaderError,
    WebSocketHandshakeError,
    basic_auth,
    bearer_auth,
    header,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    ApiKeyAuth,
    Auth,
    AuthProvider,
    BasicAuth,
    BearerAuth,
    BearerTokens,
    Challenge,
    DigestAuth,
    Logging,
    LogLevel,
    Refusal,
    WebSockets,
)
from ktor_client.testing import EchoServer, MockResponse, echo_server, respond
from tests.support.raw_server import Peer, raw_server


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def refuse(*challenges: str, status: int = 401) -> MockResponse:
    return respond("no", status, [("WWW-Authenticate", one) for one in challenges])


def guarded(wanted: str, *challenges: str) -> Callable[[HttpRequest], MockResponse | str]:
    """Return a handler that wants this `Authorization`, and asks so."""

    def handle(request: HttpRequest) -> MockResponse | str:
        if request.headers.get("authorization") == wanted:
            return "welcome"
        return refuse(*challenges)

    return handle


def sent(engine: MockEngine) -> list[str | None]:
    return [request.headers.get("authorization") for request in engine.request_history]


async def fetch(
    handler: Any, *providers: AuthProvider, url: str = "http://h.test/", **options: Any
) -> tuple[int, list[str | None]]:
    engine = MockEngine(handler)
    async with HttpClient(engine, install(Auth, providers=providers, **options)) as client:
        return (await client.get(url)).status, sent(engine)


ME = BasicAuth("MyUser", "1234")
MINE = basic("MyUser", "1234")


# --- basic ---


async def test_basic_waits_for_the_challenge() -> None:
    assert await fetch(guarded(MINE, 'Basic realm="x"'), ME) == (200, [None, MINE])
    assert await fetch(guarded(MINE, 'BASIC Realm="x"'), ME) == (200, [None, MINE])


async def test_basic_goes_along_unasked_where_that_is_asked_for() -> None:
    unasked = BasicAuth("MyUser", "1234", send_without_request=True)
    assert await fetch(guarded(MINE, "Basic"), unasked) == (200, [MINE])


async def test_a_function_decides_for_each_request() -> None:
    one = BasicAuth("a", "1", send_without_request=lambda r: r.url.path.endswith("/one"))
    two = BasicAuth("b", "2", send_without_request=lambda r: r.url.path.endswith("/two"))
    engine = MockEngine(lambda request: "ok")
    async with HttpClient(engine, install(Auth, providers=[one, two])) as client:
        for path in ("one", "two", "three"):
            await client.post(f"http://h.test/{path}", body="{}")
    assert sent(engine) == [basic("a", "1"), basic("b", "2"), None]


async def test_a_wrong_password_is_sent_once() -> None:
    assert await fetch(guarded("", 'Basic realm="x"'), ME) == (401, [None, MINE])


async def test_basic_by_realm() -> None:
    one = BasicAuth("a", "1", realm="first")
    two = BasicAuth("b", "2", "second")
    handler = guarded(basic("b", "2"), 'Basic realm="second"')
    assert await fetch(handler, one, two) == (200, [None, basic("b", "2")])
    assert await fetch(handler, one) == (401, [None])
    assert await fetch(guarded(MINE, "Basic"), one) == (401, [None])


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("admin", "admin", "Basic YWRtaW46YWRtaW4="),
        ("Umlaute\u00c4\u00fc\u00f6", "a&Secret%!23", "Basic VW1sYXV0ZcOEw7zDtjphJlNlY3JldCUhMjM="),
        ("", "", "Basic Og=="),
        ("u", "a:b", "Basic dTphOmI="),
    ],
)
async def test_how_basic_is_written(user: str, password: str, expected: str) -> None:
    provider = BasicAuth(user, password, send_without_request=True)
    assert await fetch(guarded(expected), provider) == (200, [expected])


def test_users_and_passwords_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="a user has no colon"):
        BasicAuth("a:b", "c")
    with pytest.raises(ValueError, match="the user has a control character"):
        BasicAuth("a\n", "c")
    with pytest.raises(ValueError, match="the password has a lone surrogate"):
        BasicAuth("a", "\udfff")
    with pytest.raises(TypeError, match="password is a str, not bytes"):
        BasicAuth("a", b"c")  # type: ignore[arg-type]  # pyright: ignore


# --- who answers ---


@pytest.mark.parametrize("in_one_field", [True, False])
async def test_several_challenges(in_one_field: bool) -> None:
    challenges = ["Negotiate", 'Basic realm="a, Bearer"', 'Digest realm="r", nonce="n"', "Bearer"]
    if in_one_field:
        challenges = [", ".join(challenges)]
    wrong = BasicAuth("Invalid", "Invalid")
    right = BearerAuth(lambda: BearerTokens("test"), send_without_request=False)
    status, tried = await fetch(guarded("Bearer test", *challenges), wrong, right)
    assert (status, tried) == (200, [None, basic("Invalid", "Invalid"), "Bearer test"])
    status, tried = await fetch(guarded("Bearer test", *challenges), right, wrong)
    assert (status, tried) == (200, [None, "Bearer test"])


async def test_a_401_that_asks_for_nothing() -> None:
    assert await fetch(guarded(MINE), ME) == (200, [None, MINE])  # no doubt who is meant
    assert await fetch(guarded(MINE), ME, BasicAuth("a", "b")) == (401, [None])
    assert await fetch(guarded(MINE), BasicAuth("MyUser", "1234", "realm")) == (401, [None])
    assert await fetch(guarded(MINE), DigestAuth("MyUser", "1234")) == (401, [None])


async def test_a_401_that_asks_for_something_else() -> None:
    assert await fetch(guarded(MINE, "Bearer"), ME) == (401, [None])
    assert await fetch(guarded(MINE, "???", "Negotiate"), ME) == (401, [None])


async def test_other_statuses_are_left_alone() -> None:
    assert await fetch(lambda request: refuse("Basic", status=403), ME) == (403, [None])


async def test_which_answers_count_can_be_said() -> None:
    def forbidden(response: HttpResponse) -> bool:
        return response.status == 403

    async def later(response: HttpResponse) -> bool:
        return response.status == 403

    def handler(request: HttpRequest) -> MockResponse | str:
        return "ok" if "authorization" in request.headers else refuse("Basic", status=403)

    for decide in (forbidden, later):
        assert await fetch(handler, ME, reauthorize_on=decide) == (200, [None, MINE])
    assert await fetch(guarded(MINE, "Basic"), ME, reauthorize_on=later) == (401, [None])


@pytest.mark.parametrize(
    "block", [basic_auth("me", "x"), bearer_auth("x"), header("authorization", "Own x")]
)
async def test_a_request_with_its_own_credentials_is_left_alone(block: Any) -> None:
    engine = MockEngine(guarded("", "Basic", "Bearer"))
    unasked = BasicAuth("a", "b", send_without_request=True)
    tokens = BearerAuth(lambda: BearerTokens("a"), lambda _: BearerTokens("b"))
    async with HttpClient(engine, install(Auth, providers=[unasked, tokens])) as client:
        assert (await client.get("http://h.test/", block)).status == 401
        assert (await client.get("http://me:x@h.test/")).status == 401
    assert len(sent(engine)) == 2
    assert basic("a", "b") not in sent(engine)


# --- only to the caller's origin ---


@pytest.mark.parametrize("place", ["http://g.test/", "http://h.test:81/", "https://h.test/"])
async def test_never_to_another_origin(place: str) -> None:
    def handle(request: HttpRequest) -> MockResponse | str:
        if request.url.path == "/go":
            return respond("", 302, {"Location": place})
        return refuse('Basic realm="x"', "Bearer", 'Digest realm="x", nonce="n"')

    providers = [
        ApiKeyAuth("k"),
        BasicAuth("a", "b", send_without_request=True),
        DigestAuth("a", "b"),
        BearerAuth(lambda: BearerTokens("a"), lambda _: BearerTokens("b")),
        ApiKeyAuth("k2", parameter="key"),
    ]
    engine = MockEngine(handle)
    async with HttpClient(engine, install(Auth, providers=providers)) as client:
        assert (await client.get("http://h.test/go")).status == 401
    here, there = engine.request_history
    assert here.headers["authorization"] == basic("a", "b")
    assert here.headers["x-api-key"] == "k"
    assert str(here.url) == "http://h.test/go?key=k2"
    assert "authorization" not in there.headers
    assert "x-api-key" not in there.headers
    assert str(there.url) == place


async def test_back_again() -> None:
    def handle(request: HttpRequest) -> MockResponse | str:
        steps = {"/1": "http://g.test/2", "/2": "http://h.test/3"}
        if request.url.path in steps:
            return respond("", 302, {"Location": steps[request.url.path]})
        return guarded(MINE, "Basic")(request)

    status, tried = await fetch(handle, ME, url="http://h.test/1")
    assert (status, tried) == (200, [None, None, None, MINE])


# --- keys ---


async def test_keys() -> None:
    engine = MockEngine(lambda request: "ok")
    keys = [
        ApiKeyAuth("k1"),
        ApiKeyAuth("Token k2", header="Authorization"),
        ApiKeyAuth("k&3 ", parameter="api key"),
    ]
    async with HttpClient(engine, install(Auth, providers=keys)) as client:
        await client.get("http://h.test/")
        await client.get("http://h.test/?a=b", header("X-API-KEY", "mine"), bearer_auth("mine"))
        await client.get("http://h.test/?api+key=mine")
    first, second, third = engine.request_history
    assert (first.headers["x-api-key"], first.headers["authorization"]) == ("k1", "Token k2")
    assert str(first.url) == "http://h.test/?api%20key=k%263%20"
    assert second.headers.get_all("x-api-key") == ["mine"]
    assert second.headers["authorization"] == "Bearer mine"
    assert str(second.url) == "http://h.test/?a=b&api%20key=k%263%20"
    assert str(third.url) == "http://h.test/?api+key=mine"


async def test_a_key_that_waits() -> None:
    waiting = ApiKeyAuth("k", send_without_request=False)
    engine = MockEngine(lambda r: "ok" if "x-api-key" in r.headers else refuse("ApiKey"))
    async with HttpClient(engine, install(Auth, providers=[ME, waiting])) as client:
        assert (await client.get("http://h.test/")).status == 200
    assert len(engine.request_history) == 2


async def test_a_key_stays_while_others_answer() -> None:
    engine = MockEngine(guarded(MINE, "Basic"))
    async with HttpClient(engine, install(Auth, providers=[ApiKeyAuth("k"), ME])) as client:
        assert (await client.get("http://h.test/")).status == 200
    assert [request.headers["x-api-key"] for request in engine.request_history] == ["k", "k"]


async def test_a_key_that_is_refused_is_the_callers_business() -> None:
    status, tried = await fetch(lambda request: refuse("ApiKey"), ApiKeyAuth("k"))
    assert (status, len(tried)) == (401, 1)


def test_keys_that_cannot_be() -> None:
    with pytest.raises(UnsafeHeaderError):
        ApiKeyAuth("a\nb")
    with pytest.raises(UnsafeHeaderError):
        ApiKeyAuth("a", header="X Key")
    with pytest.raises(ValueError, match="in a header or in a query parameter, not in both"):
        ApiKeyAuth("a", header="X-Key", parameter="key")
    with pytest.raises(ValueError, match="the key is empty"):
        ApiKeyAuth("")
    with pytest.raises(TypeError, match="key is a str, not NoneType"):
        ApiKeyAuth(None)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError, match="parameter is a str or None, not int"):
        ApiKeyAuth("a", parameter=5)  # type: ignore[arg-type]  # pyright: ignore


# --- providers of a user's own ---


class Own(AuthProvider):
    scheme = "own"

    def __init__(self, *, keeps_trying: bool = False) -> None:
        super().__init__()
        self.refreshes: list[Refusal] = []
        self.seen: list[Challenge | None] = []
        self.keeps_trying = keeps_trying

    async def authorize(self, request: HttpRequest, challenge: Challenge | None) -> HttpRequest:
        self.seen.append(challenge)
        return request.with_header("Authorization", f"Own {len(self.seen)}")

    async def refresh(self, refusal: Refusal) -> bool:
        self.refreshes.append(refusal)
        return self.keeps_trying


async def test_a_provider_of_ones_own() -> None:
    own = Own()
    assert await fetch(guarded("Own 1", 'Own a="b"'), own) == (200, [None, "Own 1"])
    assert own.seen == [Challenge("own", {"a": "b"})]
    assert own.refreshes == []


async def test_a_provider_that_never_gives_up_is_given_up() -> None:
    own = Own(keeps_trying=True)
    status, tried = await fetch(guarded("", "Own"), own)
    assert (status, len(tried)) == (401, 11)
    assert [one.repeats for one in own.refreshes] == list(range(1, 10))


async def test_clear_tokens_reaches_every_provider() -> None:
    cleared: list[AuthProvider] = []

    class Noting(Own):
        def clear(self) -> None:
            cleared.append(self)

    async with HttpClient(MockEngine, install(Auth, providers=[Noting(), ME, Noting()])) as client:
        plugin = client.plugin(Auth)
        plugin.clear_tokens()
        assert cleared == [plugin.providers[0], plugin.providers[2]]
        assert plugin.providers[1] is ME


# --- options, secrets ---


def test_mistaken_options() -> None:
    with pytest.raises(TypeError, match=r"write `providers=\[...]`"):
        install(Auth, provider=[ME])  # type: ignore[call-arg]  # pyright: ignore
    with pytest.raises(TypeError, match=r"providers takes a sequence: providers=\[BasicAuth\("):
        Auth(providers=ME)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(
        TypeError, match=r"instances such as BasicAuth\(user, password\), not Basic"
    ):
        Auth(providers=[BasicAuth])  # type: ignore[list-item]  # pyright: ignore
    with pytest.raises(TypeError, match="not tuple"):
        Auth(providers=[("user", "password")])  # type: ignore[list-item]  # pyright: ignore
    with pytest.raises(TypeError, match="Auth needs providers"):
        Auth()
    with pytest.raises(TypeError, match="reauthorize_on is a function, not 403"):
        Auth(providers=[ME], reauthorize_on=403)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError, match="send_without_request is True, False or a function"):
        BasicAuth("a", "b", send_without_request=1)  # type: ignore[arg-type]  # pyright: ignore


def test_no_secret_is_shown() -> None:
    providers = [
        BasicAuth("user", "TOPSECRET", "r"),
        DigestAuth("user", "TOPSECRET"),
        ApiKeyAuth("TOPSECRET"),
        ApiKeyAuth("TOPSECRET", parameter="key"),
        BearerAuth(lambda: BearerTokens("TOPSECRET")),
    ]
    shown = repr(install(Auth, providers=providers)) + repr(BearerTokens("TOPSECRET", "TOPSECRET"))
    assert "TOPSECRET" not in shown
    assert "BasicAuth(user='user', password=***, realm='r')" in shown
    assert "ApiKeyAuth(***, header='X-Api-Key'), ApiKeyAuth(***, parameter='key')" in shown


@pytest.mark.parametrize("in_header", [True, False])
async def test_a_key_of_any_name_is_hidden(
    in_header: bool, caplog: pytest.LogCaptureFixture
) -> None:
    in_query = ApiKeyAuth("TOPSECRET", parameter="giraffe")
    key = ApiKeyAuth("TOPSECRET", header="X-Zebra") if in_header else in_query
    caplog.set_level(logging.INFO)
    engine = MockEngine(lambda request: respond("no", 500))
    keys = install(Auth, providers=[key])
    log = install(Logging, level=LogLevel.ALL)
    async with HttpClient(engine, keys, log, expect_success=True) as client:
        with pytest.raises(ServerResponseError) as caught:
            await client.get("http://h.test/")
    [request] = engine.request_history
    assert "TOPSECRET" in str(request.url) + str(request.headers.fields())
    shown = f"{caplog.text}{caught.value}{caught.value.response!r}{request!r}{request.headers!r}"
    assert "TOPSECRET" not in shown
    assert "***" in caplog.text


# --- on sockets ---


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as running:
        yield running


async def test_basic_on_sockets(engine: EngineFactory, server: EchoServer) -> None:
    options = install(Auth, providers=[BasicAuth("user1", "Password1", realm="echo")])
    async with HttpClient(engine, install(WebSockets), options) as client:
        assert (await client.get(f"{server.http_url}/auth/basic")).status == 200
        async with client.web_socket(f"{server.url}/auth/basic/echo") as session:
            await session.send("hello")
            assert await session.receive_text() == "hello"
    wrong = install(Auth, providers=[BasicAuth("user1", "password")])
    async with HttpClient(engine, install(WebSockets), wrong) as client:
        assert (await client.get(f"{server.http_url}/auth/basic")).status == 401
        with pytest.raises(WebSocketHandshakeError, match="401") as caught:
            await client.web_socket_session(f"{server.url}/auth/basic/echo")
        assert await caught.value.response.body_as_text() == "wrong user or password"


async def test_one_connection_is_enough(engine: Any) -> None:
    """The 401 gives its connection back, to be used again, before there is another request."""
    seen: list[int] = []

    async def script(peer: Peer) -> None:
        seen.append(0)
        while True:
            try:
                await peer.read_request()
            except EOFError:
                return
            seen[-1] += 1
            if b"Basic" in peer.request:
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else:
                await peer.send(
                    b"HTTP/1.1 401 No\r\nContent-Length: 5\r\nWWW-Authenticate: Basic\r\n\r\nwho ?"
                )

    async with raw_server(script) as raw:
        async with HttpClient(engine(limit=1), install(Auth, providers=[ME])) as client:
            for _ in range(3):
                response = await client.get(raw.url.replace("ws:", "http:"))
                assert await response.body_as_text() == "ok"
            await client.engine.close()
    assert seen == [6]


async def test_a_body_that_can_be_sent_once(engine: EngineFactory, server: EchoServer) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"data"

    url = f"{server.http_url}/auth/basic"
    provider = BasicAuth("user1", "Password1")
    async with HttpClient(engine, install(Auth, providers=[provider])) as client:
        with pytest.raises(AuthError, match=r"POST http.* can be sent only once") as caught:
            await client.post(url, body=body())
        assert caught.value.response is not None
        assert (await client.post(url, body=b"data")).status == 200

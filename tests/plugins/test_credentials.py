"""What layers add for the caller's origin reaches no other one, whatever it is called."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import (
    Headers,
    HttpClient,
    HttpRequest,
    HttpRequestBuilder,
    HttpResponse,
    WebSocketHandshakeError,
    install,
)
from ktor_client.config import Block
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    Auth,
    BearerAuth,
    BearerTokens,
    LayerKind,
    PluginScope,
    Send,
    WebSockets,
    client_plugin,
)
from ktor_client.testing import respond
from tests.support.raw_server import Peer, raw_server
from tests.support.twice import Twice

SECRET = "TOPSECRET"
FIELDS = ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Anything", "Origin"]


@client_plugin
def Adding(scope: PluginScope, *, name: str, kind: LayerKind, by_hand: bool = False) -> None:
    """Put a field on each request, as one would without a thought of redirects."""

    async def layer(request: HttpRequest, send: Send) -> HttpResponse:
        if not by_hand:
            return await send(request.with_header(name, SECRET))
        fields = Headers([*request.headers.fields(), (name, SECRET)])
        made = HttpRequest(request.method, request.url, fields, request.body, request.attributes)
        return await send(made)

    scope.on_send(layer, kind=kind)


def leading(*hops: str) -> MockEngine:
    """Return an engine that redirects from the first host to the others in turn."""
    engine = MockEngine()
    for place, hop in enumerate(hops[:-1]):
        answer = respond(status=302, headers={"Location": f"http://{hops[place + 1]}"})
        engine.on_request(f"http://{hop}", answer)
        engine.on_handshake(f"ws://{hop}", answer)
    engine.on_request(f"http://{hops[-1]}", b"")
    engine.on_handshake(f"ws://{hops[-1]}", respond(status=403))
    return engine


async def sent(engine: MockEngine, url: str, *blocks: Block) -> list[HttpRequest]:
    """Return what a GET and a handshake have sent."""
    async with HttpClient(engine, *blocks, install(WebSockets)) as client:
        await client.get(f"http://{url}")
        with pytest.raises(WebSocketHandshakeError):
            await client.web_socket_session(f"ws://{url}")
    return [*engine.request_history, *engine.handshakes]


@pytest.mark.parametrize("kind", [kind for kind in LayerKind if kind is not LayerKind.REDIRECT])
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_a_layer_adds_stays_with_the_callers_origin(
    name: str, kind: LayerKind, by_hand: bool
) -> None:
    adding = install(Adding, name=name, kind=kind, by_hand=by_hand)
    for other in ("other/", "h:81/", "h.h/"):
        for request in await sent(leading("h/", "h/x", other), "h/", adding):
            at_home = request.url.origin == (False, "h", 80)
            assert (SECRET in request.headers.values()) == at_home, request


async def test_a_request_that_is_sent_twice_at_a_time_has_its_credentials_twice() -> None:
    engine = MockEngine(lambda request: b"")
    auth = install(Auth, providers=[BearerAuth(lambda: BearerTokens(SECRET))])
    twice = install(Twice, kinds=(LayerKind.COOKIES,))
    async with HttpClient(engine, auth, twice) as client:
        for _ in range(2):
            await client.get("http://h/")
    sent = [request.headers.get("authorization") for request in engine.request_history]
    assert sent == [f"Bearer {SECRET}"] * 4


async def test_back_at_home_it_is_sent_again() -> None:
    adding = install(Adding, name="Authorization", kind=LayerKind.AUTH)
    requests = await sent(leading("h/", "other/", "h/back"), "h/", adding)
    assert [request.headers.get("authorization") for request in requests[:3]] == [
        SECRET,
        None,
        SECRET,
    ]


async def test_a_credential_that_is_meant_for_the_other_origin_goes_there() -> None:
    @client_plugin
    def Jar(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            for_this_host = f"of={request.url.host}"
            return await send(
                request.with_header("Cookie", for_this_host, meant_for=request.url.origin)
            )

        scope.on_send(layer, kind=LayerKind.COOKIES)

    adding = install(Adding, name="X-Id", kind=LayerKind.USER)
    for request in await sent(leading("h/", "other/"), "h/", install(Jar), adding):
        assert request.headers["cookie"] == f"of={request.url.host}"


async def test_a_mark_is_for_one_value_and_one_origin() -> None:
    @client_plugin
    def Marking(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            return await send(request.with_header("X-Id", "h", meant_for=(False, "h", 80)))

        async def below(request: HttpRequest, send: Send) -> HttpResponse:
            return await send(request.with_header("X-Mine", SECRET))

        scope.on_send(layer, kind=LayerKind.AUTH)
        scope.on_send(below)

    first, second, *_ = await sent(leading("h/", "other/"), "h/", install(Marking))
    assert {"X-Id", "X-Mine"} <= set(first.headers)
    assert not {"X-Id", "X-Mine"} & set(second.headers)


async def test_a_query_that_a_layer_adds_stays_too() -> None:
    @client_plugin
    def Signing(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            url = request.url.join(f"{request.url.path}?api_key={SECRET}")
            return await send(request.copy(url=url.with_scheme(request.url.scheme)))

        scope.on_send(layer)

    engine = MockEngine(lambda request: b"")
    engine.on_request(
        lambda request: request.url.host == "h",
        respond(status=302, headers={"Location": "http://other/y?page=2"}),
    )
    async with HttpClient(engine, install(Signing)) as client:
        await client.get("http://h/x")
    assert [str(request.url) for request in engine.request_history] == [
        f"http://h/x?api_key={SECRET}",
        "http://other/y?page=2",
    ]


async def test_a_layer_that_finds_another_host_keeps_what_it_adds() -> None:
    """No redirect has led there: whoever rewrites the URL knows where it goes."""

    @client_plugin
    def Discovering(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            return await send(request.copy(url=request.url.join("http://10.0.0.3:8080/")))

        scope.on_send(layer)

    adding = install(Adding, name="Authorization", kind=LayerKind.USER)
    engine = MockEngine(lambda request: b"")
    async with HttpClient(engine, install(Discovering), adding) as client:
        await client.get("http://service/")
    (request,) = engine.request_history
    assert (request.url.host, request.headers["authorization"]) == ("10.0.0.3", SECRET)


async def test_a_request_knows_the_origin_that_was_asked_first() -> None:
    seen: list[tuple[str, bool]] = []

    @client_plugin
    def Watching(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            seen.append((request.asked_origin[1], request.is_elsewhere))
            return await send(request)

        scope.on_send(layer)

    engine = leading("h/", "other/", "third/", "h/back")
    async with HttpClient(engine, install(Watching)) as client:
        await client.get("http://h/")
    assert seen == [("h", False), ("h", True), ("h", True), ("h", False)]


async def test_a_redirecting_layer_of_ones_own_is_watched_alike() -> None:
    @client_plugin
    def Following(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            response = await send(request)
            if response.status != 302:
                return response
            await response.discard()
            url = request.url.join(response.headers["location"])
            return await send(HttpRequest(request.method, url))

        scope.on_send(layer, kind=LayerKind.REDIRECT)

    engine = leading("h/", "other/")
    adding = install(Adding, name="Authorization", kind=LayerKind.USER)
    async with HttpClient(engine, install(Following), adding, follow_redirects=False) as client:
        await client.get("http://h/")
    assert [SECRET in r.headers.values() for r in engine.request_history] == [True, False]


@pytest.mark.parametrize(
    ("subprotocol", "goes"),
    [
        ("chat.v2", True),
        ("graphql-transport-ws", True),
        ("base64url.bearer.authorization.k8s.io.c2VjcmV0LXNlY3JldA", False),
        ("TOPSECRET", False),
        ("access-token-17", False),
        ("0123456789abcdef0123456789abcdef", False),
    ],
)
async def test_a_token_among_the_subprotocols_stays_too(subprotocol: str, goes: bool) -> None:
    engine = leading("h/", "other/")
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError):
            await client.web_socket_session("ws://h/", subprotocols=(subprotocol, "chat"))
    offers = [request.headers["sec-websocket-protocol"] for request in engine.handshakes]
    assert offers == [f"{subprotocol}, chat", f"{subprotocol}, chat" if goes else "chat"]


async def test_on_the_wire(engine: EngineFactory) -> None:
    heads: dict[str, list[bytes]] = {"first": [], "other": []}

    async def serve(peer: Peer, name: str, answer: str) -> None:
        try:
            while True:
                await peer.read_request()
                heads[name].append(peer.request)
                await peer.send(answer.encode())
        except (asyncio.IncompleteReadError, OSError):
            return

    def sign(request: HttpRequestBuilder) -> None:
        request.headers.set("X-Mine", SECRET)

    done = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with (
        asyncio.timeout(20),
        raw_server(lambda peer: serve(peer, "other", done)) as other,
        raw_server(lambda peer: serve(peer, "first", moved)) as first,
        HttpClient(engine, install(Adding, name="Authorization", kind=LayerKind.USER)) as client,
    ):
        there = other.url.replace("ws", "http", 1)
        moved = f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n"
        await client.get(first.url.replace("ws", "http", 1), sign, headers={"Cookie": SECRET})
    assert heads["first"][0].count(SECRET.encode()) == 3
    assert SECRET.encode() not in heads["other"][0]

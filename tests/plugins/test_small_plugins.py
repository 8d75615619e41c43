"""UserAgent, DefaultRequest, and the hooks that plugins have."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from ktor_client import (
    AttributeKey,
    HttpClient,
    HttpClientConfig,
    HttpRequest,
    HttpRequestBuilder,
    HttpResponse,
    InvalidUrlError,
    UnsafeHeaderError,
    header,
    install,
    parameter,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock.responses import respond
from ktor_client.plugin import RequestCreated, RequestFailed, RequestFailure, ResponseReceived, Send
from ktor_client.plugins import DefaultRequest, PluginScope, UserAgent, client_plugin


def echo_url(request: HttpRequest) -> bytes:
    return str(request.url).encode()


async def url_of(client: HttpClient, *args: object, **options: object) -> str:
    async with client:
        response = await client.get(*args, **options)  # type: ignore[arg-type]  # pyright: ignore
        return await response.body_as_text()


@pytest.mark.parametrize(
    ("default", "asked", "sent"),
    [
        ({"url": "https://h.example/v1/"}, "feed", "https://h.example/v1/feed"),
        ({"url": "https://h.example/v1"}, "feed", "https://h.example/feed"),
        ({"url": "https://h.example/v1/"}, "/feed", "https://h.example/feed"),
        ({"url": "https://h.example:8443/v1/?a=1"}, None, "https://h.example:8443/v1/?a=1"),
        ({"host": "h.example", "port": 81}, "/x?q=1", "http://h.example:81/x?q=1"),
        ({"host": "h.example"}, "http://other/x", "http://other/x"),
        ({"host": "h.example", "params": {"k": "v"}}, "/x?a=1", "http://h.example/x?a=1&k=v"),
        ({"url": "http://h/?k=1&k=2&n=3"}, "x?n=4", "http://h/x?n=4&k=1&k=2"),
        ({"url": "http://h/?k=1", "params": {"n": 3, "k": 2}}, "x", "http://h/x?k=1&n=3"),
        ({"params": {"a b": ["1", "2"], "n": 3}}, "http://h/?a%20b=0", "http://h/?a%20b=0&n=3"),
        ({"params": iter([("n", 3)])}, "http://h/?n", "http://h/?n"),
        ({}, "/x", "http://localhost/x"),
    ],
)
async def test_default_request_fills_in_what_is_open(
    default: dict[str, object], asked: str | None, sent: str
) -> None:
    client = HttpClient(
        lambda: MockEngine(echo_url),
        install(DefaultRequest, **default),  # type: ignore[arg-type]  # pyright: ignore
    )
    assert await url_of(client, asked) == sent


@pytest.mark.parametrize("url", ["api.example.com/v1/", "api.example.com", "a.example?token=s3"])
async def test_a_default_url_without_a_scheme_is_no_path(url: str) -> None:
    """Every request would go to localhost."""
    with pytest.raises(InvalidUrlError, match="has no scheme; write https://host/path") as caught:
        HttpClient(MockEngine, install(DefaultRequest, url=url))
    assert "s3" not in str(caught.value)
    default = install(DefaultRequest, url="v1.2/", host="h.example")
    assert await url_of(HttpClient(lambda: MockEngine(echo_url), default), "x") == (
        "http://h.example/v1.2/x"
    )


async def test_a_default_port_of_0_is_no_port() -> None:
    async with HttpClient(MockEngine, install(DefaultRequest, host="h", port=0)) as client:
        with pytest.raises(InvalidUrlError, match=r"port 0 is outside 1\.\.65535"):
            await client.get("/")


@pytest.mark.parametrize("default", [{"scheme": "https"}, {"url": "https://h.example:8443/v1/"}])
async def test_a_request_that_names_its_host_alone_has_the_scheme_of_the_default(
    default: dict[str, str],
) -> None:
    """Nothing that was to go over TLS goes without it; port and path are the other host's."""

    def name_host(request: HttpRequestBuilder) -> None:
        request.url.host = "other"

    for asked, *blocks in (["//other/x"], ["/x", name_host]):
        client = HttpClient(lambda: MockEngine(echo_url), install(DefaultRequest, **default))  # type: ignore[arg-type]  # pyright: ignore
        assert await url_of(client, asked, *blocks) == "https://other/x"


async def test_the_callers_headers_win() -> None:
    engine = MockEngine(lambda request: request.headers.get("x-id", "").encode())
    default = install(DefaultRequest, headers={"X-Id": "default"}, block=parameter("p", "1"))
    async with HttpClient(engine, default) as client:
        assert await (await client.get("http://h/")).body_as_text() == "default"
        response = await client.get("http://h/", headers={"x-id": "mine"})
        assert await response.body_as_text() == "mine"
        assert response.request.url.query == "p=1"


async def test_user_agent_is_set_where_there_is_none() -> None:
    engine = MockEngine(lambda request: request.headers["user-agent"].encode())
    async with HttpClient(engine, install(UserAgent, agent="demo/1")) as client:
        assert await (await client.get("http://h/")).body_as_text() == "demo/1"
        mine = await client.get("http://h/", header("User-Agent", "mine"))
        assert await mine.body_as_text() == "mine"


async def test_hooks_run_in_order_and_the_first_layer_is_outermost() -> None:
    seen: list[str] = []
    key: AttributeKey[str] = AttributeKey("who")

    @client_plugin
    def Layer(scope: PluginScope, *, name: str) -> None:
        scope.attributes[key] = name

        async def around(request: HttpRequest, send: Send) -> HttpResponse:
            seen.append(f"{name} in")
            response = await send(request)
            seen.append(f"{name} out")
            return response

        async def closing() -> None:
            seen.append(f"{name} closed")

        scope.on_request(lambda request: seen.append(f"{name} request"))
        scope.on_send(around)
        scope.on_response(lambda response: seen.append(f"{name} response {response.status}"))
        scope.on_close(closing)

    @client_plugin
    def Inner(scope: PluginScope) -> None:
        async def around(request: HttpRequest, send: Send) -> HttpResponse:
            seen.append("inner")
            return await send(request.with_header("X-Inner", "1"))

        scope.on_send(around)

    engine = MockEngine(lambda request: request.headers["x-inner"].encode())
    async with HttpClient(engine, install(Layer, name="a"), install(Inner)) as client:
        assert client.attributes[key] == "a"
        client.events.subscribe(RequestCreated, lambda request: seen.append("created"))
        client.events.subscribe(ResponseReceived, lambda response: seen.append("received"))
        await client.get("http://h/")
    assert seen == [
        "a request",
        "a in",
        "inner",
        "created",
        "received",
        "a out",
        "a response 200",
        "a closed",
    ]


async def test_a_layer_may_try_again() -> None:
    statuses = iter([503, 503, 200])

    @client_plugin
    def Retry(scope: PluginScope) -> None:
        async def around(request: HttpRequest, send: Send) -> HttpResponse:
            while True:
                response = await send(request)
                if response.status != 503:
                    return response
                await response.close()

        scope.on_send(around)

    engine = MockEngine(lambda request: respond(status=next(statuses)))
    async with HttpClient(engine, install(Retry)) as client:
        assert (await client.get("http://h/")).status == 200


async def test_failures_are_events_too() -> None:
    def broken(request: HttpRequest) -> bytes:
        raise ConnectionError("no luck")

    seen: list[RequestFailure] = []
    async with HttpClient(MockEngine(broken)) as client:
        unsubscribe = client.events.subscribe(RequestFailed, seen.append)
        with pytest.raises(ConnectionError, match="no luck"):
            await client.get("http://h/")
        unsubscribe()
        with pytest.raises(ConnectionError):
            await client.get("http://h/")
    assert [str(failure.error) for failure in seen] == ["no luck"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/",
        "h:80/x",
        "http:///x",
        "http://h:99999/",
        "http://h:0/",
        "http://h/#part",
        "http://h/a b",
        "http://h/\r\nX-Evil: 1",
        "http://h\\@evil/",
        "http://[::1/",
        "http://h%0d%0a/",
        "ws://h/",
    ],
)
async def test_bad_urls_are_refused_before_any_io(url: str) -> None:
    engine = MockEngine(lambda request: b"")
    async with HttpClient(engine) as client:
        with pytest.raises(InvalidUrlError):
            await client.get(url)
    assert not engine.request_history


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "1\r\nX-Evil: 2"),
        ("X-A", "nul\x00"),
        ("X\r\nY", "1"),
        ("X A", "1"),
        ("", "1"),
        ("Upgrade", "h2c"),
        ("Transfer-Encoding", "chunked"),
        ("Sec-WebSocket-Key", "x"),
    ],
)
async def test_unsafe_headers_are_refused_before_any_io(name: str, value: str) -> None:
    engine = MockEngine(lambda request: b"")
    async with HttpClient(engine) as client:
        with pytest.raises(UnsafeHeaderError):
            await client.get("http://h/", headers={name: value})
    assert not engine.request_history


async def test_credentials_and_path_of_the_default() -> None:
    engine = MockEngine(lambda request: request.headers.get("authorization", "none").encode())
    default = install(DefaultRequest, url="http://u:p@h/", path="/base/")
    async with HttpClient(engine, default) as client:
        response = await client.get("x")
        assert str(response.request.url) == "http://h/base/x"
        assert await response.body_as_text() == basic("u", "p")
        response = await client.get("x", as_guest)
        assert str(response.request.url) == "http://h/base/x"
        assert await response.body_as_text() == basic("guest", "g")


def as_guest(request: HttpRequestBuilder) -> None:
    request.url.user, request.url.password = "guest", "g"


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def test_what_plugins_and_events_are_called() -> None:
    assert repr(RequestCreated) == "ClientEvent('RequestCreated')"

    @client_plugin
    def Named(scope: PluginScope) -> None:
        """Do nothing."""

    client = HttpClient(MockEngine, install(Named))
    assert repr(client.plugin(Named)) == "<plugin Named>"
    stop = client.events.subscribe(RequestCreated, print)
    stop()
    stop()  # twice is fine


@pytest.mark.parametrize(
    ("agent", "error"), [(5, TypeError), (None, TypeError), ("a\nb", UnsafeHeaderError)]
)
def test_an_agent_is_checked_when_the_client_is_made(agent: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"(?i)agent"):
        HttpClient(MockEngine, install(UserAgent, agent=agent))


@pytest.mark.parametrize("option", ["expect_success", "follow_redirects"])
def test_switches_are_true_or_false(option: str) -> None:
    def block(config: HttpClientConfig) -> None:
        setattr(config, option, "yes")

    with pytest.raises(TypeError, match=f"{option} is True or False, not 'yes'"):
        HttpClient(MockEngine, block)

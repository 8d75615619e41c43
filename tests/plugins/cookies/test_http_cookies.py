"""The `HttpCookies` plugin: what is sent, what is kept, and what users see of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from aiohttp import CookieJar
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from ktor_client import (
    HttpClient,
    HttpMethod,
    HttpRequest,
    HttpResponse,
    InvalidUrlError,
    UnsupportedCapabilityError,
    Url,
    WebSocketHandshakeError,
    cookie,
    header,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.plugins import (
    Cookie,
    CookieStorage,
    FileCookies,
    HttpCookies,
    InMemoryCookies,
    LayerKind,
    PluginScope,
    Send,
    WebSockets,
    client_plugin,
)
from ktor_client.testing import (
    EchoServer,
    MockAcceptance,
    MockPeerSession,
    MockResponse,
    accept,
    echo_server,
    respond,
)
from tests.support.raw_server import Peer, raw_server
from tests.support.twice import Twice

Handler = Callable[[HttpRequest], MockResponse | str]


def setting(*fields: str, status: int = 200, **headers: str) -> MockResponse:
    return respond(
        b"", status=status, headers=[*(("Set-Cookie", f) for f in fields), *headers.items()]
    )


def sent(engine: MockEngine) -> list[str | None]:
    return [request.headers.get("cookie") for request in engine.request_history]


class Jar(CookieStorage):
    """A storage of a user's: coroutines, no rules, no order."""

    def __init__(self) -> None:
        self.kept: dict[tuple[object, ...], Cookie] = {}
        self.is_closed = False
        self.fails = False

    async def get(self, url: Url) -> Iterable[Cookie]:
        await asyncio.sleep(0)
        return reversed(self.kept.values())

    async def put(self, cookies: Sequence[Cookie]) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("the disk is full")
        for one in cookies:
            self.kept[one.name, one.domain, one.path, one.host_only] = one

    async def clear(self) -> None:
        self.kept.clear()

    async def close(self) -> None:
        self.is_closed = True


STORAGES = pytest.mark.parametrize("make", [InMemoryCookies, Jar])


# --- what Ktor's own tests say ---


@STORAGES
async def test_a_cookie_that_was_set_is_sent_back(make: Callable[[], CookieStorage]) -> None:
    engine = MockEngine(lambda request: "ok")
    engine.enqueue(setting("hello-cookie=my-awesome-value; Path=/"))
    async with HttpClient(engine, install(HttpCookies, storage=make())) as client:
        await client.get("http://h.test/cookies")
        [kept] = await client.plugin(HttpCookies).get("http://h.test/")
        assert (kept.name, kept.value) == ("hello-cookie", "my-awesome-value")
        await client.get("http://h.test/")
        await client.get("http://g.test/")
    assert sent(engine) == [None, "hello-cookie=my-awesome-value", None]


@STORAGES
async def test_a_cookie_is_set_anew_each_time(make: Callable[[], CookieStorage]) -> None:
    def count(request: HttpRequest) -> MockResponse:
        number = request.headers["cookie"].partition("id=")[2].partition(";")[0]
        return setting(f"id={int(number) + 1}", "user=ktor")

    seeds = {"http://h.test/": {"id": "1"}}
    options = install(HttpCookies, storage=make(), cookies=seeds)
    async with HttpClient(MockEngine(count), options) as client:
        for before in range(1, 11):
            [kept, *_] = await client.plugin(HttpCookies).get("http://h.test")
            assert (kept.name, kept.value) == ("id", str(before))
            await client.get("http://h.test/")
        [kept, _] = await client.plugin(HttpCookies).get("http://h.test/")
        assert kept.value == "11"


@STORAGES
async def test_a_request_that_is_sent_twice_at_a_time(make: Callable[[], CookieStorage]) -> None:
    engine = MockEngine(lambda request: setting("other=1; Path=/"))
    seeds = {"http://h.test/": {"id": "1"}}
    options = install(HttpCookies, storage=make(), cookies=seeds)
    twice = install(Twice, kinds=(LayerKind.REDIRECT, LayerKind.AUTH))
    async with HttpClient(engine, options, twice) as client:
        for _ in range(2):
            await client.get("http://h.test/")
    assert {"id=1", "other=1"} == {pair for one in sent(engine) for pair in str(one).split("; ")}
    assert sent(engine)[4:] == ["id=1; other=1"] * 4


async def test_a_cookie_that_expires() -> None:
    engine = MockEngine(lambda request: setting("id=777; Max-Age=0; Path=/"))
    options = install(HttpCookies, cookies={"http://h.test/": {"id": "777"}})
    async with HttpClient(engine, options) as client:
        cookies = client.plugin(HttpCookies)
        assert await cookies.get("http://h.test/")
        await client.get("http://h.test/expire")
        assert not await cookies.get("http://h.test/")
    assert sent(engine) == ["id=777"]


async def test_a_storage_that_never_changes() -> None:
    class Constant(CookieStorage):
        def get(self, url: Url) -> list[Cookie]:
            return [Cookie("id", "1", url.host)]

        def put(self, cookies: Sequence[Cookie]) -> None: ...

        def clear(self) -> None: ...

    engine = MockEngine(lambda request: setting("id=2", "user=ktor"))
    async with HttpClient(engine, install(HttpCookies, storage=Constant())) as client:
        for _ in range(3):
            await client.get("http://h.test/")
        assert [c.name for c in await client.plugin(HttpCookies).get("http://h.test/")] == ["id"]
    assert sent(engine) == ["id=1"] * 3


async def test_paths() -> None:
    def handle(request: HttpRequest) -> MockResponse | str:
        return setting("marker=value; Path=/cookies/with/") if "set" in request.url.path else "ok"

    engine = MockEngine(handle)
    async with HttpClient(engine, install(HttpCookies)) as client:
        for path in ("/set", "/cookies/with/something", "/cookies/with/", "/cookies/with", "/"):
            await client.get(f"http://h.test{path}")
    assert sent(engine) == [None, "marker=value", "marker=value", None, None]


async def test_paths_are_case_sensitive() -> None:
    def handle(request: HttpRequest) -> MockResponse:
        return setting(f"at={request.url.path[1:]}; Path={request.url.path}")

    engine = MockEngine(handle)
    async with HttpClient(engine, install(HttpCookies)) as client:
        for path in ("foo", "FOO", "foo", "FOO"):
            await client.get(f"http://h.test/{path}")
    assert sent(engine) == [None, None, "at=foo", "at=FOO"]


async def test_commas_plus_signs_and_quotes_are_sent_as_they_came() -> None:
    fields = [
        "a=first, cookie",
        "fir,st=some+value",
        'q="1, 2"',
        "p=%20",
        "v=value:value",
        "e=&%?#=$",
    ]
    engine = MockEngine(lambda request: "ok")
    engine.enqueue(setting(*fields))
    async with HttpClient(engine, install(HttpCookies)) as client:
        await client.get("http://h.test/")
        await client.get("http://h.test/")
    assert sent(engine)[1] == "; ".join(fields)


async def test_a_dot_in_front_of_the_domain() -> None:
    engine = MockEngine(lambda request: setting("myServer=value; Domain=.vk.com; secure"))
    async with HttpClient(engine, install(HttpCookies)) as client:
        await client.get("https://m.vk.com")
        cookies = client.plugin(HttpCookies)
        for host in ("vk.com", "m.vk.com", "x.m.vk.com"):
            assert await cookies.get(f"https://{host}"), host
        for url in ("https://google.com", "http://vk.com", "https://xvk.com", "https://com"):
            assert not await cookies.get(url), url


async def test_cookies_of_the_request_and_kept_ones() -> None:
    engine = MockEngine(lambda request: "ok")
    options = install(HttpCookies, cookies={"http://h.test/": {"kept": "1", "both": "old"}})
    async with HttpClient(engine, options) as client:
        await client.get("http://h.test/", cookie("mine", "x"), cookie("both", "new"))
        await client.get("http://h.test/", cookie("a", "1"), header("Cookie", "b=2;c=3 ; ;=d"))
        await client.get("http://h.test/")
        await client.get("http://g.test/", cookie("mine", "x"))
    assert sent(engine) == [
        "mine=x; both=new; kept=1",
        "a=1; b=2; c=3; =d; kept=1; both=old",
        "kept=1; both=old",
        "mine=x",
    ]
    assert all(len(r.headers.get_all("cookie")) <= 1 for r in engine.request_history)


def log_out(request: HttpRequest) -> MockResponse | str:
    if request.url.path == "/logout":
        return setting("SID=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", status=307, Location="/next")
    return "ok"


async def test_a_cookie_that_a_redirect_deletes_is_not_sent_on() -> None:
    engine = MockEngine(log_out)
    options = install(HttpCookies, cookies={"http://h.test/": {"SID": "123", "kept": "1"}})
    async with HttpClient(engine, options) as client:
        await client.get("http://h.test/logout")
    assert sent(engine) == ["SID=123; kept=1", "kept=1"]


async def test_a_cookie_of_the_request_that_a_redirect_deletes_is_not_sent_on() -> None:
    engine = MockEngine(log_out)
    async with HttpClient(engine, install(HttpCookies)) as client:
        await client.get("http://h.test/logout", cookie("SID", "123"))
        await client.get("http://h.test/logout", cookie("SID", "123"), cookie("mine", "x"))
    assert sent(engine) == ["SID=123", None, "SID=123; mine=x", "mine=x"]


async def test_without_the_plugin_a_cookie_of_the_request_is_sent_on() -> None:
    engine = MockEngine(log_out)
    async with HttpClient(engine) as client:
        await client.get("http://h.test/logout", cookie("SID", "123"))
    assert sent(engine) == ["SID=123", "SID=123"]


# --- redirects, repetitions, handshakes ---


async def test_each_step_of_a_redirect_has_its_own_cookies() -> None:
    def handle(request: HttpRequest) -> MockResponse | str:
        place = f"{request.url.host}{request.url.path}"
        steps = {
            "a.test/1": ("x=a1; Path=/", "/2"),
            "a.test/2": ("y=a2", "http://b.test/3"),
            "b.test/3": ("x=b3; Path=/", "http://a.test/4"),
        }
        if place in steps:
            field, location = steps[place]
            return setting(field, status=302, Location=location)
        return "ok"

    engine = MockEngine(handle)
    options = install(HttpCookies, cookies={"http://b.test": {"seed": "b"}})
    async with HttpClient(engine, options) as client:
        await client.get("http://a.test/1", cookie("mine", "m"))
    assert sent(engine) == ["mine=m", "mine=m; x=a1", "seed=b", "x=a1; y=a2"]


async def test_what_a_repetition_takes_along() -> None:
    @client_plugin
    def persistent(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            while (response := await send(request)).status == 503:
                await response.discard()
            return response

        scope.on_send(layer, kind=LayerKind.RETRY)

    def handle(request: HttpRequest) -> MockResponse | str:
        if "lb=1" not in request.headers.get("cookie", ""):
            return setting("lb=1", status=503)
        return "ok"

    engine = MockEngine(handle)
    async with HttpClient(engine, install(persistent), install(HttpCookies)) as client:
        await client.get("http://h.test/", cookie("mine", "m"))
        await client.get("http://h.test/")
    assert sent(engine) == ["mine=m", "mine=m; lb=1", "lb=1"]


async def test_cookies_that_another_layer_puts_there_stay() -> None:
    """The jar has changed in between, but the header is no longer ours."""

    @client_plugin
    def own_cookie(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            await cookies[0].set(request.url, "late", "1")
            return await send(request.with_header("Cookie", "layers=own"))

        scope.on_send(layer, kind=LayerKind.AUTH)

    cookies: list[HttpCookies] = []
    engine = MockEngine(lambda request: "ok")
    async with HttpClient(engine, install(HttpCookies), install(own_cookie)) as client:
        cookies.append(client.plugin(HttpCookies))
        await client.get("http://h.test/")
    assert sent(engine) == ["layers=own"]


async def test_requests_of_a_layer_have_cookies_too() -> None:
    """A plugin that asks for something on its own account goes in below the first layer."""

    @client_plugin
    def asking(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            side = HttpRequest(HttpMethod.Get, Url.parse("http://g.test/side"))
            await scope.send(side)
            return await send(request)

        scope.on_send(layer, kind=LayerKind.AUTH)

    engine = MockEngine(lambda request: setting("a=1"))
    async with HttpClient(engine, install(HttpCookies), install(asking)) as client:
        await client.get("http://h.test/")
        await client.get("http://h.test/")
    assert sent(engine) == [None, None, "a=1", "a=1"]


async def test_handshakes() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.close()

    def door(request: HttpRequest) -> MockAcceptance | MockResponse:
        if request.headers.get("cookie") is None:
            return setting("asked=1; Secure", status=403)
        return accept(peer, headers={"Set-Cookie": "opened=1; Secure"})

    engine = MockEngine(lambda request: "ok")
    engine.on_handshake("/ws", door)
    async with HttpClient(engine, install(WebSockets), install(HttpCookies)) as client:
        with pytest.raises(WebSocketHandshakeError, match="403"):
            await client.web_socket_session("wss://h.test/ws")
        async with client.web_socket("wss://h.test/ws"):
            pass
        async with client.web_socket("wss://h.test/ws"):
            pass
        await client.get("https://h.test/")
        await client.get("http://h.test/")
    handshakes = [request.headers.get("cookie") for request in engine.handshakes]
    assert handshakes == [None, "asked=1", "asked=1; opened=1"]
    assert sent(engine) == ["asked=1; opened=1", None]


# --- Secure ---


async def test_a_secure_cookie_is_left_alone() -> None:
    def handle(request: HttpRequest) -> MockResponse:
        if request.url.is_secure:
            return setting("a=safe; Secure; Path=/in", "b=safe; Secure; Path=/in; Domain=h.test")
        return setting(
            "a=evil; Path=/in", "a=evil; Path=/in/deep", "b=; Max-Age=0; Path=/in", "a=fine; Path=/"
        )

    async with HttpClient(MockEngine(handle), install(HttpCookies)) as client:
        await client.get("https://h.test/in")
        await client.get("http://h.test/in")
        kept = [c.pair for c in await client.plugin(HttpCookies).get("https://h.test/in/deep")]
        assert kept == ["a=safe", "b=safe", "a=fine"]
        await client.get("https://h.test/in")
        with pytest.raises(ValueError, match="only TLS may replace"):
            await client.plugin(HttpCookies).set("http://h.test/in/", "a", "evil")


async def test_an_expired_cookie_stands_in_nobodys_way() -> None:
    """A storage need not forget it; the one that deletes another is kept as well."""
    jar = Jar()
    await jar.put([Cookie("theme", "old", "h.test", expires=1.0)])
    engine = MockEngine(lambda request: "ok")
    engine.enqueue(
        setting("sid=safe; Secure"),
        setting("sid=; Secure; Max-Age=0"),
        setting("sid=plain"),
    )
    seeds = [Cookie("theme", "dark", "h.test")]
    options = install(HttpCookies, storage=jar, cookies=seeds)
    async with HttpClient(engine, options) as client:
        for scheme in ("https", "https", "http", "http"):
            await client.get(f"{scheme}://h.test/")
    assert sent(engine)[-1] == "theme=dark; sid=plain"


async def test_a_cookie_that_is_set_again_keeps_its_place() -> None:
    engine = MockEngine(lambda request: "ok")
    engine.enqueue(setting("a=1"), setting("b=2"), setting("a=3"))
    async with HttpClient(engine, install(HttpCookies)) as client:
        for _ in range(4):
            await client.get("http://h.test/")
    assert sent(engine) == [None, "a=1", "a=1; b=2", "a=3; b=2"]


@STORAGES
async def test_longer_paths_come_first(make: Callable[[], CookieStorage]) -> None:
    fields = ["a=1; Path=/", "b=2; Path=/x/y", "c=3; Path=/x", "d=4; Path=/"]
    engine = MockEngine(lambda request: setting(*fields))
    async with HttpClient(engine, install(HttpCookies, storage=make())) as client:
        await client.get("http://h.test/x/y/z")
        await client.get("http://h.test/x/y/z")
    assert engine.request_history[1].headers["cookie"].startswith("b=2; c=3; ")


# --- get, set, clear ---


async def test_set_get_and_clear() -> None:
    engine = MockEngine(lambda request: "ok")
    async with HttpClient(engine, install(HttpCookies)) as client:
        cookies = client.plugin(HttpCookies)
        await cookies.set("https://h.test/app/", "theme", "dark")
        await cookies.set("http://h.test/app/", "size=big; Path=/; Domain=h.test")
        await cookies.set(Url.parse("http://h.test/"), Cookie("whole", "1", "h.test", "/app"))
        await client.get("https://h.test/app/page")
        await client.get("http://sub.h.test/app/page")
        await client.get("http://h.test/")
        assert [c.name for c in await cookies.get("https://h.test/app/x")] == [
            "whole",
            "theme",
            "size",
        ]
        await cookies.set("https://g.test/", "other", "1")
        await cookies.clear("https://h.test/app/x")
        assert await cookies.get("https://h.test/app/x") == []
        assert await cookies.get("https://g.test/")
        await cookies.clear()
        assert await cookies.get("https://g.test/") == []
    assert sent(engine) == ["whole=1; theme=dark; size=big", "size=big", "size=big"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("http://h.test/", "a=b; Domain=g.test"), ValueError, "is not that of h.test"),
        (("http://h.test/", "a=b; Secure"), ValueError, "without TLS"),
        (("http://h.test/", "a", "TOP;SECRET"), ValueError, "no semicolon"),
        (("http://h.test/", "a", "TOP\nSECRET"), ValueError, "no control characters"),
        (("http://h.test/", Cookie("a", "b", "g.test")), ValueError, "is not that of h.test"),
        (("http://h.test/", Cookie("a", "b", "h.test"), "c"), TypeError, "has its value"),
        (("http://h.test/", 5), TypeError, "a name and a value, or a Cookie"),
        (("/relative", "a", "b"), InvalidUrlError, "not an absolute URL"),
    ],
)
async def test_what_cannot_be_set(
    arguments: tuple[str, str], error: type[Exception], words: str
) -> None:
    async with HttpClient(MockEngine(), install(HttpCookies)) as client:
        with pytest.raises(error, match=words) as caught:
            await client.plugin(HttpCookies).set(*arguments)
        assert "SECRET" not in str(caught.value)
        with pytest.raises(InvalidUrlError):
            await client.plugin(HttpCookies).get("h.test")


# --- seeds ---


async def test_seeds_for_each_host_that_is_asked() -> None:
    def handle(request: HttpRequest) -> MockResponse | str:
        if request.url.path == "/go":
            return respond(b"", status=302, headers={"Location": "http://b.test/"})
        if request.url.path == "/change":
            return setting("theme=light; Path=/")
        return "ok"

    engine = MockEngine(handle)
    options = install(HttpCookies, cookies={"theme": "dark"})
    async with HttpClient(engine, options) as client:
        await client.get("http://a.test/deep/path")
        await client.get("http://a.test/go")
        await client.get("http://a.test/change")
        await client.get("http://a.test/")
        await client.get("http://c.test/")
        await client.plugin(HttpCookies).clear()
        await client.get("http://d.test/")
    dark = "theme=dark"
    assert sent(engine) == [dark, dark, None, dark, "theme=light", dark, None]


async def test_seeds_stay_with_tls() -> None:
    engine = MockEngine(lambda request: "ok")
    seeds = {"https://h.test/": {"sid": "1"}}
    async with HttpClient(engine, install(HttpCookies, cookies=seeds)) as client:
        await client.get("http://h.test/")
        await client.get("https://h.test/")
    assert sent(engine) == [None, "sid=1"]


@pytest.mark.parametrize("path", ["/a b", "/a#b", "/a?b"])
async def test_a_seed_whose_path_no_url_has_keeps_nobody_from_asking(path: str) -> None:
    engine = MockEngine(lambda request: "ok")
    seeds = [Cookie("odd", "1", "h.test", path), Cookie("sid", "2", "h.test")]
    async with HttpClient(engine, install(HttpCookies, cookies=seeds)) as client:
        await client.get("http://h.test/a")
    assert sent(engine) == ["sid=2"]


@STORAGES
async def test_a_seed_does_not_overwrite(make: Callable[[], CookieStorage]) -> None:
    storage = make()
    result = storage.put([Cookie("sid", "newer", "h.test"), Cookie("b", "2", "h.test", "/x")])
    if result is not None:
        await result
    engine = MockEngine(lambda request: "ok")
    seeds = [Cookie("sid", "seed", "h.test"), Cookie("b", "seed", "h.test")]
    options = install(HttpCookies, storage=storage, cookies=seeds)
    async with HttpClient(engine, options) as client:
        await asyncio.gather(*(client.get("http://h.test/") for _ in range(3)))
    assert {frozenset((one or "").split("; ")) for one in sent(engine)} == {
        frozenset({"sid=newer", "b=seed"})
    }


@pytest.mark.parametrize(
    ("cookies", "error", "words"),
    [
        ("a=b", TypeError, "cookies takes"),
        (5, TypeError, "cookies takes"),
        (Cookie("a", "b", "h.test"), TypeError, "cookies takes"),
        (["a=SECRET"], TypeError, "Cookie objects, not str"),
        ({"http://h.test/": ["a=SECRET"]}, TypeError, "for a URL, not list"),
        ({"h.test": {"a": "b"}}, InvalidUrlError, "not an absolute URL"),
        ({"http://h.test/": {"a": "SECRET;"}}, ValueError, "no semicolon"),
        ({"a": "SECRET;"}, ValueError, "no semicolon"),
        ({"http://h.test/": {"a": 1}}, TypeError, "value of a cookie is a str"),
    ],
)
def test_seeds_that_cannot_be(cookies: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        HttpCookies(cookies=cookies)  # type: ignore[arg-type]  # pyright: ignore
    assert "SECRET" not in str(caught.value)


# --- options, engines, storages ---


def test_mistaken_options() -> None:
    with pytest.raises(TypeError, match="did you mean 'storage'"):
        install(HttpCookies, storrage=InMemoryCookies())  # type: ignore[call-arg]  # pyright: ignore
    for wrong in (InMemoryCookies, None, "cookies.json"):
        with pytest.raises(TypeError, match="storage takes an instance of CookieStorage"):
            HttpCookies(storage=wrong)  # type: ignore[arg-type]  # pyright: ignore


def test_an_engine_that_shows_no_cookies_is_refused_at_once() -> None:
    with pytest.raises(UnsupportedCapabilityError, match=r"CookiesCapability \(HttpCookies needs"):
        HttpClient(MockEngine(capabilities=frozenset()), install(HttpCookies))


def test_no_secret_is_shown() -> None:
    block = install(HttpCookies, cookies={"http://h.test/": {"sid": "TOPSECRET"}})
    assert "TOPSECRET" not in repr(block)


async def test_each_client_has_a_jar_of_its_own_unless_told_otherwise() -> None:
    engine = MockEngine(lambda request: setting("a=1"))
    shared = InMemoryCookies()
    async with HttpClient(engine, install(HttpCookies)) as one:
        async with one.config() as other, one.config(install(HttpCookies, storage=shared)) as third:
            await one.get("http://h.test/")
            assert await one.plugin(HttpCookies).get("http://h.test/")
            assert not await other.plugin(HttpCookies).get("http://h.test/")
            await third.get("http://h.test/")
    assert len(shared) == 1


async def test_a_storage_that_fails_costs_the_call() -> None:
    storage = Jar()
    engine = MockEngine(lambda request: setting("a=1"))
    async with HttpClient(engine, install(HttpCookies, storage=storage)) as client:
        storage.fails = True
        with pytest.raises(OSError, match="disk is full"):
            await client.get("http://h.test/")
        storage.fails = False
        await client.get("http://h.test/")
    assert storage.is_closed
    assert len(storage.kept) == 1


# --- beside another client ---

HOSTS = ["example.org", "a.example.org", "b.a.example.org", "127.0.0.1", "other.net"]
PATHS = ["/", "/x", "/x/y", "/xy"]
DOMAINS = ["", "; Domain=example.org", "; Domain=.a.example.org", "; Domain=other.net"]
ATTRIBUTES = ["", "; Path=/", "; Path=/x", "; Path=/x/y", "; Secure", "; Max-Age=0", "; Max-Age=9"]
PLACES = st.tuples(
    st.sampled_from(["http", "https"]), st.sampled_from(HOSTS), st.sampled_from(PATHS)
)
SETTINGS = st.tuples(
    PLACES, st.sampled_from("ab"), st.sampled_from(DOMAINS), st.sampled_from(ATTRIBUTES)
)


@given(st.lists(SETTINGS, max_size=8), PLACES)
async def test_as_another_client_does_it(
    settings: list[tuple[tuple[str, str, str], str, str, str]], place: tuple[str, str, str]
) -> None:
    theirs = CookieJar(unsafe=True)
    ours = HttpCookies()
    numbers = itertools.count()
    for (scheme, host, path), name, domain, attribute in settings:
        # Of cookies that differ in the domain alone theirs knows or sends one.
        name += str(HOSTS.index(host) if not domain else 9 + DOMAINS.index(domain))
        url, field = f"{scheme}://{host}{path}", f"{name}={next(numbers)}{domain}{attribute}"
        if "Secure" in attribute and scheme == "http":
            continue  # which theirs takes, against RFC 6265bis
        if scheme == "http" and any(one.secure for one in await ours.get(f"https://{host}/x/y")):
            continue  # likewise
        theirs.update_cookies(SimpleCookie(field), URL(url))
        await ours._take(Url.parse(url), [field])
    url = f"{place[0]}://{place[1]}{place[2]}"
    expected = {f"{m.key}={m.value}" for m in theirs.filter_cookies(URL(url)).values()}
    got: dict[str, str] = {}
    for one in await ours.get(url):
        got.setdefault(one.name, one.pair)  # of one name theirs sends the most special only
    assert set(got.values()) == expected


# --- on sockets ---


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as running:
        yield running


async def test_cookies_on_sockets(engine: EngineFactory, server: EchoServer) -> None:
    async with HttpClient(engine, install(HttpCookies)) as client:
        await client.get(f"{server.http_url}/cookies/set?a=1&b=2%3D3")
        response = await client.get(f"{server.http_url}/cookies", cookie("mine", "x"))
        assert await response.body_as_text() == "mine=x; a=1; b=2=3"
        response = await client.get(f"{server.http_url}/redirect?to=/cookies")
        assert await response.body_as_text() == "a=1; b=2=3"


async def test_handshakes_on_sockets(engine: EngineFactory) -> None:
    seen: list[str | None] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        seen.append(peer.headers.get("cookie"))
        if len(seen) == 1:
            head = "HTTP/1.1 403 No\r\nContent-Length: 0\r\nset-cookie: refused=1"
            await peer.send(f"{head}\r\nSet-Cookie: also=2\r\n\r\n".encode())
            return
        await peer.send(peer.switch("Set-Cookie: opened=1; Path=/", "SET-COOKIE: b=1; Domain=x"))
        await peer.read_eof()

    async with raw_server(script) as raw:
        async with HttpClient(engine, install(WebSockets), install(HttpCookies)) as client:
            with pytest.raises(WebSocketHandshakeError):
                await client.web_socket_session(raw.url)
            for _ in range(2):
                session = await client.web_socket_session(raw.url)
                session.cancel()
    assert seen == [None, "refused=1; also=2", "refused=1; also=2; opened=1"]


@pytest.mark.parametrize(
    "field",
    [
        b"a=\xff\xfe; Path=/",
        b"a=" + b"x" * 4200,
        b"a=b; Domain=\xc3\xa9.test",
        b"",
        b";;;",
        b"=",
        b"a=b; Max-Age=; Expires=; Path; Domain=; ;=;",
    ],
)
async def test_odd_fields_do_no_harm(engine: EngineFactory, field: bytes) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.read_request()
            seen.append(peer.request)
            await peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: %b\r\n"
                b"Set-Cookie: good=1; Path=/\r\n\r\n" % field
            )

    async with raw_server(script) as raw, HttpClient(engine, install(HttpCookies)) as client:
        for _ in range(2):
            response = await client.get(raw.url.replace("ws:", "http:"))
            assert response.status == 200
    assert b"good=1" in seen[1]


async def test_a_file_outlives_the_client(
    engine: EngineFactory, server: EchoServer, tmp_path: Path
) -> None:
    path = tmp_path / "cookies.json"
    async with HttpClient(engine, install(HttpCookies, storage=FileCookies(path))) as client:
        await client.get(f"{server.http_url}/cookies/set?sid=1")
    async with HttpClient(engine, install(HttpCookies, storage=FileCookies(path))) as client:
        response = await client.get(f"{server.http_url}/cookies")
        assert await response.body_as_text() == "sid=1"

"""Digest: the vectors of the RFC, beside another client, and against a server that checks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client import (
    AuthError,
    Body,
    Headers,
    HttpClient,
    HttpRequest,
    HttpResponse,
    Url,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.http import HttpMethod
from ktor_client.plugins import (
    Auth,
    DigestAuth,
    LayerKind,
    PluginScope,
    Send,
    WebSockets,
    client_plugin,
)
from ktor_client.plugins.auth import digest
from ktor_client.plugins.auth.challenge import parse_challenges
from ktor_client.plugins.auth.digest import MAX_ORIGINS, MAX_REPEATS
from ktor_client.testing import MockAcceptance, MockPeerSession, MockResponse, accept, respond
from tests.plugins.auth.digest_server import PASSWORD, REALM, USER, DigestServer

RFC = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="{}"'
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
JASON = (
    'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="{}", charset=UTF-8'
)
LEGACY = 'Digest algorithm=MD5, realm="realm", nonce="nonce"'


async def header_for(
    challenge: str,
    user: str,
    password: str,
    url: str,
    method: str = "GET",
    body: bytes | None = None,
) -> str:
    provider = DigestAuth(user, password)
    [parsed] = parse_challenges([challenge])
    assert provider.can_answer(parsed)
    request = HttpRequest(HttpMethod(method), Url.parse(url), Headers(), body)
    ready = await provider.authorize(request, parsed)
    assert ready is not None
    return ready.headers["authorization"]


def client_nonce(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    def fixed(_: int) -> str:
        return value

    monkeypatch.setattr(digest, "secrets", SimpleNamespace(token_hex=fixed))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
async def test_the_example_of_the_rfc(
    monkeypatch: pytest.MonkeyPatch, algorithm: str, response: str
) -> None:
    """RFC 7616 3.9.1."""
    client_nonce(monkeypatch, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    url = "http://www.example.org/dir/index.html"
    header = await header_for(RFC.format(algorithm, NONCE), USER, PASSWORD, url)
    assert f'response="{response}"' in header
    assert f"algorithm={algorithm}, qop=auth, nc=00000001, cnonce=" in header


async def test_the_international_example_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7616 3.9.2, with the values of its erratum 4897."""
    client_nonce(monkeypatch, "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v")
    challenge = JASON.format("5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK")
    url = "http://api.example.org/doe.json"
    response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    hidden = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    for name in ("J\u00e4s\u00f8n Doe", "Ja\u0308s\u00f8n Doe"):  # composed, as the RFC wants it
        header = await header_for(f"{challenge}, userhash=true", name, "Secret, or not?", url)
        assert f'username="{hidden}"' in header
        assert f'response="{response}"' in header
        assert header.endswith("userhash=true")
        header = await header_for(challenge, name, "Secret, or not?", url)
        assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, " in header
        assert f'response="{response}"' in header
        assert "userhash" not in header


@pytest.mark.parametrize(
    ("url", "response"),
    [
        ("http://h.test/path?param=value", "d51dd4b72db592e321b80d006d24c34c"),
        ("http://h.test", "59371c611ceaf1d6d76c6da3136e7f59"),
        ("http://h.test?x=1", "1313e773fecf0751fc8222d164931909"),
    ],
)
async def test_older_servers(url: str, response: str) -> None:
    """RFC 2069 and 2617: neither qop nor opaque; the values are those of Ktor's tests."""
    header = await header_for(LEGACY, "username", "pass", url)
    assert f'response="{response}"' in header
    assert not any(f"{name}=" in header for name in ("qop", "nc", "cnonce", "opaque"))


TEXTS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters='":\\,\x7f'), min_size=1
)


@given(
    st.sampled_from(["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "sha-256"]),
    st.sampled_from([None, "auth", "auth-int, auth", "auth,x"]),
    TEXTS,
    TEXTS,
    st.sampled_from(["/", "/a/b?c=d&e=%20", "/?q"]),
    st.sampled_from(["GET", "POST", "DELETE"]),
)
async def test_as_another_client_does_it(
    algorithm: str, qop: str | None, user: str, password: str, target: str, method: str
) -> None:
    if qop is None and algorithm.endswith("-sess"):
        qop = "auth"  # without it theirs sends no cnonce, which the server would need
    quality = "" if qop is None else f', qop="{qop}"'
    challenge = f'Digest realm="r, s", nonce="n=1", opaque="o", algorithm={algorithm}{quality}'
    with pytest.MonkeyPatch.context() as patch:
        client_nonce(patch, "0123456789abcdef")
        ours = await header_for(challenge, user, password, f"http://h.test{target}", method)

    theirs = httpx.DigestAuth(user, password)
    theirs._get_client_nonce = lambda *_: b"0123456789abcdef"  # type: ignore[method-assign]
    flow = theirs.auth_flow(httpx.Request(method, f"http://h.test{target}"))
    request = next(flow)
    refusal = httpx.Response(401, headers={"WWW-Authenticate": challenge}, request=request)
    expected = flow.send(refusal).headers.get_list("authorization")[0]
    expected = expected.encode("latin-1", "replace").decode("utf-8", "replace")

    def answer(header: str) -> str:
        return header.partition('response="')[2].partition('"')[0]

    assert answer(ours) == answer(expected)


# --- against a server ---


async def fetch(server: Any, *paths: str, **options: Any) -> tuple[list[int], MockEngine]:
    engine = MockEngine(server)
    provider = DigestAuth(options.pop("user", USER), options.pop("password", PASSWORD), **options)
    async with HttpClient(engine, install(Auth, providers=[provider])) as client:
        return [(await client.get(f"http://h.test{path}")).status for path in paths], engine


@pytest.mark.parametrize(
    "algorithm", [None, "MD5", "MD5-sess", "SHA-256", "sha-256-SESS", "SHA-512-256"]
)
@pytest.mark.parametrize("qop", [None, "auth", "auth-int", "auth-int, auth, future"])
async def test_every_algorithm(algorithm: str | None, qop: str | None) -> None:
    server = DigestServer(algorithm, qop)
    statuses, _ = await fetch(server, "/", "/x?y=z", "/")
    assert statuses == [200, 200, 200]
    assert server.refusals == ["no credentials"]
    if qop is not None:
        assert [one["nc"] for one in server.answers] == ["00000001", "00000002", "00000003"]
        assert server.answers[0]["qop"] == ("auth-int" if qop == "auth-int" else "auth")


async def test_every_request_waits_for_its_challenge_where_that_is_asked_for() -> None:
    server = DigestServer()
    statuses, _ = await fetch(server, "/", "/", send_without_request=False)
    assert statuses == [200, 200]
    assert server.refusals == ["no credentials"] * 2
    assert [one["nc"] for one in server.answers] == ["00000001", "00000002"]  # of one nonce


@pytest.mark.parametrize("body", [b"", b"data", b"x" * 100_000])
async def test_the_body_is_protected(body: bytes) -> None:
    server = DigestServer(qop="auth-int")
    engine = MockEngine(server)
    options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(engine, options) as client:
        assert (await client.post("http://h.test/", body=body)).status == 200
    assert [request.body for request in engine.request_history] == [body, body]


async def test_a_nonce_that_is_used_up() -> None:
    server = DigestServer(uses=2)
    statuses, _ = await fetch(server, *["/"] * 5)
    assert statuses == [200] * 5
    assert server.refusals == ["no credentials", "used up nonce", "used up nonce"]


async def test_a_server_that_calls_every_nonce_stale() -> None:
    server = DigestServer(uses=0)
    statuses, _ = await fetch(server, "/")
    assert statuses == [401]
    assert len(server.answers) == MAX_REPEATS


async def test_a_new_nonce_without_a_word() -> None:
    """Where a challenge is answered unasked, a 401 may mean that the nonce was old."""
    server = DigestServer(uses=1, says_stale=False)
    statuses, _ = await fetch(server, "/", "/", "/")
    assert statuses == [200] * 3
    server = DigestServer(uses=0, says_stale=False)
    statuses, _ = await fetch(server, "/", "/")
    assert statuses == [401, 401]  # the answer to a challenge was refused: it is the password


async def test_a_wrong_password_is_tried_once() -> None:
    server = DigestServer()
    statuses, _ = await fetch(server, "/", password="wrong")
    assert statuses == [401]
    assert server.refusals == ["no credentials", "wrong credentials"]


@pytest.mark.parametrize(
    "extra", ["charset=UTF-8", "userhash=true", "userhash=true, charset=UTF-8", ""]
)
async def test_users_beyond_ascii(extra: str) -> None:
    user, password = "J\u00e4s\u00f8n \u2603", "p\u00e4ss: w\u00f6rd"
    server = DigestServer(user=user, password=password, extra=extra)
    statuses, _ = await fetch(server, "/", user=user, password=password)
    assert statuses == [200]


async def test_quotes_and_backslashes() -> None:
    header = await header_for(
        'Digest realm="a \\"b\\" \\\\c", nonce="\\"", qop="auth"', 'q"u\\o', "p", "http://h.test/"
    )
    assert 'username="q\\"u\\\\o", realm="a \\"b\\" \\\\c", nonce="\\""' in header


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", nonce="n", algorithm=MD6',
        'Digest realm="r", nonce="n", qop="auth-conf"',
        'Digest realm="r", nonce="n", qop=""',
        "Digest",
        "Digest abc==",
        'Basic realm="r", nonce="n"',
    ],
)
async def test_a_challenge_that_cannot_be_answered(challenge: str) -> None:
    statuses, engine = await fetch(
        lambda request: respond("no", 401, {"WWW-Authenticate": challenge}), "/"
    )
    assert statuses == [401]
    assert len(engine.request_history) == 1


@pytest.mark.parametrize("in_one_field", [True, False])
async def test_the_first_challenge_that_can_be_answered(in_one_field: bool) -> None:
    challenges = [
        'Digest realm="realm", nonce="future-nonce", algorithm=SHA-3, qop="auth"',
        'Unknown a="b, Digest", c=d',
        'Digest realm="realm", nonce="sha-nonce", algorithm=SHA-256, qop="auth"',
        'Digest realm="realm", nonce="md5-nonce", algorithm=MD5, qop="auth"',
    ]
    if in_one_field:
        challenges = [", ".join(challenges)]

    def handle(request: HttpRequest) -> MockResponse | str:
        if "authorization" in request.headers:
            return "ok"
        return respond("", 401, [("WWW-Authenticate", one) for one in challenges])

    statuses, engine = await fetch(handle, "/")
    assert statuses == [200]
    assert 'nonce="sha-nonce"' in engine.request_history[1].headers["authorization"]


async def test_an_algorithm_that_this_python_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str, data: bytes = b"", **options: bool) -> object:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(digest, "hashlib", SimpleNamespace(new=lacking))
    statuses, engine = await fetch(DigestServer("SHA-512-256"), "/")
    assert statuses == [401]
    assert len(engine.request_history) == 1


async def test_realms() -> None:
    here = DigestServer()
    statuses, _ = await fetch(here, "/", realm=REALM)
    assert statuses == [200]
    statuses, engine = await fetch(DigestServer(), "/", realm="another")
    assert statuses == [401]
    assert len(engine.request_history) == 1


async def test_two_realms_two_passwords() -> None:
    one, two = (DigestServer(password=name, realm=name) for name in ("one", "two"))

    def handle(request: HttpRequest) -> MockResponse | str:
        return one(request) if request.url.path == "/one" else two(request)

    providers = [DigestAuth(USER, name, realm=name) for name in ("one", "two")]
    async with HttpClient(MockEngine(handle), install(Auth, providers=providers)) as client:
        for path in ("one", "two", "one", "two"):
            assert (await client.get(f"http://h.test/{path}")).status == 200


@pytest.mark.parametrize(
    ("domain", "unasked"),
    [
        ("", True),
        ("/", True),
        ("/x", True),
        ("/y /x/", True),
        ("http://h.test/x", True),
        ("/y", False),
        ("http://g.test/", False),
        ("http://g.test/ http://h.test/", True),
        ("gopher://h/", False),
    ],
)
async def test_what_belongs_to_a_challenge(domain: str, unasked: bool) -> None:
    server = DigestServer(extra=f'domain="{domain}"' if domain else "")
    statuses, _ = await fetch(server, "/x/1", "/x/2")
    assert statuses == [200, 200]
    assert len(server.refusals) == (1 if unasked else 2)


async def test_the_next_nonce() -> None:
    server = DigestServer()

    def handle(request: HttpRequest) -> MockResponse | str:
        answer = server(request)
        if answer == "welcome":
            info = f'nextnonce="{server.renew()}", qop=auth'
            return respond("welcome", 200, {"Authentication-Info": info})
        return answer

    statuses, _ = await fetch(handle, "/", "/", "/")
    assert statuses == [200] * 3
    assert server.refusals == ["no credentials"]
    assert [one["nonce"] for one in server.answers] == ["nonce 1", "nonce 2", "nonce 3"]
    assert {one["nc"] for one in server.answers} == {"00000001"}


async def test_an_authentication_info_without_a_nonce() -> None:
    server = DigestServer()

    def handle(request: HttpRequest) -> MockResponse | str:
        answer = server(request)
        info = {"Authentication-Info": 'rspauth="x", qop=auth'}
        return respond("", 200, info) if answer == "welcome" else answer

    statuses, _ = await fetch(handle, "/", "/")
    assert statuses == [200, 200]
    assert [one["nc"] for one in server.answers] == ["00000001", "00000002"]


async def test_the_next_nonce_of_a_session_begins_a_new_one() -> None:
    server = DigestServer("MD5-sess")

    def handle(request: HttpRequest) -> MockResponse | str:
        answer = server(request)
        if answer == "welcome":
            return respond("", 200, {"Authentication-Info": f'nextnonce="{server.renew()}"'})
        return answer

    statuses, _ = await fetch(handle, "/", "/")
    assert statuses == [200, 200]
    assert server.refusals == ["no credentials"] * 2


async def test_many_requests_at_once_count_up() -> None:
    server = DigestServer()
    options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(MockEngine(server), options) as client:
        await client.get("http://h.test/")
        await asyncio.gather(*(client.get("http://h.test/") for _ in range(20)))
    assert [int(one["nc"], 16) for one in server.answers] == list(range(1, 22))


async def test_a_request_that_is_sent_once_more_before_its_first_answer() -> None:
    """The challenge came meanwhile, to somebody else; the request waits for one of its own."""
    holds, waits = asyncio.Event(), asyncio.Event()
    server = DigestServer()

    async def handle(request: HttpRequest) -> MockResponse | str:
        if request.url.path == "/slow" and not waits.is_set():
            waits.set()
            await holds.wait()
        return server(request)

    @client_plugin
    def Hedging(scope: PluginScope) -> None:
        async def layer(request: HttpRequest, send: Send) -> HttpResponse:
            async def hedge() -> HttpResponse:
                await waits.wait()
                await client.get("http://h.test/")
                response = await send(request)
                holds.set()
                return response

            _, response = await asyncio.gather(send(request), hedge())
            return response

        scope.on_send(layer, kind=LayerKind.COOKIES, when=lambda one: one.url.path == "/slow")

    auth = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(MockEngine(handle), auth, install(Hedging)) as client:
        assert (await client.get("http://h.test/slow")).status == 200
    assert server.refusals == ["no credentials"] * 3


async def test_handshakes() -> None:
    server = DigestServer()

    async def peer(session: MockPeerSession) -> None:
        await session.send("welcome")

    engine = MockEngine(server)

    def door(request: HttpRequest) -> MockAcceptance | MockResponse:
        answer = server(request)
        return accept(peer) if isinstance(answer, str) else answer

    engine.on_handshake("/ws", door)
    options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(engine, install(WebSockets), options) as client:
        for _ in range(2):
            async with client.web_socket("ws://h.test/ws?x=1") as session:
                assert await session.receive_text() == "welcome"
    assert len(engine.handshakes) == 3


async def test_challenges_are_forgotten() -> None:
    server = DigestServer()
    options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(MockEngine(server), options) as client:
        await client.get("http://h.test/")
        client.plugin(Auth).clear_tokens()
        server.renew()
        await client.get("http://h.test/")
    assert server.refusals == ["no credentials"] * 2


async def test_not_every_origin_is_remembered() -> None:
    servers = defaultdict[str, DigestServer](DigestServer)
    engine = MockEngine(lambda request: servers[request.url.host](request))
    provider = DigestAuth(USER, PASSWORD)
    async with HttpClient(engine, install(Auth, providers=[provider])) as client:
        for i in range(MAX_ORIGINS + 5):
            assert (await client.get(f"http://h{i}.test/")).status == 200
    assert len(provider._spaces) == MAX_ORIGINS


async def test_a_body_that_can_be_sent_once() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"data"

    options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(MockEngine(DigestServer()), options) as client:
        with pytest.raises(AuthError, match=r"async_generator\) can be sent only once") as caught:
            await client.post("http://h.test/", body=body())
        assert caught.value.response is not None
        assert caught.value.response.status == 401
        assert (await client.post("http://h.test/", body=body())).status == 200  # unasked
    options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
    async with HttpClient(MockEngine(DigestServer(qop="auth-int")), options) as client:
        assert (await client.get("http://h.test/")).status == 200
        with pytest.raises(AuthError, match=r"async_generator\) can be read only once"):
            await client.post("http://h.test/", body=body())


async def test_a_body_that_is_opened_again() -> None:
    opened: list[int] = []

    async def open_body() -> AsyncIterator[bytes]:
        opened.append(1)
        yield b"da"
        yield b"ta"

    for qop, times in (("auth", 2), ("auth-int", 3)):
        opened.clear()
        server = DigestServer(qop=qop)
        options = install(Auth, providers=[DigestAuth(USER, PASSWORD)])
        async with HttpClient(MockEngine(server), options) as client:
            response = await client.post("http://h.test/", body=Body(open_body))
            assert response.status == 200
        assert len(opened) == times


def test_mistaken_options() -> None:
    with pytest.raises(ValueError, match="no colon"):
        DigestAuth("a:b", "c")
    with pytest.raises(ValueError, match="the password has a control character"):
        DigestAuth("a", "b\n")
    with pytest.raises(ValueError, match="lone surrogate"):
        DigestAuth("a", "\ud800")
    with pytest.raises(TypeError, match="password is a str, not NoneType"):
        DigestAuth("a", None)  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(TypeError, match="realm is a str or None, not int"):
        DigestAuth("a", "b", 5)  # type: ignore[arg-type]  # pyright: ignore


def test_repr_shows_no_password() -> None:
    shown = repr(DigestAuth("user", "TOPSECRET", "r"))
    assert shown == "DigestAuth(user='user', password=***, realm='r')"

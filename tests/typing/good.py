"""Right uses, which both type checkers must accept. Not executed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, assert_never, assert_type

from ktor_client import (
    Backoff,
    Channels,
    ClientWebSocketSession,
    CloseReason,
    Connecting,
    DefaultClientWebSocketSession,
    Failure,
    FeedEvent,
    FeedState,
    Frame,
    Gap,
    Headers,
    HttpClient,
    HttpClientConfig,
    HttpRequest,
    HttpRequestBuilder,
    HttpResponse,
    Lost,
    Opened,
    Outbox,
    Position,
    PositionResume,
    Receipt,
    ReconnectingSession,
    RequestFailed,
    Resume,
    Resumed,
    Retry,
    RetryPolicy,
    Sent,
    SequenceResume,
    Stop,
    Stopped,
    Waiting,
    WebSocketCapability,
    WebSocketFeed,
    accept,
    basic_auth,
    bearer_auth,
    bounded,
    content_type,
    cookie,
    expect_success,
    header,
    install,
    on_download,
    on_upload,
    redacted,
    timeout,
    unlimited,
)
from ktor_client.engines import AiohttpEngine, EngineLike, HttpxEngine, MockEngine
from ktor_client.plugins import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    BearerTokens,
    BodyProgress,
    Cookie,
    DefaultRequest,
    DigestAuth,
    FileCookies,
    HttpCallValidator,
    HttpCookies,
    HttpRedirect,
    HttpRequestRetry,
    HttpTimeout,
    JsonConverter,
    Logging,
    LogLevel,
    PluginScope,
    RefreshTokensParams,
    RequestRetried,
    UserAgent,
    WebSocketDeflate,
    WebSocketReconnect,
    WebSockets,
    client_plugin,
)


@dataclass
class Customer:
    id: int
    name: str


@client_plugin
def Stamp(scope: PluginScope, *, text: str, times: int = 1) -> None:
    """A plugin made of a function."""


def company(config: HttpClientConfig) -> None:
    config.expect_success = True
    config.install(UserAgent, agent="demo/1")
    config.engine(limit=5)


def traced(request: HttpRequestBuilder) -> None:
    request.headers.set("X-Trace", "1")


class Sdk:
    """Hands its users' engine on."""

    def __init__(self, engine: EngineLike = None) -> None:
        self.client = HttpClient(engine, install(WebSockets))


async def chat(session: DefaultClientWebSocketSession) -> int:
    await session.send("hello")
    return 1


async def decide(failure: Failure) -> Retry | Stop | None:
    assert_type(failure.response, HttpResponse | None)
    return Stop("never") if failure.was_open else None


async def is_pending(request: HttpRequest, response: HttpResponse) -> bool:
    return response.status == 202


def mark(request: HttpRequest, failure: Failure) -> HttpRequest:
    return request.with_header("X-Attempt", str(failure.attempt))


async def progress(done: int, total: int | None) -> None:
    print(done, total)


def translate(error: Exception, request: HttpRequest) -> None:
    raise LookupError(request.url.path) from error


async def validate(response: HttpResponse) -> None:
    await response.body_as_text()


async def load() -> BearerTokens | None:
    return None


async def refresh(params: RefreshTokensParams) -> BearerTokens:
    assert_type(params.client, HttpClient)
    assert_type(params.old_tokens, BearerTokens | None)
    return BearerTokens("a", refresh_token="b")


async def cookies_and_auth() -> None:
    client = HttpClient(
        None,
        install(HttpCookies),
        install(HttpCookies, storage=FileCookies("c.json"), cookies={"http://h/": {"a": "b"}}),
        install(HttpCookies, cookies={"a": "b"}),
        install(HttpCookies, cookies=[Cookie("a", "b", "example.org")]),
        install(Auth, providers=[BearerAuth(load, refresh), BearerAuth(lambda: BearerTokens("a"))]),
        install(Auth, providers=[BasicAuth("a", "b", "realm"), DigestAuth("a", "b")]),
        install(Auth, providers=[ApiKeyAuth("k", send_without_request=lambda r: r.url.is_secure)]),
        install(Auth, providers=(BasicAuth("a", "b"),), reauthorize_on=lambda r: r.status == 403),
    )
    assert_type(await client.plugin(HttpCookies).get("http://h/"), list[Cookie])
    client.plugin(Auth).clear_tokens()


def plugins_of_requests() -> None:
    policy = RetryPolicy(Backoff(first=timedelta(seconds=1)), max_attempts=3, decide=decide)
    assert_type(policy.backoff.first, float)
    HttpClient(
        None,
        install(HttpTimeout, request_timeout=timedelta(seconds=3), socket_timeout=None),
        install(HttpRequestRetry, policy=policy, retry_if=is_pending, modify_request=mark),
        install(HttpRequestRetry, max_retries=None, retry_on=lambda _, error: not str(error)),
        install(Logging, level=LogLevel.ALL, logger=logging.getLogger("x"), sanitize=["iban"]),
        install(Logging, frames=True, sanitize=lambda name: name == "iban"),
        install(HttpCallValidator, validate=validate, on_error=translate),
        install(BodyProgress),
    )


async def blocks_of_requests(client: HttpClient) -> None:
    await client.get("http://h/", timeout(request=3, connect=None), expect_success())
    await client.post("http://h/", on_upload(progress), on_download(print), body=b"x")
    client.events.subscribe(RequestRetried, lambda failure: print(failure.attempt))


async def chunks() -> AsyncIterator[str]:
    yield "a"


async def main() -> None:
    client = HttpClient(
        AiohttpEngine,
        install(
            WebSockets,
            ping_interval=timedelta(seconds=20),
            timeout=5,
            channels=Channels(incoming=bounded(16), outgoing=unlimited()),
            extensions=[WebSocketDeflate(level=1)],
            content_converter=JsonConverter(),
        ),
        install(DefaultRequest, host="example.org"),
        install(Stamp, text="x", times=2),
        company,
    )
    HttpClient(partial(AiohttpEngine, limit=5), install(WebSockets))
    HttpClient(HttpxEngine(), install(WebSockets, ping_interval=None))
    HttpClient(MockEngine(), lambda config: config.install(WebSockets))
    HttpClient("aiohttp")
    Sdk()
    Sdk("httpx")
    Sdk(MockEngine())
    Sdk(AiohttpEngine)
    Sdk(partial(AiohttpEngine, limit=5))
    HttpClient(None, install(WebSockets))
    HttpClient()

    assert_type(client.plugin(WebSockets), WebSockets)
    assert_type(client.plugin_or_none(UserAgent), UserAgent | None)
    assert_type(client.is_supported(WebSocketCapability), bool)
    assert_type(client.config(company), HttpClient)

    async with client.web_socket("ws://h/p", header("X-Id", "1"), traced) as session:
        assert_type(session, DefaultClientWebSocketSession)
        assert_type(await session.incoming.receive(), Frame.Text | Frame.Binary)
        assert_type(session.close_reason, CloseReason)
        assert_type(await session.close_reason, CloseReason)
        assert_type(await session.receive_deserialized(Customer), Customer)
        assert_type(await session.ping(), float)
        session.ping_interval = 5
        await session.send_stream(chunks())
        async for message in session:
            assert_type(message, str | bytes)
        async for frame in session.incoming:
            match frame:
                case Frame.Text(text):
                    assert_type(text, str)
                case Frame.Binary(data):
                    assert_type(data, bytes)
                case _:
                    assert_never(frame)
            if isinstance(frame, Frame.Text):
                assert_type(frame.read_text(), str)

    assert_type(await client.web_socket(bearer_auth("t"), host="h").execute(chat), int)
    assert_type(
        await client.web_socket_session(host="", port=8080, path="/echo"),
        DefaultClientWebSocketSession,
    )
    async with client.wss(host="h", path="/", subprotocols=("chat",)) as secure:
        assert_type(secure, DefaultClientWebSocketSession)
    async with client.web_socket_raw("ws://h/") as raw:
        assert_type(raw, ClientWebSocketSession)
        assert_type(await raw.incoming.receive(), Frame)
    assert_type(await client.web_socket_raw_session("ws://h/"), ClientWebSocketSession)

    response = await client.get("http://h/", params={"a": 1, "b": ["x", "y"]})
    assert_type(response.status, int)
    assert_type(await response.body(Customer), Customer)
    assert_type(await response.body(list[Customer]), list[Customer])
    assert_type(await response.body(Customer | None), Any)
    blocks = accept("a/b"), basic_auth("user", "password"), content_type("a/b"), cookie("a", "1")
    await client.get("http://h/", *blocks)
    assert_type(redacted("http://h/?token=1"), str)
    assert_type(redacted(response.headers), Headers)
    strict = HttpClient(AiohttpEngine, expect_success=True, follow_redirects=False)
    strict.events.subscribe(RequestFailed, lambda failure: print(failure.request.url))
    install(HttpRedirect, max_redirects=5, check_http_method=True)
    await client.post("http://h/", json=Customer(1, "Jane"))
    async with client.prepare_get("http://h/") as streamed:
        async for chunk in streamed.chunks():
            assert_type(chunk, bytes)


# --- sessions that come back


def describe(event: FeedEvent) -> str:
    """Name every member; a new one is refused here until it is named too."""
    match event:
        case Connecting(attempt, url):
            assert_type(attempt, int)
            return f"attempt {attempt} at {url}"
        case Opened(generation, resumed):
            assert_type(resumed, bool)
            return f"connection {generation}"
        case Lost(failure):
            assert_type(failure, Failure)
            assert_type(failure.reason, CloseReason | None)
            return f"attempt {failure.attempt} failed"
        case Waiting(delay, until):
            assert_type(delay + until, float)
            return f"for {delay} s"
        case Gap(after, before, missed):
            assert_type(missed, int | None)
            return f"{missed} from {after} to {before}"
        case Stopped(failure):
            assert_type(failure, Failure | None)
            return "stopped"
        case _:
            assert_never(event)


def shown(item: str | bytes | FeedEvent) -> str:
    """Tell messages from events, exhaustively."""
    match item:
        case str():
            return item
        case bytes():
            return item.hex()
        case _:
            assert_type(item, FeedEvent)
            return describe(item)


def verdict_of(sent: Sent) -> str:
    match sent:
        case Sent.WRITTEN | Sent.ACKNOWLEDGED:
            return "sent"
        case Sent.UNKNOWN:
            return "perhaps"
        case Sent.NOT_SENT:
            return "not sent"
        case _:
            assert_never(sent)


def state_of(state: FeedState) -> bool:
    match state:
        case FeedState.OPEN:
            return True
        case FeedState.CONNECTING | FeedState.WAITING | FeedState.STOPPED:
            return False
        case _:
            assert_never(state)


class Gateway(Resume):
    """A plug of the user's."""

    async def on_open(
        self, session: DefaultClientWebSocketSession, position: Any
    ) -> Resumed | bool | None:
        await session.send(f"resume {position}")
        return True

    def position_of(self, message: str | bytes) -> int | None:
        return len(message)


async def ask(
    session: DefaultClientWebSocketSession, position: Position | None
) -> Resumed | bool | None:
    await session.send(str(position and position.offset))
    return Resumed(complete=True)


async def fresh_headers() -> dict[str, str]:
    return {"X-Token": "1"}


async def subscribe(session: DefaultClientWebSocketSession) -> None:
    await session.send("subscribe")


async def first_text(session: ReconnectingSession) -> str:
    return await session.receive_text()


async def come_back(client: HttpClient) -> None:
    async for session in client.web_socket_reconnecting("ws://h/", on_open=subscribe):
        assert_type(session, ReconnectingSession)
        async with session as same:
            assert_type(same, ReconnectingSession)
            async for message in session:
                assert_type(message, str | bytes)
    assert_type(await client.web_socket_reconnecting("ws://h/").execute(first_text), str | None)

    async with client.web_socket_reconnecting(
        ["ws://a/", lambda: "ws://b/"],
        headers=fresh_headers,
        params=lambda: {"token": "1"},
        policy=RetryPolicy(decide=lambda failure: Stop() if failure.was_open else None),
        outbox=Outbox(64, when_full="drop_oldest", mode="at_least_once", expires=30),
        resume=SequenceResume(),
        max_age=timedelta(hours=1),
        overlap=True,
    ) as feed:
        assert_type(feed, WebSocketFeed)
        receipt = await feed.send("order", key="bid")
        assert_type(receipt, Receipt)
        assert_type(await receipt, Sent)
        assert_type(receipt.verdict, Sent | None)
        assert_type(await feed.receive_deserialized(Customer), Customer)
        assert_type(await feed.incoming.receive(), Frame.Text | Frame.Binary)
        assert_type(feed.session, DefaultClientWebSocketSession | None)
        async for message in feed:
            assert_type(message, str | bytes)
        async for event in feed.events:
            assert_type(event, FeedEvent)
            print(describe(event))
        async for item in feed.merged():
            assert_type(item, str | bytes | FeedEvent)
            print(shown(item), state_of(feed.state))

    client.web_socket_reconnecting("ws://h/", resume=Gateway())
    client.web_socket_reconnecting("ws://h/", resume=PositionResume(ask, len, start=7))
    install(WebSocketReconnect, policy=RetryPolicy(), max_attempts_per_second=10)

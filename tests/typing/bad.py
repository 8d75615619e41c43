"""Wrong uses. Each line with `# wrong` must be refused by mypy and by pyright. Not executed."""

# pyright: reportUnusedCoroutine=false, reportUnknownLambdaType=false, reportUnknownMemberType=false

from __future__ import annotations

from functools import partial
from typing import assert_never

from ktor_client import (
    Backoff,
    Connecting,
    DefaultClientWebSocketSession,
    FeedEvent,
    HttpClient,
    HttpClientConfig,
    Lost,
    Opened,
    Outbox,
    RetryPolicy,
    Sent,
    SequenceResume,
    Stopped,
    Waiting,
    WebSocketFeed,
    basic_auth,
    install,
    on_upload,
    timeout,
)
from ktor_client.engines import AiohttpEngine
from ktor_client.plugins import (
    Auth,
    BasicAuth,
    BearerAuth,
    BearerTokens,
    BodyProgress,
    HttpCallValidator,
    HttpCookies,
    HttpRedirect,
    HttpRequestRetry,
    HttpTimeout,
    Logging,
    PluginScope,
    UserAgent,
    WebSocketReconnect,
    WebSockets,
    client_plugin,
)


@client_plugin
def Stamp(scope: PluginScope, *, text: str) -> None:
    """A plugin made of a function."""


async def asynchronous(config: HttpClientConfig) -> None:
    """A block must not be this."""


async def main(client: HttpClient, session: DefaultClientWebSocketSession) -> None:
    install(WebSockets, ping_intervall=20)  # wrong
    install(WebSockets, ping_interval="20s")  # wrong
    install(WebSockets, 20)  # wrong
    install(AiohttpEngine)  # wrong
    install(Stamp, txt="x")  # wrong
    install(Stamp)  # wrong
    install(UserAgent, agent=1)  # wrong
    install(HttpTimeout, request_timeout="3")  # wrong
    install(HttpTimeout, requests_timeout=3)  # wrong
    install(HttpRequestRetry, policy=3)  # wrong
    install(HttpRequestRetry, retry_if=lambda response: True)  # wrong
    install(HttpRequestRetry, max_retries="3")  # wrong
    install(Logging, level="INFO")  # wrong
    install(Logging, logger="name")  # wrong
    install(HttpCallValidator, validate=1)  # wrong
    install(BodyProgress, interval=1)  # wrong
    install(HttpCookies, storage="cookies.json")  # wrong
    install(HttpCookies, cookies="a=b")  # wrong
    install(Auth, provider=[BasicAuth("a", "b")])  # wrong
    install(Auth, providers=[("a", "b")])  # wrong
    BasicAuth("a")  # wrong
    BearerAuth("token")  # wrong
    BearerTokens()  # wrong
    RetryPolicy(backoff=1)  # wrong
    Backoff(jitter="some")  # wrong
    timeout(3)  # wrong
    on_upload(1)  # wrong
    HttpClient(AiohttpEngine, WebSockets)  # wrong
    HttpClient(install(WebSockets))  # wrong
    HttpClient(AiohttpEngine, asynchronous)  # wrong
    HttpClient(AiohttpEngine, lambda config: config.instal(WebSockets))  # wrong
    HttpClient(partial(AiohttpEngine, limits=5))  # wrong
    HttpClient(42)  # wrong
    HttpClient(AiohttpEngine, limit=5)  # wrong
    HttpClient(AiohttpEngine, expect_success="yes")  # wrong
    HttpClient(AiohttpEngine, expect_sucess=True)  # wrong
    install(HttpRedirect, check_http_method="no")  # wrong
    basic_auth("user")  # wrong
    await (await client.get("http://h/")).body()  # wrong
    config = HttpClientConfig()
    config.expect_sucess = True  # wrong
    client.plugin(WebSockets).nonsense()  # wrong
    client.web_socket("ws://h/", hots="h")  # wrong
    client.wss(host=1)  # wrong
    await client.web_socket_session("ws://h/", prot=1)  # wrong
    client.web_socket("ws://h/", header=("X-Id", "1"))  # wrong
    await session.send(1)  # wrong
    await session.close(1000)  # wrong
    session.max_frame_size = "1 MiB"  # wrong
    session.ping_interval = "20s"  # wrong
    session.is_open = False  # wrong
    await client.get("http://h/", body="x")  # wrong
    await client.post("http://h/", body=1)  # wrong
    client.web_socket("ws://h/", headers=["a"])  # wrong
    await client.web_socket("ws://h/").execute(lambda _: 5)  # wrong
    with client:  # wrong
        pass
    with client.web_socket("ws://h/"):  # wrong
        pass
    with session:  # wrong
        pass
    for _ in session:  # wrong
        pass
    number: int = await session.receive_text()  # wrong
    print(number)


def no_gap(event: FeedEvent) -> str:
    """A member is missing."""
    match event:
        case Connecting() | Opened() | Lost():
            return "about a connection"
        case Waiting() | Stopped():
            return "about none"
        case _:
            assert_never(event)  # wrong


def no_unknown(sent: Sent) -> str:
    """A verdict is missing."""
    match sent:
        case Sent.WRITTEN | Sent.ACKNOWLEDGED | Sent.NOT_SENT:
            return "known"
        case _:
            assert_never(sent)  # wrong


def forgets_bytes(item: str | bytes | FeedEvent) -> str:
    """Messages are text or bytes."""
    if isinstance(item, str):
        return item
    return no_gap(item)  # wrong


def synchronous(session: DefaultClientWebSocketSession) -> None:
    """An `on_open` must not be this."""


async def come_back(client: HttpClient, feed: WebSocketFeed) -> None:
    client.web_socket_reconnecting("ws://h/", polcy=RetryPolicy())  # wrong
    client.web_socket_reconnecting("ws://h/", policy=Backoff())  # wrong
    client.web_socket_reconnecting("ws://h/", on_open=synchronous)  # wrong
    client.web_socket_reconnecting("ws://h/", outbox=256)  # wrong
    client.web_socket_reconnecting("ws://h/", resume=SequenceResume)  # wrong
    client.web_socket_reconnecting(["ws://h/", 1])  # wrong
    client.web_socket_reconnecting("ws://h/", headers=lambda: 1)  # wrong
    Outbox(when_full="block")  # wrong
    Outbox(mode="exactly_once")  # wrong
    RetryPolicy(decide=lambda failure: True)  # wrong
    install(WebSocketReconnect, max_attempts=5)  # wrong
    await client.web_socket_reconnecting("ws://h/")  # wrong
    with client.web_socket_reconnecting("ws://h/"):  # wrong
        pass
    for _ in feed:  # wrong
        pass
    await feed.send(1)  # wrong
    await (await feed.send("x", kye=1))  # wrong
    feed.state = "open"  # wrong
    feed.session.cancel()  # wrong
    async for event in feed.events:
        print(event.attempt)  # wrong
    async for item in feed.merged():
        item.upper()  # wrong
    await feed.receive_deserialised(dict)  # wrong

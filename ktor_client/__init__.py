"""ktor-client: one HTTP and WebSocket client, engines you swap.

    async with HttpClient(AiohttpEngine, install(WebSockets)) as client:
        async with client.web_socket("ws://127.0.0.1:8080/echo") as session:
            await session.send("hello")
            frame = await session.incoming.receive()

The daily vocabulary is here; engines are in `ktor_client.engines`, plugins in
`ktor_client.plugins`, helpers for tests in `ktor_client.testing`. Each name is imported when it is
first used; no network library is, before an engine needs it.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktor_client._twin import implementation
    from ktor_client.channels import (
        ChannelLimit,
        ChannelOverflow,
        Channels,
        ReceiveChannel,
        SendChannel,
        bounded,
        unlimited,
    )
    from ktor_client.client import HttpClient, HttpStatement, WebSocketStatement
    from ktor_client.config import Block, HttpClientConfig, install
    from ktor_client.engine.capabilities import (
        Capability,
        CookiesCapability,
        ExtensionsCapability,
        FragmentationCapability,
        HandshakeHeadersCapability,
        ManualRedirectsCapability,
        PingCapability,
        ProxyCapability,
        RawFramesCapability,
        ReceiveBackpressureCapability,
        RefusedBodyCapability,
        SocketTimeoutCapability,
        StreamingUploadCapability,
        TimeoutCapability,
        TlsOptionsCapability,
        UnixSocketCapability,
        WebSocketCapability,
    )
    from ktor_client.engine.settings import (
        CONNECT_TIMEOUT,
        SOCKET_TIMEOUT,
        EngineSetting,
        timeout,
    )
    from ktor_client.errors import (
        AuthError,
        ChannelOverflowError,
        ClientClosedError,
        ClientRequestError,
        ConnectError,
        ConnectionClosedError,
        ConnectTimeoutError,
        ConverterError,
        ConverterNotFoundError,
        DeserializationError,
        DnsError,
        EngineUnavailableError,
        FrameTooBigError,
        InvalidUrlError,
        KtorClientError,
        OpenTimeoutError,
        OutboxFullError,
        PingTimeoutError,
        PluginNotInstalledError,
        ProtocolViolationError,
        ProxyError,
        ReconnectStoppedError,
        RedirectError,
        RequestTimeoutError,
        ResponseError,
        ServerResponseError,
        SocketTimeoutError,
        SseError,
        TlsError,
        UnsafeHeaderError,
        UnsupportedCapabilityError,
        WebSocketHandshakeError,
        WrongLoopError,
    )
    from ktor_client.frames import CloseReason, Frame, FrameType
    from ktor_client.http import (
        AttributeKey,
        Body,
        FilePart,
        Headers,
        HttpMethod,
        HttpRequest,
        HttpRequestBuilder,
        HttpResponse,
        RequestBlock,
        Url,
        accept,
        basic_auth,
        bearer_auth,
        content_type,
        cookie,
        expect_success,
        header,
        on_download,
        on_upload,
        parameter,
        redacted,
    )
    from ktor_client.plugin import (
        ClientEvent,
        Events,
        RequestCreated,
        RequestFailed,
        RequestFailure,
        ResponseReceived,
    )
    from ktor_client.reconnect import (
        Connecting,
        FeedEvent,
        FeedState,
        Gap,
        Lost,
        Opened,
        Outbox,
        Position,
        PositionResume,
        Receipt,
        ReconnectingSession,
        ReconnectingStatement,
        Resume,
        Resumed,
        Sent,
        SequenceResume,
        Stopped,
        Waiting,
        WebSocketFeed,
    )
    from ktor_client.retry import Backoff, Failure, Retry, RetryPolicy, Stop
    from ktor_client.session import (
        ClientWebSocketSession,
        DefaultClientWebSocketSession,
        DefaultWebSocketSession,
        HttpClientCall,
        SessionStatistics,
        WebSocketSession,
    )

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022  # grouped by room
    # which twin of the core runs
    "implementation",
    # channels
    "ChannelLimit",
    "ChannelOverflow",
    "Channels",
    "ReceiveChannel",
    "SendChannel",
    "bounded",
    "unlimited",
    # client, config
    "Block",
    "HttpClient",
    "HttpClientConfig",
    "HttpStatement",
    "WebSocketStatement",
    "install",
    # engine
    "Capability",
    "CookiesCapability",
    "ExtensionsCapability",
    "FragmentationCapability",
    "HandshakeHeadersCapability",
    "ManualRedirectsCapability",
    "PingCapability",
    "ProxyCapability",
    "RawFramesCapability",
    "ReceiveBackpressureCapability",
    "RefusedBodyCapability",
    "SocketTimeoutCapability",
    "StreamingUploadCapability",
    "TimeoutCapability",
    "TlsOptionsCapability",
    "UnixSocketCapability",
    "WebSocketCapability",
    "CONNECT_TIMEOUT",
    "EngineSetting",
    "SOCKET_TIMEOUT",
    "timeout",
    # errors
    "AuthError",
    "ChannelOverflowError",
    "ClientClosedError",
    "ClientRequestError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConverterError",
    "ConverterNotFoundError",
    "DeserializationError",
    "DnsError",
    "EngineUnavailableError",
    "FrameTooBigError",
    "InvalidUrlError",
    "KtorClientError",
    "OpenTimeoutError",
    "OutboxFullError",
    "PingTimeoutError",
    "PluginNotInstalledError",
    "ProtocolViolationError",
    "ProxyError",
    "ReconnectStoppedError",
    "RedirectError",
    "RequestTimeoutError",
    "ResponseError",
    "ServerResponseError",
    "SocketTimeoutError",
    "SseError",
    "TlsError",
    "UnsafeHeaderError",
    "UnsupportedCapabilityError",
    "WebSocketHandshakeError",
    "WrongLoopError",
    # frames
    "CloseReason",
    "Frame",
    "FrameType",
    # http
    "AttributeKey",
    "Body",
    "FilePart",
    "Headers",
    "HttpMethod",
    "HttpRequest",
    "HttpRequestBuilder",
    "HttpResponse",
    "RequestBlock",
    "Url",
    "accept",
    "basic_auth",
    "bearer_auth",
    "content_type",
    "cookie",
    "expect_success",
    "header",
    "on_download",
    "on_upload",
    "parameter",
    "redacted",
    # plugin
    "ClientEvent",
    "Events",
    "RequestCreated",
    "RequestFailed",
    "RequestFailure",
    "ResponseReceived",
    # reconnect
    "Connecting",
    "FeedEvent",
    "FeedState",
    "Gap",
    "Lost",
    "Opened",
    "Outbox",
    "Position",
    "PositionResume",
    "Receipt",
    "ReconnectingSession",
    "ReconnectingStatement",
    "Resume",
    "Resumed",
    "Sent",
    "SequenceResume",
    "Stopped",
    "Waiting",
    "WebSocketFeed",
    # retry
    "Backoff",
    "Failure",
    "Retry",
    "RetryPolicy",
    "Stop",
    # session
    "ClientWebSocketSession",
    "DefaultClientWebSocketSession",
    "DefaultWebSocketSession",
    "HttpClientCall",
    "SessionStatistics",
    "WebSocketSession",
]

_ROOMS = (
    "frames",
    "errors",
    "http",
    "channels",
    "engine.capabilities",
    "engine.settings",
    "plugin",
    "config",
    "client",
    "session",
    "retry",
    "reconnect",
    "_twin",
)
"""In the order in which they are asked; what most programs do without comes last."""


class _NoSuchModule:
    """The last of `sys.meta_path`: asked for a module of ours only when there is none."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.startswith("ktor_client."):
            from ktor_client.mistakes import tell_of_missing_module

            tell_of_missing_module(name)


sys.meta_path.append(_NoSuchModule)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import ktor_client` costs next to nothing."""
    if name in __all__:
        from importlib import import_module

        rooms = (import_module(f"ktor_client.{room}") for room in _ROOMS)
        value: object = getattr(next(room for room in rooms if name in room.__all__), name)
        globals()[name] = value
        return value
    from ktor_client.mistakes import absent

    raise absent(__name__, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""What an engine may be able to do. Asked for before any I/O; never guessed at afterwards."""

from __future__ import annotations

__all__ = [
    "ALL_CAPABILITIES",
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
]


class Capability:
    """One thing that an engine can do; compare by identity, `repr` is the name."""

    __slots__ = ("meaning", "name")

    name: str
    meaning: str

    def __init__(self, name: str, meaning: str) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "meaning", meaning)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.name} is a constant")

    def __reduce__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


WebSocketCapability = Capability("WebSocketCapability", "WebSockets")
HandshakeHeadersCapability = Capability(
    "HandshakeHeadersCapability", "request headers on the WebSocket handshake"
)
RawFramesCapability = Capability("RawFramesCapability", "raw sessions: every frame as it came")
FragmentationCapability = Capability(
    "FragmentationCapability", "sending a message in fragments, and counting those that come"
)
ExtensionsCapability = Capability(
    "ExtensionsCapability", "choosing extensions such as permessage-deflate"
)
PingCapability = Capability("PingCapability", "sending pings and seeing pongs")
ReceiveBackpressureCapability = Capability(
    "ReceiveBackpressureCapability", "holding the peer back while the consumer is slow"
)
ProxyCapability = Capability("ProxyCapability", "HTTP and SOCKS proxies")
TlsOptionsCapability = Capability(
    "TlsOptionsCapability", "options of TLS, such as the name on a certificate"
)
UnixSocketCapability = Capability("UnixSocketCapability", "Unix domain sockets")
RefusedBodyCapability = Capability(
    "RefusedBodyCapability", "status, headers and body of a refused handshake"
)
TimeoutCapability = Capability("TimeoutCapability", "a limit for connecting")
SocketTimeoutCapability = Capability("SocketTimeoutCapability", "a limit for silence")
StreamingUploadCapability = Capability(
    "StreamingUploadCapability", "request bodies from an async iterator"
)
ManualRedirectsCapability = Capability(
    "ManualRedirectsCapability", "seeing redirects instead of following them"
)
CookiesCapability = Capability("CookiesCapability", "sending Cookie and seeing Set-Cookie headers")

ALL_CAPABILITIES: tuple[Capability, ...] = (
    WebSocketCapability,
    HandshakeHeadersCapability,
    RawFramesCapability,
    FragmentationCapability,
    ExtensionsCapability,
    PingCapability,
    ReceiveBackpressureCapability,
    ProxyCapability,
    TlsOptionsCapability,
    UnixSocketCapability,
    RefusedBodyCapability,
    TimeoutCapability,
    SocketTimeoutCapability,
    StreamingUploadCapability,
    ManualRedirectsCapability,
    CookiesCapability,
)

"""Every exception of this library; nothing else.

    KtorClientError
    ├── EngineUnavailableError (ImportError)
    ├── PluginNotInstalledError (LookupError)
    ├── ClientClosedError (RuntimeError)
    ├── UnsupportedCapabilityError (NotImplementedError)
    ├── WrongLoopError (RuntimeError)
    ├── InvalidUrlError (ValueError)
    ├── UnsafeHeaderError (ValueError)
    ├── AuthError
    ├── ConnectError (ConnectionError)
    │   ├── DnsError
    │   ├── TlsError
    │   └── ProxyError
    ├── RequestTimeoutError (TimeoutError)
    │   ├── ConnectTimeoutError
    │   ├── OpenTimeoutError
    │   └── SocketTimeoutError
    ├── ResponseError
    │   ├── RedirectError
    │   ├── ClientRequestError
    │   ├── ServerResponseError
    │   ├── SseError
    │   └── WebSocketHandshakeError
    ├── ConnectionClosedError (ConnectionError)
    │   ├── ProtocolViolationError
    │   ├── FrameTooBigError
    │   ├── PingTimeoutError
    │   ├── ChannelOverflowError
    │   └── ReconnectStoppedError
    ├── OutboxFullError (BufferError)
    └── ConverterError
        ├── ConverterNotFoundError
        └── DeserializationError

The builtin in parentheses is what you would already catch. A foreign exception that caused one of
these is its `__cause__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktor_client.frames import CloseReason, Initiator

if TYPE_CHECKING:
    from ktor_client.frames import Frame
    from ktor_client.http import HttpResponse

__all__ = [
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
]


class KtorClientError(Exception):
    """The base class of everything this library raises for a failed request or session."""

    nothing_sent: bool = False
    """Whether it is certain that not a byte of the request has left; False where nobody knows."""


class EngineUnavailableError(KtorClientError, ImportError):
    """The engine is not installed, not known, or cannot run on this platform."""


class PluginNotInstalledError(KtorClientError, LookupError):
    """The client has not installed the requested plugin."""


class ClientClosedError(KtorClientError, RuntimeError):
    """The client was closed before the call."""


class UnsupportedCapabilityError(KtorClientError, NotImplementedError):
    """The engine cannot do what was asked; raised before any I/O."""


class WrongLoopError(KtorClientError, RuntimeError):
    """A client or session that is bound to one event loop was used on another."""


class InvalidUrlError(KtorClientError, ValueError):
    """The URL cannot be used for this request."""


class UnsafeHeaderError(KtorClientError, ValueError):
    """A header that the client owns, or a header that would smuggle bytes into the request."""


class AuthError(KtorClientError):
    """A provider of `Auth` has no credentials: one of your functions failed or took too long.

    `__cause__` is what it raised; `response` is the 401 that asked for more, or None if none came
    yet.
    """

    def __init__(self, message: str, response: HttpResponse | None = None) -> None:
        super().__init__(message)
        self.response = response


class ConnectError(KtorClientError, ConnectionError):
    """No connection could be made, or it broke before a response came."""


class DnsError(ConnectError):
    """The host name did not resolve."""

    nothing_sent = True


class TlsError(ConnectError):
    """The TLS handshake failed: untrusted certificate, wrong host name, no TLS, a cut."""


class ProxyError(ConnectError):
    """The proxy could not be reached or refused to connect."""

    nothing_sent = True


class RequestTimeoutError(KtorClientError, TimeoutError):
    """A time limit of the request expired."""


class ConnectTimeoutError(RequestTimeoutError):
    """A free connection, DNS, TCP, TLS and proxy together took longer than `connect_timeout`."""

    nothing_sent = True


class SocketTimeoutError(RequestTimeoutError):
    """No byte moved in either direction for `socket_timeout` while one was expected."""


class OpenTimeoutError(RequestTimeoutError):
    """The whole WebSocket handshake took longer than `open_timeout`."""


class ResponseError(KtorClientError):
    """A response arrived, but not one that can be used."""

    def __init__(self, message: str, response: HttpResponse | None = None) -> None:
        super().__init__(message)
        self._response = response

    @property
    def response(self) -> HttpResponse:
        """Status, headers and, read up to 1 MiB, the body."""
        if self._response is None:
            raise AttributeError(f"this {type(self).__name__} was made without a response")
        return self._response


class RedirectError(ResponseError):
    """An unexpected redirect (status 3xx under `expect_success`), too many, or an unsafe one."""


class ClientRequestError(ResponseError):
    """Status 4xx under `expect_success`."""


class ServerResponseError(ResponseError):
    """Status 5xx under `expect_success`."""


class SseError(ResponseError):
    """The answer is not an event stream, or one of its events is too large."""


class WebSocketHandshakeError(ResponseError):
    """The server did not open a WebSocket, or answered the handshake wrongly.

    A note, which tracebacks show, gives the URL and the beginning of the answer. If the body of the
    answer was late, cut off or could not be decoded, `__cause__` says so, and the response has what
    arrived.
    """

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked us to wait (`Retry-After`), or None."""
        return self.response.retry_after


class ConnectionClosedError(KtorClientError, ConnectionError):
    """The session has ended; `reason` says how, and `__cause__` is what the transport reported."""

    reason: CloseReason

    _ending: object = None
    """What tells the end of one session from that of another."""

    def __init__(self, message: str, *, reason: CloseReason | None = None) -> None:
        super().__init__(message)
        self.reason = CloseReason(1006) if reason is None else reason

    @property
    def initiator(self) -> Initiator | None:
        """Who ended it: "local" or "peer"."""
        return self.reason.initiator


class ProtocolViolationError(ConnectionClosedError):
    """The peer broke RFC 6455 or an extension's rules; we closed with 1002 or 1007."""


class FrameTooBigError(ConnectionClosedError):
    """A message was larger than `max_frame_size`; we closed with 1009."""


class PingTimeoutError(ConnectionClosedError):
    """No pong came within `timeout`, or the peer accepted no data; we closed with 1011."""


class ChannelOverflowError(ConnectionClosedError):
    """A channel with `ChannelOverflow.CLOSE`, or one that cannot wait, was full."""


class ReconnectStoppedError(ConnectionClosedError):
    """Sessions will not come back: the policy stopped trying.

    `__cause__` is the final error; `reason` is how the last session ended, or 1006 if none was
    open.
    """


class OutboxFullError(KtorClientError, BufferError):
    """There is no connection, and the outbox is full."""


class ConverterError(KtorClientError):
    """Something went wrong between an object and a frame."""


class ConverterNotFoundError(ConverterError):
    """`send_serialized` or `receive_deserialized` without a `content_converter`."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "No converter was found for websocket; "
            "add one: install(WebSockets, content_converter=JsonConverter())"
        )


class DeserializationError(ConverterError, ValueError):
    """A frame does not hold the requested type; `frame` is the consumed frame."""

    frame: Frame | None

    def __init__(self, message: str, frame: Frame | None = None) -> None:
        super().__init__(message)
        self.frame = frame

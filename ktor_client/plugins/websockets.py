"""The `WebSockets` plugin: its options, the check of the engine, and opening a session.

The handshake's rules are in `protocol/handshake.py`, the session's in `session/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ktor_client.channels import ChannelLimit, ChannelOverflow, Channels
from ktor_client.durations import Duration, optional_seconds, question, seconds
from ktor_client.engine import HttpClientEngine, WebSocketOptions, WebSocketUpgrade, capabilities
from ktor_client.engine.capabilities import (
    Capability,
    ExtensionsCapability,
    FragmentationCapability,
    PingCapability,
    RawFramesCapability,
    ReceiveBackpressureCapability,
    WebSocketCapability,
)
from ktor_client.engine.phases import was_still
from ktor_client.engine.refused import read_refusal
from ktor_client.engine.shared import require
from ktor_client.errors import OpenTimeoutError
from ktor_client.http import AttributeKey, HttpRequest, HttpResponse
from ktor_client.http.origins import may_go_elsewhere
from ktor_client.link import FrameLink
from ktor_client.link.time_limit import TimeLimit
from ktor_client.plugin import HttpClientPlugin, PluginScope
from ktor_client.plugins.refusal import handshake_error
from ktor_client.protocol import handshake
from ktor_client.protocol.extensions import WebSocketExtension, check_conflicts, close_codecs
from ktor_client.protocol.message import MAX_FRAGMENTS
from ktor_client.session import (
    ClientWebSocketSession,
    DefaultClientWebSocketSession,
    HttpClientCall,
    SessionCore,
    WebSocketContentConverter,
)
from ktor_client.session.base import checked_limit
from ktor_client.session.core import DEFAULT_CLOSE_TIMEOUT
from ktor_client.unset import UNSET

__all__ = ["SessionSettings", "WebSockets", "settings_of"]

OPEN_LIMIT: AttributeKey[TimeLimit] = AttributeKey("open_timeout, as it counts")
"""On the request of a handshake: whoever lets it wait before another attempt pauses the limit."""

DEFAULT_PING_INTERVAL = 20.0
DEFAULT_OPEN_TIMEOUT = 10.0
DEFAULT_MAX_FRAME_SIZE = 16 * 1024 * 1024
INBOX_BYTES = 64 * 1024 * 1024
"""Bytes that may wait in `incoming` where the engine cannot hold the peer back."""


class WebSockets(HttpClientPlugin):
    """WebSockets for a client (Ktor's `WebSockets`): `install(WebSockets, ping_interval=20)`."""

    def __init__(
        self,
        *,
        ping_interval: Duration | None = UNSET,
        timeout: Duration = UNSET,
        max_frame_size: int = DEFAULT_MAX_FRAME_SIZE,
        max_fragments: int = UNSET,
        channels: Channels = UNSET,
        close_timeout: Duration = DEFAULT_CLOSE_TIMEOUT,
        open_timeout: Duration = DEFAULT_OPEN_TIMEOUT,
        extensions: Sequence[WebSocketExtension] = (),
        content_converter: WebSocketContentConverter | None = None,
    ) -> None:
        """Check and keep the options. Durations are seconds or `timedelta`.

        Args:
            ping_interval: from a pong to the next keepalive ping; 20 s if the engine can ping. None
                turns keepalive off. A number above an hour draws a warning. From 5 s up, it may be
                up to a second longer.
            timeout: for the keepalive pong; by default twice `ping_interval`. Then the session
                closes with 1011 and raises `PingTimeoutError`. Has no effect without
                `ping_interval`.
            max_frame_size: bytes of a whole message after inflation, 16 MiB by default. A larger
                message closes the session with 1009 and raises `FrameTooBigError`.
            max_fragments: frames of one incoming message, 131,072 by default. More close the
                session with 1008 and raise `ProtocolViolationError`. Does not apply to raw
                sessions.
            channels: limits of `incoming` and `outgoing`; 64 messages or 4 MiB each.
            close_timeout: for the whole close handshake, 10 s; then the connection is dropped.
            open_timeout: for DNS, TCP, TLS, proxy and handshake together, 10 s. The body of a
                refusal may take half of the rest.
            extensions: offered in this order, for instance `[WebSocketDeflate()]`.
            content_converter: for `send_serialized` and `receive_deserialized`.

        Raises:
            ValueError: an option out of its range, or extensions that conflict.
            TypeError: an option of the wrong type.
        """
        self._ping_interval = (
            UNSET if ping_interval is UNSET else optional_seconds(ping_interval, "ping_interval")
        )
        if isinstance(ping_interval, int | float):
            question(ping_interval, "ping_interval")
        self._timeout = UNSET if timeout is UNSET else seconds(timeout, "timeout")
        if channels is not UNSET and not isinstance(channels, Channels):
            raise TypeError("channels takes Channels(incoming=bounded(64), outgoing=bounded(64))")
        self._max_frame_size = checked_limit(max_frame_size, "max_frame_size", "byte")
        self._max_fragments: int = MAX_FRAGMENTS
        self._counts_fragments = max_fragments is not UNSET
        if self._counts_fragments:
            self._max_fragments = checked_limit(max_fragments, "max_fragments", "fragment")
        self._channels: Channels = Channels() if channels is UNSET else channels
        self._close_timeout = seconds(close_timeout, "close_timeout")
        self._open_timeout = seconds(open_timeout, "open_timeout")
        if isinstance(extensions, WebSocketExtension) or not isinstance(extensions, Iterable):
            raise TypeError(f"extensions takes a sequence: extensions=[{extensions!r}]")
        self._extensions = tuple(extensions)
        for extension in self._extensions:
            if not isinstance(extension, WebSocketExtension):
                raise TypeError(
                    f"extensions takes instances such as WebSocketDeflate(), not {extension!r}"
                )
        check_conflicts(self._extensions)
        if not isinstance(content_converter, WebSocketContentConverter | None):
            raise TypeError(
                f"content_converter takes an instance such as JsonConverter(), "
                f"not {content_converter!r}"
            )
        self._converter = content_converter
        self._require: Callable[[str, str], None] | None = None

    def install(self, scope: PluginScope) -> None:
        """Register nothing: the client asks this plugin when it opens a session."""
        engine = scope.engine
        self._require = lambda name, what: require(engine, _capability(name), what)

    def check(self, engine: HttpClientEngine, *, raw: bool) -> None:
        """Check that the engine can do what the options ask, before any I/O.

        Raises:
            UnsupportedCapabilityError: it cannot; the message names the option.
        """
        require(engine, WebSocketCapability)
        if raw:
            require(engine, RawFramesCapability, "web_socket_raw")
        if self._ping_interval is not UNSET and self._ping_interval is not None:
            require(engine, PingCapability, "ping_interval")
        if self._timeout is not UNSET:
            require(engine, PingCapability, "timeout")
        if self._counts_fragments:
            require(engine, FragmentationCapability, "max_fragments")
        if self._extensions:
            require(engine, ExtensionsCapability, "extensions")
        if not self._channels._adapts:
            incoming = self._channels.incoming
            if incoming.capacity is not None and incoming.on_overflow is ChannelOverflow.SUSPEND:
                require(engine, ReceiveBackpressureCapability, "channels.incoming with SUSPEND")

    async def open(
        self, scope: PluginScope, request: HttpRequest, subprotocols: Sequence[str]
    ) -> DefaultClientWebSocketSession:
        """Open a default session through the layers of a scope: what `client.web_socket` does.

        Raises:
            WebSocketHandshakeError: the server refused or answered wrongly.
            OpenTimeoutError: opening took longer than `open_timeout`.
            ConnectError: no connection. Engine and plugins may raise other errors.
        """
        engine = scope.engine
        channels = self._channels_for(engine)
        answer = await self._upgrade(scope, request, subprotocols, channels, raw=False)
        pings = PingCapability in engine.capabilities
        default_interval = DEFAULT_PING_INTERVAL if pings else None
        core = answer.start(
            channels=channels,
            max_frame_size=self._max_frame_size,
            max_fragments=self._max_fragments,
            close_timeout=self._close_timeout,
            ping_interval=default_interval if self._ping_interval is UNSET else self._ping_interval,
            timeout=None if self._timeout is UNSET else self._timeout,
        )
        return DefaultClientWebSocketSession(
            core,
            answer.call,
            content_converter=self._converter,
            require=self._require,
        )

    async def open_raw(
        self, scope: PluginScope, request: HttpRequest, subprotocols: Sequence[str]
    ) -> ClientWebSocketSession:
        """Open a raw session. Raises what `open` raises."""
        engine = scope.engine
        channels = self._channels_for(engine)
        answer = await self._upgrade(scope, request, subprotocols, channels, raw=True)
        core = answer.start(
            channels=channels,
            max_frame_size=self._max_frame_size,
            close_timeout=self._close_timeout,
            raw=True,
        )
        return ClientWebSocketSession(core, answer.call)

    def _channels_for(self, engine: HttpClientEngine) -> Channels:
        channels = self._channels
        if not channels._adapts or ReceiveBackpressureCapability in engine.capabilities:
            return channels
        inbox = ChannelLimit(None, ChannelOverflow.CLOSE, INBOX_BYTES)
        return Channels(incoming=inbox, outgoing=channels.outgoing)

    async def _upgrade(
        self,
        scope: PluginScope,
        request: HttpRequest,
        subprotocols: Sequence[str],
        channels: Channels,
        *,
        raw: bool,
    ) -> _Answer:
        engine, extensions = scope.engine, self._extensions
        options = WebSocketOptions(
            subprotocols=subprotocols,
            max_frame_size=self._max_frame_size,
            raw=raw,
            channels=channels,
        )
        attempts: list[_Answer] = []

        async def shake_hands(attempt: HttpRequest) -> HttpResponse:
            key = handshake.make_key()
            offered = subprotocols
            if attempt.is_elsewhere:
                offered = tuple(filter(may_go_elsewhere, subprotocols))
            fields = handshake.request_headers(key, offered, extensions)
            attempt = attempt._with_handshake(fields)
            options.deadline = limit.deadline
            upgrade = await engine.open_web_socket(attempt, options)
            attempts.append(_Answer(upgrade, attempt, key, offered))
            if is_over:  # a layer has not waited for it
                upgrade.abort()
            return upgrade.response

        chosen: _Answer | None = None
        is_over = False
        limit = request.attributes[OPEN_LIMIT] = TimeLimit(engine.clock, self._open_timeout)
        try:
            try:
                async with limit:
                    response = await scope.send(request, via=shake_hands)
                    answer = next((a for a in attempts if response.is_made_of(a.response)), None)
                    link = None if answer is None else answer.upgrade.link
                    if link is None or response.status != 101:
                        await read_refusal(response, options, engine.clock)
                        await _refuse(response)
                    assert answer is not None
                    assert link is not None
                    answer.response = response
                    answer.verify(extensions)
                    answer.link = await scope.opened(link, answer.call)
            except TimeoutError as error:
                if not limit.is_over:
                    raise
                still = was_still(error) or ("" if attempts else "; no answer came")
                raise OpenTimeoutError(
                    f"{type(engine).__name__} did not open {request.url._shown} within "
                    f"open_timeout={self._open_timeout:g} s{still}"
                ) from error
            chosen = answer
            return answer
        finally:
            is_over = True
            if request.attributes.get(OPEN_LIMIT) is limit:
                del request.attributes[OPEN_LIMIT]
            for attempt in attempts:
                if attempt is not chosen:
                    attempt.abandon()


class SessionSettings(NamedTuple):
    """What a plugin says of each session on an engine, for who makes one stream of several."""

    open_timeout: float
    """Seconds that an opening may take."""
    incoming: ChannelLimit
    """Of the messages that wait to be received."""
    converter: WebSocketContentConverter | None
    """For typed messages, where there is one."""


def settings_of(plugin: WebSockets, engine: HttpClientEngine) -> SessionSettings:
    """Return what holds for the plugin's sessions on that engine: for the client, not for users."""
    incoming = plugin._channels_for(engine).incoming
    return SessionSettings(plugin._open_timeout, incoming, plugin._converter)


class _Answer:
    """One attempt at the handshake, and what came of it."""

    def __init__(
        self,
        upgrade: WebSocketUpgrade,
        request: HttpRequest,
        key: str,
        subprotocols: Sequence[str],
    ) -> None:
        self.upgrade = upgrade
        self.response = upgrade.response
        """What layers have made of it, in the end."""
        self.link: FrameLink | None = None
        """The connection's, or what plugins have put before it, in the end."""
        self._request = request
        self._key = key
        self._subprotocols = subprotocols
        self._negotiated = handshake.NOTHING

    @property
    def call(self) -> HttpClientCall:
        return HttpClientCall(self._request, self.response)

    def verify(self, extensions: Sequence[WebSocketExtension]) -> None:
        headers, version = self.response.headers, self.response.http_version
        try:
            if self.upgrade.verified and not extensions:
                self._negotiated = handshake.describe_choices(headers, self._subprotocols)
            elif self.upgrade.verified:
                self._negotiated = handshake.check_choices(headers, self._subprotocols, extensions)
            else:
                if version != "1.1":
                    raise ValueError(f"the answer is HTTP/{version}, not 1.1 (RFC 6455 4.2.2)")
                self._negotiated = handshake.verify(
                    headers, self._key, self._subprotocols, extensions
                )
        except ValueError as error:
            message = f"Handshake exception: {error}"
            raise handshake_error(message, self.response) from error

    def abandon(self) -> None:
        self.upgrade.abort()
        close_codecs(self._negotiated.codecs)

    def start(self, **options: Any) -> SessionCore:
        assert self.link is not None
        self._request.headers._forget_index()
        self.response.headers._forget_index()
        return SessionCore(self.link, negotiated=self._negotiated, **options)


async def _refuse(response: HttpResponse) -> None:
    if response.status == 101:
        message = "Handshake exception: the engine gave no connection with the 101"
    else:
        message = f"Handshake exception, expected status code 101 but was {response.status}"
    text = await response._text_for_messages()
    raise handshake_error(message, response, text) from response.body_error


def _capability(name: str) -> Capability:
    capability: Capability = getattr(capabilities, name)
    return capability

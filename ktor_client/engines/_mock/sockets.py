"""What handshakes meet in a `MockEngine`: `accept(...)`, and the 101, right or wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from ktor_client.channels import Channels, unlimited
from ktor_client.engines._mock.peer import Peer
from ktor_client.engines._mock.responses import MockResponse, raisable
from ktor_client.http import Headers, HeadersBuilder, HttpRequest, HttpResponse
from ktor_client.protocol.acceptance import accept as accept_handshake
from ktor_client.protocol.extensions import WebSocketExtension
from ktor_client.protocol.handshake import Negotiated

__all__ = [
    "HandshakeAnswer",
    "HandshakeHandler",
    "MockAcceptance",
    "accept",
    "answer_handshake",
    "checked_answer",
]


class MockAcceptance:
    """A handshake that is accepted; `accept(...)` makes it."""

    __slots__ = (
        "abandoned",
        "channels",
        "extensions",
        "headers",
        "peer",
        "raw",
        "subprotocols",
    )

    def __init__(
        self,
        peer: Peer,
        subprotocols: tuple[str, ...],
        extensions: tuple[WebSocketExtension, ...],
        headers: dict[str, str | None],
        channels: Channels,
        *,
        raw: bool,
    ) -> None:
        self.peer = peer
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.headers = headers
        self.channels = channels
        self.raw = raw
        self.abandoned: Callable[[], object] | None = None
        """Called when the client refuses the 101, so that the peer is never run."""

    def __repr__(self) -> str:
        return f"accept({getattr(self.peer, '__name__', self.peer)})"


HandshakeAnswer: TypeAlias = MockAcceptance | MockResponse | Exception
"""What a handshake may meet; a `MockResponse` refuses it, an exception is raised."""

HandshakeHandler: TypeAlias = Callable[
    [HttpRequest],
    HandshakeAnswer | type[Exception] | Awaitable[HandshakeAnswer | type[Exception]],
]


def accept(
    peer: Peer,
    *,
    subprotocols: Sequence[str] = (),
    extensions: Sequence[WebSocketExtension] = (),
    headers: Mapping[str, str | None] | None = None,
    raw: bool = False,
    channels: Channels | None = None,
) -> MockAcceptance:
    """Return a 101 for a handler of `on_handshake` to return, and the peer behind it.

    Args:
        peer: `async def peer(session)` that is run as the other side; returning closes the web
            socket with 1000.
        subprotocols: those that the server speaks; the client's favourite is chosen.
        extensions: those that the server supports, such as `[WebSocketDeflate()]`.
        headers: added to the 101, or replacing the right ones, such as a wrong
            `Sec-WebSocket-Accept`; None leaves a header out.
        raw: give the peer every frame, control frames and fragments too, and answer nothing.
        channels: limits of the peer's session, to see it held back; none unless given.

    Raises:
        UnsafeHeaderError: a header that cannot be sent.
    """
    if not callable(raisable(peer)):
        raise TypeError(f"peer is async def peer(session), not {peer!r}")
    if isinstance(subprotocols, str):
        raise TypeError(f'subprotocols is a sequence: subprotocols=("{subprotocols}",)')
    headers = dict(headers or {})
    HeadersBuilder({name: value or "" for name, value in headers.items()})  # refused here
    if channels is None:
        channels = Channels(incoming=unlimited(), outgoing=unlimited())
    return MockAcceptance(peer, tuple(subprotocols), tuple(extensions), headers, channels, raw=raw)


def checked_answer(answer: object, handler: object) -> HandshakeAnswer:
    """Return what a handler of handshakes returned.

    Raises:
        TypeError: nothing that answers a handshake.
    """
    answer = raisable(answer)
    if isinstance(answer, MockAcceptance | MockResponse | Exception):
        return answer
    name = getattr(handler, "__name__", repr(handler))
    raise TypeError(
        f"handler {name} returned {answer!r} for a handshake; return accept(peer), or respond(...) "
        "to refuse"
    )


def answer_handshake(
    request: HttpRequest, acceptance: MockAcceptance
) -> tuple[HttpResponse, Negotiated]:
    """Return the 101, and what the server's side speaks from then on."""
    fields, negotiated = accept_handshake(
        request.headers, acceptance.subprotocols, acceptance.extensions
    )
    headers = HeadersBuilder(fields)
    for name, value in acceptance.headers.items():
        if value is None:
            headers.remove(name)
        else:
            headers.set(name, value)
    response = HttpResponse(request, 101, Headers(headers.fields()), reason="Switching Protocols")
    return response, negotiated

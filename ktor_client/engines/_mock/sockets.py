"""How a `MockEngine` answers a handshake: rightly, or with what the test wants wrong about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ktor_client.engines._mock.peer import Peer
from ktor_client.engines._mock.responses import MockResponse
from ktor_client.http import Headers, HeadersBuilder, HttpRequest, HttpResponse
from ktor_client.protocol.acceptance import accept
from ktor_client.protocol.extensions import WebSocketExtension
from ktor_client.protocol.handshake import Negotiated

__all__ = ["SocketRoute", "answer_handshake"]


class SocketRoute:
    """What a handshake meets; the arguments of `MockEngine.on_web_socket`."""

    __slots__ = ("delay", "extensions", "headers", "subprotocols", "target", "wire")

    def __init__(
        self,
        target: Peer | MockResponse | Exception,
        subprotocols: Sequence[str],
        extensions: Sequence[WebSocketExtension],
        headers: Mapping[str, str | None] | None,
        delay: float,
        wire: bool,
    ) -> None:
        if isinstance(subprotocols, str):
            raise TypeError(f'subprotocols is a sequence: subprotocols=("{subprotocols}",)')
        self.target = target
        self.subprotocols = tuple(subprotocols)
        self.extensions = tuple(extensions)
        self.headers = dict(headers or {})
        self.delay = delay
        self.wire = wire


def answer_handshake(request: HttpRequest, route: SocketRoute) -> tuple[HttpResponse, Negotiated]:
    """Return the 101, and what the server's side speaks from then on."""
    fields, negotiated = accept(request.headers, route.subprotocols, route.extensions)
    headers = HeadersBuilder(fields)
    for name, value in route.headers.items():
        if value is None:
            headers.remove(name)
        else:
            headers.set(name, value)
    response = HttpResponse(request, 101, Headers(headers.fields()), reason="Switching Protocols")
    return response, negotiated

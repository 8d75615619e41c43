"""The server's half of the opening handshake (RFC 6455 4.2.2), for engines without a network."""

from __future__ import annotations

from collections.abc import Sequence

from ktor_client.http.headers import Headers
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    WebSocketExtension,
    format_extension,
    parse_extensions,
)
from ktor_client.protocol.handshake import Negotiated, accept_for

__all__ = ["accept"]


def accept(
    offer: Headers, subprotocols: Sequence[str] = (), extensions: Sequence[WebSocketExtension] = ()
) -> tuple[list[tuple[str, str]], Negotiated]:
    """Accept a handshake: return the fields of the 101, and what both sides then speak.

    Args:
        offer: the headers of the request.
        subprotocols: those that the server speaks; the client's favourite is chosen.
        extensions: those that the server has; the first offer that one agrees to is chosen.

    Raises:
        ValueError: the request is no opening handshake.
    """
    key = offer.get("sec-websocket-key")
    if key is None or offer.get("upgrade", "").lower() != "websocket":
        raise ValueError("the request is not an opening handshake (RFC 6455 4.1)")
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_for(key)),
    ]
    offered = [name.strip() for name in offer.get("sec-websocket-protocol", "").split(",")]
    subprotocol = next((name for name in offered if name in subprotocols), None)
    if subprotocol is not None:
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    agreed: list[tuple[WebSocketExtension, ExtensionCodec, str]] = []
    for name, parameters in parse_extensions(offer.get("sec-websocket-extensions", "")):
        for extension in extensions:
            if extension.name != name or any(extension is other for other, _, _ in agreed):
                continue
            answer = extension.agree(parameters)
            if answer is not None:
                agreed.append((extension, answer[1], format_extension(name, answer[0])))
    if agreed:
        fields.append(("Sec-WebSocket-Extensions", ", ".join(text for _, _, text in agreed)))
    return fields, Negotiated(subprotocol, *zip(*agreed, strict=True))

"""The opening handshake (RFC 6455 4): key, request headers, and the check of the answer.

No engine's word is trusted here: what a library says it verified is verified again.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ktor_client.http.headers import Headers, check_field, is_token
from ktor_client.http.redaction import redacted_value
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    WebSocketExtension,
    format_extension,
    format_offer,
    negotiate,
    parse_extensions,
)

__all__ = [
    "NOTHING",
    "Negotiated",
    "accept_for",
    "check_choices",
    "check_subprotocols",
    "describe_choices",
    "make_key",
    "request_headers",
    "verify",
]

_SUBPROTOCOL = "Sec-WebSocket-Protocol"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Negotiated(NamedTuple):
    """What both sides agreed on."""

    subprotocol: str | None = None
    extensions: tuple[WebSocketExtension, ...] = ()
    codecs: tuple[ExtensionCodec, ...] = ()
    descriptions: tuple[str, ...] = ()


NOTHING = Negotiated()
"""What most agree on: no subprotocol, no extension."""


def make_key() -> str:
    """Return a fresh `Sec-WebSocket-Key`: 16 random bytes in base64."""
    return b2a_base64(os.urandom(16), newline=False).decode()


def accept_for(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` that answers `key`."""
    from hashlib import sha1

    digest = sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return b2a_base64(digest, newline=False).decode()


def check_subprotocols(subprotocols: Sequence[str]) -> None:
    """Check an offer.

    Raises:
        ValueError: a name is not a token, or stands twice (RFC 6455 4.1).
        TypeError: a single string was given, or no names at all.
    """
    if subprotocols in ((), []):  # mostly
        return
    if isinstance(subprotocols, str):
        shown = redacted_value(_SUBPROTOCOL, subprotocols)
        raise TypeError(f'subprotocols is a sequence: subprotocols=("{shown}",)')
    if not isinstance(subprotocols, Iterable):
        raise TypeError(f"subprotocols is a sequence of names, not {type(subprotocols).__name__}")
    for number, name in enumerate(subprotocols, 1):
        if not (isinstance(name, str) and is_token(name)):
            raise ValueError(
                f"{_what_is_wrong(number, name)} is not a subprotocol name (RFC 6455 4.1)"
            )
    if len(set(subprotocols)) != len(subprotocols):
        names = redacted_value(_SUBPROTOCOL, ", ".join(subprotocols))
        raise ValueError(f"a subprotocol is offered twice: {names}")


def _what_is_wrong(number: int, name: object) -> str:
    """Show a name that is none, or where it goes wrong if it is long: tokens travel as such."""
    if not isinstance(name, str | bytes) or len(name) < 4:
        return repr(name)
    if isinstance(name, bytes):
        return f"subprotocol {number}, which is bytes,"
    wrong = next(sign for sign in name if not is_token(sign))
    return f"subprotocol {number}, which has {wrong!a} in it,"


def request_headers(
    key: str, subprotocols: Sequence[str], extensions: Sequence[WebSocketExtension]
) -> list[tuple[str, str]]:
    """Return the headers that make a GET an opening handshake.

    Raises:
        UnsafeHeaderError: an extension's parameters cannot be sent.
    """
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    if subprotocols:
        headers.append((_SUBPROTOCOL, ", ".join(subprotocols)))
    if extensions:
        offer = format_offer(extensions)
        check_field("Sec-WebSocket-Extensions", offer)
        headers.append(("Sec-WebSocket-Extensions", offer))
    return headers


def verify(
    headers: Headers,
    key: str,
    subprotocols: Sequence[str],
    extensions: Sequence[WebSocketExtension],
) -> Negotiated:
    """Check the headers of a 101 (RFC 6455 4.1, last list).

    Raises:
        ValueError: an item of the list does not hold; the message says which.
    """
    index = headers._by_name()
    upgrade = _single(index, "Upgrade")
    if upgrade is None or upgrade.lower() != "websocket":
        raise ValueError(f"the Upgrade header is {upgrade!r}, not 'websocket'")
    tokens = ",".join(index.get("connection", ())).lower().split(",")
    if "upgrade" not in map(str.strip, tokens):
        raise ValueError(
            f"the Connection header is {headers.get('connection')!r}, without 'Upgrade'"
        )
    accept = _single(index, "Sec-WebSocket-Accept")
    if accept != accept_for(key):
        raise ValueError(f"Sec-WebSocket-Accept is {accept!r}, which does not answer our key")
    return check_choices(headers, subprotocols, extensions)


def check_choices(
    headers: Headers, subprotocols: Sequence[str], extensions: Sequence[WebSocketExtension]
) -> Negotiated:
    """Check what the server chose: a subprotocol and extensions that were offered.

    Raises:
        ValueError: something was chosen that was not offered, or its parameters are illegal.
    """
    index = headers._by_name()
    chosen = _single(index, _SUBPROTOCOL)
    if chosen is not None and chosen not in subprotocols:
        raise ValueError(_not_offered(chosen, subprotocols))
    answer = ", ".join(index.get("sec-websocket-extensions", ()))
    if not answer:
        return NOTHING if chosen is None else Negotiated(chosen)
    return Negotiated(chosen, *zip(*negotiate(answer, extensions), strict=True))


def _not_offered(chosen: str, subprotocols: Sequence[str]) -> str:
    """Say what was chosen and offered. What may be a token is hidden, also where it is echoed."""
    secrets = [name.lower() for name in subprotocols if redacted_value(_SUBPROTOCOL, name) != name]
    if any(chosen.lower() in secret or secret in chosen.lower() for secret in secrets):
        chosen = redacted_value(_SUBPROTOCOL, chosen)
    offered = redacted_value(_SUBPROTOCOL, ", ".join(subprotocols)) if subprotocols else "none"
    return f"the server chose subprotocol {chosen!r}; offered: {offered}"


def _single(index: Mapping[str, tuple[str, ...]], name: str) -> str | None:
    values = index.get(name.lower())
    if values is None:
        return None
    if len(values) != 1:
        raise ValueError(f"there are {len(values)} {name} headers")
    return values[0].strip()


def describe_choices(headers: Headers, subprotocols: Sequence[str]) -> Negotiated:
    """Check the subprotocol, and take extensions as they are: the platform chose and applies them.

    Raises:
        ValueError: a subprotocol was chosen that was not offered.
    """
    fields = [field for field in headers.fields() if field[0].lower() != "sec-websocket-extensions"]
    chosen = check_choices(Headers(fields), subprotocols, ()).subprotocol
    header = headers.get("sec-websocket-extensions", "")
    return Negotiated(
        chosen,
        descriptions=tuple(
            format_extension(name, parameters) for name, parameters in parse_extensions(header)
        ),
    )

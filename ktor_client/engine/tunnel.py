"""Asking a proxy for a tunnel: HTTP CONNECT (RFC 9110 9.3.6) and SOCKS5 (RFC 1928, RFC 1929).

Sans-IO: each conversation is a generator that yields what to do next, and is sent what was read.
Sockets, and which proxy to ask, are the dialer's business.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Generator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from ktor_client.http1 import AnswerError, AnswerHead, AnswerParser

__all__ = [
    "Conversation",
    "Exactly",
    "Send",
    "Some",
    "TunnelRefusedError",
    "http_connect",
    "socks5",
]


class TunnelRefusedError(Exception):
    """The proxy said no, or nothing that makes sense; the message says what."""


class Send:
    """Write these bytes."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Exactly:
    """Read that many bytes."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class Some:
    """Read what is there, and wait for a byte at least."""

    __slots__ = ()


Conversation: TypeAlias = Generator[Send | Exactly | Some, bytes, bytes]
"""What a tunnel's set-up does; when it returns, the tunnel is open.

It returns what was read behind the proxy's answer.
"""

_NO_AUTHENTICATION, _PASSWORD, _NO_METHOD = 0, 2, 0xFF
_SOCKS_REPLIES = {
    1: "general failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


_find_schemes = re.compile(
    r"(?:^|,)[ \t]*([A-Z][\w-]{0,30})(?![\w-]|[ \t]*=)", re.ASCII | re.IGNORECASE
).findall
"""Finds the names of the ways to log in, in a `Proxy-Authenticate` (RFC 9110 11.7.1)."""


def basic_credentials(user: str, password: str) -> str:
    """Return the value of a `Proxy-Authorization` header (RFC 7617)."""
    return "Basic " + b2a_base64(f"{user}:{password}".encode(), newline=False).decode()


def http_connect(host: str, port: int, user: str | None, password: str | None) -> Conversation:
    """Ask an HTTP proxy for a tunnel; its answer is read by the rules of `http1/`.

    Raises:
        TunnelRefusedError: any answer but 2xx.
    """
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if user is not None:
        lines.append(f"Proxy-Authorization: {basic_credentials(user, password or '')}")
    yield Send("\r\n".join([*lines, "", ""]).encode())
    answers = AnswerParser("CONNECT")
    found = None
    try:
        while found is None:
            found = answers.feed((yield Some()))
    except AnswerError as error:
        raise TunnelRefusedError(f"it does not speak HTTP: {error}") from error
    head, rest = found
    status = head.status
    if not 200 <= status < 300:
        reason = head.reason.decode("latin-1").strip()
        hint = f"; {_wanted(head, user)}" if status == 407 else ""
        raise TunnelRefusedError(f"it answered CONNECT with {status} {reason}".rstrip() + hint)
    return rest


def _wanted(head: AnswerHead, user: str | None) -> str:
    """Say what a proxy wants that refuses what it got."""
    schemes = _find_schemes(head.values.get(b"proxy-authenticate", b"").decode("latin-1"))
    if schemes and "basic" not in map(str.lower, schemes):
        return f"it wants a login by {schemes[0]}, and only Basic is known here"
    return _login(user)


def _login(user: str | None) -> str:
    if user is None:
        return "it wants a user and a password in the proxy URL"
    return "it refused the user and the password of the proxy URL"


def socks5(host: str, port: int, user: str | None, password: str | None) -> Conversation:
    """Ask a SOCKS5 proxy for a connection; it resolves the name, so no DNS query leaks.

    Raises:
        TunnelRefusedError: the proxy wants other credentials, or could not connect.
    """
    methods = [_NO_AUTHENTICATION] if user is None else [_NO_AUTHENTICATION, _PASSWORD]
    yield Send(bytes((5, len(methods), *methods)))
    version, method = yield Exactly(2)
    if version != 5:
        raise TunnelRefusedError("it does not speak SOCKS5")
    if method not in methods:
        if method in (_PASSWORD, _NO_METHOD):
            raise TunnelRefusedError(_login(user))
        raise TunnelRefusedError("it wants another login in the proxy URL")
    if method == _PASSWORD:
        name, secret = (user or "").encode(), (password or "").encode()
        if not 1 <= len(name) <= 255 or len(secret) > 255:
            raise TunnelRefusedError("SOCKS5 users and passwords have at most 255 bytes")
        yield Send(bytes((1, len(name))) + name + bytes((len(secret),)) + secret)
        _, status = yield Exactly(2)
        if status != 0:
            raise TunnelRefusedError("it refused the user or the password")
    yield Send(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = yield Exactly(4)
    if version != 5:
        raise TunnelRefusedError("it does not speak SOCKS5")
    if reply != 0:
        raise TunnelRefusedError(_SOCKS_REPLIES.get(reply, f"SOCKS5 reply {reply}"))
    if kind not in (1, 3, 4):
        raise TunnelRefusedError("it does not speak SOCKS5")
    size = {1: 4, 4: 16}.get(kind) or (yield Exactly(1))[0]
    yield Exactly(size + 2)
    return b""


def _socks_address(host: str) -> bytes:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > 255:
            raise TunnelRefusedError("SOCKS5 host names have at most 255 bytes") from None
        return bytes((3, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed

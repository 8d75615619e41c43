"""Which proxy a URL goes through (an option's, the environment's, or none), and what it speaks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import unquote

from ktor_client.engine.tunnel import Conversation, basic_credentials, http_connect, socks5
from ktor_client.http import Url
from ktor_client.http.host import in_brackets, normal_host
from ktor_client.http.url_parts import has_surrogate

__all__ = ["Proxy", "environment_proxy"]


class _Kind(NamedTuple):
    """What is to be known of proxies of one scheme, all in one place."""

    default_port: int
    has_tls: bool
    forwards: bool
    converse: Callable[[str, int, str | None, str | None], Conversation]


_KINDS = {
    "http": _Kind(80, has_tls=False, forwards=True, converse=http_connect),
    "https": _Kind(443, has_tls=True, forwards=True, converse=http_connect),
    "socks5": _Kind(1080, has_tls=False, forwards=False, converse=socks5),
    "socks5h": _Kind(1080, has_tls=False, forwards=False, converse=socks5),
}
_LIKE = "a proxy is a URL such as 'http://user:password@host:3128'"
_server = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?").fullmatch


class Proxy:
    """A proxy's address and credentials. `str` and `repr` hide the credentials."""

    __slots__ = ("_kind", "host", "password", "port", "scheme", "user")

    def __init__(self, text: str) -> None:
        """Parse "http://user:password@host:port"; also https and socks5.

        Raises:
            ValueError: not such a URL. The message repeats nothing of it: where a password is not
                encoded, no part of the text is known to be none of it.
            TypeError: no text at all.
        """
        if not isinstance(text, str):
            raise TypeError(f"proxy is a URL such as 'http://host:3128', not {type(text).__name__}")
        scheme, mark, rest = text.partition("://")
        self.scheme = scheme.lower() if mark else "http"
        if self.scheme not in _KINDS:
            *most, last = (name for name in _KINDS if name != "socks5h")  # which means socks5 here
            raise ValueError(f"{_LIKE}; its scheme is {', '.join(most)} or {last}")
        self._kind = _KINDS[self.scheme]
        login, at, server = (rest if mark else text).rpartition("@")
        if any(sign in login for sign in "/?#"):
            raise ValueError(
                f"{_LIKE}, with a / ? or # in user and password percent-encoded: %2F %3F %23"
            )
        found = _server(server.removesuffix("/"))
        port = None if found is None or not found[2] else int(found[2])
        if found is None or (port is not None and not 1 <= port <= 65535):
            raise ValueError(f"{_LIKE}; behind its host stands no port, 1..65535")
        try:
            self.host = normal_host(found[1])
        except ValueError as error:
            raise ValueError(f"{_LIKE}; its host {error}") from None
        self.port = self._kind.default_port if port is None else port
        user, colon, password = login.partition(":")
        self.user = unquote(user) if at else None
        self.password = unquote(password) if colon else None
        if has_surrogate(login):
            raise ValueError(f"{_LIKE}; its user or password has a lone surrogate")

    @property
    def has_tls(self) -> bool:
        """Whether the way to it is TLS."""
        return self._kind.has_tls

    @property
    def forwards(self) -> bool:
        """Whether it takes plain HTTP in the absolute form, without a tunnel (RFC 9112 3.2.2)."""
        return self._kind.forwards

    def converse(self, host: str, port: int) -> Conversation:
        """Return what is said to get a tunnel to a server."""
        return self._kind.converse(host, port, self.user, self.password)

    def credentials(self) -> str:
        """Return the value of a `Proxy-Authorization` header."""
        return basic_credentials(self.user or "", self.password or "")

    def key(self) -> tuple[object, ...]:
        """Return what makes two proxies the same."""
        return (self.scheme, self.host, self.port, self.user, self.password)

    def __str__(self) -> str:
        return f"{self.scheme}://{in_brackets(self.host)}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({str(self)!r})"


def environment_proxy(url: Url, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for a URL.

    ws goes as http does, wss as https. Lower-case names come first. HTTP_PROXY in capitals is not
    believed where REQUEST_METHOD is set: under CGI a client's header would have made it.

    Raises:
        ValueError: a variable does not hold a proxy's URL; the message says which one.
    """

    def find(*names: str) -> tuple[str, str]:
        for name in names:
            if name == "HTTP_PROXY" and "REQUEST_METHOD" in environment:
                continue
            if value := environment.get(name, "").strip():
                return name, value
        return "", ""

    own = "https_proxy" if url.is_secure else "http_proxy"
    name, text = find(own, own.upper(), "all_proxy", "ALL_PROXY")
    if not text or _bypassed(url, find("no_proxy", "NO_PROXY")[1]):
        return None
    try:
        return Proxy(text)
    except ValueError as error:
        raise ValueError(f"the variable {name} does not hold a proxy's URL: {error}") from None


def _bypassed(url: Url, no_proxy: str) -> bool:
    """Whether NO_PROXY lists the host: a name, a domain, an address, a network, or "*"."""
    for entry in no_proxy.split(","):
        name = entry.strip()
        if name == "*" or (name and _matches(url, name)):
            return True
    return False


def _matches(url: Url, entry: str) -> bool:
    host, separator, port = entry.rpartition(":")
    if separator and port.isdigit() and (":" not in host or host.endswith("]")):
        if int(port) != url.port:
            return False
    else:
        host = entry
    host = host.strip("[]")
    try:
        return ip_address(url.host) in ip_network(host, strict=False)
    except ValueError:
        pass
    try:
        domain = normal_host(host.removeprefix("*").lstrip(".")).rstrip(".")
    except ValueError:
        return False  # of no host
    return f".{url.host.rstrip('.')}".endswith(f".{domain}")

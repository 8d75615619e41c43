"""Which proxy a URL goes through: an option's, the environment's, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from ktor_client.engine.tunnel import basic_credentials
from ktor_client.http import Url

__all__ = ["Proxy", "environment_proxy"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class Proxy:
    """A proxy's address and credentials. `str` and `repr` hide the credentials."""

    __slots__ = ("host", "password", "port", "scheme", "user")

    def __init__(self, text: str) -> None:
        """Parse "http://user:password@host:port"; also https and socks5.

        Raises:
            ValueError: not such a URL; the message does not repeat the credentials.
        """
        if not isinstance(text, str):
            raise TypeError(f"proxy is a URL such as 'http://host:3128', not {type(text).__name__}")
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(
                f"proxy scheme {parts.scheme!r} is not supported; use http, https or socks5"
            )
        try:
            port = parts.port
        except ValueError as error:
            raise ValueError(f"the proxy's port is wrong: {error}") from None
        if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("proxy is a URL such as 'http://user:password@host:3128'")
        self.scheme = parts.scheme
        self.host = parts.hostname
        self.port = _DEFAULT_PORTS[parts.scheme] if port is None else port
        self.user = None if parts.username is None else unquote(parts.username)
        self.password = None if parts.password is None else unquote(parts.password)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5 rather than HTTP."""
        return self.scheme.startswith("socks")

    def credentials(self) -> str:
        """Return the value of a `Proxy-Authorization` header."""
        return basic_credentials(self.user or "", self.password or "")

    def key(self) -> tuple[object, ...]:
        """Return what makes two proxies the same."""
        return (self.scheme, self.host, self.port, self.user, self.password)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({str(self)!r})"


def environment_proxy(url: Url, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for a URL.

    ws goes as http does, wss as https. Lower-case names come first. HTTP_PROXY in capitals is not
    believed where REQUEST_METHOD is set: under CGI a client's header would have made it.

    Raises:
        ValueError: the variable does not hold a proxy URL.
    """

    def read(name: str) -> str:
        value = environment.get(name, "")
        if not value and not (name == "http_proxy" and "REQUEST_METHOD" in environment):
            value = environment.get(name.upper(), "")
        return value.strip()

    text = read("https_proxy" if url.is_secure else "http_proxy") or read("all_proxy")
    if not text or _bypassed(url, read("no_proxy")):
        return None
    return Proxy(text)


def _bypassed(url: Url, no_proxy: str) -> bool:
    """Whether NO_PROXY lists the host: a name, a domain, an address, a network, or "*"."""
    for entry in no_proxy.split(","):
        name = entry.strip().lower()
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
        domain = host.removeprefix("*").lstrip(".")
        return url.host == domain or url.host.endswith(f".{domain}")

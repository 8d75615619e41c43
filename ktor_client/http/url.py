"""URLs of http, https, ws and wss (RFC 3986; RFC 6455 3): parsing, checking, building.

Which scheme suits which call, and default hosts, are decided by the client.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn, TypeAlias
from urllib.parse import quote, unquote, urljoin, urlsplit

from ktor_client.errors import InvalidUrlError
from ktor_client.http.parameters import ParametersLike, encoded_parameters
from ktor_client.http.redaction import redacted_query

__all__ = ["Url", "UrlBuilder"]

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
SECURE_SCHEMES = frozenset({"https", "wss"})

_PATH_SAFE = "/:@!$&'()*+,;=-._~%"
_QUERY_SAFE = _PATH_SAFE + "?"
_bad_character = re.compile(r"[\x00-\x20\x7f\\]").search
_is_zone = re.compile(r"[A-Za-z0-9._~-]+").fullmatch
_has_port = re.compile(r"[^/?#]*:\d+(?![^/?#])").match
_is_query = re.compile(r"[A-Za-z0-9/:@!$&'()*+,;=\-._~%?]*").fullmatch
_bad_host = re.compile(r"[\x00-\x20\x7f/?#@\\<>^`{|}%\[\]:]").search


class Url:
    """An absolute URL, checked and normalised; it never changes. `str(url)` goes to the engine.

    `repr` hides the credentials; `str` has none: they become an `Authorization` header.
    """

    __slots__ = ("_text", "host", "password", "path", "port", "query", "scheme", "user")

    scheme: str
    host: str
    port: int
    path: str
    query: str
    user: str | None
    password: str | None
    _text: str

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int | None = None,
        path: str = "/",
        query: str = "",
        user: str | None = None,
        password: str | None = None,
    ) -> None:
        """Check the parts; `path` and `query` are taken as already percent-encoded where needed.

        Raises:
            InvalidUrlError: unknown scheme, empty or illegal host, port outside 1..65535, a
                fragment, or a control character that would smuggle bytes into the request.
            TypeError: a port that is no int.
        """
        if scheme not in DEFAULT_PORTS:
            raise unknown_scheme(scheme)
        if port is None:
            port = DEFAULT_PORTS[scheme]
        elif isinstance(port, bool) or not isinstance(port, int):
            raise TypeError(f"port is an int, not {type(port).__name__}")
        elif not 1 <= port <= 65535:
            raise InvalidUrlError(f"port {port} is outside 1..65535")
        if _bad_character(path) or _bad_character(query):
            part = "path" if _bad_character(path) else "query"
            raise InvalidUrlError(f"the {part} has a space, backslash or control character")
        if "#" in path or "#" in query:  # in a request line it is no URL (RFC 9112 3.2.1)
            part = "path" if "#" in path else "query"
            raise InvalidUrlError(f"the {part} has a fragment (#), which is never sent")
        path = path if path.startswith("/") else f"/{path}"
        self._set(scheme, _checked_host(host), port, path, query, user, password)

    def _set(
        self,
        scheme: str,
        host: str,
        port: int,
        path: str,
        query: str,
        user: str | None,
        password: str | None,
    ) -> None:
        write = super().__setattr__
        write("scheme", scheme)
        write("host", host)
        write("port", port)
        write("path", path)
        write("query", query)
        write("user", user)
        write("password", password)
        write("_text", f"{scheme}://{self.authority}{self.target}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"a Url does not change: make another one, or set request.url.{name} in a request block"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Url does not change: its {name} cannot be deleted")

    @staticmethod
    def parse(text: str) -> Url:
        """Parse an absolute URL. Raises `InvalidUrlError` where `UrlBuilder.take_from` does."""
        url = absolute_url(text)
        if url is None:
            raise InvalidUrlError(f"{_shown(text)} is not an absolute URL such as ws://host/path")
        return url

    @property
    def is_secure(self) -> bool:
        """Whether the connection is TLS: https or wss."""
        return self.scheme in SECURE_SCHEMES

    @property
    def authority(self) -> str:
        """Host, and the port where it is not the scheme's own: the `Host` header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def as_http(self) -> str:
        """The text for a library that knows no ws and wss: they become http and https."""
        text = self._text
        return text if text.startswith("http") else f"http{text[2:]}"  # ports are the same

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What must be equal for credentials to follow a redirect: TLS or not, host, port."""
        return (self.is_secure, self.host, self.port)

    @property
    def target(self) -> str:
        """Path and query, as in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def join(self, location: str) -> Url:
        """Resolve a `Location`, absolute or relative, against this URL.

        A fragment is for whoever shows the answer (RFC 9110 10.2.2); it is dropped, never sent. A
        blank is followed as %20.

        Raises:
            InvalidUrlError: the result is not a URL that can be requested.
        """
        location = location.strip(" ").replace(" ", "%20")
        if _bad_character(location):
            raise InvalidUrlError(f"Location {_shown(location)} has a control character")
        try:
            place, _, fragment = location.partition("#")
            joined = urljoin(self.as_http, place)
        except ValueError:  # which may show credentials
            raise InvalidUrlError(f"cannot follow Location {_shown(location)}") from None
        try:
            return Url.parse(joined)
        except InvalidUrlError as error:
            if "@" in fragment:  # perhaps the rest of a password: the error may show its start
                raise InvalidUrlError(f"cannot follow Location {_shown(location)}") from None
            raise InvalidUrlError(f"cannot follow Location {_shown(location)}: {error}") from error

    def with_scheme(self, scheme: str) -> Url:
        """Return this URL under another scheme; a default port becomes the new default."""
        if scheme == self.scheme:
            return self
        if scheme not in DEFAULT_PORTS:
            raise unknown_scheme(scheme)
        port = self.port
        if port == DEFAULT_PORTS[self.scheme]:
            port = DEFAULT_PORTS[scheme]
        url = object.__new__(Url)  # the parts were checked
        url._set(scheme, self.host, port, self.path, self.query, self.user, self.password)
        return url

    def _asked(self, query: str) -> Url:
        url = object.__new__(Url)  # a query is checked by who calls this
        url._set(self.scheme, self.host, self.port, self.path, query, self.user, self.password)
        return url

    def __reduce__(self) -> tuple[type[Url], tuple[str | int | None, ...]]:
        parts = (self.scheme, self.host, self.port, self.path, self.query, self.user, self.password)
        return Url, parts

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        secret = "***@" if self.user is not None else ""
        query = f"?{redacted_query(self.query)}" if self.query else ""
        return f"Url('{self.scheme}://{secret}{self.authority}{self.path}{query}')"

    @property
    def _shown(self) -> str:
        """What messages show: nothing secret, so no query either."""
        return f"{self.scheme}://{self.authority}{self.path}{'?...' if self.query else ''}"

    def _key(self) -> tuple[object, ...]:
        return (str(self), self.user, self.password)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Url) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def unknown_scheme(scheme: str) -> InvalidUrlError:
    return InvalidUrlError(f"scheme {scheme!r} is not supported; use http, https, ws or wss")


class UrlBuilder:
    """A URL in the making: each part is None until somebody sets it (Ktor's `URLBuilder`)."""

    __slots__ = ("host", "password", "path", "port", "query", "scheme", "user")

    def __init__(self) -> None:
        self.scheme: str | None = None
        self.host: str | None = None
        self.port: int | None = None
        self.path: str | None = None
        self.query: str = ""
        self.user: str | None = None
        self.password: str | None = None

    def take_from(self, url: str | Url) -> None:
        """Take the parts that `url` has: all of an absolute URL, path and query of a relative one.

        Raises:
            InvalidUrlError: not a URL, a scheme that we do not speak, a fragment, a bad port, or
                a character that would smuggle bytes into the request.
        """
        if isinstance(url, Url):
            self.scheme, self.host, self.port = url.scheme, url.host, url.port
            self.path, self.query = url.path, url.query
            self.user, self.password = url.user, url.password
            return
        if not isinstance(url, str):
            raise InvalidUrlError(f"a URL is a str or a Url, not {type(url).__name__}")
        place, _, query = url.partition("?")
        if "@" in url or (query and not _is_query(query)):
            parts, query = _parts(url), ""
        else:
            parts = _known_parts(place)
        scheme, server, path, own_query = parts
        if scheme is not None:
            self.scheme = scheme
        if server is not None:
            self.host, self.port, self.user, self.password = server
        if path is not None:
            self.path = path
        if query or own_query is not None:
            self.query = query or own_query or ""

    def set_path(self, path: str) -> None:
        """Set the path, and the query where `path` has one; other characters are encoded."""
        if not isinstance(path, str):
            raise TypeError(f"path is a str, not {type(path).__name__}")
        bare, _, query = path.partition("?")
        if "#" in path:
            raise InvalidUrlError(f"path {path!r} has a fragment (#), which is never sent")
        if _bad_character(bare.replace(" ", "")) or _bad_character(query.replace(" ", "")):
            raise InvalidUrlError(f"path {path!r} has a backslash or control character")
        self.path = quote(bare if bare.startswith("/") else f"/{bare}", safe=_PATH_SAFE)
        if query:
            self.query = quote(query, safe=_QUERY_SAFE)

    def add_parameters(self, parameters: ParametersLike) -> None:
        """Append query parameters, encoded; an iterable value gives the name once for each.

        Raises:
            TypeError: a value is neither str, int, float or bool, nor an iterable of those; or
                these are no parameters at all.
        """
        encoded = encoded_parameters(parameters)
        self.query = f"{self.query}&{encoded}" if self.query and encoded else self.query or encoded

    def build(self) -> Url:
        """Return the checked URL. Raises `InvalidUrlError` as `Url` does."""
        return Url(
            self.scheme or "http",
            self.host or "localhost",
            self.port,
            self.path or "/",
            self.query,
            self.user,
            self.password,
        )


_Server: TypeAlias = tuple[str, int | None, str | None, str | None]
_Parts: TypeAlias = tuple[str | None, _Server | None, str | None, str | None]


def _parts(url: str) -> _Parts:
    """Return scheme, server, path and query of a URL, None where it has none; for `take_from`.

    Of a server there are host, port, user and password.
    """
    if _bad_character(url):
        raise InvalidUrlError(
            f"{_shown(url)} has a space, backslash or control character; percent-encode it"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        if "@" in url:  # the error may show the credentials
            raise InvalidUrlError(f"{_shown(url)} is not a URL") from None
        raise InvalidUrlError(f"{url!r} is not a URL: {error}") from error
    if parts.fragment or url.endswith("#"):
        raise InvalidUrlError(f"{_shown(url)} has a fragment (#), which is never sent")
    if not parts.netloc and _has_port(url):  # and no path may begin so (RFC 3986 4.2)
        raise InvalidUrlError(f"{_shown(url)} has no scheme; write ws://host:port/path")
    path = quote(parts.path, safe=_PATH_SAFE) or None
    query = quote(parts.query, safe=_QUERY_SAFE) or None
    if not parts.netloc:
        if parts.scheme:
            raise InvalidUrlError(
                f"{_shown(url)} has no host; write ws://host/path, or a path that starts with /"
            )
        return None, None, path, query
    if not parts.hostname:
        raise InvalidUrlError(f"{_shown(url)} has no host")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    server = parts.hostname, port, user, password
    return parts.scheme.lower() or None, server, path or "/", query or ""


_known_parts = lru_cache(256)(_parts)


def absolute_url(text: str) -> Url | None:
    """Return the URL, or None for a relative one. Raises what `UrlBuilder.take_from` raises."""
    if not isinstance(text, str) or "@" in text:
        return _absolute_url(text)
    # Clients ask the same few places again and again. Credentials and queries are not kept.
    place, _, query = text.partition("?")
    if not query or not _is_query(query):
        return _absolute_url(text) if query else _known_url(text)
    url = _known_url(place)
    return None if url is None else url._asked(query)


def _absolute_url(text: str) -> Url | None:
    builder = UrlBuilder()
    builder.take_from(text)
    return None if builder.scheme is None or builder.host is None else builder.build()


_known_url = lru_cache(256)(_absolute_url)


def _shown(url: str) -> str:
    """Show a URL in an error without its credentials."""
    head, at, tail = url.rpartition("@")
    scheme, mark, _ = head.partition("://")
    return repr(f"{scheme if mark else ''}{mark}***@{tail}") if at else repr(url)


@lru_cache(256)
def _checked_host(host: str) -> str:
    if not isinstance(host, str):
        raise TypeError(f"host is a str, not {type(host).__name__}")
    name = host.strip("[]") if host.startswith("[") else host
    if ":" in name:
        if "://" in name:
            raise InvalidUrlError(
                f"{_shown(host)} is not a host name but a URL; give it as the url"
            )
        if name.count(":") == 1 and _has_port(name):
            raise InvalidUrlError(f"{_shown(host)} is not a host name: give the port as port=")
        from ipaddress import AddressValueError, IPv6Address

        address, mark, zone = name.partition("%")
        if mark and not _is_zone(zone):
            raise InvalidUrlError(f"{host!r} is not an IPv6 address: bad zone")
        try:
            return IPv6Address(address).compressed + mark + zone
        except AddressValueError as error:
            raise InvalidUrlError(f"{host!r} is not an IPv6 address: {error}") from error
    if not name or _bad_host(name):
        raise InvalidUrlError(f"{host!r} is not a host name")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise InvalidUrlError(f"{host!r} is not a host name: {error}") from error
    return name.lower()

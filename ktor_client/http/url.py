"""URLs of http, https, ws and wss (RFC 3986; RFC 6455 3): parsing, checking, building.

Which scheme suits which call, and default hosts, are decided by the client; hosts are checked in
`host.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn
from urllib.parse import quote, urljoin

from ktor_client.errors import InvalidUrlError
from ktor_client.http.host import checked_host, in_brackets, without_zone
from ktor_client.http.parameters import ParametersLike, encoded_parameters
from ktor_client.http.redaction import shown, terse_query
from ktor_client.http.url_parts import (
    PATH_SAFE,
    QUERY_SAFE,
    flaw,
    has_surrogate,
    is_query,
    is_relative_path,
    joined_path,
    known_parts,
    quoted,
    url_parts,
)
from ktor_client.mistakes import Taught, answering

__all__ = ["Url", "UrlBuilder"]

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
SECURE_SCHEMES = frozenset({"https", "wss"})


class Url(metaclass=Taught):
    """An absolute URL, checked and normalised; it never changes. `str(url)` goes to the engine.

    `repr` hides credentials, in the query too; `str` has none before the host: they become an
    `Authorization` header.
    """

    __slots__ = (
        "_text",
        "authority",
        "host",
        "origin",
        "password",
        "path",
        "port",
        "query",
        "scheme",
        "trailing_query",
        "user",
    )

    scheme: str
    host: str
    port: int
    path: str
    query: str
    user: str | None
    password: str | None
    trailing_query: bool
    authority: str
    """The host, with the port unless it is the scheme's default: the value of the `Host` header."""
    origin: tuple[bool, str, int]
    """What must be equal for credentials to follow a redirect: TLS, host and port."""
    _text: str

    @answering("Url")
    def __init__(
        self,
        scheme: str,
        host: str,
        port: int | None = None,
        path: str = "/",
        query: str = "",
        user: str | None = None,
        password: str | None = None,
        trailing_query: bool = False,
    ) -> None:
        """Check the parts; `path` and `query` are taken as already percent-encoded where needed.

        `trailing_query` keeps the question mark before an empty query, as in Ktor: `/a?` and
        `/a` are two resources (RFC 3986 6.2.3).

        Raises:
            InvalidUrlError: unknown scheme, empty or illegal host, port outside 1..65535, a
                fragment, a query in the path, a control character that would smuggle bytes into
                the request, or a lone surrogate, which no encoding can send.
            TypeError: the port is not an int.
        """
        if scheme not in DEFAULT_PORTS:
            raise unknown_scheme(scheme)
        if port is None:
            port = DEFAULT_PORTS[scheme]
        elif isinstance(port, bool) or not isinstance(port, int):
            raise TypeError(f"port is an int, not {type(port).__name__}")
        elif not 1 <= port <= 65535:
            raise InvalidUrlError(f"port {port} is outside 1..65535")
        for part, text in (("path", path), ("query", query)):
            if what := flaw(text):
                raise InvalidUrlError(f"the {part} has {what}")
            if "#" in text:  # in a request line it is no URL (RFC 9112 3.2.1)
                raise InvalidUrlError(f"the {part} has a fragment (#), which is never sent")
        if "?" in path:  # messages show paths, but no queries
            raise InvalidUrlError("the path has a query (?); give it apart, as query")
        if has_surrogate(f"{user}{password}"):
            raise InvalidUrlError("the user or the password has a lone surrogate")
        path = quoted(path if path.startswith("/") else f"/{path}", PATH_SAFE)
        query = quoted(query, QUERY_SAFE)
        self._set(scheme, checked_host(host), port, path, query, user, password, trailing_query)

    def _set(
        self,
        scheme: str,
        host: str,
        port: int,
        path: str,
        query: str,
        user: str | None,
        password: str | None,
        trailing_query: bool,
    ) -> None:
        write = super().__setattr__
        write("scheme", scheme)
        write("host", host)
        write("port", port)
        write("path", path)
        write("query", query)
        write("user", user)
        write("password", password)
        write("trailing_query", trailing_query)
        write("origin", (scheme in SECURE_SCHEMES, host, port))
        write("authority", self._before_path(without_zone(host)))
        write("_text", f"{self._place}{self.target[len(path) :]}")

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
            raise InvalidUrlError(f"{shown(text)} is not an absolute URL such as ws://host/path")
        return url

    @property
    def is_secure(self) -> bool:
        """Whether the connection is TLS: https or wss."""
        return self.scheme in SECURE_SCHEMES

    @property
    def server_name(self) -> str:
        """The host as others may know it: without the zone of an address (RFC 6874 4)."""
        return without_zone(self.host)

    def _before_path(self, host: str) -> str:
        host = in_brackets(host)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def _place(self) -> str:
        """All but the query. A zone is encoded (RFC 6874 2) where it looks as if it were."""
        return f"{self.scheme}://{self._before_path(self.host.replace('%25', '%2525'))}{self.path}"

    @property
    def as_http(self) -> str:
        """The text for a library that knows no ws and wss, and no encoded zones of addresses."""
        text = self._text
        text = text if text.startswith("http") else f"http{text[2:]}"  # ports are the same
        return text.replace("%2525", "%25", 1) if "%25" in self.host else text

    @property
    def target(self) -> str:
        """Path and query, as in the request line."""
        return f"{self.path}?{self.query}" if self.query or self.trailing_query else self.path

    def join(self, location: str) -> Url:
        """Resolve a `Location`, absolute or relative, against this URL.

        A fragment is dropped, because it is never sent (RFC 9110 10.2.2). A blank becomes %20.

        Raises:
            InvalidUrlError: the result is not a URL that can be requested.
        """
        location = location.strip(" ").replace(" ", "%20")  # RFC 9110 10.2.2 lets us recover
        if what := flaw(location):
            raise InvalidUrlError(f"Location {shown(location)} has {what}")
        place, _, fragment = location.partition("#")
        place, mark, query = place.partition("?")
        if not place and not mark:
            mark, query = self.target[len(self.path) :][:1], self.query
        base = self._place if self.scheme.startswith("http") else f"http{self._place[2:]}"
        try:
            if is_relative_path(place):  # of which `urljoin` would lose empty segments
                joined = base.removesuffix(self.path) + joined_path(self.path, place)
            else:
                joined = urljoin(base, place)
            return Url.parse(joined + mark + query)
        except InvalidUrlError as error:
            if "@" not in fragment:  # else it may show the start of a password
                said = f"cannot follow Location {shown(location)}: {error}"
                raise InvalidUrlError(said) from error
        except ValueError:
            pass
        # Out of reach of the error above, which may show credentials.
        raise InvalidUrlError(f"cannot follow Location {shown(location)}")

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
        user, password = self.user, self.password
        url._set(
            scheme, self.host, port, self.path, self.query, user, password, self.trailing_query
        )
        return url

    def _asked(self, query: str) -> Url:
        """Return this URL, which has no query, with one, which the caller has checked."""
        url = object.__new__(Url)
        write = super(Url, url).__setattr__
        write("scheme", self.scheme)
        write("host", self.host)
        write("port", self.port)
        write("path", self.path)
        write("query", query)
        write("user", self.user)
        write("password", self.password)
        write("trailing_query", self.trailing_query)
        write("origin", self.origin)
        write("authority", self.authority)
        write("_text", f"{self._text}?{query}")
        return url

    def __reduce__(self) -> tuple[type[Url], tuple[str | int | None, ...]]:
        before = (self.scheme, self.host, self.port, self.path)
        return Url, (*before, self.query, self.user, self.password, self.trailing_query)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        secret = "***@" if self.user is not None else ""
        query = f"?{terse_query(self.query)}" if self.query or self.trailing_query else ""
        return f"Url('{self.scheme}://{secret}{self.authority}{self.path}{query}')"

    @property
    def _shown(self) -> str:
        """What messages show: nothing secret, so no query either."""
        return f"{self._place}{'?...' if self.query else '?' if self.trailing_query else ''}"

    def _key(self) -> tuple[object, ...]:
        return (str(self), self.user, self.password)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Url) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())


def unknown_scheme(scheme: str) -> InvalidUrlError:
    return InvalidUrlError(f"scheme {scheme!r} is not supported; use http, https, ws or wss")


class UrlBuilder(metaclass=Taught):
    """A URL in the making: each part is None until somebody sets it (Ktor's `URLBuilder`)."""

    __slots__ = (
        "host",
        "password",
        "path",
        "port",
        "query",
        "scheme",
        "trailing_query",
        "user",
    )

    def __init__(self) -> None:
        self.scheme: str | None = None
        self.host: str | None = None
        self.port: int | None = None
        self.path: str | None = None
        self.query: str = ""
        self.trailing_query: bool = False
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
            self.trailing_query = url.trailing_query
            self.user, self.password = url.user, url.password
            return
        if not isinstance(url, str):
            raise InvalidUrlError(f"a URL is a str or a Url, not {type(url).__name__}")
        place, mark, asked = url.partition("?")
        query: str | None = asked
        if "@" in url or not is_query(asked):
            scheme, server, path, query = url_parts(url)
        else:
            scheme, server, path, own_query = known_parts(place)
            query = asked if mark else own_query
        if scheme is not None:
            self.scheme = scheme
        if server is not None:
            self.host, self.port, self.user, self.password = server
        if path is not None:
            self.path = path
        if query is not None:
            self.query = query
            self.trailing_query = bool(mark) and not query

    def set_path(self, path: str) -> None:
        """Set the path, and the query where `path` has one; other characters are encoded."""
        if not isinstance(path, str):
            raise TypeError(f"path is a str, not {type(path).__name__}")
        bare, mark, query = path.partition("?")
        if "#" in path:
            raise InvalidUrlError(f"path {shown(path)} has a fragment (#), which is never sent")
        if what := flaw(path.replace(" ", "")):
            raise InvalidUrlError(f"path {shown(path)} has {what}")
        self.path = quote(bare if bare.startswith("/") else f"/{bare}", safe=PATH_SAFE)
        if mark:
            self.query = quote(query, safe=QUERY_SAFE)
            self.trailing_query = not query

    def add_parameters(self, parameters: ParametersLike) -> None:
        """Append query parameters, encoded; an iterable value gives the name once for each.

        Raises:
            InvalidUrlError: a lone surrogate, which no encoding can send.
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
            self.trailing_query,
        )


def absolute_url(text: str) -> Url | None:
    """Return the URL, or None for a relative one. Raises what `UrlBuilder.take_from` raises."""
    if not isinstance(text, str) or "@" in text:
        return _absolute_url(text)
    # Clients ask the same few places again and again. Credentials and queries are not kept.
    place, _, query = text.partition("?")
    if not query or not is_query(query):
        return _absolute_url(text) if query else _known_url(text)
    url = _known_url(place)
    return None if url is None else url._asked(query)


def _absolute_url(text: str) -> Url | None:
    builder = UrlBuilder()
    builder.take_from(text)
    return None if builder.scheme is None or builder.host is None else builder.build()


_known_url = lru_cache(256)(_absolute_url)

"""The request: a builder that blocks and plugins change, and the unchangeable result.

`header(...)`, `parameter(...)` and `bearer_auth(...)` return blocks; any function that takes an
`HttpRequestBuilder` is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http.attributes import Attributes
from ktor_client.http.body import RequestBody, with_length
from ktor_client.http.headers import Headers, HeadersBuilder, check_field
from ktor_client.http.method import HttpMethod
from ktor_client.http.parameters import Scalar
from ktor_client.http.url import Url, UrlBuilder, absolute_url

__all__ = [
    "HttpRequest",
    "HttpRequestBuilder",
    "RequestBlock",
    "bearer_auth",
    "header",
    "parameter",
]

_OWNED = frozenset({"upgrade", "transfer-encoding"})
_OWNED_BY_WEB_SOCKETS = _OWNED | {"connection"}


class HttpRequest:
    """What an engine sends. It has no scheme of its own choosing: `url.scheme` is the caller's."""

    __slots__ = ("attributes", "body", "headers", "method", "url")

    def __init__(
        self,
        method: HttpMethod,
        url: Url,
        headers: Headers | None = None,
        body: RequestBody | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.attributes = Attributes() if attributes is None else attributes

    def copy(
        self,
        *,
        method: HttpMethod | None = None,
        url: Url | None = None,
        headers: Headers | None = None,
        drop_body: bool = False,
    ) -> HttpRequest:
        """Return a request that differs in what is given; attributes are shared.

        Raises:
            UnsafeHeaderError: a header that cannot be sent.
        """
        for name, value in () if headers is None else headers.fields():
            check_field(name, value)
        return HttpRequest(
            self.method if method is None else method,
            self.url if url is None else url,
            self.headers if headers is None else headers,
            None if drop_body else self.body,
            self.attributes,
        )

    def with_header(self, name: str, value: str) -> HttpRequest:
        """Return a request in which `name` has just this value. Raises `UnsafeHeaderError`."""
        headers = HeadersBuilder(self.headers)
        headers.set(name, value)
        return self.copy(headers=headers.build())

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url!r})"


class HttpRequestBuilder:
    """A request in the making (Ktor's `HttpRequestBuilder`)."""

    __slots__ = ("_start", "_url", "attributes", "body", "headers", "method", "subprotocols")

    def __init__(self) -> None:
        self.method: HttpMethod = HttpMethod.Get
        self._start: Url | None = None
        self._url: UrlBuilder | None = None
        self.headers = HeadersBuilder()
        self.body: RequestBody | None = None
        self.attributes = Attributes()
        self.subprotocols: list[str] = []
        """Subprotocols to offer, best first; web sockets only."""

    @property
    def url(self) -> UrlBuilder:
        """The URL's parts."""
        if self._url is None:
            self._url = UrlBuilder()
            if self._start is not None:
                self._url.take_from(self._start)
        return self._url

    def _start_from(self, url: str | Url) -> None:
        """Begin with a URL, which is taken apart only if somebody asks for a part."""
        self._start = url if isinstance(url, Url) else absolute_url(url)
        if self._start is None:
            self.url.take_from(url)

    def _whole_url(self) -> Url | None:
        """Return the URL that this began with, if nobody has asked for a part of it."""
        return self._start if self._url is None else None

    def build(self, *, web_socket: bool = False) -> HttpRequest:
        """Return the request, with the URL's credentials as an `Authorization` header.

        Raises:
            UnsafeHeaderError: a header that the client owns was set, or a `Content-Length` that
                is not the body's.
            InvalidUrlError: the URL is not usable.
        """
        owned = _OWNED_BY_WEB_SOCKETS if web_socket else _OWNED
        headers = self.headers.build()
        body = self.body
        for name, _ in headers.fields():
            key = name.lower()
            if key in owned or key.startswith("sec-websocket-"):
                hint = (
                    "; offer subprotocols with subprotocols=(...)"
                    if key == "sec-websocket-protocol"
                    else ""
                )
                raise UnsafeHeaderError(f"header {name!r} is set by the client itself{hint}")
            if key == "content-length":
                body = with_length(body, headers[key])  # a repeated one is no number
        whole = self._whole_url()
        url = self.url.build() if whole is None else whole
        if url.user is not None and "authorization" not in headers:
            basic = _basic(url.user, url.password or "")
            headers = Headers([*headers.fields(), ("Authorization", basic)])
        return HttpRequest(self.method, url, headers, body, Attributes(self.attributes))


RequestBlock: TypeAlias = Callable[[HttpRequestBuilder], None]


def _basic(user: str, password: str) -> str:
    from binascii import b2a_base64

    token = b2a_base64(f"{user}:{password}".encode(), newline=False).decode()
    return f"Basic {token}"


def header(name: str, value: str) -> RequestBlock:
    """Return a block that adds a header.

    Raises:
        UnsafeHeaderError: it cannot be sent.
    """
    HeadersBuilder([(name, value)])

    def add_header(request: HttpRequestBuilder) -> None:
        request.headers.add(name, value)

    return add_header


def parameter(name: str, value: Scalar) -> RequestBlock:
    """Return a block that adds a query parameter."""

    def add_parameter(request: HttpRequestBuilder) -> None:
        request.url.add_parameters([(name, value)])

    return add_parameter


def bearer_auth(token: str) -> RequestBlock:
    """Return a block that sets `Authorization: Bearer ...` (RFC 6750 2.1).

    Raises:
        UnsafeHeaderError: the token cannot be sent.
    """
    if not isinstance(token, str):
        raise TypeError(f"bearer_auth takes the token as str, not {type(token).__name__}")
    HeadersBuilder({"Authorization": token})

    def set_token(request: HttpRequestBuilder) -> None:
        request.headers.set("Authorization", f"Bearer {token}")

    return set_token


def apply_blocks(request: HttpRequestBuilder, blocks: tuple[Any, ...]) -> None:
    """Run the blocks in order.

    Raises:
        TypeError: one of them is not a function of the builder, or is a coroutine function.
    """
    for block in blocks:
        if not callable(block):
            raise TypeError(
                f"a request block is a function of the HttpRequestBuilder, not {block!r}; "
                'for instance header("X-Id", "1")'
            )
        result = block(request)
        if result is not None and hasattr(result, "__await__"):
            close = getattr(result, "close", None)
            if close is not None:
                close()
            raise TypeError("a request block is a plain function, not a coroutine function")

"""The request: a builder that blocks and plugins change, and the unchangeable result."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http.attributes import AttributeKey, Attributes
from ktor_client.http.body import RequestBody, with_length
from ktor_client.http.content import BodyLike, as_request_body
from ktor_client.http.headers import Headers, HeadersBuilder, check_field
from ktor_client.http.method import HttpMethod
from ktor_client.http.url import Url, UrlBuilder
from ktor_client.http.url_parts import has_surrogate
from ktor_client.mistakes import Taught

__all__ = [
    "HttpRequest",
    "HttpRequestBuilder",
    "RequestBlock",
]

T = TypeVar("T")

Origin: TypeAlias = tuple[bool, str, int]
"""TLS or not, host, port: `Url.origin`."""

EXPECT_SUCCESS: AttributeKey[bool] = AttributeKey("expect_success")

_NO_HEADERS = Headers()
_NO_SETTINGS: Mapping[AttributeKey[Any], Any] = MappingProxyType({})
_OWNED = frozenset({"upgrade", "transfer-encoding"})
_OWNED_BY_WEB_SOCKETS = _OWNED | {"connection"}
_SEC = "sec-websocket-"
_JUDGED = _OWNED_BY_WEB_SOCKETS | {"content-length", "host"}
"""Names of which `HttpRequest.checked` says more than that the field can be sent."""
_is_host = re.compile(  # RFC 9112 3.2, RFC 3986 3.2.2
    r"(?:\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?"
).fullmatch


class HttpRequest:
    """What an engine sends. `url.scheme` is the one that the caller wrote."""

    __slots__ = (
        "_asked",
        "_is_checked",
        "_meant",
        "_settings",
        "attributes",
        "body",
        "headers",
        "method",
        "url",
    )

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
        self.headers = _NO_HEADERS if headers is None else headers
        self.body = body
        self.attributes = Attributes() if attributes is None else attributes
        self._asked: Origin | None = None
        self._is_checked = False
        self._meant: tuple[tuple[str, str, Origin], ...] = ()
        self._settings: Mapping[AttributeKey[Any], Any] = _NO_SETTINGS

    @property
    def asked_origin(self) -> Origin:
        """The origin that the caller addressed, wherever redirects have led since.

        It has the form of `url.origin`. Credentials for this origin are never meant for another.
        """
        return self.url.origin if self._asked is None else self._asked

    @property
    def is_elsewhere(self) -> bool:
        """Whether a redirect has led to another origin than the caller's."""
        return self._asked is not None and self._asked != self.url.origin

    @property
    def engine_settings(self) -> Mapping[AttributeKey[Any], Any]:
        """Values for the engine, such as `CONNECT_TIMEOUT`; `with_setting` adds one."""
        return self._settings

    def copy(
        self,
        *,
        method: HttpMethod | None = None,
        url: Url | None = None,
        headers: Headers | None = None,
        body: RequestBody | None = None,
        drop_body: bool = False,
    ) -> HttpRequest:
        """Return a copy with the given changes; attributes are shared.

        Raises:
            UnsafeHeaderError: a header that cannot be sent.
            ValueError: no method.
        """
        if headers is not None:
            for name, value in headers.fields():
                check_field(name, value)
            headers = with_one_host(headers)
        if method is not None and not isinstance(method, HttpMethod):
            method = HttpMethod(method)
        twin = self._twin(self.headers if headers is None else headers)
        if method is not None:
            twin.method = method
        if url is not None:
            twin.url = url
            twin._asked = self.asked_origin
        if drop_body or body is not None:
            twin.body = None if drop_body else body
        if drop_body or method is not None or headers is not None or body is not None:
            twin._is_checked = False
        return twin

    def _with_handshake(self, fields: list[tuple[str, str]]) -> HttpRequest:
        """Return a request that may leave, with the fields of a handshake, which were checked."""
        twin = self._twin(Headers._of([*self.headers._fields, *fields]))
        twin._is_checked = False  # they are the client's own
        return twin

    def _twin(self, headers: Headers) -> HttpRequest:
        twin = HttpRequest.__new__(HttpRequest)
        twin.method = self.method
        twin.url = self.url
        twin.headers = headers
        twin.body = self.body
        twin.attributes = self.attributes
        twin._asked = self._asked
        twin._is_checked = self._is_checked
        twin._meant = self._meant
        twin._settings = self._settings
        return twin

    def with_header(self, name: str, value: str, *, meant_for: Origin | None = None) -> HttpRequest:
        """Return a request in which `name` has just this value. Raises `UnsafeHeaderError`.

        After a redirect to another origin, fields that layers add are not sent, because they are
        usually meant for the caller's origin. `meant_for=request.url.origin` says that this field
        is meant for the origin that the request goes to, like a cookie of that origin.
        """
        check_field(name, value)  # the others were checked
        wanted, value = name.lower(), value.strip(" \t")
        twin = self._twin(self.headers._with(name, value))
        if wanted in _JUDGED or wanted.startswith(_SEC):
            twin._is_checked = False
        if meant_for is not None:
            twin._meant = (*self._meant, (wanted, value, meant_for))
        return twin

    def with_setting(self, key: AttributeKey[T], value: T) -> HttpRequest:
        """Return a request that carries a value for the engine under its `EngineSetting`."""
        return self._with_settings({**self._settings, key: value})

    def _with_settings(self, settings: Mapping[AttributeKey[Any], Any]) -> HttpRequest:
        twin = self._twin(self.headers)
        twin._settings = MappingProxyType(dict(settings))
        return twin

    def checked(self, *, web_socket: bool = False) -> HttpRequest:
        """Return the request as it may leave: what layers made of it is one request on the wire.

        Raises:
            UnsafeHeaderError: a header that the client owns, a `Content-Length` that is not the
                body's, or a `Host` that is none.
            ValueError: a method that is no request of a client's.
        """
        if self._is_checked:
            return self
        for name, value in self.headers.fields():
            check_field(name, value)
        return self._checked(web_socket=web_socket)

    def _checked(self, *, web_socket: bool) -> HttpRequest:
        """Do what `checked` does, where each field was checked when it was set."""
        names = () if self.headers is _NO_HEADERS else self.headers._by_name()
        if names and not (_JUDGED.isdisjoint(names) and _SEC not in " ".join(names)):
            self._judge_fields(_OWNED_BY_WEB_SOCKETS if web_socket else _OWNED)
        if self.method == "CONNECT":
            raise ValueError(
                "CONNECT asks a proxy for a tunnel (RFC 9110 9.3.6), and engines do that by "
                "themselves: CioEngine(proxy=...)"
            )
        self._is_checked = True
        return self

    def _judge_fields(self, owned: frozenset[str]) -> None:
        headers, body = self.headers, self.body
        for name, value in headers.fields():
            key = name.lower()
            if key in owned or key.startswith(_SEC):
                hint = (
                    "; offer subprotocols with subprotocols=(...)"
                    if key == "sec-websocket-protocol"
                    else ""
                )
                raise UnsafeHeaderError(f"header {name!r} is set by the client itself{hint}")
            if key == "content-length":
                body = with_length(body, headers[key])  # a repeated one is no number
            elif key == "host":
                if _is_host(value) is None:
                    raise UnsafeHeaderError(f"header 'Host' is a host and a port, not {value!r}")
                headers = with_one_host(headers)
        self.headers, self.body = headers, body

    def is_meant(self, name: str, value: str) -> bool:
        """Whether `with_header` marked a field as meant for this request's origin."""
        return bool(self._meant) and (name.lower(), value, self.url.origin) in self._meant

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} {self.url!r})"


class HttpRequestBuilder(metaclass=Taught):
    """A request in the making (Ktor's `HttpRequestBuilder`)."""

    __slots__ = (
        "_attributes",
        "_headers",
        "_needs",
        "_settings",
        "_url",
        "_whole",
        "body",
        "is_handshake",
        "method",
        "subprotocols",
    )

    def __init__(self, *, is_handshake: bool = False) -> None:
        self.is_handshake = is_handshake
        """Whether it is to open a WebSocket."""
        self.method: HttpMethod = HttpMethod.Get
        self._whole: Url | None = None
        """The URL that this began with, until somebody asks for a part of it."""
        self._url: UrlBuilder | None = None
        self._headers: HeadersBuilder | None = None
        self._attributes: Attributes | None = None
        self.body: BodyLike = None
        """What `body=` takes; `build` makes a `RequestBody` of it."""
        self.subprotocols: list[str] = []
        """Subprotocols to offer, best first; WebSockets only."""
        self._settings: Attributes | None = None
        self._needs: dict[str, str] | None = None

    @property
    def headers(self) -> HeadersBuilder:
        """The header fields."""
        if self._headers is None:
            self._headers = HeadersBuilder()
        return self._headers

    @property
    def attributes(self) -> Attributes:
        """Values that plugins attach."""
        if self._attributes is None:
            self._attributes = Attributes()
        return self._attributes

    @property
    def engine_settings(self) -> Attributes:
        """Values for the engine: `request.engine_settings[CONNECT_TIMEOUT] = 3`."""
        if self._settings is None:
            self._settings = Attributes()
        return self._settings

    @property
    def needs(self) -> dict[str, str]:
        """Plugins that must be installed, by name, each with what needs it."""
        if self._needs is None:
            self._needs = {}
        return self._needs

    @property
    def expect_success(self) -> bool | None:
        """Whether this request raises for status 300 and above; None means as the client does."""
        return self.attributes.get(EXPECT_SUCCESS)

    @expect_success.setter
    def expect_success(self, value: bool) -> None:
        self.attributes[EXPECT_SUCCESS] = value

    @property
    def url(self) -> UrlBuilder:
        """The URL's parts."""
        if self._url is None:
            self._url = UrlBuilder()
            if self._whole is not None:
                self._url.take_from(self._whole)
                self._whole = None
        return self._url

    @property
    def has_host(self) -> bool:
        """Whether the URL names a host."""
        return self._whole is not None or bool(self.url.host)

    def build(self) -> HttpRequest:
        """Return the request, with the URL's credentials as an `Authorization` header.

        Raises:
            UnsafeHeaderError, ValueError: see `HttpRequest.checked`.
            InvalidUrlError: the URL is not usable.
            TypeError: the body is of an unsupported type.
        """
        body: RequestBody | None = None
        if self.body is not None:
            body, content_type = as_request_body(self.body)
            if content_type is not None and "content-type" not in self.headers:
                self.headers.set("Content-Type", content_type)
        headers = _NO_HEADERS if self._headers is None else self._headers.build()
        url = self.url.build() if self._whole is None else self._whole
        if url.user is not None and "authorization" not in headers:
            basic = basic_credentials(url.user, url.password or "")
            headers = Headers([*headers.fields(), ("Authorization", basic)])
        request = HttpRequest(self.method, url, headers, body, Attributes(self._attributes or ()))
        if self._settings:
            request._settings = MappingProxyType(dict(self._settings.items()))
        return request._checked(web_socket=self.is_handshake)


RequestBlock: TypeAlias = Callable[[HttpRequestBuilder], None]
AnyBlock: TypeAlias = RequestBlock | Callable[[HttpRequestBuilder], Awaitable[None]]
"""A block that may be a coroutine function, where it runs when the request is sent."""


def basic_credentials(user: str, password: str) -> str:
    """Return the value of `Authorization` for a user (RFC 7617).

    Raises:
        UnsafeHeaderError: a lone surrogate, which cannot be encoded.
    """
    from binascii import b2a_base64

    both = f"{user}:{password}"
    if has_surrogate(both):
        raise UnsafeHeaderError("user or password has a lone surrogate in it")
    return f"Basic {b2a_base64(both.encode(), newline=False).decode()}"


def with_one_host(headers: Headers) -> Headers:
    """Return headers with the last of several `Host` fields alone (RFC 9112 3.2 wants one)."""
    fields = headers.fields()
    others = [field for field in fields if field[0].lower() != "host"]
    if len(fields) - len(others) < 2:
        return headers
    hosts = headers.get_all("host")
    return Headers([("Host", hosts[-1]), *others])


def apply_blocks(request: HttpRequestBuilder, blocks: tuple[Any, ...]) -> None:
    """Run the blocks in order.

    Raises:
        TypeError: one of them is not a function of the builder, or is a coroutine function.
    """
    for block in blocks:
        result = _applied(request, block)
        if result is not None:
            close = getattr(result, "close", None)
            if close is not None:
                close()
            raise TypeError(
                "a request block is a plain function of the HttpRequestBuilder, not a coroutine "
                "function; what is to be done with the session or the response goes to "
                "`.execute(block)`, or into the body of `async with`"
            )


async def apply_late_blocks(request: HttpRequestBuilder, blocks: tuple[AnyBlock, ...]) -> None:
    """Run the blocks in order, and wait for those that are coroutine functions."""
    for block in blocks:
        result = _applied(request, block)
        if result is not None:
            await result


def _applied(request: HttpRequestBuilder, block: Any) -> Any:
    """Run a block; return what is to be awaited, if anything is."""
    if not callable(block):
        raise TypeError(
            f"a request block is a function of the HttpRequestBuilder, not {block!r}; "
            'for instance header("X-Id", "1"). Everything else after the '
            "URL is given by name: params=, headers=, body=, json=, form="
        )
    result = block(request)
    return result if hasattr(result, "__await__") else None

"""Blocks of a request that callers write often. Each is checked when it is made, not when it runs.

Any other function that takes an `HttpRequestBuilder` is a block too.
"""

from __future__ import annotations

from ktor_client.errors import UnsafeHeaderError
from ktor_client.http.headers import HeadersBuilder, is_token
from ktor_client.http.parameters import Scalar
from ktor_client.http.request import HttpRequestBuilder, RequestBlock, basic_credentials

__all__ = [
    "accept",
    "basic_auth",
    "bearer_auth",
    "content_type",
    "cookie",
    "expect_success",
    "header",
    "parameter",
]


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
    return _setting("Authorization", f"Bearer {token}")


def basic_auth(user: str, password: str) -> RequestBlock:
    """Return a block that sets `Authorization: Basic ...`, in UTF-8 (RFC 7617).

    Raises:
        ValueError: the user has a colon, which would begin the password.
        UnsafeHeaderError: a lone surrogate, which cannot be encoded.
    """
    if ":" in user:
        raise ValueError("a user of basic authentication has no colon (RFC 7617 2)")
    return _setting("Authorization", basic_credentials(user, password))


def cookie(name: str, value: str) -> RequestBlock:
    """Return a block that sends a cookie, beside others of the request (RFC 6265 4.2.1).

    The value is sent unchanged: encode it if it may contain a semicolon, a comma or a blank.

    Raises:
        UnsafeHeaderError: name or value has a character that a cookie cannot hold.
    """
    if not is_token(name):
        raise UnsafeHeaderError(f"{name!r} is not a cookie's name (RFC 6265 4.1.1)")
    if not isinstance(value, str) or any(c in ' ",;\\' or not "!" <= c <= "~" for c in value):
        raise UnsafeHeaderError(
            f"the value of the cookie {name!r} has a character that cookies cannot have "
            "(RFC 6265 4.1.1); percent-encode it, as the server expects"
        )

    def add_cookie(request: HttpRequestBuilder) -> None:
        others = request.headers.get("cookie")
        pair = f"{name}={value}"
        request.headers.set("Cookie", pair if others is None else f"{others}; {pair}")

    return add_cookie


def accept(media_type: str) -> RequestBlock:
    """Return a block that adds a media type to `Accept`: `accept("application/json")`.

    Raises:
        UnsafeHeaderError: it cannot be sent.
    """
    return header("Accept", media_type)


def content_type(media_type: str) -> RequestBlock:
    """Return a block that sets the `Content-Type` of the body.

    Raises:
        UnsafeHeaderError: it cannot be sent.
    """
    return _setting("Content-Type", media_type)


def expect_success(value: bool = True) -> RequestBlock:
    """Return a block that decides for one request what `HttpClient(expect_success=...)` does."""
    if not isinstance(value, bool):
        raise TypeError(f"expect_success is True or False, not {value!r}")

    def decide(request: HttpRequestBuilder) -> None:
        request.expect_success = value

    return decide


def _setting(name: str, value: str) -> RequestBlock:
    HeadersBuilder([(name, value)])

    def set_header(request: HttpRequestBuilder) -> None:
        request.headers.set(name, value)

    return set_header

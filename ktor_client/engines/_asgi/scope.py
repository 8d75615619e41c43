"""ASGI's words: the types of an app, and the scope that says what is requested (ASGI 3.0)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import unquote

from ktor_client.engine.outgoing import fields_to_send
from ktor_client.engine.upload import Upload
from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import Headers, HttpRequest
from ktor_client.http.headers import check_field

__all__ = ["App", "Event", "Receive", "Scope", "Send", "bytes_of", "headers_from", "make_scope"]

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""`app(scope, receive, send)`; frameworks type the three in different words."""

CLIENT = ("127.0.0.1", 50000)
"""What the app is told of the client's address."""


def make_scope(
    kind: str, request: HttpRequest, *, root_path: str, state: dict[str, Any] | None
) -> Scope:
    """Return the scope of a request: `kind` is "http" or "websocket"."""
    url = request.url
    fields = [
        (name.lower().encode("latin-1"), value.encode("utf-8", "surrogateescape"))
        for name, value in fields_to_send(request, Upload.of(request.body))
    ]
    if "host" not in request.headers:
        fields.insert(0, (b"host", url.authority.encode()))
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": url.scheme,
        "path": unquote(url.path),
        "raw_path": url.path.encode("ascii", "surrogateescape"),
        "query_string": url.query.encode("ascii", "surrogateescape"),
        "root_path": root_path,
        "headers": fields,
        "client": CLIENT,
        "server": (url.host, url.port),
    }
    if kind == "http":
        scope["method"] = str(request.method)
    else:
        offered = request.headers.get("sec-websocket-protocol", "")
        scope["subprotocols"] = [name.strip() for name in offered.split(",") if name.strip()]
        scope["extensions"] = {"websocket.http.response": {}}
    if state is not None:
        scope["state"] = dict(state)
    return scope


def headers_from(event: Event) -> Headers:
    """Return the headers of an app's event, whatever iterable of pairs they are.

    Raises:
        RuntimeError: a server would send none like these.
    """
    fields = [(_text(name), _text(value)) for name, value in event.get("headers") or ()]
    for name, value in fields:
        try:
            check_field(name, value)
        except UnsafeHeaderError as error:
            raise RuntimeError(f"the app sent an invalid header: {error}") from error
    return Headers(fields)


def bytes_of(value: object, what: str) -> bytes:
    """Return what an app gives as bytes. Raises `TypeError` where it is none."""
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"the app sent {what} as {type(value).__name__}; ASGI wants bytes")
    return bytes(value)  # pyright: ignore[reportUnknownArgumentType]  # of a memoryview


def _text(raw: object) -> str:
    data = bytes_of(raw, "a header")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")

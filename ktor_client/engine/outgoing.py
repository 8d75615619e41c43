"""What leaves with a plain request beside what it has: defaults, and how long its body is."""

from __future__ import annotations

from ktor_client.engine.upload import Upload
from ktor_client.http import HttpRequest
from ktor_client.http.codings import accept_encoding

__all__ = ["asks_to_close", "fields_to_send", "is_chunked"]

_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose body, where there is none, has a length of 0 (RFC 9110 8.6)."""


def asks_to_close(request: HttpRequest) -> bool:
    """Whether a request says that none follows on its connection (RFC 9112 9.6)."""
    if "connection" not in request.headers:
        return False
    options = request.headers["connection"].split(",")
    return any(option.strip().lower() == "close" for option in options)


def is_chunked(request: HttpRequest, upload: Upload | None) -> bool:
    """Whether a body leaves in chunks: it is streamed, and nobody knows its length."""
    if upload is None or upload.length is not None:
        return False
    return "content-length" not in request.headers


def fields_to_send(request: HttpRequest, upload: Upload | None) -> list[tuple[str, str]]:
    """Return the fields of a request as they leave, but for `Host`.

    A handshake has what it has. `upload` is that of the body, where it is streamed.
    """
    headers = request.headers
    fields = headers.fields()
    if request.url.scheme in ("ws", "wss"):
        return fields
    given = headers._by_name() if fields else ()
    if "accept" not in given:
        fields.append(("Accept", "*/*"))
    if "accept-encoding" not in given:
        fields.append(("Accept-Encoding", accept_encoding("range" in given)))
    if "content-length" not in given:
        body = request.body
        if upload is None:
            if body is not None or request.method in _WITH_A_BODY:
                assert body is None or isinstance(body, bytes)
                fields.append(("Content-Length", str(len(body or b""))))
        elif is_chunked(request, upload):
            fields.append(("Transfer-Encoding", "chunked"))
        else:
            fields.append(("Content-Length", str(upload.length)))
    return fields

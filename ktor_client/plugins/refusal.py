"""The error for a refused handshake, and its note: which URL was asked, how the answer begins.

Nothing secret is in there: no query, no credentials, no answer that repeats some of them.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from ktor_client.errors import InvalidUrlError, WebSocketHandshakeError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.http.redaction import redacted_value

__all__ = ["handshake_error"]

SHOWN_TEXT = 200
"""Characters of an answer that are shown."""


def handshake_error(
    message: str, response: HttpResponse, text: str = ""
) -> WebSocketHandshakeError:
    """Return the error, with a note for tracebacks; `text` is the body of the answer."""
    error = WebSocketHandshakeError(message, response)
    note = f"asked {response.request.url._shown}{_sent_on(response)}"
    begin = " ".join(text.split())[:SHOWN_TEXT]
    if begin and _is_readable(response, text) and not _repeats(response.request, text):
        note += f"; the answer begins {begin!r}"
    error.add_note(note)
    return error


def _sent_on(response: HttpResponse) -> str:
    location = response.headers.get("location", "")
    if not (300 <= response.status < 400 and location):
        return ""
    url = response.request.url
    try:
        target = url.join(location)
    except InvalidUrlError:
        return ""
    why = ", since it gives up TLS" if url.is_secure and not target.is_secure else ""
    return f"; the redirect to {target._shown} was not followed{why}"


def _is_readable(response: HttpResponse, text: str) -> bool:
    kind = response.headers.get("content-type", "text/plain").lower()
    return ("text/" in kind or "json" in kind) and "html" not in kind and "\ufffd" not in text


def _repeats(request: HttpRequest, text: str) -> bool:
    """Whether a text has something that may be secret: an echo of what was sent."""
    sent = [pair.partition("=")[2] for pair in request.url.query.split("&")]
    sent += [unquote_plus(value) for value in sent]
    for name, value in request.headers.fields():
        if redacted_value(name, value) != value:
            sent.append(value.rpartition(" ")[2])
    return any(value and value in text for value in sent)

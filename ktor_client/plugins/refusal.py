"""The error for a refused handshake, and its note: which URL was asked, how the answer begins.

Nothing secret is in there: no query, no credentials, no answer that repeats some of them.
"""

from __future__ import annotations

from ktor_client.errors import InvalidUrlError, WebSocketHandshakeError
from ktor_client.http import HttpResponse
from ktor_client.http.redaction import repeats_secrets

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
    asked = response.request
    is_echo = repeats_secrets(text, asked.url, asked.headers)
    if begin and not is_echo and _is_readable(response, text):
        note += f"; the answer begins {begin!r}"
    error.add_note(note)
    return error


def _sent_on(response: HttpResponse) -> str:
    location = response.headers.single("location")
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
    kind = (response.headers.single("content-type") or "text/plain").lower()
    return ("text/" in kind or "json" in kind) and "html" not in kind and "\ufffd" not in text

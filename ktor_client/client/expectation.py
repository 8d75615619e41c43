"""What `expect_success` makes of a status; nothing is sent here."""

from __future__ import annotations

from ktor_client.errors import ClientRequestError, RedirectError, ServerResponseError
from ktor_client.http import HttpResponse
from ktor_client.http.redaction import repeats_secrets
from ktor_client.http.response import MAX_REFUSAL_BODY

__all__ = ["fail_unless_success"]


async def fail_unless_success(response: HttpResponse) -> None:
    """Read a response that is no success, and raise it.

    Raises:
        RedirectError: status 3xx.
        ClientRequestError: 4xx.
        ServerResponseError: 5xx.
    """
    request, status = response.request, response.status
    if status < 300:
        return
    await response.read_up_to(MAX_REFUSAL_BODY)
    kind: type[RedirectError] | type[ClientRequestError] | type[ServerResponseError]
    kind, what = (
        (RedirectError, "Unhandled redirect")
        if status < 400
        else (ClientRequestError, "Client request invalid")
        if status < 500
        else (ServerResponseError, "Server error")
    )
    text = (await response._text_for_messages())[:200]
    if repeats_secrets(text, request.url, request.headers):
        text = "(The answer repeats what was sent, secrets too.)"
    message = f"{what}: {request.method} {request.url._shown} gave {status}. {text}"
    raise kind(message, response) from response.body_error

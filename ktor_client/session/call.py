"""The HTTP exchange that a session came from (Ktor's `HttpClientCall`)."""

from __future__ import annotations

from ktor_client.http import HttpRequest, HttpResponse

__all__ = ["HttpClientCall"]


class HttpClientCall:
    """The final request, after redirects, and its response."""

    __slots__ = ("request", "response")

    def __init__(self, request: HttpRequest, response: HttpResponse) -> None:
        self.request = request
        self.response = response

    def __repr__(self) -> str:
        return f"HttpClientCall({self.request!r}, {self.response.status})"

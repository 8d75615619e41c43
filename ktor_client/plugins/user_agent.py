"""The `User-Agent` header: the smallest plugin, and the example that the documentation quotes."""

from __future__ import annotations

from ktor_client.http import HeadersBuilder, HttpRequestBuilder
from ktor_client.plugin import HttpClientPlugin, PluginScope

__all__ = ["UserAgent"]


class UserAgent(HttpClientPlugin):
    """Set `User-Agent` on each request that has none (Ktor's `UserAgent`)."""

    def __init__(self, *, agent: str = "ktor-client") -> None:
        """Check the header's value.

        Raises:
            UnsafeHeaderError: it cannot be sent.
        """
        if not isinstance(agent, str):
            raise TypeError(f"agent is the header's value, a str, not {type(agent).__name__}")
        self.agent = HeadersBuilder({"User-Agent": agent})["User-Agent"]

    def install(self, scope: PluginScope) -> None:
        """Register the hook."""
        scope.on_request(self._set_header)

    def _set_header(self, request: HttpRequestBuilder) -> None:
        request.headers.add_if_absent("User-Agent", self.agent)

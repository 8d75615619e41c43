"""The event streams of a client: prepared or opened. Nothing is opened here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ktor_client.client.content import Content, content_of
from ktor_client.client.preparing import UrlLike
from ktor_client.client.statements import SseStatement
from ktor_client.client.twins import opened
from ktor_client.http import HttpMethod, RequestBlock
from ktor_client.http.content import BodyLike
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.unset import UNSET

__all__ = ["SseCalls"]


class SseCalls(ABC):
    """Mixed into `HttpClient`."""

    @abstractmethod
    def _event_statement(
        self,
        method: HttpMethod | str,
        url: UrlLike,
        blocks: tuple[RequestBlock, ...],
        params: ParametersLike | None,
        headers: HeadersLike | None,
        content: Content,
    ) -> SseStatement:
        """Build the request of a stream, check it, and return what opens it."""

    def sse(
        self,
        url: UrlLike = None,
        *blocks: RequestBlock,
        method: HttpMethod | str = HttpMethod.Get,
        params: ParametersLike | None = None,
        headers: HeadersLike | None = None,
        body: BodyLike = None,
        json: Any = UNSET,
    ) -> SseStatement:
        """Prepare a stream: `async with client.sse(url) as events: async for event in events: ...`.

        Entering waits for the first answer. A stream that ends is opened again; one of a method
        that must not be repeated, such as POST, is not.

        Raises:
            PluginNotInstalledError: `install(SSE)` is missing.
            InvalidUrlError, UnsafeHeaderError: the request is not legal.
            ClientClosedError: the client is closed.

        Entering raises `SseError` when the answer is no event stream, and what `get` raises.
        """
        return self._event_statement(
            method, url, blocks, params, headers, content_of(body, json, None, None)
        )

    sse_session = opened(sse)
    """Takes what `sse` takes; awaited, it opens a stream that is yours to close."""

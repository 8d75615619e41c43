"""What `reconnect/` needs of the client, to open sessions that come back. Nothing waits here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ktor_client.client.statements import WebSocketStatement
from ktor_client.link import Clock
from ktor_client.plugins.reconnect import WebSocketReconnect
from ktor_client.plugins.reconnect import settings_of as reconnect_settings_of
from ktor_client.plugins.websockets import WebSockets, settings_of
from ktor_client.reconnect import ReconnectingStatement
from ktor_client.reconnect.budget import Budget
from ktor_client.reconnect.options import FeedOptions
from ktor_client.reconnect.target import Asked, Target
from ktor_client.retry import RetryPolicy
from ktor_client.session import DefaultClientWebSocketSession

if TYPE_CHECKING:
    from ktor_client.client.http_client import HttpClient

__all__ = ["prepared"]


def prepared(
    client: HttpClient,
    target: Target,
    parts: dict[str, Any],
    policy: RetryPolicy | None,
    options: FeedOptions,
) -> ReconnectingStatement:
    """Prepare sessions that come back; see `HttpClient.web_socket_reconnecting`."""
    settings = reconnect_settings_of(client.plugin_or_none(WebSocketReconnect))
    if not isinstance(policy, RetryPolicy | None):
        raise TypeError(f"policy takes RetryPolicy(...), not {policy!r}")
    source = _Source(client, parts, settings.budget)
    for known in target.known():
        source.prepare(known)
    return ReconnectingStatement(source, target, policy or settings.policy, options)


class _Source:
    """The client: implements `Source`."""

    def __init__(self, client: HttpClient, parts: dict[str, Any], budget: Budget | None) -> None:
        """Open what `parts`, which are the same for every attempt, say."""
        settings = settings_of(client.plugin(WebSockets), client.engine)
        self._client = client
        self._parts = parts
        self.budget = budget
        self.open_timeout = settings.open_timeout
        self.incoming_limit = settings.incoming
        self.converter = settings.converter

    @property
    def clock(self) -> Clock:
        return self._client.engine.clock

    def prepare(self, asked: Asked) -> WebSocketStatement[DefaultClientWebSocketSession]:
        """Prepare a session. Raises what `web_socket` raises."""
        return self._client._statement(
            WebSockets.open,
            asked.url,
            (),
            **self._parts,
            headers=asked.headers,
            params=asked.params,
            subprotocols=asked.subprotocols,
            late_blocks=asked.blocks,
        )

    async def open(self, asked: Asked) -> DefaultClientWebSocketSession:
        return await self.prepare(asked).__aenter__()

    def raise_if_closed(self) -> None:
        self._client._raise_if_closed()

    def on_closing(self, callback: Callable[[], None]) -> Callable[[], None]:
        key = object()
        self._client._on_closing[key] = callback

        def forget() -> None:
            self._client._on_closing.pop(key, None)

        return forget

    def on_network_back(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._client.engine.on_network_back(callback)

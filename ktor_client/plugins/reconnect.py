"""The `WebSocketReconnect` plugin: what holds for all sessions of a client that come back.

Only settings live here. `client.web_socket_reconnecting(...)` works without it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ktor_client.plugin import HttpClientPlugin, PluginScope
from ktor_client.reconnect.budget import Budget
from ktor_client.retry import RetryPolicy

__all__ = ["ReconnectSettings", "WebSocketReconnect", "settings_of"]


class WebSocketReconnect(HttpClientPlugin):
    """Settings for reconnecting sessions: `install(WebSocketReconnect, policy=RetryPolicy())`."""

    def __init__(
        self, *, policy: RetryPolicy | None = None, max_attempts_per_second: float | None = 50
    ) -> None:
        """Check and keep the options.

        Args:
            policy: for calls without a policy of their own; `RetryPolicy()` if None.
            max_attempts_per_second: of all the client's sessions together, including first
                attempts; they take turns in the order in which they are due. None for no limit, as
                without this plugin.

        Raises:
            TypeError: an option of the wrong type.
            ValueError: a limit that is not above 0.
        """
        if not isinstance(policy, RetryPolicy | None):
            raise TypeError(f"policy takes RetryPolicy(...), not {policy!r}")
        limit = max_attempts_per_second
        if isinstance(limit, bool) or not isinstance(limit, int | float | None):
            raise TypeError(f"max_attempts_per_second takes a number or None, not {limit!r}")
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            raise ValueError(f"max_attempts_per_second must be above 0, not {limit!r}")
        self._policy = RetryPolicy() if policy is None else policy
        self._budget = None if limit is None else Budget(limit)

    def install(self, scope: PluginScope) -> None:
        """Register nothing: the client asks this plugin."""


class ReconnectSettings(NamedTuple):
    """What holds for calls that say nothing else."""

    policy: RetryPolicy
    budget: Budget | None
    """What gives all sessions of a client their turns; None where nothing limits them."""


def settings_of(plugin: WebSocketReconnect | None) -> ReconnectSettings:
    """Return a plugin's settings, and without one the usual ones: for the client, not for users."""
    if plugin is None:
        return ReconnectSettings(RetryPolicy(), None)
    return ReconnectSettings(plugin._policy, plugin._budget)

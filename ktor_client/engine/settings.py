"""Values that travel with a request to the engine, each under a typed key (Ktor's `setCapability`).

An engine that cannot honour one that was set refuses the request; `check_settings` is that rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ktor_client.durations import Duration, optional_seconds
from ktor_client.engine.capabilities import (
    Capability,
    SocketTimeoutCapability,
    TimeoutCapability,
)
from ktor_client.engine.contract import HttpClientEngine
from ktor_client.engine.shared import require
from ktor_client.http import AttributeKey, HttpRequest, HttpRequestBuilder, RequestBlock
from ktor_client.unset import UNSET

__all__ = ["CONNECT_TIMEOUT", "SOCKET_TIMEOUT", "EngineSetting", "timeout"]

T = TypeVar("T")


class EngineSetting(AttributeKey[T]):
    """The key of a value that the engine needs for one request; `capability` is what takes it."""

    __slots__ = ("capability",)

    def __init__(self, name: str, capability: Capability) -> None:
        super().__init__(name)
        self.capability = capability

    def of(self, request: HttpRequest, default: T) -> T:
        """Return the request's value, or `default` if it has none; engines call this."""
        value: T = request._settings.get(self, default)
        return value

    def __repr__(self) -> str:
        return f"EngineSetting({self.name!r})"


CONNECT_TIMEOUT: EngineSetting[float | None] = EngineSetting("connect_timeout", TimeoutCapability)
"""Seconds to get a connection: a free slot, DNS, TCP, TLS and proxy together. None: no limit."""
SOCKET_TIMEOUT: EngineSetting[float | None] = EngineSetting(
    "socket_timeout", SocketTimeoutCapability
)
"""Seconds without a byte, either way, once there is a connection. None: no limit."""

DEFAULT_SOCKET_TIMEOUT = 60.0
"""Seconds, where neither request nor client says anything."""

REQUEST_TIMEOUT: AttributeKey[float | None] = AttributeKey("request_timeout")
"""Seconds for the whole call, body included, as the block `timeout` asks of `HttpTimeout`."""


def check_settings(engine: HttpClientEngine, settings: Mapping[AttributeKey[Any], Any]) -> None:
    """Check that an engine can honour what was set, before any I/O.

    Raises:
        UnsupportedCapabilityError: it cannot; the message names the setting.
    """
    for key in settings:
        if isinstance(key, EngineSetting):
            require(engine, key.capability, key.name)


def timeout(
    *,
    request: Duration | None = UNSET,
    connect: Duration | None = UNSET,
    socket: Duration | None = UNSET,
) -> RequestBlock:
    """Return a block that sets the time limits of one request; None removes one (Ktor's `timeout`).

    Args:
        request: seconds for the whole call, its body included; needs `install(HttpTimeout)`. It
            does not apply to sessions.
        connect: seconds to get a connection, including the wait for a free one.
        socket: seconds without a byte in either direction.

    Raises:
        TypeError, ValueError: a limit is not a positive, finite time.
    """
    limits: dict[EngineSetting[float | None], float | None] = {
        key: optional_seconds(value, name)
        for name, key, value in (
            ("connect", CONNECT_TIMEOUT, connect),
            ("socket", SOCKET_TIMEOUT, socket),
        )
        if value is not UNSET
    }
    whole = None if request is UNSET else optional_seconds(request, "request")

    def set_limits(builder: HttpRequestBuilder) -> None:
        for key, limit in limits.items():
            builder.engine_settings[key] = limit
        if request is not UNSET:
            builder.needs["HttpTimeout"] = "timeout(request=...)"
            builder.attributes[REQUEST_TIMEOUT] = whole

    return set_limits

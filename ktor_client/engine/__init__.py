"""The engine contract, the capabilities engines declare, and the registry. No engine lives here."""

from ktor_client.engine.capabilities import Capability
from ktor_client.engine.contract import (
    EngineLike,
    HttpClientEngine,
    WebSocketOptions,
    WebSocketUpgrade,
)
from ktor_client.mistakes import absent

__all__ = ["Capability", "EngineLike", "HttpClientEngine", "WebSocketOptions", "WebSocketUpgrade"]


def __getattr__(name: str) -> object:
    raise absent(__name__, name)

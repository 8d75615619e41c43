"""The engine contract, the capabilities engines declare, and the registry. No engine lives here."""

from ktor_client.engine.capabilities import Capability
from ktor_client.engine.contract import HttpClientEngine, WebSocketOptions, WebSocketUpgrade

__all__ = ["Capability", "HttpClientEngine", "WebSocketOptions", "WebSocketUpgrade"]

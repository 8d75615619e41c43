"""`DarwinEngine`: our own wire over Apple's Network.framework; nothing to install."""

from ktor_client.engines._darwin.engine import DarwinEngine

__all__ = ["DarwinEngine"]

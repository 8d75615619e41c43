"""`CioEngine`: our own HTTP/1.1 and WebSockets over asyncio; nothing to install."""

from ktor_client.engines._cio.engine import CioEngine

__all__ = ["CioEngine"]

"""The engine on aiohttp; see `engine.py`."""

from ktor_client.engines._aiohttp.engine import AiohttpEngine

__all__ = ["AiohttpEngine"]

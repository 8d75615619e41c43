"""The engine on aiohttp (like Ktor's CIO); see `engine.py`."""

from ktor_client.engines._aiohttp.engine import AiohttpEngine

__all__ = ["AiohttpEngine"]

"""The engine on httpx and httpx-ws (like Ktor's OkHttp); see `engine.py`.

A package, because the engine has its own transport and its own network backend for httpx. It loads
without httpx-ws too, and then has no WebSockets.
"""

from ktor_client.engines._httpx.engine import HttpxEngine

__all__ = ["HttpxEngine"]

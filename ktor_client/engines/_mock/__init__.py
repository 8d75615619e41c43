"""`MockEngine`: no network; HTTP handlers and web socket peers that a test scripts (Ktor's name).

`routes.py` says what a request meets, `responses.py` what handlers return, `engine.py` is what
clients hold. Nothing here waits for real time or opens a socket.
"""

from ktor_client.engines._mock.engine import MockEngine
from ktor_client.engines._mock.responses import MockResponse, respond

__all__ = ["MockEngine", "MockResponse", "respond"]

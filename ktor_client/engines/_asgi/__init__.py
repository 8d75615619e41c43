"""`TestEngine`: an ASGI app in process, without a socket (the client of Ktor's `testApplication`).

`engine.py` is what clients hold, `scope.py` builds what the app is told, `lifespan.py` starts and
ends it, `exchange.py` is one HTTP request, `web_socket.py` one WebSocket, `body.py` a response's
body on its way, `failures.py` what the app raised. No framework is imported.
"""

from ktor_client.engines._asgi.engine import TestEngine

__all__ = ["TestEngine"]

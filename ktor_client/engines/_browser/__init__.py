"""The browser's own `WebSocket` and `fetch`, under Pyodide (Ktor's Js engine).

`platform.py` is the door to JavaScript, `link.py` a socket, `fetch.py` a request, `engine.py` what
clients hold. Importing this is harmless anywhere; constructing the engine needs a browser. Only
calls of `js.*`, never a script as text: pages whose Content-Security-Policy forbids eval work.
"""

from ktor_client.engines._browser.engine import BrowserEngine

__all__ = ["BrowserEngine"]

"""The door to JavaScript: the modules that exist in a browser only, and its exceptions mapped."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from ktor_client.errors import (
    ConnectError,
    EngineUnavailableError,
    InvalidUrlError,
    KtorClientError,
)
from ktor_client.http import Url

__all__ = ["Platform"]


class Platform:
    """`js` and `pyodide.ffi`, as far as the engine uses them."""

    def __init__(self) -> None:
        """Import them.

        Raises:
            EngineUnavailableError: this Python does not run in a browser.
        """
        try:
            self.js: Any = import_module("js")
            self.ffi: Any = import_module("pyodide.ffi")
        except ImportError as error:
            raise _unavailable() from error
        if not hasattr(self.js, "fetch"):
            raise _unavailable()

    @property
    def has_web_sockets(self) -> bool:
        """Whether there is a global `WebSocket`; Node 20 has none."""
        return hasattr(self.js, "WebSocket")

    @property
    def origin(self) -> str | None:
        """Origin of the page or worker, such as "https://example.org"; None for local files."""
        origin = str(getattr(getattr(self.js, "location", None), "origin", ""))
        return origin if origin.startswith("http") else None

    def plain_object(self, values: dict[str, Any]) -> Any:
        """Return a plain JavaScript object."""
        return self.ffi.to_js(values, dict_converter=self.js.Object.fromEntries)

    def error(self, url: Url, cause: Exception) -> KtorClientError:
        """Return our error for an exception of `new WebSocket` or `fetch`.

        SyntaxError is a URL that the browser does not take, SecurityError mixed content. Everything
        else is a TypeError without a reason, so that pages cannot look around in a network.
        The query is not shown: pages have their tokens there.
        """
        name = str(getattr(cause, "name", type(cause).__name__))
        shown = url._shown
        text = str(getattr(cause, "message", cause)).replace(str(url), shown)
        if name == "SyntaxError":
            return InvalidUrlError(f"the browser refuses {shown}: {text}")
        if name == "SecurityError":
            return ConnectError(
                f"the browser forbids {shown}; pages from https may use wss and https only ({text})"
            )
        return ConnectError(
            f"no answer from {shown}: {text}. Browsers hide the reason from programs (server not "
            "reached, certificate, CORS, Content-Security-Policy, mixed content); the browser's "
            "console shows it"
        )


def _unavailable() -> EngineUnavailableError:
    return EngineUnavailableError(
        "BrowserEngine runs in a browser tab or a Web Worker, under Pyodide (PyScript, JupyterLite "
        f"...), and this is Python on {sys.platform}; use AiohttpEngine or HttpxEngine here"
    )

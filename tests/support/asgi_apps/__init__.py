"""The same small app in four frameworks, so that TestEngine meets what they really do.

GET /hello, GET /state, GET /cookies, POST /echo, GET /stream, GET /boom; WebSockets /echo, /deny
(401 with a body, or what the framework has for it), /forbid (closed before it is accepted),
/bye (4001 "bye"), /boom (an exception after accept). Each notes its lifespan in `log`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TypeAlias

from ktor_client.engines._asgi.scope import App

Log: TypeAlias = list[str]

FRAMEWORKS = ("starlette", "fastapi", "quart", "litestar")


def make_app(framework: str, log: Log) -> App:
    """Return the app in that framework."""
    app: App = import_module(f"tests.support.asgi_apps.{framework}_app").make(log)
    return app

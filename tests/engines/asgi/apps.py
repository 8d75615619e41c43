"""Clients of apps, and apps without a framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktor_client import (
    HttpClient,
    install,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import App, Receive, Scope, Send
from ktor_client.plugins import WebSockets


def client_of(app: App, **options: Any) -> HttpClient:
    return HttpClient(TestEngine(app, **options), install(WebSockets))


def web_socket_app(run: Callable[[Scope, Receive, Send], Any]) -> App:
    """Return an app that knows WebSockets only, and no lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] in ("http", "websocket"), "no lifespan here"
        await run(scope, receive, send)

    return app


async def accept(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})

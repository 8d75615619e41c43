"""The app in Litestar."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.exceptions import NotAuthorizedException, WebSocketDisconnect
from litestar.handlers import BaseRouteHandler
from litestar.response import Stream

from ktor_client.engines._asgi.scope import App
from tests.support.asgi_apps import Log


def make(log: Log) -> App:
    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        log.append("up")
        app.state.greeting = "from lifespan"
        yield
        log.append("down")

    @get("/hello", media_type="text/plain")
    async def hello(request: Request[Any, Any, Any]) -> str:
        return f"hello {request.query_params.get('name', 'world')}"

    @get("/state", media_type="text/plain")
    async def state(state: State) -> str:
        return str(state.greeting)

    @get("/cookies", media_type="text/plain")
    async def cookies(request: Request[Any, Any, Any]) -> Response[str]:
        return Response(
            request.cookies.get("seen", "never"),
            media_type="text/plain",
            cookies=[Cookie(key="seen", value="yes"), Cookie(key="again", value="yes")],
        )

    @post("/echo", media_type="text/plain", status_code=200)
    async def echo_body(request: Request[Any, Any, Any]) -> bytes:
        return await request.body()

    @get("/stream")
    async def stream() -> Stream:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"part %d " % number

        return Stream(parts(), media_type="text/plain")

    @websocket("/echo")
    async def echo(socket: WebSocket[Any, Any, Any]) -> None:
        offered = socket.scope["subprotocols"]
        await socket.accept(subprotocols=offered[0] if offered else None)
        try:
            while True:
                message: Any = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    log.append(f"gone {message['code']}")
                    return
                if message.get("text") is not None:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        except WebSocketDisconnect as gone:
            log.append(f"gone {gone.code}")

    def nobody(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        raise NotAuthorizedException

    @websocket("/forbid", guards=[nobody])
    async def forbid(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()

    @websocket("/bye")
    async def bye(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.close(4001, "bye")

    handlers = [hello, state, cookies, echo_body, stream, echo, forbid, bye]
    return Litestar(handlers, lifespan=[lifespan], logging_config=None)

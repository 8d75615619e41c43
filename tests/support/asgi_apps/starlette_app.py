"""The app in Starlette."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ktor_client.engines._asgi.scope import App
from tests.support.asgi_apps import Log


def make(log: Log) -> App:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, Any]]:
        log.append("up")
        yield {"greeting": "from lifespan"}
        log.append("down")

    async def hello(request: Request) -> Response:
        return PlainTextResponse(f"hello {request.query_params.get('name', 'world')}")

    async def state(request: Request) -> Response:
        return PlainTextResponse(request.state.greeting)

    async def cookies(request: Request) -> Response:
        response = PlainTextResponse(request.cookies.get("seen", "never"))
        response.set_cookie("seen", "yes")
        response.set_cookie("again", "yes")
        return response

    async def echo_body(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"part %d " % number

        return StreamingResponse(parts(), media_type="text/plain")

    async def boom(request: Request) -> Response:
        raise ValueError("boom in a handler")

    async def echo(socket: WebSocket) -> None:
        offered = socket.scope["subprotocols"]
        await socket.accept(subprotocol=offered[0] if offered else None)
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    log.append(f"gone {message['code']} {message['reason']}")
                    return
                if message.get("text") is not None:
                    await socket.send_text(message["text"])
                else:
                    await socket.send_bytes(message["bytes"])
        except WebSocketDisconnect as gone:
            log.append(f"gone {gone.code}")

    async def deny(socket: WebSocket) -> None:
        response = PlainTextResponse("who are you", 401, headers={"X-Reason": "nobody"})
        await socket.send_denial_response(response)

    async def forbid(socket: WebSocket) -> None:
        await socket.close(4003)

    async def bye(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(4001, "bye")

    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("boom in a WebSocket")

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/hello", hello),
            Route("/state", state),
            Route("/cookies", cookies),
            Route("/echo", echo_body, methods=["POST"]),
            Route("/stream", stream),
            Route("/boom", boom),
            WebSocketRoute("/echo", echo),
            WebSocketRoute("/deny", deny),
            WebSocketRoute("/forbid", forbid),
            WebSocketRoute("/bye", bye),
            WebSocketRoute("/boom", fail),
        ],
    )
